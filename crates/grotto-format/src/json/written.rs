//! Values as a person writes them in a condition on a field.
//!
//! Owns: reading one by the type of the field. Never: compares it with a record.

use crate::schema::FieldType;

/// A value that a text stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum WrittenValue {
    /// None.
    Null,
    /// Of an integer, and of a boolean as 0 or 1.
    Whole(i64),
    /// Of a float. Never the negative zero, which nobody means.
    Real(f64),
    /// Of a string.
    Text(String),
}

impl WrittenValue {
    /// Reads a value of a type. `null` is no value; quotes tell the text `"null"` from it, keep blanks, and may hold what a
    /// JSON string may. `None` where no value of the type is written so.
    #[must_use]
    pub fn parse(leaf: FieldType, text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Self::Null);
        }
        Some(match leaf {
            FieldType::Int => Self::Whole(i64::from(text.parse::<i32>().ok()?)),
            FieldType::Long => Self::Whole(text.parse().ok()?),
            FieldType::Boolean => Self::Whole(i64::from(text.parse::<bool>().ok()?)),
            FieldType::Float => Self::Real(f64::from(text.parse::<f32>().ok()?) + 0.0),
            FieldType::Double => Self::Real(text.parse::<f64>().ok()? + 0.0),
            FieldType::String => Self::Text(unquoted(text)),
            FieldType::Bytes | FieldType::Reference(_) => return None,
        })
    }
}

fn unquoted(text: &str) -> String {
    serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_by_the_type_of_its_field() {
        use FieldType as F;
        use WrittenValue as W;
        for (leaf, text, expected) in [
            (F::String, "null", W::Null),
            (F::String, "\"null\"", W::Text("null".into())),
            (F::String, "\"a\\\"b\\u0041\"", W::Text("a\"bA".into())),
            (F::String, "\"a", W::Text("\"a".into())),
            (F::Int, "-7", W::Whole(-7)),
            (F::Boolean, "true", W::Whole(1)),
            (F::Float, "0.1", W::Real(f64::from(0.1_f32))),
            (F::Double, "-0", W::Real(0.0)),
        ] {
            let read = WrittenValue::parse(leaf, text);
            assert_eq!(read, Some(expected), "{text}");
            assert!(
                !matches!(read, Some(W::Real(value)) if value == 0.0 && value.is_sign_negative())
            );
        }
        for (leaf, text) in [
            (F::Int, "3000000000"),
            (F::Long, "1.5"),
            (F::Boolean, "1"),
            (F::Bytes, "AA=="),
        ] {
            assert_eq!(WrittenValue::parse(leaf, text), None, "{text}");
        }
    }
}
