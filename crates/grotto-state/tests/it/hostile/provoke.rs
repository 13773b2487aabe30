//! Using what comes of bad input in every way there is.
//!
//! Owns: that checksums and counts, which an attacker would put right, never hide what lies behind
//! them. Never judges what a read gives: only that it gives something.

use super::forge::Forge;
use grotto_format::blob::Blob;
use grotto_format::flat::FlatBuilder;
use grotto_state::{
    Difference, EncodeOptions, Field, HeapSeal, Mode, State, StateError, TypeChanges, WriteState,
    encode_snapshot,
};
use std::sync::Arc;

pub(crate) fn apply(base: &State, blob: &Blob) -> Result<State, StateError> {
    base.apply(blob, &mut HeapSeal::default())
        .map(|(state, _)| state)
}

/// Applies a forged blob. Where only the promised checksum or the counts stand in its way they are
/// put right, as an attacker would: the state that comes out is then used in every way there is.
pub(crate) fn provoke(base: &State, forge: &Forge) -> Result<State, StateError> {
    let mut forge = forge.clone();
    let mut result = apply(base, &forge.seal());
    if let Err(StateError::Checksum { found, .. }) = result {
        forge.header.to_checksum = found;
        result = apply(base, &forge.seal());
    }
    for _ in 0..=forge.header.types.len() {
        let Err(StateError::Mismatch { reason, .. }) = &result else {
            break;
        };
        let Some(live) = reason
            .rsplit_once("found ")
            .and_then(|(_, n)| n.parse().ok())
        else {
            break;
        };
        let Some((_, name)) = reason.split_once("records of ") else {
            break;
        };
        let name = name.split(',').next().unwrap_or_default();
        let schema = match &forge.header.schema_text {
            Some(text) => Arc::new(grotto_format::schema::Schema::parse(text).unwrap()),
            None => Arc::clone(base.schema()),
        };
        let Some(id) = schema.find(name) else { break };
        forge.header.types[id.index()].live = live;
        result = apply(base, &forge.seal());
    }
    if let Ok(state) = &result {
        assert_eq!(state.checksum(), forge.header.to_checksum);
        read_everything(state);
    }
    result
}

/// Reads a state in every way there is; what it says is of no interest.
pub(crate) fn read_everything(state: &State) {
    for id in state.schema().ids() {
        for record in state.scan(id) {
            let mut flat = FlatBuilder::new();
            let _ = record.to_flat(&mut flat);
            look_at(record.view(), 0);
        }
        let _ = state.find(id, 1_i32);
        let _ = state.find(id, "text");
        let _ = state.find(id, (1_i32, "text"));
    }
    compare(state);
    let options = EncodeOptions {
        dataset: "hostile".into(),
        version: state.version(),
        level: None,
        threads: 1,
    };
    let Ok(bytes) = encode_snapshot(state, &options) else {
        return;
    };
    let blob = Blob::parse(bytes.into()).unwrap();
    let _ = apply(&crate::engine::empty(), &blob);
    restore(state.at_version(state.version()));
}

/// Tells a state from itself, as if every record had moved.
fn compare(state: &State) {
    for id in state.schema().ids() {
        let all: Vec<u32> = state.ordinals(id).collect();
        let moved = TypeChanges {
            added: all.clone(),
            removed: all,
            modified: Vec::new(),
        };
        let name = &state.schema().get(id).name;
        let changes = Difference::new(state, state).records(name, Some(&moved));
        let _ = changes.unwrap().count();
    }
}

/// What a producer does with a state it restores: every record goes in a cycle that names none.
fn restore(state: State) {
    let Some(version) = state.version().checked_add(1) else {
        return; // no version follows it, whatever the state is
    };
    let options = EncodeOptions {
        dataset: "hostile".into(),
        version,
        level: None,
        threads: 1,
    };
    let schema = Arc::clone(state.schema());
    let write = WriteState::new(Arc::new(state));
    for mode in [Mode::Full, Mode::Incremental] {
        let Ok(cycle) = write.begin(&schema, mode) else {
            continue;
        };
        let _ = cycle.finish(&options);
    }
}

fn look_at(field: Field<'_>, depth: usize) {
    if depth > 4 {
        return;
    }
    match field {
        Field::Object(view) => view
            .fields()
            .for_each(|(_, field)| look_at(field, depth + 1)),
        Field::List(list) | Field::Set(list) => {
            let _ = list.find("text");
            let _ = list.find(1_i32);
            list.iter()
                .take(100)
                .for_each(|field| look_at(field, depth + 1));
        }
        Field::Map(map) => {
            let _ = map.get("text");
            map.iter().take(100).for_each(|(key, value)| {
                look_at(key, depth + 1);
                look_at(value, depth + 1);
            });
        }
        _ => {}
    }
}
