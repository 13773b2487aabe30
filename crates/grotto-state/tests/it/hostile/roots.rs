//! Damaged state directories: tables and segments in which a byte is not what it was.

use super::read_everything;
use crate::engine::Chain;
use grotto_format::blob::Blob;
use grotto_format::schema::Schema;
use grotto_state::{HeapSeal, Parts, State};
use std::sync::Arc;

const SCHEMA: &str =
    "R @PrimaryKey(k, name.value) { long k; String name; int n; Names names; double d; }
    String { string value; } Names List<String>;";

fn record(k: i64, text: &str) -> (&'static str, String) {
    (
        "R",
        format!(r#"{{"k":{k},"name":"n{k}","n":{k},"names":["{text}","n{k}"],"d":0.5}}"#),
    )
}

/// A state of two versions, taken apart, and the delta that follows.
fn original() -> (Parts, Vec<bytes::Bytes>, Blob) {
    let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
    let mut chain = Chain::new();
    let mut records: Vec<_> = (0..40).map(|k| record(k, "same")).collect();
    chain.full(&schema, &records).unwrap();
    records[3] = record(3, "a text of some length, longer than the others");
    chain.full(&schema, &records).unwrap();
    let state = Arc::clone(chain.write.state());
    records.extend((100..104).map(|k| record(k, "late")));
    records.remove(7);
    chain.full(&schema, &records).unwrap();
    let segments = state
        .segments()
        .map(|segment| segment.bytes().clone())
        .collect();
    let delta = Blob::parse(chain.deltas[2].clone().into()).unwrap();
    (state.to_parts(), segments, delta)
}

/// Puts a state together and uses it in every way; whatever comes out, it is no panic.
fn use_it(parts: Parts, segments: &[bytes::Bytes], delta: &Blob) -> bool {
    let mut next = 0;
    let opened = State::from_parts(parts, &mut |_| {
        next += 1;
        Ok(segments.get(next - 1).cloned().unwrap_or_default())
    });
    let Ok(state) = opened else { return false };
    read_everything(&state);
    if let Ok((next, _)) = state.apply(delta, &mut HeapSeal::default()) {
        read_everything(&next);
    }
    true
}

#[test]
fn a_root_with_any_byte_changed_is_refused_or_readable() {
    let (parts, segments, delta) = original();
    assert!(use_it(parts.clone(), &segments, &delta));
    let config = bincode::config::standard().with_limit::<{ 1 << 20 }>();
    let bytes = bincode::encode_to_vec(&parts, config).unwrap();
    for at in 0..bytes.len() {
        for value in [bytes[at] ^ 1, bytes[at] ^ 0x80, 0xff, 250] {
            let mut changed = bytes.clone();
            changed[at] = value;
            if let Ok((parts, _)) = bincode::decode_from_slice::<Parts, _>(&changed, config) {
                use_it(parts, &segments, &delta);
            }
        }
    }
}

#[test]
fn a_root_with_any_word_at_its_largest_is_refused_or_readable() {
    let (parts, segments, delta) = original();
    // Numbers of one width, so that each can be replaced where it is.
    let config = bincode::config::standard()
        .with_fixed_int_encoding()
        .with_limit::<{ 1 << 20 }>();
    let bytes = bincode::encode_to_vec(&parts, config).unwrap();
    for at in 0..bytes.len() - 8 {
        for word in [u64::MAX, i64::MAX as u64, 1 << 32] {
            let mut changed = bytes.clone();
            changed[at..at + 8].copy_from_slice(&word.to_le_bytes());
            if let Ok((parts, _)) = bincode::decode_from_slice::<Parts, _>(&changed, config) {
                use_it(parts, &segments, &delta);
            }
        }
    }
}

#[test]
fn a_segment_with_any_byte_changed_is_readable() {
    let (parts, segments, delta) = original();
    for number in 0..segments.len() {
        for at in 0..segments[number].len() {
            let mut bytes = segments[number].to_vec();
            // Headers of blocks are looked at closely, and the many zeros after them passed over.
            bytes[at] = if at % 2 == 0 { 0xff } else { bytes[at] ^ 0x10 };
            let mut changed = segments.clone();
            changed[number] = bytes.into();
            use_it(parts.clone(), &changed, &delta);
        }
    }
}
