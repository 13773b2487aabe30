//! Records whose field has one value.
//!
//! Owns: reading the value by the type of the field, and comparing. Never: reads a record it was not given.

use crate::error::StateError;
use crate::key::{KeyPart, KeyPath, read_part};
use crate::record::Record;
use grotto_error::Result;
use grotto_format::schema::{FieldType, Schema, TypeId};

/// A condition on one field of a record, or of one that it refers to.
#[derive(Clone, Debug)]
pub struct FieldEquals {
    path: KeyPath,
    wanted: Wanted,
}

#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    Null,
    Whole(i64),
    Real(f64),
    Text(String),
}

impl FieldEquals {
    /// The condition that the field at a path such as `country.code` has the value that a text stands for. `null` is no
    /// value; quotes tell the text `"null"` from it.
    ///
    /// # Errors
    /// `Invalid` when there is no such field, or no value of its type is written so.
    pub fn parse(schema: &Schema, type_id: TypeId, path: &str, value: &str) -> Result<Self> {
        let refused = |what: String| StateError::Invalid(format!("{path}: {what}"));
        let found = schema
            .field_path(type_id, path)
            .map_err(|e| refused(e.to_string()))?;
        let wanted = wanted(found.leaf, value).ok_or_else(|| {
            let leaf = found.leaf.keyword();
            refused(format!("expected {leaf}, found {value:?}"))
        })?;
        let path = KeyPath {
            text: found.text,
            steps: found.steps,
            leaf: found.leaf,
        };
        Ok(Self { path, wanted })
    }

    /// Whether a record of the type has the value.
    #[must_use]
    pub fn matches(&self, record: &Record<'_>) -> bool {
        let found = read_part(record, &self.path);
        match (&self.wanted, found) {
            (Wanted::Null, found) => found.is_none(),
            (Wanted::Whole(wanted), Some(KeyPart::Fixed(word))) => *wanted as u64 == word,
            // The two zeros are one value here, and so are all NaNs.
            (Wanted::Real(wanted), Some(KeyPart::Fixed(word))) => {
                let found = match self.path.leaf {
                    FieldType::Float => f64::from(f32::from_bits(word as u32)),
                    _ => f64::from_bits(word),
                };
                found == *wanted || (found.is_nan() && wanted.is_nan())
            }
            (Wanted::Text(wanted), Some(KeyPart::Var(bytes))) => wanted.as_bytes() == bytes,
            _ => false,
        }
    }
}

fn wanted(leaf: FieldType, value: &str) -> Option<Wanted> {
    if value == "null" {
        return Some(Wanted::Null);
    }
    Some(match leaf {
        FieldType::Int => Wanted::Whole(i64::from(value.parse::<i32>().ok()?)),
        FieldType::Long => Wanted::Whole(value.parse().ok()?),
        FieldType::Boolean => Wanted::Whole(i64::from(value.parse::<bool>().ok()?)),
        FieldType::Float => Wanted::Real(f64::from(value.parse::<f32>().ok()?)),
        FieldType::Double => Wanted::Real(value.parse().ok()?),
        FieldType::String => Wanted::Text(unquoted(value).to_owned()),
        FieldType::Bytes | FieldType::Reference(_) => return None,
    })
}

fn unquoted(value: &str) -> &str {
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(value)
}
