//! Declaring: from Rust types to a schema.
//!
//! Owns: gathering the types that structs stand for. Never validates them; the schema does.

use super::scalar::Dedup;
use super::value::{Element, Hashed, RecordType, Value};
use crate::error::StateError;
use grotto_error::Result;
use grotto_format::schema::{Declaration, DeclaredField, DeclaredKind, FieldType, Name, Schema};
use std::collections::HashMap;

/// Types declared so far.
///
/// ```ignore
/// let schema = Declarations::new().with::<City>().with::<Country>().schema()?;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Declarations {
    list: Vec<Declaration>,
    /// What each name stands for, to tell a type met again from another one of its name.
    identities: HashMap<String, String>,
    conflict: Option<String>,
}

impl Declarations {
    /// No types.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record type and all it refers to.
    #[must_use]
    pub fn with<T: RecordType>(mut self) -> Self {
        T::declare(&mut self);
        self
    }

    /// The schema of all that was added.
    ///
    /// # Errors
    /// When two types have one name, or a rule of the schema is broken, such as a key path that
    /// leads nowhere.
    pub fn schema(self) -> Result<Schema> {
        if let Some(conflict) = self.conflict {
            return Err(StateError::Invalid(conflict).into());
        }
        Ok(Schema::from_declarations(&self.list)?)
    }

    /// Declares an object type, unless it was before.
    pub fn object<T: Element>(
        &mut self,
        key: &[&str],
        fields: impl FnOnce(&mut DeclaredFields<'_>),
    ) {
        let Some(position) = self.reserve(T::type_name(), std::any::type_name::<T>().to_owned())
        else {
            return;
        };
        let mut found = DeclaredFields {
            out: &mut *self,
            fields: Vec::new(),
        };
        fields(&mut found);
        let fields = found.fields;
        let primary_key = paths(key);
        self.set(
            position,
            DeclaredKind::Object {
                fields,
                primary_key,
            },
        );
    }

    pub(crate) fn wrapper(&mut self, name: &str, scalar: FieldType) {
        let identity = format!("wrapper of {}", scalar.keyword());
        if let Some(position) = self.reserve(name.to_owned(), identity) {
            let field = DeclaredField {
                name: "value".into(),
                ty: scalar.keyword().into(),
            };
            let kind = DeclaredKind::Object {
                fields: vec![field],
                primary_key: None,
            };
            self.set(position, kind);
        }
    }

    pub(crate) fn list<E: Element>(&mut self, name: String) {
        let element = E::type_name();
        if let Some(position) = self.reserve(name, format!("list of {element}")) {
            E::declare(self);
            self.set(
                position,
                DeclaredKind::List {
                    element: element.into(),
                },
            );
        }
    }

    pub(crate) fn set_of<E: Element>(&mut self, name: String, hash_key: &[&str]) {
        let element = E::type_name();
        let hash_key = or_value::<E>(hash_key);
        let identity = format!("set of {element}{}", by(hash_key));
        if let Some(position) = self.reserve(name, identity) {
            E::declare(self);
            let hash_key = paths(hash_key);
            self.set(
                position,
                DeclaredKind::Set {
                    element: element.into(),
                    hash_key,
                },
            );
        }
    }

    pub(crate) fn map_of<K: Element, V: Element>(&mut self, name: String, hash_key: &[&str]) {
        let (key, value) = (K::type_name(), V::type_name());
        let hash_key = or_value::<K>(hash_key);
        let identity = format!("map of {key} to {value}{}", by(hash_key));
        if let Some(position) = self.reserve(name, identity) {
            K::declare(self);
            V::declare(self);
            let (key, value, hash_key) = (key.into(), value.into(), paths(hash_key));
            self.set(
                position,
                DeclaredKind::Map {
                    key,
                    value,
                    hash_key,
                },
            );
        }
    }

    /// A position for a type that is met for the first time.
    fn reserve(&mut self, name: String, identity: String) -> Option<usize> {
        if let Some(first) = self.identities.get(&name) {
            if *first != identity && self.conflict.is_none() {
                let message =
                    format!("type {name}: expected one declaration, found {first} and {identity}");
                self.conflict = Some(message);
            }
            return None;
        }
        self.identities.insert(name.clone(), identity);
        let kind = DeclaredKind::Object {
            fields: Vec::new(),
            primary_key: None,
        };
        self.list.push(Declaration {
            name: name.into(),
            kind,
        });
        Some(self.list.len() - 1)
    }

    fn set(&mut self, position: usize, kind: DeclaredKind) {
        if let Some(declaration) = self.list.get_mut(position) {
            declaration.kind = kind;
        }
    }
}

/// Scalars are found by their value, unless something else is said: a scan costs much and the order
/// nothing.
fn or_value<'k, E: Element>(hash_key: &'k [&'k str]) -> &'k [&'k str] {
    if hash_key.is_empty() && E::SCALAR.is_some() {
        &["value"]
    } else {
        hash_key
    }
}

/// The name of a set or map with a hash key of its own, so that it can stand beside others of the same
/// elements: `SetOfTag` by `owner.id` is `SetOfTagByOwnerId`.
fn name_by(name: &str, hash_key: &[&str]) -> String {
    let words = hash_key.iter().flat_map(|path| path.split('.'));
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    let by: String = words.map(capital).collect();
    match by.is_empty() {
        true => name.to_owned(),
        false => format!("{name}By{by}"),
    }
}

fn paths(key: &[&str]) -> Option<Vec<Name>> {
    (!key.is_empty()).then(|| key.iter().map(|path| Name::from(*path)).collect())
}

fn by(hash_key: &[&str]) -> String {
    if hash_key.is_empty() {
        String::new()
    } else {
        format!(" by {}", hash_key.join(", "))
    }
}

/// Declares the fields of one struct, in order.
#[derive(Debug)]
pub struct DeclaredFields<'o> {
    out: &'o mut Declarations,
    fields: Vec<DeclaredField>,
}

impl DeclaredFields<'_> {
    /// A field: scalars in place, everything else a reference.
    pub fn field<V: Value>(&mut self, name: &str) {
        match V::Inner::SCALAR {
            Some(scalar) => self.push(name, scalar.keyword().to_owned()),
            None => {
                V::Inner::declare(self.out);
                self.push(name, V::Inner::type_name());
            }
        }
    }

    /// A text or bytes field whose values are stored once each, as wrapper records.
    pub fn dedup<V: Value>(&mut self, name: &str)
    where
        V::Inner: Dedup,
    {
        V::Inner::declare(self.out);
        self.push(name, V::Inner::type_name());
    }

    /// A set or map with a hash key.
    pub fn hashed<V: Value>(&mut self, name: &str, hash_key: &[&str])
    where
        V::Inner: Hashed,
    {
        let hash_key = match V::Inner::BY_VALUE {
            true if hash_key == ["value"] => &[],
            _ => hash_key,
        };
        let ty = name_by(&V::Inner::type_name(), hash_key);
        V::Inner::declare_hashed(self.out, ty.clone(), hash_key);
        self.push(name, ty);
    }

    fn push(&mut self, name: &str, ty: String) {
        self.fields.push(DeclaredField {
            name: name.into(),
            ty: ty.into(),
        });
    }
}
