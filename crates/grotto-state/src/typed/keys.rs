//! What typed records and elements are looked up by, as the compiler knows it.
//!
//! Owns: where the key paths of a struct lead, which key types follow from that, and whether a dataset
//! has the same key. Never looks anything up.
//!
//! `#[derive(Record)]` sees the fields of one struct only, and a key path may lead through others. So
//! every type says in a constant what a path meets there, and the derived code follows its paths
//! while it is compiled. A constant may speak of types that are private, which an associated type of
//! a public struct may not.

use super::value::{Element, Value};
use crate::key::Key;
use grotto_format::flat::MAX_DEPTH;
use grotto_format::schema::{FieldType, Schema, TypeId};

/// What a key path meets at a Rust type.
#[derive(Clone, Copy, Debug)]
pub enum KeyNode {
    /// A value that may be part of a key. A record that wraps it counts as the value.
    Scalar(FieldType),
    /// A struct, with the names of its fields in the schema.
    Object(&'static [(&'static str, KeyNode)]),
    /// What no key may lead through.
    Closed,
}

impl KeyNode {
    /// The number of a [`KeyOf`], for the value at the end of a path.
    ///
    /// # Panics
    /// When the path leads elsewhere. Paths are followed while the derived code is compiled, so this
    /// is a compile error at the path.
    #[must_use]
    #[track_caller]
    pub const fn kind(self, path: &[&str]) -> u8 {
        let (mut node, mut step) = (self, 0);
        while step < path.len() {
            node = match node {
                Self::Object(fields) => field(fields, path[step]),
                Self::Scalar(_) if step + 1 == path.len() && same(path[step], "value") => node,
                Self::Scalar(_) => wrong("a key path goes on past a value"),
                Self::Closed => closed(),
            };
            step += 1;
        }
        // A struct of one field stands for it, as in the schema.
        while let Self::Object([(_, only)]) = node {
            node = *only;
        }
        match node {
            Self::Scalar(scalar) => number(scalar),
            Self::Object(_) => wrong("a key path ends at a struct of several fields: name one"),
            Self::Closed => closed(),
        }
    }
}

/// Why a struct with this key cannot look records of a type up: the dataset has another one. `None`
/// if it can, and for a struct without key, which cannot try.
pub(super) fn refusal(schema: &Schema, id: TypeId, key: &[&str]) -> Option<String> {
    let ty = schema.get(id);
    let found = ty.key().map_or(&[][..], |key| &key.paths);
    let mut pairs = key.iter().zip(found);
    let same = key.len() == found.len()
        && pairs.all(|(path, found)| steps(schema, id, path).as_ref() == Some(&found.steps));
    if key.is_empty() || same {
        return None;
    }
    let texts: Vec<&str> = found.iter().map(|path| path.text.as_str()).collect();
    let found = match texts.as_slice() {
        [] => "none".to_owned(),
        texts => format!("({})", texts.join(", ")),
    };
    let (name, key) = (&ty.name, key.join(", "));
    Some(format!(
        "type {name}: expected the primary key ({key}) of the struct, found {found}"
    ))
}

/// Where a path leads in a schema, as its own keys have it.
fn steps(schema: &Schema, mut id: TypeId, path: &str) -> Option<Vec<u16>> {
    let (mut names, mut steps) = (path.split('.'), Vec::new());
    while steps.len() <= MAX_DEPTH {
        let fields = schema.get(id).fields();
        let column = match names.next() {
            Some(name) => fields.iter().position(|field| field.name == name)?,
            // At its end a reference to a type of one field stands for the field.
            None => 0,
        };
        steps.push(u16::try_from(column).ok()?);
        match fields.get(column)?.ty {
            FieldType::Reference(to) => id = to,
            _ => return names.next().is_none().then_some(steps),
        }
    }
    None
}

/// What a key path meets at a field.
#[must_use]
pub const fn key_node<V: Value>() -> KeyNode {
    <V::Inner as Element>::KEY_NODE
}

#[track_caller]
const fn field(fields: &[(&str, KeyNode)], name: &str) -> KeyNode {
    let mut position = 0;
    while position < fields.len() {
        if same(fields[position].0, name) {
            return fields[position].1;
        }
        position += 1;
    }
    wrong("a key path names a field that its struct does not have in the schema")
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut position = 0;
    while position < a.len() {
        if a[position] != b[position] {
            return false;
        }
        position += 1;
    }
    true
}

#[track_caller]
const fn closed() -> ! {
    wrong("a key path leads to a list, a set, a map or a Box, which have no place in a key")
}

#[track_caller]
#[allow(clippy::panic, reason = "evaluated by the compiler only")]
const fn wrong(message: &str) -> ! {
    panic!("{}", message)
}

#[track_caller]
const fn number(scalar: FieldType) -> u8 {
    match scalar {
        FieldType::Int => 0,
        FieldType::Long => 1,
        FieldType::Float => 2,
        FieldType::Double => 3,
        FieldType::Boolean => 4,
        FieldType::String => 5,
        FieldType::Bytes => 6,
        FieldType::Reference(_) => closed(),
    }
}

/// The type of one field of a key, by the number that [`KeyNode::kind`] gives.
#[derive(Debug)]
pub struct KeyOf<const KIND: u8>;

/// What a [`KeyOf`] stands for.
pub trait KeyKind {
    /// The type.
    type Key<'k>: Key + Copy;
}

macro_rules! kind {
    ($($kind:ident $ty:ty;)*) => {$(
        impl KeyKind for KeyOf<{ number(FieldType::$kind) }> {
            type Key<'k> = $ty;
        }
    )*};
}

kind! {
    Int i32;
    Long i64;
    Float f32;
    Double f64;
    Boolean bool;
    String &'k str;
    Bytes &'k [u8];
}

/// What elements of a set or list, or keys of a map, can be found by: a scalar by its value, a record
/// by the fields that identify it. Which those are depends on the set, so keys of records are compared
/// with the schema at each lookup.
#[diagnostic::on_unimplemented(
    message = "elements of type `{Self}` are not found by `{K}`",
    label = "not what they are found by",
    note = "numbers and booleans are found by their value, text by `&str`, bytes by `&[u8]`, \
            records by the fields of their key"
)]
pub trait FoundBy<K> {}

impl FoundBy<i32> for i32 {}
impl FoundBy<i64> for i64 {}
impl FoundBy<f32> for f32 {}
impl FoundBy<f64> for f64 {}
impl FoundBy<bool> for bool {}
impl FoundBy<&str> for String {}
impl FoundBy<&String> for String {}
impl FoundBy<&[u8]> for Vec<u8> {}
impl FoundBy<&Vec<u8>> for Vec<u8> {}
impl<T: FoundBy<K>, K> FoundBy<K> for Box<T> {}
