//! Loads that run out of slots. Owns nothing.

use crate::error::StateError;
use crate::segment::{HeapSeal, MAX_SLOTS, Segment, SegmentOptions};
use crate::state::State;
use crate::write::{Mode, WriteState};
use crate::{EncodeOptions, encode_snapshot};
use grotto_format::blob::Blob;
use grotto_format::flat::FlatBuilder;
use grotto_format::json;
use grotto_format::schema::{Schema, TypeId};
use std::sync::Arc;

/// A snapshot of several chunks.
fn snapshot() -> Blob {
    let schema = Arc::new(Schema::parse("N { int x; }").unwrap());
    let write = WriteState::new(Arc::new(State::empty(crate::HashSeed::new([1, 2]))));
    let mut cycle = write.begin(&schema, Mode::Full).unwrap();
    let mut flat = FlatBuilder::new();
    for number in 0..200_000 {
        flat.clear();
        let text = format!(r#"{{"x":{number}}}"#);
        json::decode(&schema, TypeId(0), &text, &mut flat).unwrap();
        cycle.add(TypeId(0), flat.bytes(), number).unwrap();
    }
    let options = EncodeOptions {
        dataset: "test".into(),
        version: 1,
        level: None,
        threads: 1,
    };
    let next = cycle.finish(&options).unwrap().unwrap().next;
    let blob = Blob::parse(encode_snapshot(&next, &options).unwrap().into()).unwrap();
    let chunks = blob.header.sections.iter().map(|section| section.chunk);
    assert!(chunks.max() > Some(2), "expected several chunks");
    blob
}

#[test]
fn a_load_that_runs_out_of_slots_is_an_error() {
    let blob = snapshot();
    let options = SegmentOptions {
        seal_at: 1,
        ..SegmentOptions::NEVER_MOVE
    };
    let load = |free: usize| {
        let mut base = State::empty(crate::HashSeed::new([1, 2]));
        let taken = Segment {
            bytes: bytes::Bytes::from_static(&[0; 64]),
            name: 1,
            live: 64,
        };
        base.segments = vec![taken; MAX_SLOTS - free];
        base.apply(&blob, &mut HeapSeal::with_options(options))
    };
    assert_eq!(load(20).map(|(state, _)| state.total()).unwrap(), 200_000);
    for free in 0..3 {
        let error = load(free).map(drop).unwrap_err();
        assert!(matches!(error, StateError::Limit(_)), "{free}: {error}");
    }
}
