//! Parts of a scan against the scan itself, on types of many blocks, few records and none.

use super::cut;
use crate::encode::EncodeOptions;
use crate::hash::HashSeed;
use crate::state::State;
use crate::write::{Mode, WriteState};
use grotto_format::flat::FlatBuilder;
use grotto_format::schema::{Schema, TypeId};
use std::ops::Range;
use std::sync::Arc;

const CITY: TypeId = TypeId(0);

/// A state whose tables stand for 512 ordinals an entry, the fewest that a block can have: `count` records, of
/// which those that `stays` names are left.
fn state(count: u32, stays: impl Fn(u32) -> bool) -> State {
    let schema =
        Schema::parse("City @PrimaryKey(id) { long id; } Empty @PrimaryKey(id) { long id; }");
    let schema = Arc::new(schema.unwrap());
    let options = |version| EncodeOptions {
        dataset: "test".into(),
        version,
        level: None,
        threads: 1,
    };
    let mut write = WriteState::new(Arc::new(State::empty(HashSeed::new([1, 2]))));
    let mut cycle = write.begin(&schema, Mode::Full).unwrap();
    for id in 0..count {
        let mut flat = FlatBuilder::new();
        let line = format!(r#"{{"id":{id}}}"#);
        grotto_format::json::decode(&schema, CITY, &line, &mut flat).unwrap();
        let record = flat.finish(CITY);
        cycle.add(CITY, &record.bytes, u64::from(id)).unwrap();
    }
    if let Some(first) = cycle.finish(&options(1)).unwrap() {
        write.advance(first);
    }
    let mut cycle = write.begin(&schema, Mode::Incremental).unwrap();
    for id in (0..count).filter(|id| !stays(*id)) {
        assert!(cycle.delete(CITY, i64::from(id), 0).unwrap());
    }
    if let Some(second) = cycle.finish(&options(2)).unwrap() {
        write.advance(second);
    }
    let mut state = write.state().at_version(3);
    for ty in &mut state.types {
        *ty = ty.cut_to(9);
    }
    state
}

fn ids(records: impl Iterator<Item = u64>) -> Vec<u64> {
    records.collect()
}

/// That parts are the scan, in order, none of them empty and none of more than its share and a block.
#[track_caller]
fn check(state: &State, parts: usize) -> usize {
    let whole = ids(state.scan(CITY).map(|record| record.word(0)));
    let scans = state.split_scan(CITY, parts);
    let found: Vec<Vec<u64>> = scans
        .into_iter()
        .map(|scan| ids(scan.map(|record| record.word(0))))
        .collect();
    assert!(found.len() <= parts.max(1), "{} of {parts}", found.len());
    for part in &found {
        assert!(!part.is_empty());
        assert!(
            part.len() <= whole.len() / parts.max(1) + 512,
            "{}",
            part.len()
        );
    }
    assert_eq!(found.concat(), whole);
    let folded = state.par_fold(
        CITY,
        parts,
        Vec::new,
        |mut ids, record| {
            ids.push(record.word(0));
            ids
        },
        |mut first, second| {
            first.extend(second);
            first
        },
    );
    assert_eq!(folded, whole);
    found.len()
}

#[test]
fn parts_are_the_scan_however_many_there_are() {
    let state = state(10_000, |_| true);
    for parts in [0, 1, 2, 3, 7, 19, 20, 21, 1000] {
        let found = check(&state, parts);
        // 10,000 records in 20 blocks.
        assert_eq!(found, parts.clamp(1, 20), "{parts} parts");
    }
}

#[test]
fn parts_of_a_sparse_type_hold_about_as_many_records_each() {
    // All of the first blocks and but a few after them.
    let state = state(10_000, |id| id < 2_000 || id % 100 == 0);
    for parts in [2, 3, 4, 16] {
        assert!(check(&state, parts) > 1, "{parts} parts");
    }
}

#[test]
fn parts_skip_blocks_without_records() {
    let state = state(10_000, |id| (5_000..5_600).contains(&id) || id == 9_999);
    assert_eq!(check(&state, 3), 2);
    assert_eq!(check(&state, 100), 3);
}

#[test]
fn a_tiny_type_is_one_part_and_an_empty_one_none() {
    let tiny = state(3, |_| true);
    assert_eq!(check(&tiny, 16), 1);
    assert!(tiny.split_scan(TypeId(1), 4).is_empty());
    assert!(tiny.split_scan(TypeId(99), 4).is_empty());
    let emptied = state(2_000, |_| false);
    assert_eq!(check(&emptied, 4), 0);
    let count = tiny.par_fold(TypeId(1), 4, || 7, |sum, _| sum + 1, |a, b| a + b);
    assert_eq!(count, 7, "what there is before the first record");
}

#[test]
fn a_panic_of_a_closure_comes_out_of_the_fold() {
    let state = state(10_000, |_| true);
    let fold = || {
        let each =
            |_: (), record: crate::Record<'_>| assert!(record.word(0) != 9_000, "nine thousand");
        state.par_fold(CITY, 4, || (), each, |(), ()| ());
    };
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(fold)).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"nine thousand"));
}

#[test]
fn cuts_are_as_even_as_blocks_allow() {
    let runs = |live: &[u64], parts: usize| -> Vec<Range<usize>> { cut(live, parts) };
    assert_eq!(runs(&[1, 1, 1, 1], 2), [0..2, 2..4]);
    assert_eq!(runs(&[9, 1, 1, 1], 2), [0..1, 1..4]);
    assert_eq!(runs(&[0, 0, 5, 0, 1], 2), [0..3, 3..5]);
    assert_eq!(runs(&[5, 0, 0, 5, 0], 2), [0..1, 1..4]);
    assert_eq!(runs(&[u64::from(u32::MAX); 3], 3), [0..1, 1..2, 2..3]);
    assert!(runs(&[0, 0], 2).is_empty());
}
