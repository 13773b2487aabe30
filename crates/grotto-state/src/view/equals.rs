//! Records whose field has one value.
//!
//! Owns: finding the field, and comparing. Never: reads a record it was not given.

use crate::error::StateError;
use crate::key::{KeyPart, KeyPath, read_part};
use crate::record::Record;
use grotto_error::Result;
use grotto_format::json::WrittenValue;
use grotto_format::schema::{FieldType, Schema, TypeId};

/// A condition on one field of a record, or of one that it refers to.
#[derive(Clone, Debug)]
pub struct FieldEquals {
    path: KeyPath,
    wanted: WrittenValue,
}

impl FieldEquals {
    /// The condition that the field at a path such as `country.code` has the value that a text stands for, as
    /// [`WrittenValue::parse`] reads it.
    ///
    /// # Errors
    /// `Invalid` when there is no such field, or no value of its type is written so.
    pub fn parse(schema: &Schema, type_id: TypeId, path: &str, value: &str) -> Result<Self> {
        let refused = |what: String| StateError::Invalid(format!("{path}: {what}"));
        let found = schema
            .field_path(type_id, path)
            .map_err(|e| refused(e.to_string()))?;
        let wanted = WrittenValue::parse(found.leaf, value).ok_or_else(|| {
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
            (WrittenValue::Null, found) => found.is_none(),
            (WrittenValue::Whole(wanted), Some(KeyPart::Fixed(word))) => *wanted as u64 == word,
            // The two zeros are one value here, and so are all NaNs.
            (WrittenValue::Real(wanted), Some(KeyPart::Fixed(word))) => {
                let found = match self.path.leaf {
                    FieldType::Float => f64::from(f32::from_bits(word as u32)),
                    _ => f64::from_bits(word),
                };
                found == *wanted || (found.is_nan() && wanted.is_nan())
            }
            (WrittenValue::Text(wanted), Some(KeyPart::Var(bytes))) => wanted.as_bytes() == bytes,
            _ => false,
        }
    }
}
