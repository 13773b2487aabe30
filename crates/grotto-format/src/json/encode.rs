//! Prints flat records as JSON.
//!
//! Owns: the text of a record: fields in the order of the schema, nulls left out, numbers in the
//! shortest form that reads back the same. Flat bytes are untrusted.

use super::map::has_text_keys;
use super::text::JsonText;
use crate::flat::{FlatError, FlatReader, FlatValue, MAX_DEPTH};
use crate::schema::{FieldType, ObjectSchema, Schema, TypeId, TypeKind, TypeSchema};

/// Appends a flat record to `out` as JSON on one line. On an error `out` is as it was before.
///
/// # Errors
/// When the bytes are not exactly one record of the type.
pub fn encode(
    schema: &Schema,
    type_id: TypeId,
    flat: &[u8],
    out: &mut String,
) -> Result<(), FlatError> {
    let start = out.len();
    let result = Printer {
        schema,
        out: &mut *out,
    }
    .record(type_id, flat, 0);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

struct Printer<'s, 'o> {
    schema: &'s Schema,
    out: &'o mut String,
}

fn damaged(what: &'static str) -> FlatError {
    FlatError { at: 0, what }
}

impl Printer<'_, '_> {
    fn record(&mut self, id: TypeId, flat: &[u8], depth: usize) -> Result<(), FlatError> {
        if depth > MAX_DEPTH {
            return Err(damaged("nesting of at most 64 records"));
        }
        let ty = self.schema.get(id);
        let mut reader = FlatReader::new(flat);
        match &ty.kind {
            TypeKind::Object(object) => self.object(ty, object, &mut reader, depth)?,
            TypeKind::List { element } | TypeKind::Set { element, .. } => {
                self.out.push('[');
                for at in 0..reader.collection()? {
                    self.comma(at);
                    self.record(*element, reader.nested()?, depth + 1)?;
                }
                self.out.push(']');
            }
            TypeKind::Map { key, value, .. } => {
                if has_text_keys(self.schema, *key) && all_keys_hold_text(reader.clone())? {
                    self.members(*key, *value, &mut reader, depth)?;
                } else {
                    self.entries(*key, *value, &mut reader, depth)?;
                }
            }
        }
        reader.end()
    }

    fn comma(&mut self, at: u32) {
        if at > 0 {
            self.out.push(',');
        }
    }

    fn object(
        &mut self,
        ty: &TypeSchema,
        object: &ObjectSchema,
        reader: &mut FlatReader<'_>,
        depth: usize,
    ) -> Result<(), FlatError> {
        let present = reader.object()?;
        if ty.wrapped().is_some() {
            return self.wrapper(object, present, reader);
        }
        let fields = sorted_fields(object, present, reader)?;
        self.out.push('{');
        for (at, (position, value)) in (0..).zip(fields) {
            self.comma(at);
            let field = &object.fields[position];
            JsonText(self.out).text(&field.name);
            self.out.push(':');
            self.value(field.ty, value, depth)?;
        }
        self.out.push('}');
        Ok(())
    }

    /// A wrapper is its value; one that holds null says so.
    fn wrapper(
        &mut self,
        object: &ObjectSchema,
        present: u16,
        reader: &mut FlatReader<'_>,
    ) -> Result<(), FlatError> {
        let [field] = object.fields.as_slice() else {
            return Err(damaged("wrapper of one field"));
        };
        match present {
            0 => {
                self.out.push('{');
                JsonText(self.out).text(&field.name);
                self.out.push_str(":null}");
                Ok(())
            }
            1 if reader.field()? == 0 => self.value(field.ty, reader.value(field.ty)?, 0),
            _ => Err(damaged("each field of the type at most once")),
        }
    }

    fn value(
        &mut self,
        ty: FieldType,
        value: FlatValue<'_>,
        depth: usize,
    ) -> Result<(), FlatError> {
        match (ty, value) {
            (FieldType::Reference(to), FlatValue::Nested(inner)) => {
                self.record(to, inner, depth + 1)
            }
            (leaf, value) => scalar(JsonText(self.out), leaf, value),
        }
    }

    fn members(
        &mut self,
        key: TypeId,
        value: TypeId,
        reader: &mut FlatReader<'_>,
        depth: usize,
    ) -> Result<(), FlatError> {
        self.out.push('{');
        for at in 0..reader.collection()? {
            self.comma(at);
            self.record(key, reader.nested()?, depth + 1)?;
            self.out.push(':');
            self.record(value, reader.nested()?, depth + 1)?;
        }
        self.out.push('}');
        Ok(())
    }

    fn entries(
        &mut self,
        key: TypeId,
        value: TypeId,
        reader: &mut FlatReader<'_>,
        depth: usize,
    ) -> Result<(), FlatError> {
        self.out.push('[');
        for at in 0..reader.collection()? {
            self.comma(at);
            self.out.push_str("{\"key\":");
            self.record(key, reader.nested()?, depth + 1)?;
            self.out.push_str(",\"value\":");
            self.record(value, reader.nested()?, depth + 1)?;
            self.out.push('}');
        }
        self.out.push(']');
        Ok(())
    }
}

fn scalar(mut out: JsonText<'_>, ty: FieldType, value: FlatValue<'_>) -> Result<(), FlatError> {
    match (ty, value) {
        (FieldType::Int | FieldType::Long, FlatValue::Fixed(word)) => {
            out.whole(word.cast_signed());
        }
        (FieldType::Double, FlatValue::Fixed(word)) => out.double(f64::from_bits(word)),
        // A float's word holds its bits in the lower half.
        (FieldType::Float, FlatValue::Fixed(word)) => out.float(f32::from_bits(word as u32)),
        (FieldType::Boolean, FlatValue::Fixed(word)) => out.boolean(word != 0),
        (FieldType::String, FlatValue::Var(bytes)) => {
            out.text(std::str::from_utf8(bytes).map_err(|_| damaged("text in UTF-8"))?);
        }
        (FieldType::Bytes, FlatValue::Var(bytes)) => out.bytes(bytes),
        _ => return Err(damaged("value of the field's type")),
    }
    Ok(())
}

/// The fields present, in the order of the schema.
fn sorted_fields<'a>(
    object: &ObjectSchema,
    present: u16,
    reader: &mut FlatReader<'a>,
) -> Result<Vec<(usize, FlatValue<'a>)>, FlatError> {
    let present = usize::from(present);
    if present > object.fields.len() {
        return Err(damaged("each field of the type at most once"));
    }
    let mut fields = Vec::with_capacity(present);
    for _ in 0..present {
        let position = usize::from(reader.field()?);
        let field = object
            .fields
            .get(position)
            .ok_or(damaged("position of a field"))?;
        fields.push((position, reader.value(field.ty)?));
    }
    // Mostly sorted already, which costs one pass.
    fields.sort_by_key(|(position, _)| *position);
    if fields.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(damaged("each field of the type at most once"));
    }
    Ok(fields)
}

/// Whether no key is a wrapper of null, which no member of a JSON object can be named.
fn all_keys_hold_text(mut reader: FlatReader<'_>) -> Result<bool, FlatError> {
    for _ in 0..reader.collection()? {
        if FlatReader::new(reader.nested()?).object()? == 0 {
            return Ok(false);
        }
        reader.nested()?;
    }
    Ok(true)
}
