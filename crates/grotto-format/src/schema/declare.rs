//! Declarations: types that still refer to each other by name, as written by a person or by code.
//!
//! Owns: the input of schema validation. Never validates anything itself (see `resolve`).

use super::FieldType;

/// A name or a key path as it was declared, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The text itself.
    pub text: String,
    /// Line, from 1; 0 when the declaration does not come from a text.
    pub line: u32,
    /// Column in characters, from 1; 0 when the declaration does not come from a text.
    pub column: u32,
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self {
            text,
            line: 0,
            column: 0,
        }
    }
}

/// One declared type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// Name of the type.
    pub name: Name,
    /// What its records look like.
    pub kind: DeclaredKind,
}

/// The kind of a declared type; other types appear by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeclaredKind {
    /// Named fields.
    Object {
        /// Fields in order.
        fields: Vec<DeclaredField>,
        /// Paths of the primary key; `None` when there is none, never empty otherwise.
        primary_key: Option<Vec<Name>>,
    },
    /// Ordered elements.
    List {
        /// Type of the elements.
        element: Name,
    },
    /// Distinct elements.
    Set {
        /// Type of the elements.
        element: Name,
        /// Paths of the hash key; `None` when there is none, never empty otherwise.
        hash_key: Option<Vec<Name>>,
    },
    /// Distinct keys with a value each.
    Map {
        /// Type of the keys.
        key: Name,
        /// Type of the values.
        value: Name,
        /// Paths of the hash key; `None` when there is none, never empty otherwise.
        hash_key: Option<Vec<Name>>,
    },
}

/// One field of a declared object type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredField {
    /// Name of the field.
    pub name: Name,
    /// A scalar type such as `long`, or the name of another type.
    pub ty: Name,
}

impl FieldType {
    /// The scalar type a keyword of the schema language stands for.
    #[must_use]
    pub fn from_keyword(word: &str) -> Option<Self> {
        Some(match word {
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "boolean" => Self::Boolean,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            _ => return None,
        })
    }

    /// The keyword of a scalar type in the schema language; `reference` for a reference.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Reference(_) => "reference",
        }
    }
}

/// Whether `text` may name a type or a field: ASCII letters, digits, `_` and `$`, no digit first.
pub(super) fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|first| is_name_char(first) && !first.is_ascii_digit())
        && chars.all(is_name_char)
}

/// Whether the character may be part of a name.
pub(super) fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$'
}
