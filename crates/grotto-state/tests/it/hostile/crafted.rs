//! Blobs made by hand to hit one weak spot each.

use super::forge::{Forge, constant, packed, run_of_ordinals, same_text, varint};
use super::provoke;
use grotto_format::batch::encode_ordinals;
use grotto_format::blob::BlobKind;
use grotto_state::StateError;

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

#[test]
fn thousands_of_records_with_one_key_are_readable() {
    let mut forge = Forge::snapshot("A @PrimaryKey(id) { long id; }", 9);
    forge.chunk(0, 0, run_of_ordinals(0, 10_000), vec![constant(7)]);
    let state = provoke(&crate::engine::empty(), &forge).unwrap();
    let id = state.schema().find("A").unwrap();
    let found = state.find(id, &7_i64).unwrap().map(|r| r.word(0));
    assert_eq!(found, Some(7));
    assert!(state.find(id, &8_i64).unwrap().is_none());
}

#[test]
fn a_key_that_comes_again_and_again_is_readable() {
    let mut state = crate::engine::empty();
    for version in 0..10 {
        let mut forge = Forge::snapshot("A @PrimaryKey(id) { long id; }", 9);
        forge.header.from = state.version();
        forge.header.to = version + 1;
        forge.header.from_checksum = state.checksum();
        forge.header.from_schema_hash = state.schema_hash();
        // One block each, so that records only ever come.
        forge.sections.clear();
        let first = 512 * version as u32;
        let mut ordinals = Vec::new();
        let block: Vec<u32> = (first..first + 512).collect();
        encode_ordinals(&block, &mut ordinals);
        forge.chunk(0, 0, ordinals, vec![constant(7)]);
        if version > 0 {
            forge.header.kind = BlobKind::Delta;
            forge.header.schema_text = None;
        }
        state = provoke(&state, &forge).unwrap();
    }
    let id = state.schema().find("A").unwrap();
    assert_eq!(state.count(id), 10 * 512);
    let found = state.find(id, &7_i64).unwrap().map(|r| r.word(0));
    assert_eq!(found, Some(7));
}

#[test]
fn a_reference_to_nowhere_is_readable() {
    for ordinal in [0, 1, 511, 512, u32::MAX - 70_000, u32::MAX] {
        let forge = one_record("A { A next; }", 9, 3, vec![constant(i64::from(ordinal))]);
        let _ = provoke(&crate::engine::empty(), &forge);
    }
}

#[test]
fn a_reference_beyond_32_bits_is_readable() {
    for word in [-1, i64::MAX, i64::MIN, 1 << 32] {
        let _ = provoke(
            &crate::engine::empty(),
            &one_record("A { A next; }", 9, 0, vec![constant(word)]),
        );
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
fn numbers_outside_of_their_type_do_not_break_readers() {
    for word in [2, -1, i64::MAX, i64::MIN] {
        let schema = "A @PrimaryKey(b) { boolean b; int i; }";
        let _ = provoke(
            &crate::engine::empty(),
            &one_record(schema, 9, 0, vec![constant(word), constant(word)]),
        );
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
            state.find(id, &(i64::from(block) * 512)).unwrap().is_some(),
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
            .find(id, &(i64::from(block) * 1_000_003))
            .unwrap()
            .expect("record by key");
        assert_eq!(record.text(1), "the text of a record", "block {block}");
    }
}
