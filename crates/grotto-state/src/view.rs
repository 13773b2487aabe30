//! Untyped access: records by the names of their types and fields.
//!
//! Owns: the views of objects, lists, sets and maps, and whole records in flat form. For code that
//! learns the schema at run time: command line, sidecar, explorer. Never copies a value, never
//! writes.

mod collection;
mod equals;
mod flat;
mod json;
mod lookup;
mod many;
mod show;
#[cfg(test)]
mod tests;

pub use collection::{ListIter, ListView, MapIter, MapView};
pub use equals::FieldEquals;
pub(crate) use lookup::{ElementOrder, Side, find};
pub(crate) use show::Shown;

use crate::error::{StateError, StateResult};
use crate::record::Record;
use grotto_error::Result;
use grotto_format::schema::{FieldType, TypeId, TypeKind};

/// The record that a reference leads to.
fn referred<'a>(holder: &Record<'a>, target: TypeId, ordinal: u32) -> StateResult<Record<'a>> {
    holder.jump(target, ordinal).ok_or_else(|| {
        let name = &holder.state().schema().get(target).name;
        let message = format!("{holder:?}: expected record {ordinal} of type {name}, found none");
        StateError::Damaged(message)
    })
}

/// One value of a record.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    /// No value.
    Null,
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
    String(&'a str),
    /// Any bytes.
    Bytes(&'a [u8]),
    /// A record with fields.
    Object(View<'a>),
    /// Ordered elements.
    List(ListView<'a>),
    /// Distinct elements.
    Set(ListView<'a>),
    /// Distinct keys with a value each.
    Map(MapView<'a>),
}

impl<'a> Field<'a> {
    /// A whole record, by the kind of its type.
    #[must_use]
    pub fn of(record: Record<'a>) -> Self {
        match record.state().schema().get(record.type_id()).kind {
            TypeKind::Object(_) => Self::Object(View::new(record)),
            TypeKind::List { element } => Self::List(ListView::new(record, element)),
            TypeKind::Set { element, .. } => Self::Set(ListView::new(record, element)),
            TypeKind::Map { key, value, .. } => Self::Map(MapView::new(record, key, value)),
        }
    }

    /// The value of a column of type `ty`.
    fn read(record: &Record<'a>, column: usize, ty: FieldType) -> Self {
        if record.is_null(column) {
            return Self::Null;
        }
        let word = record.word(column);
        match ty {
            FieldType::Int => Self::Int(word as i32),
            FieldType::Long => Self::Long(word as i64),
            FieldType::Float => Self::Float(f32::from_bits(word as u32)),
            FieldType::Double => Self::Double(f64::from_bits(word)),
            FieldType::Boolean => Self::Boolean(word != 0),
            FieldType::String => Self::String(record.text(column)),
            FieldType::Bytes => Self::Bytes(record.var(column)),
            FieldType::Reference(to) => record.follow(column, to).map_or(Self::Null, Self::of),
        }
    }

    /// The plain value of a wrapper record such as `String { string value; }`; any other value as
    /// it is.
    #[must_use]
    pub fn unwrapped(self) -> Self {
        match self {
            Self::Object(view) => match view.schema_type().wrapped() {
                Some(leaf) => Self::read(&view.record, 0, leaf),
                None => self,
            },
            _ => self,
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text, if it is text, plain or in a wrapper.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        match self.unwrapped() {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is an int or a long, plain or in a wrapper.
    #[must_use]
    pub fn as_long(&self) -> Option<i64> {
        match self.unwrapped() {
            Self::Int(value) => Some(i64::from(value)),
            Self::Long(value) => Some(value),
            _ => None,
        }
    }
}

/// A record of an object type, field by field.
#[derive(Clone, Copy)]
pub struct View<'a> {
    record: Record<'a>,
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Shown::new(Field::Object(*self)).fmt(f)
    }
}

impl<'a> View<'a> {
    fn new(record: Record<'a>) -> Self {
        Self { record }
    }

    /// The record itself.
    #[must_use]
    pub fn record(&self) -> Record<'a> {
        self.record
    }

    fn schema_type(&self) -> &'a grotto_format::schema::TypeSchema {
        self.record.state().schema().get(self.record.type_id())
    }

    /// Name of its type.
    #[must_use]
    pub fn type_name(&self) -> &'a str {
        &self.schema_type().name
    }

    /// The value of a field.
    ///
    /// # Errors
    /// When the type has no field of this name.
    pub fn get(&self, field: &str) -> Result<Field<'a>> {
        let fields = self.schema_type().fields();
        match fields.iter().position(|f| f.name == field) {
            Some(column) => Ok(Field::read(&self.record, column, fields[column].ty)),
            None => Err(self.no_field(field).into()),
        }
    }

    #[cold]
    fn no_field(&self, field: &str) -> StateError {
        let ty = self.schema_type();
        let names: Vec<&str> = ty.fields().iter().map(|f| f.name.as_str()).collect();
        let (name, names) = (&ty.name, names.join(", "));
        StateError::Invalid(format!(
            "type {name}: expected one of {names}, found field {field}"
        ))
    }

    /// All fields in the order of the schema, nulls included.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> + use<'a> {
        let record = self.record;
        let fields = self.schema_type().fields().iter().enumerate();
        fields.map(move |(column, f)| (f.name.as_str(), Field::read(&record, column, f.ty)))
    }
}

impl<'a> Record<'a> {
    /// The record as a value with named fields or elements.
    #[must_use]
    pub fn view(&self) -> Field<'a> {
        Field::of(*self)
    }

    /// The record of another type that an element of this one names. Elements name live records, so
    /// a miss means damage, which the state remembers.
    #[inline]
    pub(crate) fn jump(&self, target: TypeId, ordinal: u32) -> Option<Record<'a>> {
        let record = self.state().row(target, ordinal);
        if record.is_none() {
            self.state().report_damage();
        }
        record
    }
}
