//! Untyped access to states that no producer would make: references in circles, references that
//! lead nowhere. Readers accept what leads to them, so a consumer does serve them.

use super::*;
use crate::known::Known;
use crate::segment::HeapSeal;
use crate::state::State;
use grotto_format::batch::{Batch, Value, encode_ordinals};
use grotto_format::blob::{self, Blob, BlobHeader, BlobKind, BlobWriter, SectionKind};
use grotto_format::flat::{FlatBuilder, MAX_DEPTH};
use grotto_format::schema::Schema;
use std::sync::Arc;

const SEED: crate::HashSeed = crate::HashSeed::new([1, 2]);
const SCHEMA: &str = "A @PrimaryKey(id) { long id; A next; L kids; } L List<A>;";

/// A snapshot of `rows` per type, each row one value per column, from ordinal 0 on.
fn snapshot(rows: [&[&[Value<'_>]]; 2], checksum: u64) -> Blob {
    let ordinals = rows.map(|rows| (0..rows.len() as u32).collect::<Vec<_>>());
    snapshot_at(rows, [&ordinals[0], &ordinals[1]], checksum)
}

/// The same at these ordinals.
fn snapshot_at(rows: [&[&[Value<'_>]]; 2], at: [&[u32]; 2], checksum: u64) -> Blob {
    let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
    let header = BlobHeader {
        kind: BlobKind::Snapshot,
        dataset: "test".into(),
        from: 0,
        to: 1,
        from_checksum: 0,
        to_checksum: checksum,
        from_schema_hash: Schema::default().hash(),
        schema_hash: schema.hash(),
        schema_text: Some(schema.to_string()),
        types: rows
            .iter()
            .map(|rows| blob::TypeInfo {
                shift: 9,
                live: rows.len() as u64,
            })
            .collect(),
        sections: Vec::new(),
    };
    let mut writer = BlobWriter::new(header, None);
    for (((position, info), rows), ordinals) in (0..)
        .zip(Known::new(Arc::clone(&schema), None, SEED).infos.iter())
        .zip(rows)
        .zip(at)
    {
        let mut batch = Batch::new(&info.kinds);
        for row in rows {
            batch
                .columns
                .iter_mut()
                .zip(*row)
                .for_each(|(column, value)| column.push(*value));
        }
        let all: Vec<u32> = (0..rows.len() as u32).collect();
        let mut raw = Vec::new();
        encode_ordinals(ordinals, &mut raw);
        writer.section(position, 0, SectionKind::Added, raw);
        for (at, (column, kind)) in (0..).zip(batch.columns.iter().zip(&info.kinds)) {
            let mut raw = Vec::new();
            column.encode(*kind, &all, &mut raw);
            writer.section(position, 0, SectionKind::Column(at), raw);
        }
    }
    Blob::parse(writer.finish().unwrap().into()).unwrap()
}

/// The state of a snapshot, whose checksum is taken from the refusal of a wrong one.
fn hostile(rows: [&[&[Value<'_>]]; 2]) -> State {
    right(&|checksum| {
        let blob = snapshot(rows, checksum);
        let applied = State::empty(SEED).apply(&blob, &mut HeapSeal::default());
        applied.map(|(state, _)| state)
    })
}

fn right(apply: &dyn Fn(u64) -> Result<State, StateError>) -> State {
    match apply(0) {
        Err(StateError::Checksum { found, .. }) => apply(found).unwrap(),
        other => panic!("expected another checksum, found {other:?}"),
    }
}

fn root(state: &State) -> Record<'_> {
    state.find(TypeId(0), 1_i64).unwrap().unwrap()
}

#[test]
fn a_record_that_contains_itself_is_not_exported() {
    let state = hostile([&[&[Value::Fixed(1), Value::Fixed(0), Value::Null]], &[]]);
    let mut out = FlatBuilder::new();
    out.boolean(true);
    let error = root(&state).to_flat(&mut out).unwrap_err();
    assert!(
        matches!(error.inner(), Some(StateError::Flat { .. })),
        "{error}"
    );
    assert_eq!(out.bytes(), [1], "what was there before stays");
}

#[test]
fn a_chain_at_the_depth_limit_is_exported_and_one_beyond_is_not() {
    let chain = |length: u64| {
        let rows: Vec<[Value<'_>; 3]> = (0..length)
            .map(|at| {
                let next = if at + 1 < length {
                    Value::Fixed(at + 1)
                } else {
                    Value::Null
                };
                [Value::Fixed(at + 1), next, Value::Null]
            })
            .collect();
        let rows: Vec<&[Value<'_>]> = rows.iter().map(|row| &row[..]).collect();
        let state = hostile([&rows, &[]]);
        root(&state).to_flat(&mut FlatBuilder::new())
    };
    let records = MAX_DEPTH as u64 + 1;
    chain(records).unwrap();
    chain(records + 1).unwrap_err();
}

/// The state without record 600 of type `A`, whoever refers to it.
fn without_600(state: &State) -> State {
    let apply = |checksum| {
        let mut header = snapshot_at([&[], &[]], [&[], &[]], checksum).header;
        (header.kind, header.from, header.to) = (BlobKind::Delta, 1, 2);
        header.from_checksum = state.checksum();
        header.from_schema_hash = header.schema_hash;
        header.schema_text = None;
        (header.types[0].live, header.types[1].live) = (1, 1);
        let mut writer = BlobWriter::new(header, None);
        let mut raw = Vec::new();
        encode_ordinals(&[600], &mut raw);
        writer.section(0, 0, SectionKind::Removed, raw);
        let blob = Blob::parse(writer.finish().unwrap().into()).unwrap();
        state.apply(&blob, &mut HeapSeal::default())
    };
    right(&|checksum| apply(checksum).map(|(state, _)| state))
}

#[test]
fn a_reference_that_leads_nowhere_reads_as_null_and_is_reported() {
    let referred = Value::Fixed(600);
    let films: &[&[Value<'_>]] = &[
        &[Value::Fixed(1), referred, Value::Fixed(0)],
        &[Value::Fixed(2), Value::Null, Value::Null],
    ];
    let lists: &[&[Value<'_>]] = &[&[Value::Elements(&[600])]];
    let state = right(&|checksum| {
        let blob = snapshot_at([films, lists], [&[0, 600], &[0]], checksum);
        let applied = State::empty(SEED).apply(&blob, &mut HeapSeal::default());
        applied.map(|(state, _)| state)
    });
    let state = without_600(&state);
    let Field::Object(view) = root(&state).view() else {
        panic!("an object")
    };
    assert!(!state.is_damaged());
    assert!(view.get("next").unwrap().is_null());
    assert!(state.is_damaged());
    let Field::List(kids) = view.get("kids").unwrap() else {
        panic!("a list")
    };
    assert!(kids.iter().all(|kid| kid.is_null()));
    assert!(!kids.contains(7_i64).unwrap());
    let error = root(&state).to_flat(&mut FlatBuilder::new()).unwrap_err();
    assert!(
        matches!(error.inner(), Some(StateError::Damaged(_))),
        "{error}"
    );
}

#[test]
fn records_that_double_at_every_level_are_not_exported_without_end() {
    // Level n refers twice to level n + 1: 2^30 records when written out.
    const LEVELS: u64 = 30;
    let lists: Vec<[u32; 2]> = (1..=LEVELS as u32).map(|level| [level, level]).collect();
    let wide: Vec<[Value<'_>; 1]> = lists.iter().map(|list| [Value::Elements(list)]).collect();
    let wide: Vec<&[Value<'_>]> = wide.iter().map(|row| &row[..]).collect();
    let rows: Vec<[Value<'_>; 3]> = (0..=LEVELS)
        .map(|at| {
            let kids = if at < LEVELS {
                Value::Fixed(at)
            } else {
                Value::Null
            };
            [Value::Fixed(at + 1), Value::Null, kids]
        })
        .collect();
    let rows: Vec<&[Value<'_>]> = rows.iter().map(|row| &row[..]).collect();
    let state = hostile([&rows, &wide]);
    let error = root(&state)
        .write_flat(&mut FlatBuilder::new(), 1 << 20)
        .unwrap_err();
    assert!(matches!(error, StateError::Limit(_)), "{error}");
}

#[test]
fn many_keys_are_answered_as_one_by_one() {
    let rows: Vec<[Value<'_>; 3]> = (0..500)
        .map(|at| [Value::Fixed(at * 3), Value::Null, Value::Null])
        .collect();
    let rows: Vec<&[Value<'_>]> = rows.iter().map(|row| &row[..]).collect();
    let state = hostile([&rows, &[]]);
    let keys: Vec<i64> = (0..1600).map(|at| at * 7 % 1601).collect();
    let many = state.find_many(TypeId(0), &keys).unwrap();
    for (key, found) in keys.iter().zip(many) {
        let one = state.find(TypeId(0), key).unwrap();
        assert_eq!(
            found.map(|r| r.ordinal()),
            one.map(|r| r.ordinal()),
            "key {key}"
        );
    }
    assert!(state.find_many::<i64>(TypeId(0), &[]).unwrap().is_empty());
    state.find_many(TypeId(0), &["text"]).unwrap_err();
    state.find_many(TypeId(1), &[1_i64]).unwrap_err();
    state.find_many::<i64>(TypeId(1), &[]).unwrap_err();
}

#[test]
fn an_index_entry_that_leads_nowhere_hides_no_record() {
    let row = |id| [Value::Fixed(id), Value::Null, Value::Null];
    let rows = [row(1), row(2)];
    let mut state = hostile([&[&rows[0], &rows[1]], &[]]);
    let page = state.types[0].index.as_ref().unwrap().pages[0];
    let segment = &mut state.segments[usize::from(page.segment)];
    let mut bytes = segment.bytes.to_vec();
    // The entry in front gets the fingerprint of the one behind it, and the ordinal of no block.
    let line = &mut bytes[page.start()..];
    line[0] = line[1];
    line[16..20].fill(0xff);
    segment.bytes = bytes.into();
    let one = state.find(TypeId(0), 2_i64).unwrap();
    assert_eq!(one.map(|r| r.ordinal()), Some(1));
    let many = state.find_many(TypeId(0), &[2_i64]).unwrap();
    assert_eq!(many[0].map(|r| r.ordinal()), Some(1));
}
