//! The schema: types, fields, keys.
//!
//! Owns: the model, its validation and its identity (hash). The language is in `parse` and
//! `print`, what may change between versions in [`evolve`].
//! Never holds data. Spec: `docs/format/spec.md`, section "Schema".

#[cfg(test)]
pub(crate) mod arbitrary;
mod declare;
mod evolve;
#[cfg(test)]
mod evolve_tests;
pub(crate) mod nearest;
mod parse;
mod part;
mod path;
mod print;
mod require;
mod resolve;
#[cfg(test)]
mod tests;
mod through;

pub use declare::{Declaration, DeclaredField, DeclaredKind, Name};
pub use evolve::{Evolution, Incompatible, TypeChange, evolve};
pub use parse::{MAX_TEXT, SchemaError};
pub use path::NoSuchField;
pub use require::NoSuchType;
pub use resolve::{MAX_FIELDS, MAX_KEY_PATHS, MAX_NAME, MAX_TYPES};

use std::collections::HashMap;

/// Position of a type within its schema.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TypeId(pub u16);

impl TypeId {
    /// The position as an index.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of types that refer to each other by name. Order is the order of declaration.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    types: Vec<TypeSchema>,
    by_name: HashMap<String, TypeId>,
    hash: std::sync::OnceLock<u64>,
    /// Per type: whether some type refers to it.
    referenced: std::sync::OnceLock<Vec<bool>>,
}

/// One type: its name and what its records look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeSchema {
    /// Name, unique in the schema.
    pub name: String,
    /// What its records look like.
    pub kind: TypeKind,
}

/// The four kinds of types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeKind {
    /// Named fields.
    Object(ObjectSchema),
    /// Ordered elements, duplicates allowed.
    List {
        /// Type of the elements.
        element: TypeId,
    },
    /// Distinct elements.
    Set {
        /// Type of the elements.
        element: TypeId,
        /// Fields of the element that find it within the set; empty when none was declared.
        hash_key: Vec<FieldPath>,
    },
    /// Distinct keys with a value each.
    Map {
        /// Type of the keys.
        key: TypeId,
        /// Type of the values.
        value: TypeId,
        /// Fields of the key that find an entry; empty when none was declared.
        hash_key: Vec<FieldPath>,
    },
}

/// Fields of an object type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectSchema {
    /// Fields in order of declaration.
    pub fields: Vec<Field>,
    /// The primary key, if the type has one.
    pub primary_key: Option<KeySpec>,
    /// Names of fields that [`Schema::part`] left out; they are not among `fields`.
    pub left_out: Vec<String>,
}

/// One field of an object type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name, unique in its type.
    pub name: String,
    /// Type of its values.
    pub ty: FieldType,
}

/// Types of field values. Every field may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// 32-bit signed integer.
    Int,
    /// 64-bit signed integer.
    Long,
    /// IEEE 754 single precision.
    Float,
    /// IEEE 754 double precision.
    Double,
    /// True or false.
    Boolean,
    /// UTF-8 text.
    String,
    /// Any bytes.
    Bytes,
    /// A record of another (or the same) type.
    Reference(TypeId),
}

/// A primary key: one or more paths to scalar fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// The parts, in order.
    pub paths: Vec<FieldPath>,
}

/// A path from a record to a scalar field, through references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    /// As declared, such as `country.value`.
    pub text: String,
    /// Field positions: all but the last are references. A trailing reference to a one-field type
    /// is already followed (`country` and `country.value` have equal steps).
    pub steps: Vec<u16>,
    /// Type of the field at the end; never a reference.
    pub leaf: FieldType,
}

impl std::str::FromStr for Schema {
    type Err = SchemaError;

    fn from_str(text: &str) -> Result<Self, SchemaError> {
        Self::parse(text)
    }
}

impl Schema {
    /// Parses the schema language.
    ///
    /// # Errors
    /// With line and column when the text is not a valid schema.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        parse::parse(text)?.within(MAX_TEXT)
    }

    /// Builds a schema from declarations, under the same rules as a text.
    ///
    /// # Errors
    /// When a rule is broken; without a line for declarations that do not come from a text.
    pub fn from_declarations(declarations: &[Declaration]) -> Result<Self, SchemaError> {
        resolve::resolve(declarations)?.within(MAX_TEXT)
    }

    /// The schema, if its printed form has at most `most` bytes: blobs hold that form, which may be
    /// longer than the text it was parsed from.
    fn within(self, most: usize) -> Result<Self, SchemaError> {
        let printed = self.to_string().len();
        if printed <= most {
            return Ok(self);
        }
        Err(SchemaError {
            line: 0,
            column: 0,
            message: format!(
                "expected at most {most} bytes in printed form, found {printed}: use shorter names or fewer fields"
            ),
        })
    }

    /// All types in order.
    #[must_use]
    pub fn types(&self) -> &[TypeSchema] {
        &self.types
    }

    /// The type at a position of this schema.
    ///
    /// Positions come from this schema, so the type exists; a position of another schema gives the
    /// last type rather than a panic.
    #[must_use]
    pub fn get(&self, id: TypeId) -> &TypeSchema {
        const NONE: &TypeSchema = &TypeSchema {
            name: String::new(),
            kind: TypeKind::Object(ObjectSchema {
                fields: Vec::new(),
                primary_key: None,
                left_out: Vec::new(),
            }),
        };
        self.types
            .get(id.index())
            .or(self.types.last())
            .unwrap_or(NONE)
    }

    /// The position of a type by name; [`require`](Self::require) says what is there instead.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<TypeId> {
        self.by_name.get(name).copied()
    }

    /// All positions in order.
    pub fn ids(&self) -> impl Iterator<Item = TypeId> + use<> {
        let count = u16::try_from(self.types.len()).unwrap_or(u16::MAX);
        (0..count).map(TypeId)
    }

    /// Identity of the schema: the hash of its printed form.
    #[must_use]
    pub fn hash(&self) -> u64 {
        *self
            .hash
            .get_or_init(|| crate::checksum::of_bytes(self.to_string().as_bytes()))
    }

    /// Whether some type refers to `id`.
    #[must_use]
    pub fn is_referenced(&self, id: TypeId) -> bool {
        let referenced = self.referenced.get_or_init(|| {
            let mut referenced = vec![false; self.types.len()];
            for to in self.types.iter().flat_map(|ty| ty.kind.references()) {
                if let Some(referenced) = referenced.get_mut(to.index()) {
                    *referenced = true;
                }
            }
            referenced
        });
        referenced.get(id.index()) == Some(&true)
    }

    /// Per type: whether it has a primary key and some type refers to it. A reference to such a record
    /// means "the record with that key", so its ordinal stays for as long as the key lives.
    #[must_use]
    pub fn anchored(&self) -> Vec<bool> {
        let mut anchored = vec![false; self.types.len()];
        for to in self.types.iter().flat_map(|ty| ty.kind.references()) {
            if let Some(anchored) = anchored.get_mut(to.index()) {
                *anchored = self.get(to).key().is_some();
            }
        }
        anchored
    }

    /// Whether records of the type may be added by themselves: it has a primary key, or nothing
    /// refers to it. All other records live exactly as long as something refers to them.
    #[must_use]
    pub fn is_top_level(&self, id: TypeId) -> bool {
        self.get(id).key().is_some() || !self.is_referenced(id)
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.types == other.types
    }
}

impl TypeKind {
    /// Types this one refers to directly.
    pub fn references(&self) -> impl Iterator<Item = TypeId> + '_ {
        let (fields, fixed): (&[Field], [Option<TypeId>; 2]) = match self {
            Self::Object(object) => (&object.fields, [None, None]),
            Self::List { element } | Self::Set { element, .. } => (&[], [Some(*element), None]),
            Self::Map { key, value, .. } => (&[], [Some(*key), Some(*value)]),
        };
        let fields = fields.iter().filter_map(|f| match f.ty {
            FieldType::Reference(to) => Some(to),
            _ => None,
        });
        fields.chain(fixed.into_iter().flatten())
    }
}

impl TypeSchema {
    /// The fields, when this is an object type.
    #[must_use]
    pub fn object(&self) -> Option<&ObjectSchema> {
        match &self.kind {
            TypeKind::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The primary key, if the type has one.
    #[must_use]
    pub fn key(&self) -> Option<&KeySpec> {
        self.object().and_then(|o| o.primary_key.as_ref())
    }

    /// Fields of an object type; none for the other kinds.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        self.object().map_or(&[], |o| &o.fields)
    }

    /// The single scalar field of a wrapper type such as `String { string value; }`, whose records
    /// appear as plain values in JSON.
    #[must_use]
    pub fn wrapped(&self) -> Option<FieldType> {
        match self.object() {
            // A record of which one field is left is no plain value for that.
            Some(ObjectSchema {
                fields,
                primary_key: None,
                left_out,
            }) if left_out.is_empty() => match fields.as_slice() {
                [
                    Field {
                        ty: FieldType::Reference(_),
                        ..
                    },
                ] => None,
                [only] => Some(only.ty),
                _ => None,
            },
            _ => None,
        }
    }

    /// What a message calls the kind of this type.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            TypeKind::Object(_) => "object",
            TypeKind::List { .. } => "list",
            TypeKind::Set { .. } => "set",
            TypeKind::Map { .. } => "map",
        }
    }
}

impl ObjectSchema {
    /// Position of a field by name.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name)
    }
}
