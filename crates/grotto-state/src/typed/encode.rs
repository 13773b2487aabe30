//! Writing structs as flat records.
//!
//! Owns: the walk and its limits. Never keeps a record.

use super::bind::{Bound, Form, NodeId};
use super::value::{Element, RecordType, Value};
use crate::error::{StateError, StateResult};
use grotto_error::Result;
use grotto_format::flat::{FlatBuilder, FlatRecord, MAX_DEPTH};
use grotto_format::schema::{Schema, TypeId};
use std::marker::PhantomData;

/// Longest flat form of one record, in bytes. Lengths within it fit the 32 bits they have.
const MAX_BYTES: usize = 256 << 20;

/// Writes records of one type for one schema. Bind once, encode many.
#[derive(Clone, Copy, Debug)]
pub struct Encoder<T> {
    bound: &'static Bound,
    of: PhantomData<fn() -> T>,
}

impl<T: RecordType> Encoder<T> {
    /// Binds to a schema.
    ///
    /// # Errors
    /// When the schema lacks the type or one of its fields, or has a field of another type.
    pub fn new(schema: &Schema) -> Result<Self> {
        let bound = T::bindings().for_writing(schema.hash(), || match schema.find(T::TYPE) {
            Some(id) => Bound::new::<T>(schema, id, true),
            None => {
                let message = format!("type {}: expected in the schema, found none", T::TYPE);
                Err(StateError::Invalid(message))
            }
        })?;
        Ok(Self {
            bound,
            of: PhantomData,
        })
    }

    /// The type in the schema.
    #[must_use]
    pub fn type_id(&self) -> TypeId {
        self.bound.type_id()
    }

    /// Appends a record to `out`. On an error `out` is as it was.
    ///
    /// # Errors
    /// When the record nests deeper than [`MAX_DEPTH`] or its flat form passes 256 MiB.
    pub fn encode(&self, record: &T, out: &mut FlatBuilder) -> Result<()> {
        let start = out.bytes().len();
        let mut writer = Writer {
            out,
            bound: self.bound,
            limit: start + MAX_BYTES,
            depth: 0,
        };
        let written = record
            .write_record(self.bound.root(), &mut writer)
            .and_then(|()| writer.check());
        if written.is_err() {
            out.truncate(start);
        }
        Ok(written?)
    }

    /// A record in flat form.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn record(&self, record: &T) -> Result<FlatRecord> {
        let mut out = FlatBuilder::new();
        self.encode(record, &mut out)?;
        Ok(out.finish(self.type_id()))
    }
}

/// Writes one record.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut FlatBuilder,
    bound: &'o Bound,
    limit: usize,
    depth: usize,
}

impl Writer<'_> {
    pub(crate) fn flat(&mut self) -> &mut FlatBuilder {
        self.out
    }

    /// Writes a struct: `fields` writes them in order.
    ///
    /// # Errors
    /// When a limit is passed.
    pub fn object(
        &mut self,
        node: NodeId,
        fields: impl FnOnce(&mut ObjectWriter<'_, '_>) -> StateResult<()>,
    ) -> StateResult<()> {
        let mark = self.out.begin_object();
        let mut object = ObjectWriter {
            out: self,
            node,
            next: 0,
            present: 0,
        };
        fields(&mut object)?;
        let present = object.present;
        self.out.end_object(mark, present);
        Ok(())
    }

    /// Writes the value of a text field, for a type that is stored as text.
    pub fn text(&mut self, text: &str) {
        self.out.var(text.as_bytes());
    }

    /// Writes the value of an integer field, for a type that is stored as `int`.
    pub fn int(&mut self, value: i32) {
        self.out.int(value);
    }

    /// Writes a scalar as a record of its wrapper type.
    pub fn wrapped<T: Element>(&mut self, value: &T) {
        let mark = self.out.begin_object();
        self.out.field(0);
        value.write_scalar(self);
        self.out.end_object(mark, 1);
    }

    pub(crate) fn list<'t, T: Element>(
        &mut self,
        node: NodeId,
        elements: impl Iterator<Item = &'t T>,
    ) -> StateResult<()> {
        let node = self.bound.node(node).slot(0).node;
        let (mark, mut count) = (self.out.begin_collection(), 0);
        for element in elements {
            self.nested(element, node)?;
            count += 1;
        }
        self.out.end_collection(mark, count);
        Ok(())
    }

    pub(crate) fn map<'t, K: Element, V: Element>(
        &mut self,
        node: NodeId,
        entries: impl Iterator<Item = (&'t K, &'t V)>,
    ) -> StateResult<()> {
        let node = self.bound.node(node);
        let (keys, values) = (node.slot(0).node, node.slot(1).node);
        let (mark, mut count) = (self.out.begin_collection(), 0);
        for (key, value) in entries {
            self.nested(key, keys)?;
            self.nested(value, values)?;
            count += 1;
        }
        self.out.end_collection(mark, count);
        Ok(())
    }

    fn nested<T: Element>(&mut self, value: &T, node: NodeId) -> StateResult<()> {
        if self.depth >= MAX_DEPTH {
            return Err(StateError::Limit(format!(
                "records nested more than {MAX_DEPTH} deep"
            )));
        }
        self.check()?;
        self.depth += 1;
        let mark = self.out.begin_nested();
        value.write_record(node, self)?;
        self.out.end_nested(mark);
        self.depth -= 1;
        Ok(())
    }

    fn check(&self) -> StateResult<()> {
        if self.out.bytes().len() > self.limit {
            return Err(StateError::Limit(
                "a record of more than 256 MiB".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Writes the fields of one struct.
#[derive(Debug)]
pub struct ObjectWriter<'w, 'o> {
    out: &'w mut Writer<'o>,
    node: NodeId,
    next: usize,
    present: u16,
}

impl ObjectWriter<'_, '_> {
    /// Writes the next field; nothing for `None`.
    ///
    /// # Errors
    /// When a limit is passed.
    pub fn field<V: Value>(&mut self, value: &V) -> StateResult<()> {
        let slot = *self.out.bound.node(self.node).slot(self.next);
        self.next += 1;
        let Some(value) = value.present() else {
            return Ok(());
        };
        // A binding for writing has no absent field; should there be one, nothing may be written.
        if slot.form == Form::Absent {
            return Ok(());
        }
        self.present += 1;
        self.out.out.field(slot.position());
        match slot.form {
            Form::Reference(_) => self.out.nested(value, slot.node),
            _ => {
                value.write_scalar(self.out);
                Ok(())
            }
        }
    }
}
