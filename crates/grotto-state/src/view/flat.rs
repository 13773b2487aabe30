//! Whole records in flat form, for export.
//!
//! Owns: the walk over a record and everything it refers to. Never trusts the state: references
//! may form a circle or fan out without end when its bytes are hostile, so depth and size are
//! limited.

use super::referred;
use crate::error::{StateError, StateResult};
use crate::record::Record;
use grotto_error::Result;
use grotto_format::flat::{FlatBuilder, FlatError, MAX_DEPTH};
use grotto_format::schema::{FieldType, TypeId, TypeKind};

/// Longest flat form of one record, in bytes.
const MAX_BYTES: usize = 256 << 20;

impl Record<'_> {
    /// Appends the whole record, nested ones included, to `out`. On an error `out` is as it was.
    ///
    /// # Errors
    /// When records nest deeper than [`MAX_DEPTH`], the flat form passes 256 MiB, or a reference
    /// leads nowhere.
    pub fn to_flat(&self, out: &mut FlatBuilder) -> Result<()> {
        Ok(self.write_flat(out, MAX_BYTES)?)
    }

    pub(super) fn write_flat(&self, out: &mut FlatBuilder, limit: usize) -> StateResult<()> {
        let start = out.bytes().len();
        let result = Walk { out, start, limit }.record(self, 0);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }
}

struct Walk<'o> {
    out: &'o mut FlatBuilder,
    start: usize,
    limit: usize,
}

impl Walk<'_> {
    fn record(&mut self, record: &Record<'_>, depth: usize) -> StateResult<()> {
        self.check(record, depth)?;
        match &record.state().schema().get(record.type_id()).kind {
            TypeKind::Object(object) => {
                let (mark, mut present) = (self.out.begin_object(), 0_u16);
                for (column, field) in object.fields.iter().enumerate() {
                    if !record.is_null(column) {
                        present += 1;
                        self.out.field(column as u16);
                        self.value(record, column, field.ty, depth)?;
                    }
                }
                self.out.end_object(mark, present);
                Ok(())
            }
            TypeKind::List { element } | TypeKind::Set { element, .. } => {
                self.elements(record, [*element, *element], 1, depth)
            }
            TypeKind::Map { key, value, .. } => self.elements(record, [*key, *value], 2, depth),
        }
    }

    fn value(
        &mut self,
        record: &Record<'_>,
        column: usize,
        ty: FieldType,
        depth: usize,
    ) -> StateResult<()> {
        let word = record.word(column);
        match ty {
            FieldType::Int => self.out.int(word as i32),
            FieldType::Long => self.out.long(word as i64),
            FieldType::Float => self.out.float(f32::from_bits(word as u32)),
            FieldType::Double => self.out.double(f64::from_bits(word)),
            FieldType::Boolean => self.out.boolean(word != 0),
            // Read as text, so that damaged bytes cannot pass as UTF-8.
            FieldType::String => self.out.var(record.text(column).as_bytes()),
            FieldType::Bytes => self.out.var(record.var(column)),
            FieldType::Reference(to) => return self.nested(record, to, word as u32, depth),
        }
        Ok(())
    }

    fn nested(
        &mut self,
        holder: &Record<'_>,
        target: TypeId,
        ordinal: u32,
        depth: usize,
    ) -> StateResult<()> {
        let record = referred(holder, target, ordinal)?;
        let mark = self.out.begin_nested();
        self.record(&record, depth + 1)?;
        self.out.end_nested(mark);
        Ok(())
    }

    /// Elements of a list or set, or entries of a map, whose parts have types in turn.
    fn elements(
        &mut self,
        record: &Record<'_>,
        types: [TypeId; 2],
        parts: usize,
        depth: usize,
    ) -> StateResult<()> {
        let elements = record.elements(0);
        let (mark, count) = (self.out.begin_collection(), elements.len() / parts);
        for (at, ordinal) in elements.take(count * parts).enumerate() {
            self.nested(record, types[at % 2], ordinal, depth)?;
        }
        self.out.end_collection(mark, count as u32);
        Ok(())
    }

    fn check(&self, record: &Record<'_>, depth: usize) -> StateResult<()> {
        let at = self.out.bytes().len() - self.start;
        if at > self.limit {
            let limit = self.limit;
            return Err(StateError::Limit(format!(
                "{record:?}: a record of more than {limit} bytes"
            )));
        }
        if depth > MAX_DEPTH {
            let type_name = record.state().schema().get(record.type_id()).name.clone();
            let source = FlatError {
                at,
                what: "nesting of at most 64 records",
            };
            return Err(StateError::Flat { type_name, source });
        }
        Ok(())
    }
}
