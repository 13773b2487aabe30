//! Reads primary keys that a person typed or a program sent.
//!
//! Owns: the text form of keys. A key of one part is the plain value (`10570`, `Cape Town`) or a
//! JSON string; a key of several parts is a JSON array (`["ZA", 10570]`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

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
    let part = |(path, value): (&FieldPath, Value)| of_path(&ty.name, path, &value);
    key.paths.iter().zip(parts).map(part).collect()
}

fn of_path(type_name: &str, path: &FieldPath, value: &Value) -> Result<KeyPart, KeyError> {
    part(path.leaf, value).ok_or_else(|| KeyError {
        path: format!("{type_name}.{}", path.text),
        expected: path.leaf.keyword().to_owned(),
        found: shortened(&value.to_string()),
    })
}

/// Primary keys of one type, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Keys {
    /// The parts of all keys.
    pub parts: Vec<KeyPart>,
    /// Parts of each key; at least one.
    pub arity: usize,
}

/// Reads a JSON array of keys: each the value, or an array where a key has several parts.
///
/// # Errors
/// When the type has no primary key, or the text is not an array of at most `most` keys of it: the position of the key
/// that is none, and why.
pub fn decode_keys(
    schema: &Schema,
    type_id: TypeId,
    text: &[u8],
    most: usize,
) -> Result<Keys, String> {
    let ty = schema.get(type_id);
    let paths = match ty.key() {
        Some(key) => key.paths.as_slice(),
        None => {
            let (name, kind) = (&ty.name, ty.kind_name());
            return Err(format!(
                "key {name}: expected a type with a primary key, found {kind} without"
            ));
        }
    };
    let list = List {
        type_name: &ty.name,
        paths,
        most,
    };
    let mut reader = serde_json::Deserializer::from_slice(text);
    let parts = list.deserialize(&mut reader);
    let parts = parts.and_then(|parts| reader.end().map(|()| parts));
    Ok(Keys {
        parts: parts.map_err(|e| e.to_string())?,
        arity: paths.len(),
    })
}

struct List<'a> {
    type_name: &'a str,
    paths: &'a [FieldPath],
    most: usize,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = Vec<KeyPart>;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Self::Value, D::Error> {
        value.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = Vec<KeyPart>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of keys")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut parts, mut at) = (Vec::new(), 0);
        while let Some(value) = list.next_element::<Value>()? {
            if at == self.most {
                let most = self.most;
                return Err(A::Error::custom(format!(
                    "expected at most {most} keys, found more"
                )));
            }
            let added = self.add(&mut parts, value);
            added.map_err(|why| A::Error::custom(format!("key at position {at}: {why}")))?;
            at += 1;
        }
        Ok(parts)
    }
}

impl List<'_> {
    fn add(&self, parts: &mut Vec<KeyPart>, value: Value) -> Result<(), String> {
        let part =
            |path, value: &Value| of_path(self.type_name, path, value).map_err(|e| e.to_string());
        match (self.paths, value) {
            ([only], value) => parts.push(part(only, &value)?),
            (paths, Value::Array(values)) if values.len() == paths.len() => {
                for (path, value) in paths.iter().zip(&values) {
                    parts.push(part(path, value)?);
                }
            }
            (paths, other) => {
                let names: Vec<&str> = paths.iter().map(|p| p.text.as_str()).collect();
                let (names, found) = (names.join(", "), shortened(&other.to_string()));
                return Err(format!("expected a json array of {names}, found {found}"));
            }
        }
        Ok(())
    }
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
