//! Leaves out the fields that another schema lacks.
//!
//! Owns: a flat record without them, still under its own schema. Never: judges whether it fits the other one.
//! Flat bytes are untrusted.

use grotto_format::flat::{FlatBuilder, FlatError, FlatReader, FlatValue, MAX_DEPTH};
use grotto_format::schema::{FieldType, ObjectSchema, Schema, TypeId, TypeKind, TypeSchema};

/// Types of both schemas are matched by name.
pub(super) struct Prune<'s> {
    pub(super) old: &'s Schema,
    pub(super) new: &'s Schema,
}

impl Prune<'_> {
    /// Appends a record of a type of the old schema.
    pub(super) fn record(
        &self,
        id: TypeId,
        flat: &[u8],
        depth: usize,
        out: &mut FlatBuilder,
    ) -> Result<(), FlatError> {
        if depth > MAX_DEPTH {
            return Err(damaged("nesting of at most 64 records"));
        }
        let ty = self.old.get(id);
        let Some(new) = self.new.find(&ty.name) else {
            out.raw(flat);
            return Ok(());
        };
        let mut reader = FlatReader::new(flat);
        match &ty.kind {
            TypeKind::Object(object) => {
                self.object(object, self.new.get(new), &mut reader, depth, out)?;
            }
            TypeKind::List { element } | TypeKind::Set { element, .. } => {
                self.elements(&[*element], &mut reader, depth, out)?;
            }
            TypeKind::Map { key, value, .. } => {
                self.elements(&[*key, *value], &mut reader, depth, out)?;
            }
        }
        reader.end()
    }

    fn object(
        &self,
        object: &ObjectSchema,
        new: &TypeSchema,
        reader: &mut FlatReader<'_>,
        depth: usize,
        out: &mut FlatBuilder,
    ) -> Result<(), FlatError> {
        let mark = out.begin_object();
        let mut kept = 0;
        for _ in 0..reader.object()? {
            let position = reader.field()?;
            let field = object.fields.get(usize::from(position));
            let field = field.ok_or_else(|| damaged("field of the type"))?;
            let value = reader.value(field.ty)?;
            if new.fields().iter().all(|kept| kept.name != field.name) {
                continue;
            }
            kept += 1;
            out.field(position);
            self.value(field.ty, value, depth, out)?;
        }
        out.end_object(mark, kept);
        Ok(())
    }

    fn value(
        &self,
        ty: FieldType,
        value: FlatValue<'_>,
        depth: usize,
        out: &mut FlatBuilder,
    ) -> Result<(), FlatError> {
        match (ty, value) {
            (FieldType::Reference(to), FlatValue::Nested(inner)) => {
                self.nested(to, inner, depth, out)
            }
            (_, FlatValue::Var(bytes) | FlatValue::Nested(bytes)) => {
                out.var(bytes);
                Ok(())
            }
            // A word is sign-extended, so its lower part is the value.
            (FieldType::Int | FieldType::Float, FlatValue::Fixed(word)) => {
                out.raw(&(word as u32).to_le_bytes());
                Ok(())
            }
            (FieldType::Boolean, FlatValue::Fixed(word)) => {
                out.boolean(word != 0);
                Ok(())
            }
            (_, FlatValue::Fixed(word)) => {
                out.raw(&word.to_le_bytes());
                Ok(())
            }
        }
    }

    fn elements(
        &self,
        types: &[TypeId],
        reader: &mut FlatReader<'_>,
        depth: usize,
        out: &mut FlatBuilder,
    ) -> Result<(), FlatError> {
        let count = reader.collection()?;
        let mark = out.begin_collection();
        for _ in 0..count {
            for ty in types {
                self.nested(*ty, reader.nested()?, depth, out)?;
            }
        }
        out.end_collection(mark, count);
        Ok(())
    }

    fn nested(
        &self,
        id: TypeId,
        flat: &[u8],
        depth: usize,
        out: &mut FlatBuilder,
    ) -> Result<(), FlatError> {
        let mark = out.begin_nested();
        self.record(id, flat, depth + 1, out)?;
        out.end_nested(mark);
        Ok(())
    }
}

fn damaged(what: &'static str) -> FlatError {
    FlatError { at: 0, what }
}
