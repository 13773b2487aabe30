//! Types whose records become much larger or smaller than the first ones.
//!
//! Owns: that the size of blocks follows, that every way from version to version stays right
//! meanwhile, and that no cycle rewrites more than it touches.

use crate::engine::{Chain, options};
use grotto_format::blob::Blob;
use grotto_format::schema::Schema;
use grotto_state::{HeapSeal, State};
use std::sync::Arc;

const SCHEMA: &str = "Page @PrimaryKey(id) { long id; string text; }";

fn schema() -> Arc<Schema> {
    Arc::new(Schema::parse(SCHEMA).unwrap())
}

fn page(id: i64, bytes: usize) -> (&'static str, String) {
    let text = format!("{id}-").repeat(bytes / 2 + 1);
    (
        "Page",
        format!(r#"{{"id":{id},"text":"{}"}}"#, &text[..bytes]),
    )
}

fn upsert((ty, text): (&'static str, String)) -> (&'static str, Result<String, i64>) {
    (ty, Ok(text))
}

/// The size of blocks that the last delta was written for, as a power of two.
fn size(chain: &Chain) -> u8 {
    let delta = chain.deltas.last().unwrap().clone();
    Blob::parse(delta.into()).unwrap().header.types[0].shift
}

/// Bytes of a block on average.
fn block_bytes(state: &State) -> u64 {
    let shape = state.shape();
    shape.block_bytes / shape.blocks
}

/// Replaces all records by ones of another size, `step` at a time.
fn resize(chain: &mut Chain, ids: std::ops::Range<i64>, bytes: usize, step: usize) {
    let ids: Vec<i64> = ids.collect();
    for ids in ids.chunks(step) {
        let changes: Vec<_> = ids.iter().map(|id| upsert(page(*id, bytes))).collect();
        chain.incremental(&schema(), &changes).unwrap();
        chain.write.check_invariants().unwrap();
    }
}

#[test]
fn blocks_become_smaller_when_records_grow() {
    let mut chain = Chain::new();
    let records: Vec<_> = (0..20_000).map(|id| page(id, 10)).collect();
    chain.full(&schema(), &records).unwrap();
    let first = size(&chain);
    assert!(first >= 12, "2^{first} ordinals");
    resize(&mut chain, 0..20_000, 400, 1_000);
    resize(&mut chain, 0..2_000, 400, 1_000);
    let last = size(&chain);
    assert!(last <= first - 2, "2^{first}, then 2^{last} ordinals");
    let bytes = block_bytes(chain.write.state());
    assert!((32 << 10..512 << 10).contains(&bytes), "{bytes} bytes");
    chain.verify();
}

#[test]
fn blocks_become_larger_when_records_shrink() {
    let mut chain = Chain::new();
    let records: Vec<_> = (0..4_000).map(|id| page(id, 1_000)).collect();
    chain.full(&schema(), &records).unwrap();
    let first = size(&chain);
    assert_eq!(first, 9);
    resize(&mut chain, 0..4_000, 3, 500);
    resize(&mut chain, 0..4_000, 4, 500);
    resize(&mut chain, 0..4_000, 5, 500);
    let last = size(&chain);
    assert!(last >= 12, "2^{first}, then 2^{last} ordinals");
    let shape = chain.write.state().shape();
    let least = shape.room >> last;
    assert!(shape.blocks <= 2 * least.max(1), "{} blocks", shape.blocks);
    chain.verify();
}

#[test]
fn a_producer_that_restarts_goes_on_with_the_new_size() {
    let mut chain = Chain::new();
    let records: Vec<_> = (0..4_000).map(|id| page(id, 10)).collect();
    chain.full(&schema(), &records).unwrap();
    resize(&mut chain, 0..4_000, 900, 1_000);
    let before = size(&chain);
    chain.restart();
    resize(&mut chain, 0..100, 901, 100);
    assert_eq!(size(&chain), before);
    chain.verify();
}

#[test]
fn a_change_of_size_rewrites_only_what_is_touched() {
    let sealed = |count: i64| {
        let mut chain = Chain::new();
        let records: Vec<_> = (0..count).map(|id| page(id, 10)).collect();
        chain.full(&schema(), &records).unwrap();
        // Most become large at once, so that the size of blocks changes in the next cycle.
        let first = size(&chain);
        resize(&mut chain, 0..count, 500, count as usize);
        let before = Arc::clone(chain.write.state());
        chain
            .incremental(&schema(), &[upsert(page(7, 501))])
            .unwrap();
        assert!(size(&chain) < first, "the size changes in this cycle");
        let delta = Blob::parse(chain.deltas.last().unwrap().clone().into()).unwrap();
        let names: Vec<u64> = before.segments().map(|segment| segment.name()).collect();
        let mut seal = HeapSeal::default();
        let (next, _) = before.apply(&delta, &mut seal).unwrap();
        let shared = |bytes: &bytes::Bytes| {
            before
                .segments()
                .any(|old| old.bytes().as_ptr() == bytes.as_ptr())
        };
        let new = next.segments().filter(|segment| !shared(segment.bytes()));
        let bytes: usize = new.map(|segment| segment.bytes().len()).sum();
        assert!(!names.is_empty());
        bytes
    };
    let (small, large) = (sealed(4_000), sealed(32_000));
    assert!(
        large < 2 * small + (64 << 10),
        "{small} bytes, then {large}"
    );
}

#[test]
fn a_way_back_across_a_change_of_size_needs_no_copies_of_blocks() {
    let mut chain = Chain::new();
    let records: Vec<_> = (0..6_000).map(|id| page(id, 10)).collect();
    chain.full(&schema(), &records).unwrap();
    resize(&mut chain, 0..6_000, 600, 2_000);
    resize(&mut chain, 0..6_000, 20, 2_000);
    resize(&mut chain, 0..6_000, 2_000, 3_000);
    chain.verify();
    let last = chain.write.state();
    let snapshot = grotto_state::encode_snapshot(last, &options(last.version())).unwrap();
    let blob = Blob::parse(snapshot.into()).unwrap();
    assert_eq!(blob.header.types[0].shift, size(&chain));
}
