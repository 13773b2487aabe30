//! Records by name and by key, and as text.
//!
//! Owns: printing a record as JSON, reading its key, and the order of keys. Never: copies a state.

use crate::failure::{Failure, Outcome};
use grotto::engine::format::flat::FlatBuilder;
use grotto::engine::format::json;
use grotto::engine::state::{KeyValue, Record, State};
use grotto::schema::{FieldPath, FieldType, Schema, TypeId};
use serde_json::Value;
use std::cmp::Ordering;

/// Prints records, one at a time.
#[derive(Default)]
pub(crate) struct Printer {
    flat: FlatBuilder,
    text: String,
}

impl Printer {
    /// A record as JSON on one line.
    pub(crate) fn json(&mut self, record: &Record<'_>) -> Outcome<&str> {
        self.flat.clear();
        self.text.clear();
        record.to_flat(&mut self.flat)?;
        let schema = record.state().schema();
        json::encode(schema, record.type_id(), self.flat.bytes(), &mut self.text)
            .map_err(|e| Failure::corrupt(format!("{record:?}: {e}")))?;
        Ok(&self.text)
    }

    /// A record as a JSON value.
    pub(crate) fn value(&mut self, record: &Record<'_>) -> Outcome<Value> {
        serde_json::from_str(self.json(record)?)
            .map_err(|e| Failure::internal(format!("printed json cannot be read back: {e}")))
    }
}

/// One value of a record, to compare and to sort by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    Null,
    Whole(i64),
    Real(f64),
    Text(&'a [u8]),
}

impl Part<'_> {
    fn rank(self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Whole(_) => 1,
            Self::Real(_) => 2,
            Self::Text(_) => 3,
        }
    }
}

impl Ord for Part<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(b),
            (Self::Real(a), Self::Real(b)) => a.total_cmp(b),
            // Text is UTF-8, whose bytes sort as its characters do.
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

impl PartialOrd for Part<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Part<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Part<'_> {}

/// The value at the end of a path; null when a reference on the way is.
pub(crate) fn part<'a>(record: &Record<'a>, steps: &[u16], leaf: FieldType) -> Part<'a> {
    let Some((last, way)) = steps.split_last() else {
        return Part::Null;
    };
    let mut record = *record;
    for step in way {
        let column = usize::from(*step);
        let fields = record.state().schema().get(record.type_id()).fields();
        let Some(FieldType::Reference(to)) = fields.get(column).map(|field| field.ty) else {
            return Part::Null;
        };
        match record.follow(column, to) {
            Some(next) => record = next,
            None => return Part::Null,
        }
    }
    let column = usize::from(*last);
    if record.is_null(column) {
        return Part::Null;
    }
    match leaf {
        FieldType::String | FieldType::Bytes => Part::Text(record.var(column)),
        FieldType::Double => Part::Real(f64::from_bits(record.word(column))),
        FieldType::Float => Part::Real(f64::from(f32::from_bits(record.word(column) as u32))),
        FieldType::Int | FieldType::Long | FieldType::Boolean | FieldType::Reference(_) => {
            Part::Whole(record.word(column) as i64)
        }
    }
}

/// The primary key of a record; empty for a type without one.
pub(crate) fn key_of<'a>(record: &Record<'a>) -> Vec<Part<'a>> {
    let paths = key_paths(record.state(), record.type_id());
    paths
        .iter()
        .map(|path| part(record, &path.steps, path.leaf))
        .collect()
}

/// The paths of the primary key; none for a type without one.
pub(crate) fn key_paths(state: &State, type_id: TypeId) -> &[FieldPath] {
    state
        .schema()
        .get(type_id)
        .key()
        .map_or(&[], |key| &key.paths)
}

/// Live ordinals by rising primary key; as stored for a type without one.
pub(crate) fn by_key(state: &State, type_id: TypeId) -> Vec<u32> {
    let mut ordinals: Vec<u32> = state.ordinals(type_id).collect();
    let record = |ordinal: &u32| state.record(type_id, *ordinal);
    match key_paths(state, type_id) {
        [] => {}
        [only] => ordinals.sort_by_cached_key(|ordinal| {
            record(ordinal).map_or(Part::Null, |record| part(&record, &only.steps, only.leaf))
        }),
        _ => ordinals.sort_by_cached_key(|ordinal| {
            record(ordinal).map_or_else(Vec::new, |record| key_of(&record))
        }),
    }
    ordinals
}

/// A key as JSON: the value, or an array of the parts.
pub(crate) fn key_value(record: &Record<'_>) -> Value {
    let paths = key_paths(record.state(), record.type_id());
    let mut parts = paths
        .iter()
        .map(|path| part_value(part(record, &path.steps, path.leaf), path.leaf));
    match (parts.next(), parts.len()) {
        (Some(only), 0) => only,
        (Some(first), _) => std::iter::once(first).chain(parts).collect(),
        (None, _) => Value::Null,
    }
}

fn part_value(part: Part<'_>, leaf: FieldType) -> Value {
    match part {
        Part::Null => Value::Null,
        Part::Whole(word) if leaf == FieldType::Boolean => Value::Bool(word != 0),
        Part::Whole(word) => word.into(),
        Part::Real(value) => serde_json::Number::from_f64(value)
            .map_or_else(|| value.to_string().into(), Value::Number),
        Part::Text(bytes) => String::from_utf8_lossy(bytes).into(),
    }
}

/// The record with a key that a person typed.
pub(crate) fn find<'a>(
    state: &'a State,
    type_id: TypeId,
    key: &str,
) -> Outcome<Option<Record<'a>>> {
    let parts = json::decode_key(state.schema(), type_id, key)
        .map_err(|e| Failure::invalid(e.to_string()))?;
    let parts: Vec<KeyValue<'_>> = parts.iter().map(KeyValue::from).collect();
    Ok(state.find(type_id, parts.as_slice())?)
}

/// The types whose records stand by themselves.
pub(crate) fn top_level(schema: &Schema) -> Vec<TypeId> {
    schema.ids().filter(|id| schema.is_top_level(*id)).collect()
}

/// The type of this name, or without a name the only one whose records stand by themselves.
pub(crate) fn choose_type(schema: &Schema, name: Option<&str>) -> Outcome<TypeId> {
    if let Some(name) = name {
        return Ok(schema.require(name)?);
    }
    match top_level(schema).as_slice() {
        [only] => Ok(*only),
        [] => Err(Failure::invalid(
            "no type given, and the schema has no types yet",
        )),
        several => {
            let name = |id: &TypeId| schema.get(*id).name.as_str();
            let names: Vec<&str> = several.iter().map(name).collect();
            let message = format!("no type given: expected one of {}", names.join(", "));
            Err(Failure::invalid(message).hint("choose one with --type"))
        }
    }
}
