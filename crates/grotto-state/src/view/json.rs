//! Whole records as JSON text.
//!
//! Owns: the walk over a record and everything it refers to; the text is the one that
//! [`grotto_format::json`] makes of its flat form, without making that. Never trusts the state: references may form a
//! circle or fan out without end when its bytes are hostile, so depth and size are limited.

use super::referred;
use crate::error::{StateError, StateResult};
use crate::record::Record;
use grotto_error::Result;
use grotto_format::flat::MAX_DEPTH;
use grotto_format::json::{JsonText, has_text_keys};
use grotto_format::schema::{FieldType, ObjectSchema, TypeId, TypeKind};

impl Record<'_> {
    /// Appends the whole record, nested ones included, to `out` as JSON on one line. On an error `out` is as it was.
    ///
    /// # Errors
    /// `Invalid` when `out` passes `limit` bytes or records nest deeper than [`MAX_DEPTH`]; `Corrupt` when a reference
    /// leads nowhere.
    pub fn to_json(&self, out: &mut String, limit: usize) -> Result<()> {
        let start = out.len();
        let written = Walk {
            out: &mut *out,
            limit,
        }
        .record(self, 0);
        if written.is_err() {
            out.truncate(start);
        }
        Ok(written?)
    }
}

struct Walk<'o> {
    out: &'o mut String,
    limit: usize,
}

impl Walk<'_> {
    fn record(&mut self, record: &Record<'_>, depth: usize) -> StateResult<()> {
        self.check(record, depth)?;
        let ty = record.state().schema().get(record.type_id());
        match &ty.kind {
            TypeKind::Object(object) => match (ty.wrapped(), object.fields.as_slice()) {
                // A wrapper is its value; one that holds null says so.
                (Some(leaf), [_]) if !record.is_null(0) => self.value(record, 0, leaf, depth)?,
                (Some(_), [field]) => {
                    self.out.push('{');
                    JsonText(self.out).name(&field.name);
                    self.out.push_str("null}");
                }
                _ => self.object(record, object, depth)?,
            },
            TypeKind::List { element } | TypeKind::Set { element, .. } => {
                self.elements(record, *element, depth)?;
            }
            TypeKind::Map { key, value, .. } => self.map(record, *key, *value, depth)?,
        }
        self.check(record, depth)
    }

    fn object(
        &mut self,
        record: &Record<'_>,
        object: &ObjectSchema,
        depth: usize,
    ) -> StateResult<()> {
        let mut before = '{';
        for (column, field) in object.fields.iter().enumerate() {
            if record.is_null(column) {
                continue;
            }
            self.out.push(before);
            before = ',';
            JsonText(self.out).name(&field.name);
            self.value(record, column, field.ty, depth)?;
        }
        if before == '{' {
            self.out.push('{');
        }
        self.out.push('}');
        Ok(())
    }

    fn value(
        &mut self,
        record: &Record<'_>,
        column: usize,
        ty: FieldType,
        depth: usize,
    ) -> StateResult<()> {
        let word = record.word(column);
        let mut out = JsonText(self.out);
        match ty {
            FieldType::Int => out.whole(i64::from(word as i32)),
            FieldType::Long => out.whole(word as i64),
            FieldType::Float => out.float(f32::from_bits(word as u32)),
            FieldType::Double => out.double(f64::from_bits(word)),
            FieldType::Boolean => out.boolean(word != 0),
            FieldType::String => out.text(record.text(column)),
            FieldType::Bytes => out.bytes(record.var(column)),
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
        self.record(&referred(holder, target, ordinal)?, depth + 1)
    }

    fn elements(&mut self, record: &Record<'_>, element: TypeId, depth: usize) -> StateResult<()> {
        self.out.push('[');
        for (at, ordinal) in record.elements(0).enumerate() {
            self.comma(at);
            self.nested(record, element, ordinal, depth)?;
        }
        self.out.push(']');
        Ok(())
    }

    fn map(
        &mut self,
        record: &Record<'_>,
        key: TypeId,
        value: TypeId,
        depth: usize,
    ) -> StateResult<()> {
        let schema = record.state().schema();
        let is_text = |ordinal| record.jump(key, ordinal).is_some_and(|key| !key.is_null(0));
        let mut keys = record.elements(0).step_by(2);
        let [open, before_key, before_value, after_entry, close] =
            match has_text_keys(schema, key) && keys.all(is_text) {
                true => ["{", "", ":", "", "}"],
                false => ["[", "{\"key\":", ",\"value\":", "}", "]"],
            };
        self.out.push_str(open);
        let mut ordinals = record.elements(0);
        let mut at = 0;
        while let (Some(of_key), Some(of_value)) = (ordinals.next(), ordinals.next()) {
            self.comma(at);
            at += 1;
            self.out.push_str(before_key);
            self.nested(record, key, of_key, depth)?;
            self.out.push_str(before_value);
            self.nested(record, value, of_value, depth)?;
            self.out.push_str(after_entry);
        }
        self.out.push_str(close);
        Ok(())
    }

    fn comma(&mut self, at: usize) {
        if at > 0 {
            self.out.push(',');
        }
    }

    fn check(&self, record: &Record<'_>, depth: usize) -> StateResult<()> {
        if self.out.len() > self.limit {
            let limit = self.limit;
            return Err(StateError::Limit(format!(
                "{record:?}: a text of more than {limit} bytes"
            )));
        }
        if depth > MAX_DEPTH {
            let message = format!("{record:?}: records nest deeper than {MAX_DEPTH}");
            return Err(StateError::Limit(message));
        }
        Ok(())
    }
}
