//! Keys as callers give them.
//!
//! Owns: the [`Key`] trait, what implements it, and the refusal of keys that a type does not have.
//! Never reads a record.

use super::{KeyInfo, KeyPart};
use crate::error::{StateError, StateResult};
use grotto_format::json;
use grotto_format::schema::{FieldType, Schema, TypeId};

/// One field of a key, as a caller gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeyValue<'a> {
    /// 32-bit signed integer. Also finds a `long`: all of its values are values of that.
    Int(i32),
    /// 64-bit signed integer.
    Long(i64),
    /// IEEE 754 single precision. Compared bit by bit, so that a NaN is found too.
    Float(f32),
    /// IEEE 754 double precision. Compared bit by bit, so that a NaN is found too.
    Double(f64),
    /// True or false.
    Boolean(bool),
    /// Text.
    String(&'a str),
    /// Any bytes.
    Bytes(&'a [u8]),
}

impl<'a> KeyValue<'a> {
    /// As it is hashed and compared.
    #[inline(always)]
    pub(crate) fn part(self) -> KeyPart<'a> {
        match self {
            Self::Int(value) => KeyPart::Fixed(i64::from(value) as u64),
            Self::Long(value) => KeyPart::Fixed(value as u64),
            Self::Float(value) => KeyPart::Fixed(u64::from(value.to_bits())),
            Self::Double(value) => KeyPart::Fixed(value.to_bits()),
            Self::Boolean(value) => KeyPart::Fixed(u64::from(value)),
            Self::String(text) => KeyPart::Var(text.as_bytes()),
            Self::Bytes(bytes) => KeyPart::Var(bytes),
        }
    }

    /// Whether a field of this type may hold it.
    #[inline(always)]
    pub(crate) fn fits(self, field: FieldType) -> bool {
        match self {
            Self::Int(_) => matches!(field, FieldType::Int | FieldType::Long),
            Self::Long(_) => field == FieldType::Long,
            Self::Float(_) => field == FieldType::Float,
            Self::Double(_) => field == FieldType::Double,
            Self::Boolean(_) => field == FieldType::Boolean,
            Self::String(_) => field == FieldType::String,
            Self::Bytes(_) => field == FieldType::Bytes,
        }
    }

    pub(crate) fn kind(self) -> FieldType {
        match self {
            Self::Int(_) => FieldType::Int,
            Self::Long(_) => FieldType::Long,
            Self::Float(_) => FieldType::Float,
            Self::Double(_) => FieldType::Double,
            Self::Boolean(_) => FieldType::Boolean,
            Self::String(_) => FieldType::String,
            Self::Bytes(_) => FieldType::Bytes,
        }
    }
}

impl<'a> From<&'a json::KeyPart> for KeyValue<'a> {
    fn from(part: &'a json::KeyPart) -> Self {
        match part {
            json::KeyPart::Int(value) => Self::Int(*value),
            json::KeyPart::Long(value) => Self::Long(*value),
            json::KeyPart::Float(value) => Self::Float(*value),
            json::KeyPart::Double(value) => Self::Double(*value),
            json::KeyPart::Boolean(value) => Self::Boolean(*value),
            json::KeyPart::String(text) => Self::String(text),
            json::KeyPart::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}

/// What records can be looked up by: a number, boolean, text or bytes where the key is one field, a
/// tuple or [`KeyValue`]s where it is several.
///
/// A lookup compares number and kinds of the fields with the key that the schema declares, and refuses
/// others. Typed lookups take [`RecordType::Key`](crate::RecordType::Key) instead, so that the
/// compiler refuses them.
pub trait Key {
    /// Number of fields.
    fn fields(&self) -> usize;
    /// The field at a position below [`fields`](Self::fields).
    fn field(&self, position: usize) -> KeyValue<'_>;
}

macro_rules! scalar {
    ($($ty:ty, $self:ident => $value:expr;)*) => {$(
        impl Key for $ty {
            #[inline(always)]
            fn fields(&self) -> usize {
                1
            }
            #[inline(always)]
            fn field(&self, _: usize) -> KeyValue<'_> {
                let $self = self;
                $value
            }
        }
    )*};
}

scalar! {
    i32, v => KeyValue::Int(*v);
    i64, v => KeyValue::Long(*v);
    f32, v => KeyValue::Float(*v);
    f64, v => KeyValue::Double(*v);
    bool, v => KeyValue::Boolean(*v);
    &str, v => KeyValue::String(v);
    String, v => KeyValue::String(v);
    &[u8], v => KeyValue::Bytes(v);
    Vec<u8>, v => KeyValue::Bytes(v);
    KeyValue<'_>, v => *v;
}

macro_rules! tuple {
    ($($name:ident $position:tt),*) => {
        /// Each element is one field.
        impl<$($name: Key),*> Key for ($($name,)*) {
            #[inline]
            fn fields(&self) -> usize {
                [$($position),*].len()
            }
            #[inline]
            fn field(&self, position: usize) -> KeyValue<'_> {
                match position {
                    $($position => self.$position.field(0),)*
                    _ => KeyValue::Bytes(&[]),
                }
            }
        }
    };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

impl Key for [KeyValue<'_>] {
    fn fields(&self) -> usize {
        self.len()
    }
    fn field(&self, position: usize) -> KeyValue<'_> {
        self[position]
    }
}

impl<K: Key + ?Sized> Key for &K {
    #[inline(always)]
    fn fields(&self) -> usize {
        (**self).fields()
    }
    #[inline(always)]
    fn field(&self, position: usize) -> KeyValue<'_> {
        (**self).field(position)
    }
}

/// The key of a struct that declares none. It has no values, so nothing can be looked up by it: give
/// the struct `#[grotto(key(..))]`, the fields that are the primary key of the type.
#[derive(Clone, Copy, Debug)]
pub enum NoKey {}

impl Key for NoKey {
    fn fields(&self) -> usize {
        match *self {}
    }
    fn field(&self, _: usize) -> KeyValue<'_> {
        match *self {}
    }
}

/// Refuses a key whose fields are not those of the type, which could never be found.
#[inline]
pub(crate) fn check<K: Key + ?Sized>(
    info: &KeyInfo,
    key: &K,
    schema: &Schema,
    id: TypeId,
) -> StateResult<()> {
    let mut paths = info.paths.iter().enumerate();
    if key.fields() == info.paths.len() && paths.all(|(i, path)| key.field(i).fits(path.leaf)) {
        return Ok(());
    }
    let fields = info.paths.iter().map(|path| (&*path.text, path.leaf));
    Err(refusal(
        &schema.get(id).name,
        &fields.collect::<Vec<_>>(),
        key,
    ))
}

/// Whether a key field of this type may hold values of a kind.
pub(crate) fn kind_fits(kind: FieldType, field: FieldType) -> bool {
    kind == field || (kind == FieldType::Int && field == FieldType::Long)
}

/// Why a key is not one of a type with these key fields.
#[cold]
pub(crate) fn refusal<K: Key + ?Sized>(
    type_name: &str,
    fields: &[(&str, FieldType)],
    key: &K,
) -> StateError {
    let given = (0..key.fields()).map(|i| key.field(i).kind());
    refusal_of(type_name, fields, &given.collect::<Vec<_>>())
}

/// The same of a key whose fields are of these kinds.
#[cold]
pub(crate) fn refusal_of(
    type_name: &str,
    fields: &[(&str, FieldType)],
    given: &[FieldType],
) -> StateError {
    if given.len() == fields.len()
        && let Some(((path, leaf), kind)) = fields
            .iter()
            .zip(given)
            .find(|((_, leaf), kind)| !kind_fits(**kind, *leaf))
    {
        let (expected, found) = (leaf.keyword(), kind.keyword());
        return StateError::Invalid(format!(
            "type {type_name}, key field {path}: expected {expected}, found {found}"
        ));
    }
    let expected: Vec<String> = fields
        .iter()
        .map(|(path, leaf)| format!("{} {path}", leaf.keyword()))
        .collect();
    let found: Vec<&str> = given.iter().map(|kind| kind.keyword()).collect();
    StateError::Invalid(format!(
        "type {type_name}: expected a key of {} ({}), found {} ({})",
        counted(expected.len()),
        expected.join(", "),
        counted(found.len()),
        found.join(", ")
    ))
}

fn counted(fields: usize) -> String {
    match fields {
        1 => "1 field".to_owned(),
        several => format!("{several} fields"),
    }
}
