//! Reads primary keys that a person typed.
//!
//! Owns: the text form of keys. A key of one part is the plain value (`10570`, `Cape Town`) or a
//! JSON string; a key of several parts is a JSON array (`["ZA", 10570]`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::error::shortened;
use super::scalar::not_finite;
use crate::schema::{FieldPath, FieldType, Schema, TypeId};

/// Longest text of a key, in bytes.
const MAX_KEY_TEXT: usize = 1 << 20;

/// One part of a key, of the kind that the schema says.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyPart {
    /// 32-bit signed integer.
    Int(i32),
    /// 64-bit signed integer.
    Long(i64),
    /// IEEE 754 single precision.
    Float(f32),
    /// IEEE 754 double precision.
    Double(f64),
    /// True or false.
    Boolean(bool),
    /// Text.
    String(String),
    /// Any bytes.
    Bytes(Vec<u8>),
}

/// Why a text is not a key of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {path}: expected {expected}, found {found}")]
pub struct KeyError {
    /// The type, and the path of the part, such as `City.geonameid`.
    pub path: String,
    /// What the schema asks for.
    pub expected: String,
    /// What the text holds, shortened.
    pub found: String,
}

/// Reads a primary key of a type.
///
/// # Errors
/// When the type has no primary key or the text is not one.
pub fn decode_key(schema: &Schema, type_id: TypeId, text: &str) -> Result<Vec<KeyPart>, KeyError> {
    let ty = schema.get(type_id);
    let fail = |path: &str, expected: &str, found: String| {
        Err(KeyError {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found,
        })
    };
    let Some(key) = ty.key() else {
        return fail(
            &ty.name,
            "a type with a primary key",
            format!("{} without", ty.kind_name()),
        );
    };
    if text.len() > MAX_KEY_TEXT {
        let most = format!("at most {MAX_KEY_TEXT} bytes");
        return fail(&ty.name, &most, text.len().to_string());
    }
    let parts = match key.paths.as_slice() {
        [only] => vec![single(only.leaf, text)],
        paths => match serde_json::from_str(text) {
            Ok(Value::Array(parts)) if parts.len() == paths.len() => parts,
            _ => {
                let names: Vec<&str> = paths.iter().map(|p| p.text.as_str()).collect();
                let expected = format!("a json array of {}", names.join(", "));
                return fail(&ty.name, &expected, shortened(text));
            }
        },
    };
    let part = |(path, value): (&FieldPath, Value)| {
        part(path.leaf, &value).ok_or_else(|| KeyError {
            path: format!("{}.{}", ty.name, path.text),
            expected: path.leaf.keyword().to_owned(),
            found: shortened(&value.to_string()),
        })
    };
    key.paths.iter().zip(parts).map(part).collect()
}

/// The value that a plain text stands for.
fn single(leaf: FieldType, text: &str) -> Value {
    let quoted = text.starts_with('"');
    let is_text = matches!(leaf, FieldType::String | FieldType::Bytes);
    let json = if quoted || !is_text {
        serde_json::from_str(text).ok()
    } else {
        None
    };
    json.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn part(leaf: FieldType, value: &Value) -> Option<KeyPart> {
    let number = || match value {
        Value::String(text) => not_finite(text),
        other => other.as_f64(),
    };
    Some(match leaf {
        FieldType::Int => KeyPart::Int(i32::try_from(value.as_i64()?).ok()?),
        FieldType::Long => KeyPart::Long(value.as_i64()?),
        FieldType::Boolean => KeyPart::Boolean(value.as_bool()?),
        FieldType::Double => KeyPart::Double(number()?),
        FieldType::Float => {
            let wide = number()?;
            // Straight from the integer, as fields are read.
            let narrow = value.as_i64().map_or(wide as f32, |integer| integer as f32);
            if wide.is_finite() && !narrow.is_finite() {
                return None;
            }
            KeyPart::Float(narrow)
        }
        FieldType::String => KeyPart::String(value.as_str()?.to_owned()),
        FieldType::Bytes => KeyPart::Bytes(STANDARD.decode(value.as_str()?).ok()?),
        FieldType::Reference(_) => return None,
    })
}
