//! Turns entries over to another schema.
//!
//! Owns: which changes of an entry still fit, and what is told of the others. Never: drops one silently.
//!
//! Types are matched by name. A record goes by way of JSON, so it fits if a sender could send it today, but for
//! fields that the new schema lacks: they are left out, as from the state itself.

mod prune;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grotto_format::flat::{FlatBuilder, FlatError};
use grotto_format::json;
use grotto_format::schema::{Schema, TypeId};
use serde_json::{Number, Value};

use self::prune::Prune;
use super::entry::{RejectedChange, WalChange, WalEntry, WalKeyPart};

/// The entry under another schema, and the changes that do not fit it.
pub(super) fn over(
    entry: WalEntry,
    old: &Arc<Schema>,
    new: &Arc<Schema>,
) -> (WalEntry, Vec<RejectedChange>) {
    let (mut changes, mut rejected) = (Vec::with_capacity(entry.changes.len()), Vec::new());
    for change in &entry.changes {
        match turned(change, old, new) {
            Ok(change) => changes.push(change),
            Err(reason) => rejected.push(reject(change, old, reason)),
        }
    }
    if entry.atomic && !rejected.is_empty() {
        changes.clear();
        rejected = reject_all(&entry, old, new);
    }
    (WalEntry { changes, ..entry }, rejected)
}

/// All changes of an atomic entry, of which one at least does not fit.
fn reject_all(entry: &WalEntry, old: &Schema, new: &Schema) -> Vec<RejectedChange> {
    let all = entry.changes.iter();
    all.map(|change| {
        let reason = turned(change, old, new).err();
        let reason = reason.unwrap_or_else(|| {
            "another change of its atomic batch does not fit the schema".to_owned()
        });
        reject(change, old, reason)
    })
    .collect()
}

fn turned(change: &WalChange, old: &Schema, new: &Schema) -> Result<WalChange, String> {
    let name = &old.get(TypeId(change.type_id())).name;
    let id = new
        .find(name)
        .ok_or_else(|| format!("the schema has no type {name} any more"))?;
    match change {
        WalChange::Upsert {
            type_id,
            position,
            flat,
        } => {
            let text = pruned(TypeId(*type_id), flat, old, new).map_err(|e| e.to_string())?;
            let mut flat = FlatBuilder::new();
            json::decode(new, id, &text, &mut flat).map_err(|error| error.to_string())?;
            Ok(WalChange::Upsert {
                type_id: id.0,
                position: *position,
                flat: flat.bytes().to_vec(),
            })
        }
        WalChange::Delete { position, .. } => {
            let text = text_of(change, old)?;
            let key = json::decode_key(new, id, &text).map_err(|error| error.to_string())?;
            Ok(WalChange::Delete {
                type_id: id.0,
                position: *position,
                key: key.into_iter().map(WalKeyPart::from).collect(),
            })
        }
    }
}

/// A record in JSON, without the fields that the new schema lacks.
fn pruned(id: TypeId, flat: &[u8], old: &Schema, new: &Schema) -> Result<String, FlatError> {
    let (mut kept, mut text) = (FlatBuilder::new(), String::new());
    Prune { old, new }.record(id, flat, 0, &mut kept)?;
    json::encode(old, id, kept.bytes(), &mut text)?;
    Ok(text)
}

/// The record, or the key, in JSON.
fn text_of(change: &WalChange, schema: &Schema) -> Result<String, String> {
    match change {
        WalChange::Upsert { type_id, flat, .. } => {
            let mut text = String::new();
            json::encode(schema, TypeId(*type_id), flat, &mut text)
                .map_err(|error| error.to_string())?;
            Ok(text)
        }
        WalChange::Delete { key, .. } => Ok(match key.as_slice() {
            [only] => value(only).to_string(),
            parts => Value::Array(parts.iter().map(value).collect()).to_string(),
        }),
    }
}

/// A change that cannot be applied, with what a sender would send to try it again.
pub(crate) fn reject(change: &WalChange, schema: &Schema, reason: String) -> RejectedChange {
    let type_name = schema.get(TypeId(change.type_id())).name.clone();
    let text = text_of(change, schema).unwrap_or_else(|error| format!("(unreadable: {error})"));
    let text = match change {
        WalChange::Upsert { .. } => text,
        WalChange::Delete { .. } => delete_line(&type_name, &text),
    };
    RejectedChange {
        is_delete: matches!(change, WalChange::Delete { .. }),
        type_name,
        position: change.position(),
        reason,
        text,
    }
}

fn delete_line(type_name: &str, key: &str) -> String {
    let name = Value::String(type_name.to_owned());
    format!("{{\"op\":\"delete\",\"type\":{name},\"key\":{key}}}")
}

fn upsert_line(type_name: &str, record: &str) -> String {
    let name = Value::String(type_name.to_owned());
    format!("{{\"op\":\"upsert\",\"type\":{name},\"record\":{record}}}")
}

/// The line that a sender would send for a change, whatever types there are.
pub(crate) fn line_of(change: &WalChange, schema: &Schema) -> Result<String, String> {
    let name = &schema.get(TypeId(change.type_id())).name;
    let text = text_of(change, schema)?;
    Ok(match change {
        WalChange::Upsert { .. } => upsert_line(name, &text),
        WalChange::Delete { .. } => delete_line(name, &text),
    })
}

/// The same for one that does not fit the schema in use.
pub(crate) fn line_of_rejected(rejected: &RejectedChange) -> String {
    match rejected.is_delete {
        true => rejected.text.clone(),
        false => upsert_line(&rejected.type_name, &rejected.text),
    }
}

/// A part of a key as a sender writes it.
fn value(part: &WalKeyPart) -> Value {
    let double = |value: f64| match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => Value::from("NaN"),
        None if value > 0.0 => Value::from("Infinity"),
        None => Value::from("-Infinity"),
    };
    match part {
        WalKeyPart::Int(value) => Value::from(*value),
        WalKeyPart::Long(value) => Value::from(*value),
        WalKeyPart::Float(value) => double(f64::from(*value)),
        WalKeyPart::Double(value) => double(*value),
        WalKeyPart::Boolean(value) => Value::from(*value),
        WalKeyPart::String(value) => Value::from(value.as_str()),
        WalKeyPart::Bytes(value) => Value::from(STANDARD.encode(value)),
    }
}
