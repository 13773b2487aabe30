//! How records look in debug output: with their fields.
//!
//! Owns: the text and its bounds. Records may refer to each other in circles and hold many elements,
//! so neither all levels nor all elements are shown.

use super::Field;
use std::fmt::{Debug, Formatter, Result};

/// Levels of records that are shown with their fields. Deeper ones are named.
const DEPTH: usize = 3;

/// Elements of a collection that are shown.
const ELEMENTS: usize = 16;

/// A value to be shown.
pub(crate) struct Shown<'a> {
    field: Field<'a>,
    depth: usize,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(field: Field<'a>) -> Self {
        Self {
            field,
            depth: DEPTH,
        }
    }

    fn within(&self, field: Field<'a>) -> Self {
        Self {
            field,
            depth: self.depth - 1,
        }
    }
}

impl Debug for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.field.unwrapped() {
            Field::Null => f.write_str("null"),
            Field::Int(value) => value.fmt(f),
            Field::Long(value) => value.fmt(f),
            Field::Float(value) => value.fmt(f),
            Field::Double(value) => value.fmt(f),
            Field::Boolean(value) => value.fmt(f),
            Field::String(text) => text.fmt(f),
            Field::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Field::Object(view) if self.depth == 0 => view.record().fmt(f),
            Field::List(list) | Field::Set(list) if self.depth == 0 => {
                write!(f, "{} elements", list.len())
            }
            Field::Map(map) if self.depth == 0 => write!(f, "{} entries", map.len()),
            Field::Object(view) => {
                let mut shown = f.debug_struct(view.type_name());
                for (name, field) in view.fields() {
                    shown.field(name, &self.within(field));
                }
                shown.finish()
            }
            Field::List(list) | Field::Set(list) => {
                let mut shown = f.debug_list();
                shown.entries(list.iter().take(ELEMENTS).map(|field| self.within(field)));
                match list.len() > ELEMENTS {
                    true => shown.finish_non_exhaustive(),
                    false => shown.finish(),
                }
            }
            Field::Map(map) => {
                let mut shown = f.debug_map();
                let entries = map.iter().take(ELEMENTS);
                shown.entries(entries.map(|(key, value)| (self.within(key), self.within(value))));
                match map.len() > ELEMENTS {
                    true => shown.finish_non_exhaustive(),
                    false => shown.finish(),
                }
            }
        }
    }
}
