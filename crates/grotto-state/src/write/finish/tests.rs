//! What the check of a reverse delta costs. Owns nothing.

use super::*;
use crate::write::{Mode, WriteState};
use grotto_format::flat::FlatBuilder;
use grotto_format::json;
use grotto_format::schema::Schema;

#[test]
fn what_is_given_up_at_once_moves_nothing() {
    let schema = "R @PrimaryKey(id) { long id; string text; }";
    let schema = Arc::new(Schema::parse(schema).unwrap());
    let eager = SegmentOptions {
        move_at_least: 1 << 20,
        dead_percent: 1,
        ..SegmentOptions::default()
    };
    let mut write =
        WriteState::new(Arc::new(State::empty(crate::HashSeed::new([1, 2])))).with_segments(eager);
    let (mut moved, mut last) = (0, None);
    // A consumer that never moves anything: more of what it holds is dead than anybody else would bear.
    let (mut worn, mut never) = (
        State::empty(crate::HashSeed::new([1, 2])),
        HeapSeal::with_options(SegmentOptions::NEVER_MOVE),
    );
    for version in 1..=3 {
        let mut cycle = write.begin(&schema, Mode::Incremental).unwrap();
        for id in (0..3000).filter(|id| version == 1 || id % 4 == 0) {
            let text = "x".repeat(100);
            let text = format!(r#"{{"id":{id},"text":"{text}{version}"}}"#);
            let mut flat = FlatBuilder::new();
            json::decode(&schema, TypeId(0), &text, &mut flat).unwrap();
            cycle.upsert(TypeId(0), flat.bytes(), id).unwrap();
        }
        let options = EncodeOptions {
            dataset: "test".into(),
            version,
            level: None,
            threads: 1,
        };
        let encoded = cycle.finish(&options).unwrap().unwrap();
        let delta = Blob::parse(encoded.delta.clone().into()).unwrap();
        worn = worn.apply(&delta, &mut never).unwrap().0;
        moved += encoded.changes.effort.moved_bytes;
        last = encoded
            .reverse
            .clone()
            .map(|blob| (Arc::clone(&encoded.next), blob));
        write.advance(encoded);
    }
    assert!(moved > 0, "the producer's own state moves as it was told");
    let (next, reverse) = last.unwrap();
    let blob = Blob::parse(reverse.into()).unwrap();
    let kept = next
        .apply(&blob, &mut HeapSeal::with_options(eager))
        .unwrap();
    assert!(kept.1.effort.moved_bytes > 0, "there is something to move");
    let usual = worn.apply(&blob, &mut HeapSeal::default()).unwrap();
    assert!(
        usual.1.effort.moved_bytes > 0,
        "whoever keeps it moves something"
    );
    for state in [&*next, &worn] {
        let effort = lead_back(state, &blob).unwrap();
        assert_eq!(effort.moved_bytes, 0);
        assert!(effort.sealed_bytes > 0);
    }
}
