//! Reads JSON straight into the flat form, without values in between.
//!
//! Owns: which JSON is which record. Never keeps state between records. Paths and messages are
//! made only once something is wrong: the way of a good record allocates nothing.

use std::fmt::Formatter;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::error::JsonError;
use super::scalar::{Scalar, write};
use super::{MAX_TEXT, map, object};
use crate::flat::{FlatBuilder, MAX_DEPTH};
use crate::schema::{FieldType, Schema, TypeId, TypeKind, TypeSchema};

/// What one decoding works with, and what it leaves behind when it fails.
pub(super) struct Context<'s, 'b> {
    pub(super) schema: &'s Schema,
    pub(super) builder: &'b mut FlatBuilder,
    /// Why decoding stopped; none when the text is not JSON.
    pub(super) problem: Option<Problem>,
    /// Steps from the refused value outwards.
    pub(super) steps: Vec<Step>,
    /// Bytes of the key of the map entry read last.
    pub(super) entry_key: (usize, usize),
}

/// Why a value is refused.
pub(super) struct Problem {
    pub(super) expected: String,
    /// What was found; none when the text at the anchor shows it.
    pub(super) found: Option<String>,
    pub(super) anchor: Anchor,
}

/// Where the refused thing is, relative to the point where reading stopped.
pub(super) enum Anchor {
    /// The value, key or opening bracket just read.
    Token,
    /// The whole object or array just read.
    Whole,
    /// The byte just read.
    Here,
}

/// One step of the path to a refused value.
pub(super) enum Step {
    Field(String),
    Index(usize),
    Key(String),
}

impl Context<'_, '_> {
    /// Notes the problem and gives the error that stops the reader.
    pub(super) fn refuse<E: Error>(&mut self, problem: Problem) -> E {
        self.problem = Some(problem);
        E::custom("refused")
    }

    /// Adds a step on the way out of a failed value.
    pub(super) fn step<T, E>(
        &mut self,
        result: Result<T, E>,
        step: impl FnOnce() -> Step,
    ) -> Result<T, E> {
        if result.is_err() {
            self.steps.push(step());
        }
        result
    }
}

pub(super) fn record(
    schema: &Schema,
    type_id: TypeId,
    text: &[u8],
    builder: &mut FlatBuilder,
) -> Result<(), JsonError> {
    let ty = schema.get(type_id);
    if text.len() > MAX_TEXT {
        let found = format!("{} bytes, more than {MAX_TEXT}", text.len());
        return Err(JsonError::of_text(ty, text, 0, &found));
    }
    let text = std::str::from_utf8(text)
        .map_err(|e| JsonError::of_text(ty, text, e.valid_up_to(), "bytes that are not utf-8"))?;
    let mut context = Context {
        schema,
        builder,
        problem: None,
        steps: Vec::new(),
        entry_key: (0, 0),
    };
    let mut reader = serde_json::Deserializer::from_str(text);
    let shape = Shape::Value(FieldType::Reference(type_id));
    let value = Value {
        context: &mut context,
        shape,
        depth: 0,
        nullable: false,
    };
    let result = reader.deserialize_any(value).and_then(|_| reader.end());
    result.map_err(|e| JsonError::locate(ty, text, &e, context.problem.take(), &context.steps))
}

/// What is read at one place.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// A scalar, or a record of a type.
    Value(FieldType),
    /// `{"key":…,"value":…}` of a map.
    Entry {
        /// Type of the key.
        key: TypeId,
        /// Type of the value.
        value: TypeId,
    },
}

/// Reads one value. Gives `false` for a null, after which the caller drops what it announced.
pub(super) struct Value<'c, 's, 'b> {
    pub(super) context: &'c mut Context<'s, 'b>,
    pub(super) shape: Shape,
    /// Number of records around this one.
    pub(super) depth: usize,
    pub(super) nullable: bool,
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_, '_> {
    type Value = bool;

    /// Unlike the root record, a nested one is preceded by its length.
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        let Shape::Value(FieldType::Reference(_)) = self.shape else {
            return reader.deserialize_any(self);
        };
        if self.depth > MAX_DEPTH {
            return Err(self.context.refuse(Problem {
                expected: format!("at most {MAX_DEPTH} records inside each other"),
                found: Some("more".to_owned()),
                anchor: Anchor::Here,
            }));
        }
        let mark = self.context.builder.begin_nested();
        let context = &mut *self.context;
        let present = reader.deserialize_any(Value { context, ..self })?;
        self.context.builder.end_nested(mark);
        Ok(present)
    }
}

impl<'s> Value<'_, 's, '_> {
    /// The type of the record to read, if it is one.
    fn record_type(&self) -> Option<&'s TypeSchema> {
        match self.shape {
            Shape::Value(FieldType::Reference(to)) => Some(self.context.schema.get(to)),
            _ => None,
        }
    }

    fn mismatch<E: Error>(self, found: Option<&str>) -> E {
        let expected = match (self.shape, self.record_type()) {
            (Shape::Entry { .. }, _) => "an entry of \"key\" and \"value\"".to_owned(),
            (_, Some(ty)) => expected_record(self.context.schema, ty),
            (Shape::Value(scalar), None) => scalar.keyword().to_owned(),
        };
        let found = found.map(str::to_owned);
        self.context.refuse(Problem {
            expected,
            found,
            anchor: Anchor::Token,
        })
    }

    #[inline]
    fn scalar<E: Error>(self, scalar: Scalar<'_>) -> Result<bool, E> {
        let builder = &mut *self.context.builder;
        let written = match self.shape {
            Shape::Value(FieldType::Reference(to)) => match self.context.schema.get(to).wrapped() {
                Some(inner) => {
                    let mark = builder.begin_object();
                    builder.field(0);
                    let written = write(builder, inner, &scalar);
                    builder.end_object(mark, 1);
                    written
                }
                None => false,
            },
            Shape::Value(ty) => write(builder, ty, &scalar),
            Shape::Entry { .. } => false,
        };
        if written {
            Ok(true)
        } else {
            Err(self.no_scalar())
        }
    }

    /// A scalar where there is none. A record may have had one field when the text was written, and stood as
    /// its value.
    fn no_scalar<E: Error>(self) -> E {
        let ty = self.record_type().filter(|_| self.depth > 0);
        let Some((name, [first, _, ..])) = ty.map(|ty| (&ty.name, ty.fields())) else {
            return self.mismatch(None);
        };
        let first = &first.name;
        self.context.refuse(Problem {
            expected: format!(
                "an object of type {name}, such as {{\"{first}\":…}}, as only records of a single field may \
                 stand as its value"
            ),
            found: None,
            anchor: Anchor::Token,
        })
    }

    /// Reads the elements of a list or set.
    fn elements<'de, A: SeqAccess<'de>>(
        self,
        element: TypeId,
        mut seq: A,
    ) -> Result<bool, A::Error> {
        let shape = Shape::Value(FieldType::Reference(element));
        let mark = self.context.builder.begin_collection();
        let mut count = 0_u32;
        loop {
            let context = &mut *self.context;
            let seed = Value {
                context,
                shape,
                depth: self.depth + 1,
                nullable: false,
            };
            let next = seq.next_element_seed(seed);
            if self
                .context
                .step(next, || Step::Index(count as usize))?
                .is_none()
            {
                break;
            }
            // The limit of the text keeps the count far below the bound.
            count = count.saturating_add(1);
        }
        self.context.builder.end_collection(mark, count);
        Ok(true)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value of the schema")
    }

    #[inline]
    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        self.scalar(Scalar::Boolean(value))
    }

    #[inline]
    fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
        self.scalar(Scalar::Integer(value))
    }

    #[inline]
    fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
        self.scalar(i64::try_from(value).map_or(Scalar::Large(value), Scalar::Integer))
    }

    #[inline]
    fn visit_f64<E: Error>(self, value: f64) -> Result<bool, E> {
        self.scalar(Scalar::Float(value))
    }

    #[inline]
    fn visit_str<E: Error>(self, value: &str) -> Result<bool, E> {
        self.scalar(Scalar::Text(value))
    }

    #[inline]
    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        if self.nullable {
            Ok(false)
        } else {
            Err(self.mismatch(None))
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<bool, A::Error> {
        match self.record_type().map(|ty| &ty.kind) {
            Some(TypeKind::List { element } | TypeKind::Set { element, .. }) => {
                self.elements(*element, seq)
            }
            Some(TypeKind::Map { key, value, .. }) => {
                map::entries(self.context, *key, *value, self.depth, seq)
            }
            _ => Err(self.mismatch(Some("an array"))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<bool, A::Error> {
        if let Shape::Entry { key, value } = self.shape {
            return map::entry(self.context, key, value, self.depth, entries);
        }
        let Some(ty) = self.record_type() else {
            return Err(self.mismatch(Some("an object")));
        };
        match &ty.kind {
            TypeKind::Object(fields) => {
                object::fields(self.context, ty, fields, self.depth, entries)
            }
            TypeKind::Map { key, value, .. } if map::has_text_keys(self.context.schema, *key) => {
                map::members(self.context, *value, self.depth, entries)
            }
            _ => Err(self.mismatch(Some("an object"))),
        }
    }
}

/// What a message calls the JSON of a record.
fn expected_record(schema: &Schema, ty: &TypeSchema) -> String {
    match (&ty.kind, ty.wrapped()) {
        (_, Some(inner)) => inner.keyword().to_owned(),
        (TypeKind::Object(_), None) => format!("an object of type {}", ty.name),
        (TypeKind::List { .. } | TypeKind::Set { .. }, _) => {
            format!("an array of type {}", ty.name)
        }
        (TypeKind::Map { key, .. }, _) if map::has_text_keys(schema, *key) => {
            format!("an object of type {}", ty.name)
        }
        (TypeKind::Map { .. }, _) => format!("an array of entries of type {}", ty.name),
    }
}
