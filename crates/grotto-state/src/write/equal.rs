//! Comparing a flat record with a stored one.
//!
//! Owns: the quick answer to "did this record change?", which needs no hashing: in a full cycle most
//! records did not.

use super::cycle::{Cycle, Mode};
use super::intern::{Resolve, Source};
use crate::error::StateResult;
use crate::record::Record;
use grotto_format::flat::{FlatReader, FlatValue, MAX_DEPTH};
use grotto_format::schema::{FieldType, TypeId, TypeKind};

/// What a comparison needs of the cycle.
pub(super) trait Surroundings {
    /// Finds the ordinal of a set or map among the base's. These are stored in another order than
    /// they come, so only their content tells.
    fn find_set(&mut self, id: TypeId, flat: &[u8], depth: usize) -> StateResult<Option<u32>>;

    /// Takes note that a nested record with a key is as it was.
    fn found_equal(&mut self, record: &Record<'_>);
}

/// A comparison by the calling thread.
struct Here<'a> {
    cycle: &'a mut Cycle,
    position: u64,
    /// Equal records of an incremental cycle.
    equal: Vec<(TypeId, u32)>,
}

impl Surroundings for Here<'_> {
    fn find_set(&mut self, id: TypeId, flat: &[u8], depth: usize) -> StateResult<Option<u32>> {
        let position = self.position;
        self.cycle
            .resolve(id, flat, Resolve::Find, Source { position, depth })
    }

    fn found_equal(&mut self, record: &Record<'_>) {
        let (id, ordinal) = (record.type_id(), record.ordinal());
        match self.cycle.mode {
            Mode::Full => self.cycle.compared.insert(id, ordinal),
            Mode::Incremental => self.equal.push((id, ordinal)),
        }
    }
}

impl Cycle {
    /// Whether a flat record equals a base record to the last nested one.
    pub(super) fn equals_base(
        &mut self,
        record: &Record<'_>,
        flat: &[u8],
        position: u64,
    ) -> StateResult<bool> {
        let mut here = Here {
            cycle: self,
            position,
            equal: Vec::new(),
        };
        let equals = equals_record(record, flat, 0, &mut here)?;
        for (id, ordinal) in here.equal {
            self.name_as_is(id, ordinal, position)?;
        }
        Ok(equals)
    }
}

/// Whether a flat record equals a stored one to the last nested one.
pub(super) fn equals_record(
    record: &Record<'_>,
    flat: &[u8],
    depth: usize,
    around: &mut dyn Surroundings,
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
                if !equals_field(record, column, field.ty, value, depth, around)? {
                    return Ok(false);
                }
            }
            let filled = (0..object.fields.len())
                .filter(|column| !record.is_null(*column))
                .count();
            let equal = filled == usize::from(present);
            if equal && depth > 0 && object.primary_key.is_some() {
                around.found_equal(record);
            }
            Ok(equal)
        }
        TypeKind::List { element } => {
            let elements = record.elements(0);
            if reader.collection().map_err(fail)? as usize != elements.len() {
                return Ok(false);
            }
            for ordinal in elements {
                let inner = reader.nested().map_err(fail)?;
                let equal = match record.state().row(*element, ordinal) {
                    Some(child) => equals_record(&child, inner, depth + 1, around)?,
                    None => false,
                };
                if !equal {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        TypeKind::Set { .. } | TypeKind::Map { .. } => {
            Ok(around.find_set(id, flat, depth)? == Some(record.ordinal()))
        }
    }
}

fn equals_field(
    record: &Record<'_>,
    column: usize,
    ty: FieldType,
    value: FlatValue<'_>,
    depth: usize,
    around: &mut dyn Surroundings,
) -> StateResult<bool> {
    if record.is_null(column) {
        return Ok(false);
    }
    match (value, ty) {
        (FlatValue::Fixed(word), _) => Ok(record.word(column) == word),
        (FlatValue::Var(bytes), _) => Ok(record.var(column) == bytes),
        (FlatValue::Nested(inner), FieldType::Reference(to)) => match record.follow(column, to) {
            Some(child) => equals_record(&child, inner, depth + 1, around),
            None => Ok(false),
        },
        (FlatValue::Nested(_), _) => Ok(false),
    }
}
