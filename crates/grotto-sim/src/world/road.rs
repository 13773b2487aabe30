//! The records of a stream: what is submitted, read back and set aside.
//!
//! Owns: how a submission and its token are written as records. Never: submits.

use std::collections::BTreeMap;

use grotto_producer::Error;
use grotto_producer::pipeline::{Batch, Pipeline};
use grotto_state::State;

use crate::check::{MARKER, StreamChanges};

/// The schema of the stream.
pub(super) const SCHEMA: &str = "Road @PrimaryKey(id) { long id; long length; }";

/// A submission with its token.
pub(super) fn batch(
    pipeline: &Pipeline,
    token: i64,
    changes: &StreamChanges,
) -> Result<Batch, Error> {
    let mut batch = pipeline.batch();
    let marker = (&MARKER, &Some(token));
    for (key, value) in changes.iter().chain([marker]) {
        match value {
            Some(value) => {
                batch.upsert_json("Road", &format!(r#"{{"id":{key},"length":{value}}}"#), 1)?;
            }
            None => batch.delete_from("Road", *key)?,
        }
    }
    Ok(batch)
}

/// The tokens of submissions in a file of what was set aside.
pub(super) fn tokens(bytes: &[u8]) -> Vec<i64> {
    let text = String::from_utf8_lossy(bytes);
    let marker = format!(r#"{{"op":"upsert","type":"Road","record":{{"id":{MARKER},"length":"#);
    let token = |line: &str| line.strip_prefix(&marker)?.strip_suffix("}}")?.parse().ok();
    text.lines().filter_map(token).collect()
}

/// The records of a state, by key.
pub(super) fn records(state: &State) -> BTreeMap<i64, i64> {
    let Ok(road) = state.type_id("Road") else {
        return BTreeMap::new();
    };
    let records = state.scan(road);
    records
        .map(|road| (road.word(0) as i64, road.word(1) as i64))
        .collect()
}
