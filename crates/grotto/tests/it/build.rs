//! States for the tests of this crate, built without a store.

use grotto::engine::state::{EncodeOptions, HashSeed, Mode, WriteState};
use grotto::schema::{Schema, TypeId};
use grotto::{Declarations, Encoder, RecordType, State};
use std::sync::Arc;

/// The schema of one struct.
#[track_caller]
pub(crate) fn schema_of<T: RecordType>() -> Schema {
    Declarations::new().with::<T>().schema().expect("schema")
}

/// A state under `schema` that holds flat records of one type.
#[track_caller]
pub(crate) fn state_of_flat(schema: &Schema, id: TypeId, records: &[Vec<u8>]) -> Arc<State> {
    let write = WriteState::new(Arc::new(State::empty(HashSeed::new([1, 2]))));
    let mut cycle = write
        .begin(&Arc::new(schema.clone()), Mode::Full)
        .expect("cycle");
    for (position, record) in (0..).zip(records) {
        cycle.add(id, record, position).expect("record");
    }
    let options = EncodeOptions {
        dataset: "test".into(),
        version: 1,
        level: None,
        threads: 1,
    };
    cycle
        .finish(&options)
        .expect("delta")
        .expect("a change")
        .next
}

/// A state under another schema than that of the struct.
#[track_caller]
pub(crate) fn state_under<T: RecordType>(schema: &Schema, records: &[T]) -> Arc<State> {
    let encoder = Encoder::<T>::new(schema).expect("encoder");
    let flat: Vec<Vec<u8>> = records
        .iter()
        .map(|r| encoder.record(r).expect("flat").bytes)
        .collect();
    state_of_flat(schema, encoder.type_id(), &flat)
}

/// A state that holds these records.
#[track_caller]
pub(crate) fn state_of<T: RecordType>(records: &[T]) -> Arc<State> {
    state_under(&schema_of::<T>(), records)
}

/// A state from JSON lines, for schemas that no struct has.
#[track_caller]
pub(crate) fn state_of_json(schema: &str, ty: &str, lines: &[&str]) -> Arc<State> {
    let schema = Schema::parse(schema).expect("schema");
    let id = schema.find(ty).expect("type");
    let flat = |line: &&str| {
        let mut out = grotto::engine::format::FlatBuilder::new();
        grotto::engine::format::json::decode(&schema, id, line, &mut out).expect("record");
        out.finish(id).bytes
    };
    let records: Vec<Vec<u8>> = lines.iter().map(flat).collect();
    state_of_flat(&schema, id, &records)
}
