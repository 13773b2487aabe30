//! One line: a record, or a change with its operation spelled out.
//!
//! Owns: what a line may say. Never: which line it is; callers add that to messages.

use super::Change;
use crate::{Error, ErrorKind, Result};
use grotto_format::flat::FlatBuilder;
use grotto_format::json;
use grotto_format::schema::{Schema, TypeId};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::ops::Range;

pub(super) fn record(
    line: &[u8],
    builder: &mut FlatBuilder,
    schema: &Schema,
    id: Option<TypeId>,
) -> Result<Change> {
    let (id, span) = flat_record(line, builder, schema, id)?;
    Ok(Change::Record(id, span))
}

/// Its type, and where its flat record is.
fn flat_record(
    line: &[u8],
    builder: &mut FlatBuilder,
    schema: &Schema,
    id: Option<TypeId>,
) -> Result<(TypeId, Range<usize>)> {
    let id = id.ok_or_else(|| untyped(schema))?;
    let start = builder.bytes().len();
    json::decode(schema, id, line, builder).map_err(|e| Error::showing(ErrorKind::Invalid, e))?;
    Ok((id, start..builder.bytes().len()))
}

/// What a line lacks that is of no type.
fn untyped(schema: &Schema) -> Error {
    let top_level = schema.ids().filter(|id| schema.is_top_level(*id));
    let names: Vec<&str> = top_level.map(|id| schema.get(id).name.as_str()).collect();
    let known = match names.is_empty() {
        true => "but the schema has no types yet".to_owned(),
        false => format!("one of {}", names.join(", ")),
    };
    Error::invalid(format!(
        "expected a line that names its type, such as {{\"op\":\"upsert\",\"type\":…,\"record\":…}}, or a type for \
         all lines, {known}"
    ))
}

/// A record that names its type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named<'a> {
    #[serde(default)]
    op: Option<&'a str>,
    #[serde(rename = "type", default)]
    type_name: Option<&'a str>,
    #[serde(borrow)]
    record: &'a RawValue,
}

/// A line of a whole state: a record, or one that names its type, `{"type":…,"record":…}`. Where its flat record is.
pub(crate) fn entry(
    line: &[u8],
    builder: &mut FlatBuilder,
    schema: &Schema,
    type_name: Option<&str>,
) -> Result<(TypeId, Range<usize>)> {
    let id = type_name.map(|name| schema.require(name)).transpose()?;
    let fields = id.map_or(&[][..], |id| schema.get(id).fields());
    let has_record_field = fields.iter().any(|field| field.name == "record");
    let named: Named<'_> = match serde_json::from_slice(line) {
        Ok(named) if !has_record_field => named,
        _ => return flat_record(line, builder, schema, id),
    };
    if let Some(op) = named.op.filter(|op| *op != "upsert") {
        return Err(Error::invalid(format!(
            "expected op upsert, as all records are sent, found {op:?}"
        )));
    }
    let id = match named.type_name {
        Some(name) => Some(schema.require(name)?),
        None => id,
    };
    flat_record(named.record.get().as_bytes(), builder, schema, id)
}

/// A change with its operation spelled out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation<'a> {
    op: &'a str,
    #[serde(rename = "type", default)]
    type_name: Option<&'a str>,
    #[serde(borrow, default)]
    record: Option<&'a RawValue>,
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
}

pub(crate) fn change(
    line: &[u8],
    builder: &mut FlatBuilder,
    schema: &Schema,
    id: Option<TypeId>,
) -> Result<Change> {
    let fields = id.map_or(&[][..], |id| schema.get(id).fields());
    let has_op_field = fields.iter().any(|field| field.name == "op");
    let names_op = line.windows(4).any(|w| w == b"\"op\"");
    if has_op_field || !names_op {
        return record(line, builder, schema, id);
    }
    let operation: Operation<'_> = match serde_json::from_slice(line) {
        Ok(operation) => operation,
        // Not an operation after all: the message of the record decoder is the better one.
        Err(error) => {
            return record(line, builder, schema, id).map_err(|_| {
                Error::invalid(format!("expected a record or an operation: {error}"))
            });
        }
    };
    let id = match operation.type_name {
        Some(name) => Some(schema.require(name)?),
        None => id,
    };
    match (operation.op, operation.record, operation.key) {
        ("upsert", Some(text), None) => record(text.get().as_bytes(), builder, schema, id),
        ("delete", None, Some(key)) => {
            let id = id.ok_or_else(|| untyped(schema))?;
            let key = json::decode_key(schema, id, key.get())
                .map_err(|e| Error::invalid(e.to_string()))?;
            Ok(Change::Delete(id, key))
        }
        ("upsert", ..) => Err(Error::invalid("op upsert: expected a record and no key")),
        ("delete", ..) => Err(Error::invalid("op delete: expected a key and no record")),
        (other, ..) => Err(Error::invalid(format!(
            "expected op upsert or delete, found {other:?}"
        ))),
    }
}
