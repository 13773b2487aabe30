//! Long runs: what a state costs must not depend on how many versions led to it.

use crate::engine::{Chain, dump, options};
use grotto_format::blob::Blob;
use grotto_format::schema::Schema;
use grotto_state::{HeapSeal, SegmentOptions, State, WriteState};
use std::collections::BTreeMap;
use std::sync::Arc;

const SCHEMA: &str =
    "P @PrimaryKey(id) { long id; string title; String kind; int stock; } String { string value; }";

/// So small that a few thousand records cross what millions cross with the default.
const SMALL: SegmentOptions = SegmentOptions {
    seal_at: 128 << 10,
    move_at_least: 16 << 10,
    move_per_written: 1,
    dead_percent: 25,
    merge_at: 8,
    large_segments: 2048,
};

fn record(id: i64, revision: u64) -> String {
    let stock = (id as u64).wrapping_mul(31).wrapping_add(revision) % 10_000;
    format!(
        r#"{{"id":{id},"title":"title {id} of revision {revision}","kind":"kind {}","stock":{stock}}}"#,
        id % 97
    )
}

fn bytes_of(state: &State) -> (u64, u64, usize) {
    let total = state.segments().map(|s| s.bytes().len() as u64).sum();
    (
        total,
        state.segments().map(|s| s.live()).sum(),
        state.segments().count(),
    )
}

#[test]
fn hundreds_of_versions_cost_no_more_than_one() {
    let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
    let mut chain = Chain::new();
    chain.write = WriteState::new(Arc::new(crate::engine::empty())).with_segments(SMALL);
    let mut model: BTreeMap<i64, u64> = (0..6000).map(|id| (id, 0)).collect();
    let all: Vec<_> = model
        .iter()
        .map(|(id, revision)| ("P", record(*id, *revision)))
        .collect();
    chain.full(&schema, &all).unwrap();
    let mut next_id = 6000;
    for cycle in 1..=300_u64 {
        let mut changes = Vec::new();
        for pick in 0..60_u64 {
            let id = (cycle * 7919 + pick * 104_729) as i64 % next_id;
            if let Some(revision) = model.get_mut(&id) {
                *revision = cycle;
                changes.push(("P", Ok(record(id, cycle))));
            }
        }
        for pick in 0..10_u64 {
            let id = (cycle * 15_485_863 + pick * 32_452_843) as i64 % next_id;
            if model.remove(&id).is_some() {
                changes.push(("P", Err(id)));
            }
            model.insert(next_id, cycle);
            changes.push(("P", Ok(record(next_id, cycle))));
            next_id += 1;
        }
        chain.incremental(&schema, &changes).unwrap();
    }
    // A consumer that took every step, against one that loads the newest version afresh.
    let mut state = crate::engine::empty();
    let mut seal = HeapSeal::with_options(SMALL);
    let mut moved = 0;
    for delta in &chain.deltas {
        let blob = Blob::parse(delta.clone().into()).unwrap();
        let (next, changes) = state.apply(&blob, &mut seal).unwrap();
        moved += changes.effort.moved_bytes;
        state = next;
    }
    state.check_invariants().unwrap();
    assert!(moved > 0, "budgets are small enough");
    let newest = chain.states.last().unwrap();
    let snapshot = grotto_state::encode_snapshot(newest, &options(newest.version())).unwrap();
    let fresh = crate::engine::empty()
        .apply(
            &Blob::parse(snapshot.into()).unwrap(),
            &mut HeapSeal::default(),
        )
        .unwrap()
        .0;
    assert_eq!(dump(&state), dump(&fresh));
    assert_eq!(state.count(schema.find("P").unwrap()), model.len() as u64);
    for (id, revision) in &model {
        let found = state.find(schema.find("P").unwrap(), id).unwrap().unwrap();
        assert_eq!(found.text(1), format!("title {id} of revision {revision}"));
    }
    let (total, live, segments) = bytes_of(&state);
    let (fresh_total, ..) = bytes_of(&fresh);
    assert!(segments <= 50, "{segments} segments");
    assert!(
        live < fresh_total * 2,
        "{live} live bytes against {fresh_total} fresh ones"
    );
    // A quarter may be dead, and a segment that is being emptied is there twice in part.
    assert!(total * 3 < live * 5, "{total} bytes for {live} live ones");
}

#[test]
fn a_type_of_many_chunks_loads_like_one_of_few() {
    let schema = Arc::new(Schema::parse("N @PrimaryKey(id) { long id; string text; }").unwrap());
    let id = schema.find("N").unwrap();
    let line = |i: i64| ("N", format!(r#"{{"id":{i},"text":"t{}"}}"#, i % 1000));
    let mut chain = Chain::new();
    chain
        .full(&schema, &(0..150_000).map(line).collect::<Vec<_>>())
        .unwrap();
    chain
        .incremental(&schema, &[("N", Err(7)), ("N", Ok(line(150_001).1))])
        .unwrap();
    let newest = Arc::clone(chain.states.last().unwrap());
    let snapshot = grotto_state::encode_snapshot(&newest, &options(newest.version())).unwrap();
    let blob = Blob::parse(snapshot.into()).unwrap();
    assert!(
        blob.header.sections.iter().any(|section| section.chunk > 1),
        "expected several chunks"
    );
    let loaded = crate::engine::empty()
        .apply(&blob, &mut HeapSeal::default())
        .unwrap()
        .0;
    assert_eq!(
        (loaded.checksum(), loaded.count(id)),
        (newest.checksum(), 150_000)
    );
    for key in (0..150_000).chain([150_001]) {
        let found = loaded.find(id, key).unwrap();
        assert_eq!(
            found.map(|record| record.text(1)),
            (key != 7).then(|| format!("t{}", key % 1000)).as_deref()
        );
    }
    let (total, live, _) = bytes_of(&loaded);
    assert!(
        live <= total && total - live < total / 50,
        "{live} live bytes of {total}"
    );
    let back = Blob::parse(chain.reverses[1].clone().unwrap().into()).unwrap();
    let before = loaded.apply(&back, &mut HeapSeal::default()).unwrap().0;
    assert_eq!(before.checksum(), chain.states[1].checksum());
}
