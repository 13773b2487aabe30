//! Reads the fields of objects from JSON.
//!
//! Owns: field names in any order, each once, and the presence of the primary key.

use std::fmt::Formatter;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::decode::{Anchor, Context, Problem, Shape, Step, Value};
use super::error::shortened;
use crate::flat::{FlatReader, FlatValue};
use crate::schema::{
    Field, FieldPath, FieldType, ObjectSchema, Schema, TypeId, TypeSchema, nearest,
};

/// A set of field positions; a schema has at most 1024 fields per type.
#[derive(Default)]
struct Positions([u64; 16]);

impl Positions {
    /// Adds a position; `false` if it was there.
    #[inline]
    fn insert(&mut self, position: usize) -> bool {
        let Some(word) = self.0.get_mut(position / 64) else {
            return false;
        };
        let bit = 1 << (position % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn contains(&self, position: usize) -> bool {
        self.0
            .get(position / 64)
            .is_some_and(|word| word & (1 << (position % 64)) != 0)
    }
}

/// Reads an object of type `ty`.
pub(super) fn fields<'de, A: MapAccess<'de>>(
    context: &mut Context<'_, '_>,
    ty: &TypeSchema,
    object: &ObjectSchema,
    depth: usize,
    mut entries: A,
) -> Result<bool, A::Error> {
    let record = context.builder.bytes().len();
    let mark = context.builder.begin_object();
    let (mut seen, mut present, mut count) = (Positions::default(), Positions::default(), 0_u16);
    let mut guess = 0;
    loop {
        let name = FieldName {
            context: &mut *context,
            ty,
            object,
            guess,
            seen: &mut seen,
        };
        let Some(position) = entries.next_key_seed(name)? else {
            break;
        };
        guess = position + 1;
        let Field { name, ty } = &object.fields[position];
        let start = context.builder.bytes().len();
        context
            .builder
            .field(u16::try_from(position).unwrap_or(u16::MAX));
        let shape = Shape::Value(*ty);
        let value = Value {
            context: &mut *context,
            shape,
            depth: depth + 1,
            nullable: true,
        };
        let read = entries.next_value_seed(value);
        if context.step(read, || Step::Field(name.clone()))? {
            present.insert(position);
            count += 1;
        } else {
            context.builder.truncate(start);
        }
    }
    context.builder.end_object(mark, count);
    for path in object.primary_key.iter().flat_map(|key| &key.paths) {
        let there = match path.steps.as_slice() {
            [only] => present.contains(usize::from(*only)),
            steps => leads_to_value(
                context.schema,
                object,
                &context.builder.bytes()[record..],
                steps,
            ),
        };
        if !there {
            return Err(missing_key(context, path));
        }
    }
    Ok(true)
}

fn missing_key<E: Error>(context: &mut Context<'_, '_>, path: &FieldPath) -> E {
    context.steps.push(Step::Field(path.text.clone()));
    context.refuse(Problem {
        expected: format!("{} for the primary key", path.leaf.keyword()),
        found: Some("null or nothing".to_owned()),
        anchor: Anchor::Whole,
    })
}

/// Whether the path ends at a value in the record just written.
fn leads_to_value(schema: &Schema, object: &ObjectSchema, flat: &[u8], steps: &[u16]) -> bool {
    let Some((first, rest)) = steps.split_first() else {
        return true;
    };
    let mut reader = FlatReader::new(flat);
    for _ in 0..reader.object().unwrap_or(0) {
        let Some(position) = reader.field().ok() else {
            return false;
        };
        let Some(field) = object.fields.get(usize::from(position)) else {
            return false;
        };
        let Ok(value) = reader.value(field.ty) else {
            return false;
        };
        if position == *first {
            return match (value, field.ty) {
                (FlatValue::Nested(inner), FieldType::Reference(to)) => {
                    target(schema, to).is_some_and(|next| leads_to_value(schema, next, inner, rest))
                }
                _ => rest.is_empty(),
            };
        }
    }
    false
}

fn target(schema: &Schema, id: TypeId) -> Option<&ObjectSchema> {
    schema.get(id).object()
}

/// Reads a field's name and gives its position.
struct FieldName<'c, 's, 'b, 'o> {
    context: &'c mut Context<'s, 'b>,
    ty: &'o TypeSchema,
    object: &'o ObjectSchema,
    /// Where to look first: most texts follow one order.
    guess: usize,
    seen: &'c mut Positions,
}

impl<'de> DeserializeSeed<'de> for FieldName<'_, '_, '_, '_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<usize, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName<'_, '_, '_, '_> {
    type Value = usize;

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        let fields = &self.object.fields;
        let guess = self.guess.min(fields.len());
        let after = fields[guess..]
            .iter()
            .position(|f| f.name == name)
            .map(|at| at + guess);
        let found = after.or_else(|| fields[..guess].iter().position(|f| f.name == name));
        let Some(position) = found else {
            let hint = nearest::hint(name, fields.iter().map(|f| f.name.as_str()));
            return Err(self.context.refuse(Problem {
                expected: format!("a field of {}", self.ty.name),
                found: Some(format!("unknown field {:?}{hint}", shortened(name))),
                anchor: Anchor::Token,
            }));
        };
        if self.seen.insert(position) {
            return Ok(position);
        }
        self.context.steps.push(Step::Field(name.to_owned()));
        Err(self.context.refuse(Problem {
            expected: "one value".to_owned(),
            found: Some("the field a second time".to_owned()),
            anchor: Anchor::Token,
        }))
    }
}
