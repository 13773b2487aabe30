//! Which column of a type's old form is which of its new one, and what it holds.
//!
//! Owns: matching by name. Never: reads a record.

use grotto_state::format::schema::{FieldType, Schema, TypeId, TypeKind};
use std::collections::HashMap;

/// The columns of a type that two schemas have.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// Position before, position now, content.
    pub(super) common: Vec<(usize, usize, Content)>,
    pub(super) only_old: Vec<usize>,
    pub(super) only_new: Vec<usize>,
}

/// What a column holds; types are those of the new schema.
#[derive(Debug)]
pub(super) enum Content {
    Scalar(FieldType),
    Reference(TypeId),
    /// Ordinals of these types in turn.
    Elements(Vec<TypeId>),
}

impl Columns {
    pub(super) fn match_up(old: (&Schema, TypeId), new: (&Schema, TypeId)) -> Self {
        let before = columns_of(old);
        let positions = before.iter().enumerate();
        let mut positions: HashMap<&str, (usize, &Content)> = positions
            .map(|(at, (name, content))| (*name, (at, content)))
            .collect();
        let mut columns = Self::default();
        for (position, (name, content)) in columns_of(new).into_iter().enumerate() {
            // Another dataset of the same name may have a field of the same name and another type.
            let like = |found: &&(usize, &Content)| is_like((old.0, found.1), (new.0, &content));
            match positions.get(name).filter(like).map(|found| found.0) {
                Some(at) => {
                    positions.remove(name);
                    columns.common.push((at, position, content));
                }
                None => columns.only_new.push(position),
            }
        }
        columns.only_old = positions.into_values().map(|found| found.0).collect();
        columns
    }
}

/// The columns of a type with the names of their fields; the elements of a collection have none.
fn columns_of((schema, ty): (&Schema, TypeId)) -> Vec<(&str, Content)> {
    match &schema.get(ty).kind {
        TypeKind::Object(object) => {
            let fields = object.fields.iter().map(|field| match field.ty {
                FieldType::Reference(to) => (field.name.as_str(), Content::Reference(to)),
                scalar => (field.name.as_str(), Content::Scalar(scalar)),
            });
            fields.collect()
        }
        TypeKind::List { element } | TypeKind::Set { element, .. } => {
            vec![("", Content::Elements(vec![*element]))]
        }
        TypeKind::Map { key, value, .. } => vec![("", Content::Elements(vec![*key, *value]))],
    }
}

/// Whether two columns hold the same kind of thing. Types of different schemas are the same if their
/// names are.
fn is_like(old: (&Schema, &Content), new: (&Schema, &Content)) -> bool {
    let name = |(schema, _): (&Schema, _), ty: &TypeId| schema.get(*ty).name.clone();
    match (old.1, new.1) {
        (Content::Scalar(a), Content::Scalar(b)) => a == b,
        (Content::Reference(a), Content::Reference(b)) => name(old, a) == name(new, b),
        (Content::Elements(a), Content::Elements(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| name(old, a) == name(new, b))
        }
        _ => false,
    }
}
