//! Blobs made by hand to hit one weak spot each.

use super::forge::{Forge, constant, packed, run_of_ordinals, same_text, varint};
use super::provoke;
use grotto_format::batch::{Column, ColumnKind, Value, encode_ordinals};
use grotto_format::blob::{BlobKind, SectionKind};
use grotto_state::{Difference, State, StateError, TypeChanges};

#[track_caller]
fn refused(forge: &Forge) -> String {
    provoke(&crate::engine::empty(), forge)
        .expect_err("expected the blob to be refused")
        .to_string()
}

fn one_record(schema: &str, shift: u8, ordinal: u32, columns: Vec<Vec<u8>>) -> Forge {
    let mut forge = Forge::snapshot(schema, shift);
    forge.chunk(0, 0, run_of_ordinals(ordinal, 1), columns);
    forge
}

/// The delta that follows a forged snapshot of a keyed type, with records of these keys.
fn keys_added(base: &State, removed: &[u32], first: u32, keys: &[i64]) -> Forge {
    let mut forge = Forge::snapshot(KEYED, 9);
    let header = &mut forge.header;
    (header.kind, header.from, header.to) = (BlobKind::Delta, base.version(), base.version() + 1);
    (header.from_checksum, header.from_schema_hash) = (base.checksum(), base.schema_hash());
    header.schema_text = None;
    if !removed.is_empty() {
        let mut raw = Vec::new();
        encode_ordinals(removed, &mut raw);
        let (type_id, chunk, kind) = (0, 0, SectionKind::Removed);
        forge.sections.push(super::forge::Piece {
            type_id,
            chunk,
            kind,
            raw,
        });
    }
    let ordinals: Vec<u32> = (first..).take(keys.len()).collect();
    let mut raw = Vec::new();
    encode_ordinals(&ordinals, &mut raw);
    forge.chunk(0, 0, raw, vec![longs(keys)]);
    forge
}

fn longs(words: &[i64]) -> Vec<u8> {
    let mut column = Column::new(ColumnKind::Fixed(0));
    let words = words.iter().map(|word| Value::Fixed(word.cast_unsigned()));
    words.for_each(|word| column.push(word));
    let (rows, mut out): (Vec<u32>, _) = ((0..column.len() as u32).collect(), Vec::new());
    column.encode(ColumnKind::Fixed(0), &rows, &mut out);
    out
}

const KEYED: &str = "A @PrimaryKey(id) { long id; }";

#[test]
fn thousands_of_records_with_one_key_are_refused() {
    let mut forge = Forge::snapshot(KEYED, 9);
    forge.chunk(0, 0, run_of_ordinals(0, 10_000), vec![constant(7)]);
    assert!(refused(&forge).starts_with("A #1: expected a primary key of its own, found 7 in #0"));
}

/// Loads of any size: with one page of the index, with many, and built by several threads.
#[test]
fn one_key_in_two_blocks_of_a_load_is_refused() {
    for count in [600, 9_000, 65_536] {
        let mut keys: Vec<i64> = (0..count).map(|i| i * 7919).collect();
        let forge = |keys: &[i64]| {
            let mut forge = Forge::snapshot(KEYED, 9);
            forge.chunk(0, 0, run_of_ordinals(0, count as u64), vec![longs(keys)]);
            forge.chunk(0, 1, run_of_ordinals(1 << 20, 1), vec![longs(&[-1])]);
            forge
        };
        provoke(&crate::engine::empty(), &forge(&keys)).unwrap();
        keys[count as usize - 1] = keys[17];
        let (last, key) = (count - 1, keys[17]);
        assert_eq!(
            refused(&forge(&keys)),
            format!("A #{last}: expected a primary key of its own, found {key} in #17 too")
        );
    }
}

#[test]
fn a_key_that_a_change_brings_again_is_refused() {
    let mut forge = Forge::snapshot(KEYED, 9);
    let keys: Vec<i64> = (0..5000).map(|i| i * 7919).collect();
    forge.chunk(0, 0, run_of_ordinals(0, 5000), vec![longs(&keys)]);
    let base = provoke(&crate::engine::empty(), &forge).unwrap();
    let twice = |removed: &[u32], keys: &[i64]| {
        let refused = provoke(&base, &keys_added(&base, removed, 6000, keys));
        refused.map(drop).map_err(|error| error.to_string())
    };
    let own = "expected a primary key of its own, found";
    for key in [0, 7919, 7919 * 4999] {
        let ordinal = key / 7919;
        let reason = format!("A #6001: {own} {key} in #{ordinal} too");
        assert_eq!(twice(&[], &[-1, key]), Err(reason));
        // The record that had it is another one now.
        assert_eq!(twice(&[ordinal as u32], &[-1, key]), Ok(()));
        let reason = format!("A #6001: {own} {key} in #6000 too");
        assert_eq!(twice(&[ordinal as u32], &[key, key]), Err(reason));
    }
    assert_eq!(
        twice(&[], &[-1, -2, -1]),
        Err(format!("A #6002: {own} -1 in #6000 too"))
    );
    // So many that the index is built anew.
    let many: Vec<i64> = (0..3000).map(|i| -1 - i % 2999).collect();
    assert_eq!(
        twice(&[], &many),
        Err(format!("A #8999: {own} -1 in #6000 too"))
    );
    assert_eq!(twice(&[], &many[..2999]), Ok(()));
}

#[test]
fn keys_of_two_parts_in_two_records_are_told_apart() {
    let schema = "A @PrimaryKey(b, n) { B b; int n; } B { string s; }";
    let forge = |texts: &[&str; 3]| {
        let mut forge = Forge::snapshot(schema, 9);
        let numbers = longs(&[1, 2, 1]);
        forge.chunk(
            0,
            0,
            run_of_ordinals(0, 3),
            vec![longs(&[0, 1, 2]), numbers],
        );
        let mut column = Column::new(ColumnKind::Var(true));
        texts
            .iter()
            .for_each(|text| column.push(Value::Var(text.as_bytes())));
        let mut out = Vec::new();
        column.encode(ColumnKind::Var(true), &[0, 1, 2], &mut out);
        forge.chunk(1, 0, run_of_ordinals(0, 3), vec![out]);
        forge
    };
    provoke(&crate::engine::empty(), &forge(&["x", "x", "y"])).unwrap();
    let own = "A #2: expected a primary key of its own, found \"x\", 1 in #0 too";
    assert_eq!(refused(&forge(&["x", "y", "x"])), own);
}

#[test]
fn a_reference_to_nowhere_is_refused() {
    for ordinal in [0, 1, 2, 4, 511, 512, u32::MAX - 70_000, u32::MAX] {
        let forge = one_record("A { A next; }", 9, 3, vec![constant(i64::from(ordinal))]);
        let reason = "A #3: expected next to refer to a live record of A, found #";
        assert_eq!(refused(&forge), format!("{reason}{ordinal}"));
    }
}

#[test]
fn a_reference_beyond_32_bits_is_refused() {
    for word in [-1, i64::MAX, i64::MIN, 1 << 32] {
        let forge = one_record("A { A next; }", 9, 0, vec![constant(word)]);
        let found = format!("live record of A, found #{}", word.cast_unsigned());
        assert!(refused(&forge).ends_with(&found), "{word}");
    }
}

#[test]
fn a_key_through_a_circle_of_references_ends() {
    let schema = "A @PrimaryKey(id, b.a.id) { int id; B b; } B { A a; }";
    let mut forge = Forge::snapshot(schema, 9);
    forge.chunk(0, 0, run_of_ordinals(0, 1), vec![constant(5), constant(0)]);
    forge.chunk(1, 0, run_of_ordinals(0, 1), vec![constant(0)]);
    assert!(provoke(&crate::engine::empty(), &forge).is_ok());
}

#[test]
fn a_list_that_holds_itself_is_readable_and_not_printable() {
    let mut forge = Forge::snapshot("L List<L>;", 9);
    let column = [vec![0], packed(3, 0, &[]), packed(0, 0, &[])].concat();
    forge.chunk(0, 0, run_of_ordinals(0, 1), vec![column]);
    let state = provoke(&crate::engine::empty(), &forge).unwrap();
    let id = state.schema().find("L").unwrap();
    let mut flat = grotto_format::flat::FlatBuilder::new();
    assert!(state.record(id, 0).unwrap().to_flat(&mut flat).is_err());
}

#[test]
fn a_record_that_doubles_for_ever_is_told_as_changed() {
    let mut forge = Forge::snapshot("A @PrimaryKey(id) { int id; L l; } L List<L>;", 9);
    forge.chunk(0, 0, run_of_ordinals(0, 1), vec![constant(5), constant(0)]);
    let column = [vec![0], packed(3, 0, &[]), packed(0, 0, &[])].concat();
    forge.chunk(1, 0, run_of_ordinals(0, 1), vec![column]);
    let state = provoke(&crate::engine::empty(), &forge).unwrap();
    let there = TypeChanges {
        modified: vec![0],
        ..TypeChanges::default()
    };
    let changes = Difference::new(&state, &state).records("A", Some(&there));
    assert_eq!(changes.unwrap().count(), 1);
}

#[test]
fn the_same_ordinal_in_two_chunks_is_refused() {
    let mut forge = Forge::snapshot("A { int x; }", 9);
    forge.chunk(0, 0, run_of_ordinals(0, 10), vec![constant(1)]);
    forge.chunk(0, 1, run_of_ordinals(5, 1), vec![constant(1)]);
    assert!(refused(&forge).contains("whole blocks"));
}

#[test]
fn an_ordinal_at_the_very_end_is_refused_or_readable() {
    for shift in [9, 16] {
        for ordinal in [
            u32::MAX - 1,
            u32::MAX - 0xffff,
            u32::MAX - 0x1_0000,
            0xfffe_ffff,
        ] {
            let schema = "A @PrimaryKey(x) { int x; string s; }";
            let forge = one_record(
                schema,
                shift,
                ordinal,
                vec![constant(1), same_text("abc", 1)],
            );
            let _ = provoke(&crate::engine::empty(), &forge);
        }
    }
}

#[test]
fn numbers_outside_of_their_type_are_refused() {
    let schema = "A @PrimaryKey(b) { boolean b; int i; }";
    let record = |b, i| one_record(schema, 9, 0, vec![constant(b), constant(i)]);
    for word in [2, -1, i64::MAX, i64::MIN] {
        let found = format!("A #0: expected b of 0 to 1, found {word}");
        assert_eq!(refused(&record(word, 0)), found);
    }
    for word in [1 << 31, -(1 << 31) - 1, i64::MAX, i64::MIN] {
        let range = "of -2147483648 to 2147483647";
        assert_eq!(
            refused(&record(1, word)),
            format!("A #0: expected i {range}, found {word}")
        );
    }
    for (b, i) in [(0, (1 << 31) - 1), (1, -(1 << 31))] {
        provoke(&crate::engine::empty(), &record(b, i)).unwrap();
    }
}

#[test]
fn a_blob_of_kind_header_is_never_applied() {
    let mut forge = one_record("A { int x; }", 9, 0, vec![constant(1)]);
    forge.header.kind = BlobKind::Header;
    refused(&forge);
}

#[test]
fn a_blob_that_stays_at_its_version_is_refused() {
    let mut forge = one_record("A { int x; }", 9, 0, vec![constant(1)]);
    forge.header.to = 0;
    forge.header.kind = BlobKind::Delta;
    refused(&forge);
    forge.header.kind = BlobKind::Reverse;
    refused(&forge);
}

#[test]
fn more_blocks_than_there_can_be_layouts_load_and_read_back() {
    let mut forge = Forge::snapshot("A @PrimaryKey(id) { long id; }", 9);
    let blocks = 70_000_u32;
    for block in 0..blocks {
        forge.chunk(
            0,
            block,
            run_of_ordinals(block * 512, 1),
            vec![constant(i64::from(block) * 512)],
        );
    }
    forge.header.types[0].live = u64::from(blocks);
    let Err(StateError::Checksum { found, .. }) =
        super::apply(&crate::engine::empty(), &forge.seal())
    else {
        panic!("expected nothing but the checksum to be wrong");
    };
    forge.header.to_checksum = found;
    let state = super::apply(&crate::engine::empty(), &forge.seal()).unwrap();
    let id = state.schema().find("A").unwrap();
    for block in (0..blocks).step_by(97) {
        assert!(
            state.find(id, i64::from(block) * 512).unwrap().is_some(),
            "block {block}"
        );
    }
}

#[test]
fn many_blocks_of_unlike_values_share_layouts_and_read_back() {
    // Values rise block by block, so that no two blocks like the same base.
    let mut forge = Forge::snapshot("A @PrimaryKey(id) { long id; string s; }", 9);
    let blocks = 700_u32;
    for block in 0..blocks {
        let gaps = [varint(1), packed(i64::from(block * 512), 0, &[])].concat();
        let columns = vec![
            constant(i64::from(block) * 1_000_003),
            same_text("the text of a record", 1),
        ];
        forge.chunk(0, block, gaps, columns);
    }
    let state = provoke(&crate::engine::empty(), &forge).unwrap();
    let id = state.schema().find("A").unwrap();
    for block in 0..blocks {
        let record = state
            .find(id, i64::from(block) * 1_000_003)
            .unwrap()
            .expect("record by key");
        assert_eq!(record.text(1), "the text of a record", "block {block}");
    }
}

#[test]
fn keys_of_floats_are_told_apart_by_their_bits() {
    let column = |reals: &[f64]| {
        let bytes = |plane: usize| {
            reals
                .iter()
                .map(move |real| real.to_bits().to_le_bytes()[plane])
        };
        let planes = (0..8).flat_map(bytes);
        [0].into_iter().chain(planes).collect::<Vec<u8>>()
    };
    let forge = |reals: &[f64]| {
        let mut forge = Forge::snapshot("A @PrimaryKey(d) { double d; }", 9);
        forge.chunk(
            0,
            0,
            run_of_ordinals(0, reals.len() as u64),
            vec![column(reals)],
        );
        forge
    };
    let nan = f64::from_bits(f64::NAN.to_bits() | 1);
    let reals = [0.0, -0.0, f64::NAN, nan, -f64::NAN];
    let state = provoke(&crate::engine::empty(), &forge(&reals)).unwrap();
    let id = state.schema().find("A").unwrap();
    for (ordinal, real) in (0..).zip(reals) {
        let found = state.find(id, real).unwrap().unwrap();
        assert_eq!((found.ordinal(), found.word(0)), (ordinal, real.to_bits()));
    }
    assert!(refused(&forge(&[1.0, nan, nan])).contains("A #2: expected a primary key of its own"));
}
