//! Reads maps from JSON: objects for text keys, arrays of entries for all.
//!
//! Owns: both forms, and that no key comes twice.

use std::fmt::Formatter;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::decode::{Anchor, Context, Problem, Shape, Step, Value};
use super::error::shortened;
use crate::schema::{FieldType, Schema, TypeId};

/// Whether maps with keys of this type may be JSON objects.
#[must_use]
pub fn has_text_keys(schema: &Schema, key: TypeId) -> bool {
    schema.get(key).wrapped() == Some(FieldType::String)
}

/// Reads a map in the form of an object.
pub(super) fn members<'de, A: MapAccess<'de>>(
    context: &mut Context<'_, '_>,
    value: TypeId,
    depth: usize,
    mut entries: A,
) -> Result<bool, A::Error> {
    let mark = context.builder.begin_collection();
    let mut keys = Vec::new();
    loop {
        let start = context.builder.bytes().len();
        if entries
            .next_key_seed(TextKey {
                context: &mut *context,
            })?
            .is_none()
        {
            break;
        }
        let end = context.builder.bytes().len();
        keys.push((start, end));
        let shape = Shape::Value(FieldType::Reference(value));
        let seed = Value {
            context: &mut *context,
            shape,
            depth: depth + 1,
            nullable: false,
        };
        let read = entries.next_value_seed(seed);
        if read.is_err() {
            let key = key_text(context, (start, end));
            context.steps.push(Step::Key(key));
        }
        read?;
    }
    if let Some(twice) = repeated(context, &mut keys) {
        let found = format!("key {:?} twice", shortened(&key_text(context, twice)));
        return Err(refuse_repeated(context, found));
    }
    context
        .builder
        .end_collection(mark, u32::try_from(keys.len()).unwrap_or(u32::MAX));
    Ok(true)
}

/// Reads a map in the form of an array of entries.
pub(super) fn entries<'de, A: SeqAccess<'de>>(
    context: &mut Context<'_, '_>,
    key: TypeId,
    value: TypeId,
    depth: usize,
    mut seq: A,
) -> Result<bool, A::Error> {
    let mark = context.builder.begin_collection();
    let mut keys = Vec::new();
    loop {
        let shape = Shape::Entry { key, value };
        let seed = Value {
            context: &mut *context,
            shape,
            depth,
            nullable: false,
        };
        let next = seq.next_element_seed(seed);
        if context.step(next, || Step::Index(keys.len()))?.is_none() {
            break;
        }
        keys.push(context.entry_key);
    }
    if repeated(context, &mut keys).is_some() {
        return Err(refuse_repeated(context, "a key twice".to_owned()));
    }
    context
        .builder
        .end_collection(mark, u32::try_from(keys.len()).unwrap_or(u32::MAX));
    Ok(true)
}

/// Reads one entry of the array form. The flat form wants the key first, whatever comes first here.
pub(super) fn entry<'de, A: MapAccess<'de>>(
    context: &mut Context<'_, '_>,
    key: TypeId,
    value: TypeId,
    depth: usize,
    mut entries: A,
) -> Result<bool, A::Error> {
    let start = context.builder.bytes().len();
    let (mut key_at, mut early_value, mut value_read) = (None, None, false);
    while let Some(part) = entries.next_key_seed(EntryPart {
        context: &mut *context,
    })? {
        let (ty, again) = match part {
            Part::Key => (key, key_at.is_some()),
            Part::Value => (value, value_read),
        };
        if again {
            let found = "the field a second time";
            return Err(refuse_part(
                context,
                part,
                "one value",
                found,
                Anchor::Token,
            ));
        }
        let shape = Shape::Value(FieldType::Reference(ty));
        let seed = Value {
            context: &mut *context,
            shape,
            depth: depth + 1,
            nullable: false,
        };
        let read = entries.next_value_seed(seed);
        context.step(read, || Step::Field(part.name().to_owned()))?;
        match part {
            Part::Key => key_at = Some((start, context.builder.bytes().len())),
            Part::Value => value_read = true,
        }
        if key_at.is_none() {
            early_value = Some(context.builder.bytes()[start..].to_vec());
            context.builder.truncate(start);
        }
    }
    let Some(key_at) = key_at else {
        return Err(refuse_part(
            context,
            Part::Key,
            "a key",
            "nothing",
            Anchor::Whole,
        ));
    };
    if !value_read {
        return Err(refuse_part(
            context,
            Part::Value,
            "a value",
            "nothing",
            Anchor::Whole,
        ));
    }
    if let Some(value) = early_value {
        context.builder.raw(&value);
    }
    context.entry_key = key_at;
    Ok(true)
}

fn refuse_part<E: Error>(
    context: &mut Context<'_, '_>,
    part: Part,
    expected: &str,
    found: &str,
    anchor: Anchor,
) -> E {
    context.steps.push(Step::Field(part.name().to_owned()));
    context.refuse(Problem {
        expected: expected.to_owned(),
        found: Some(found.to_owned()),
        anchor,
    })
}

/// A key, given by the place of its bytes, that comes twice. Equal keys that are written
/// differently (fields in another order) are left to the state, which knows equality.
fn repeated(context: &Context<'_, '_>, keys: &mut [(usize, usize)]) -> Option<(usize, usize)> {
    let bytes = context.builder.bytes();
    let key = |at: &(usize, usize)| bytes.get(at.0..at.1).unwrap_or_default();
    keys.sort_unstable_by(|a, b| key(a).cmp(key(b)));
    keys.windows(2)
        .find(|pair| key(&pair[0]) == key(&pair[1]))
        .map(|pair| pair[0])
}

fn refuse_repeated<E: Error>(context: &mut Context<'_, '_>, found: String) -> E {
    let expected = "each key once".to_owned();
    context.refuse(Problem {
        expected,
        found: Some(found),
        anchor: Anchor::Whole,
    })
}

/// The text of a key written by [`TextKey`]: behind lengths, count and position.
fn key_text(context: &Context<'_, '_>, (start, end): (usize, usize)) -> String {
    const BEFORE_TEXT: usize = 4 + 2 + 2 + 4;
    let text = context
        .builder
        .bytes()
        .get(start + BEFORE_TEXT..end)
        .unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// Reads the name of an object's member as a key record: a wrapper of text.
struct TextKey<'c, 's, 'b> {
    context: &'c mut Context<'s, 'b>,
}

impl<'de> DeserializeSeed<'de> for TextKey<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for TextKey<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        let builder = &mut *self.context.builder;
        let nested = builder.begin_nested();
        let object = builder.begin_object();
        builder.field(0);
        builder.var(key.as_bytes());
        builder.end_object(object, 1);
        builder.end_nested(nested);
        Ok(())
    }
}

/// The two fields of an entry.
#[derive(Clone, Copy)]
enum Part {
    Key,
    Value,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
        }
    }
}

/// Reads the name of an entry's field.
struct EntryPart<'c, 's, 'b> {
    context: &'c mut Context<'s, 'b>,
}

impl<'de> DeserializeSeed<'de> for EntryPart<'_, '_, '_> {
    type Value = Part;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Part, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for EntryPart<'_, '_, '_> {
    type Value = Part;

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("\"key\" or \"value\"")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Part, E> {
        match name {
            "key" => Ok(Part::Key),
            "value" => Ok(Part::Value),
            _ => Err(self.context.refuse(Problem {
                expected: "\"key\" or \"value\"".to_owned(),
                found: Some(format!("unknown field {:?}", shortened(name))),
                anchor: Anchor::Token,
            })),
        }
    }
}
