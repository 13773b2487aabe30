//! Comparing a flat record with a stored one.
//!
//! Owns: the quick answer to "did this record change?", which needs no hashing: in a full cycle most
//! records did not.

use super::cycle::Cycle;
use super::intern::{Resolve, Source};
use crate::error::StateResult;
use crate::record::Record;
use grotto_format::flat::{FlatReader, FlatValue, MAX_DEPTH};
use grotto_format::schema::{FieldType, TypeId, TypeKind};

/// Finds the ordinal of a set or map among the base's. These are stored in another order than they
/// come, so only their content tells.
type FindSet<'a> = dyn FnMut(TypeId, &[u8], usize) -> StateResult<Option<u32>> + 'a;

impl Cycle {
    /// Whether a flat record equals a base record to the last nested one.
    pub(super) fn equals_base(
        &mut self,
        record: &Record<'_>,
        flat: &[u8],
        position: u64,
    ) -> StateResult<bool> {
        let mut find = |id, flat: &[u8], depth| {
            let source = Source { position, depth };
            self.resolve(id, flat, Resolve::Find, source)
        };
        equals_record(record, flat, 0, &mut find)
    }
}

/// Whether a flat record equals a stored one to the last nested one.
pub(super) fn equals_record(
    record: &Record<'_>,
    flat: &[u8],
    depth: usize,
    find_set: &mut FindSet<'_>,
) -> StateResult<bool> {
    if depth > MAX_DEPTH || record.has_dropped_value() {
        return Ok(false);
    }
    let schema = record.state().schema();
    let id = record.type_id();
    let mut reader = FlatReader::new(flat);
    let fail = |e| super::flatkey::flat_error(schema, id, e);
    match &schema.get(id).kind {
        TypeKind::Object(object) => {
            let present = reader.object().map_err(fail)?;
            for _ in 0..present {
                let column = usize::from(reader.field().map_err(fail)?);
                let Some(field) = object.fields.get(column) else {
                    return Ok(false);
                };
                let value = reader.value(field.ty).map_err(fail)?;
                if !equals_field(record, column, field.ty, value, depth, find_set)? {
                    return Ok(false);
                }
            }
            let filled = (0..object.fields.len())
                .filter(|column| !record.is_null(*column))
                .count();
            Ok(filled == usize::from(present))
        }
        TypeKind::List { element } => {
            let elements = record.elements(0);
            if reader.collection().map_err(fail)? as usize != elements.len() {
                return Ok(false);
            }
            for ordinal in elements {
                let inner = reader.nested().map_err(fail)?;
                let equal = match record.state().row(*element, ordinal) {
                    Some(child) => equals_record(&child, inner, depth + 1, find_set)?,
                    None => false,
                };
                if !equal {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        TypeKind::Set { .. } | TypeKind::Map { .. } => {
            Ok(find_set(id, flat, depth)? == Some(record.ordinal()))
        }
    }
}

fn equals_field(
    record: &Record<'_>,
    column: usize,
    ty: FieldType,
    value: FlatValue<'_>,
    depth: usize,
    find_set: &mut FindSet<'_>,
) -> StateResult<bool> {
    if record.is_null(column) {
        return Ok(false);
    }
    match (value, ty) {
        (FlatValue::Fixed(word), _) => Ok(record.word(column) == word),
        (FlatValue::Var(bytes), _) => Ok(record.var(column) == bytes),
        (FlatValue::Nested(inner), FieldType::Reference(to)) => match record.follow(column, to) {
            Some(child) => equals_record(&child, inner, depth + 1, find_set),
            None => Ok(false),
        },
        (FlatValue::Nested(_), _) => Ok(false),
    }
}
