//! Keys of flat records, before they have an ordinal.
//!
//! Owns: finding key parts in flat bytes. Never allocates for a key of one part.

use crate::error::{StateError, StateResult};
use crate::key::{Key, KeyInfo, KeyPart};
use grotto_format::checksum::KEY_SEED;
use grotto_format::flat::{FlatError, FlatReader, FlatValue};
use grotto_format::schema::{FieldPath, FieldType, Schema, TypeId};

/// The part of a key at the end of `steps`; `None` when it, or a reference on the way, is null.
pub(crate) fn part<'a>(
    schema: &Schema,
    type_id: TypeId,
    flat: &'a [u8],
    steps: &[u16],
) -> Result<Option<KeyPart<'a>>, FlatError> {
    let Some((step, rest)) = steps.split_first() else {
        return Ok(None);
    };
    let fields = schema.get(type_id).fields();
    let mut reader = FlatReader::new(flat);
    for _ in 0..reader.object()? {
        let position = reader.field()?;
        let Some(field) = fields.get(usize::from(position)) else {
            return Err(FlatError {
                at: 0,
                what: "fields of the type",
            });
        };
        let value = reader.value(field.ty)?;
        if position == *step {
            return match (value, field.ty) {
                (FlatValue::Fixed(word), _) => Ok(Some(KeyPart::Fixed(word))),
                (FlatValue::Var(bytes), _) => Ok(Some(KeyPart::Var(bytes))),
                (FlatValue::Nested(inner), FieldType::Reference(to)) => {
                    part(schema, to, inner, rest)
                }
                (FlatValue::Nested(_), _) => Ok(None),
            };
        }
    }
    Ok(None)
}

/// Parts of the primary key of a flat record, as something to look up by.
pub(crate) struct FlatKey<'a> {
    parts: Vec<KeyPart<'a>>,
}

impl Key for FlatKey<'_> {
    fn arity(&self) -> usize {
        self.parts.len()
    }
    fn part(&self, position: usize) -> KeyPart<'_> {
        self.parts[position]
    }
}

impl<'a> FlatKey<'a> {
    /// Reads the key.
    ///
    /// # Errors
    /// When a part is null; `position` says where the record came from.
    pub(crate) fn read(
        schema: &Schema,
        type_id: TypeId,
        info: &KeyInfo,
        flat: &'a [u8],
        position: &dyn Fn() -> String,
    ) -> StateResult<Self> {
        let mut parts = Vec::with_capacity(info.paths.len());
        for path in &info.paths {
            let found = part(schema, type_id, flat, &path.steps)
                .map_err(|e| flat_error(schema, type_id, e))?;
            parts.push(found.ok_or_else(|| StateError::NullKey {
                type_name: schema.get(type_id).name.clone(),
                path: path.text.clone(),
                position: position(),
            })?);
        }
        Ok(Self { parts })
    }

    /// A key that is known already.
    pub(crate) fn of(parts: Vec<KeyPart<'a>>) -> Self {
        Self { parts }
    }

    pub(crate) fn parts(&self) -> &[KeyPart<'a>] {
        &self.parts
    }
}

/// Hash by which an element is ordered within a set, or an entry within a map: over the declared
/// hash key; nulls are skipped. Zero without a hash key, which leaves the order to the ordinal.
pub(crate) fn element_hash(
    schema: &Schema,
    type_id: TypeId,
    flat: &[u8],
    key: &[FieldPath],
) -> Result<u64, FlatError> {
    if key.is_empty() {
        return Ok(0);
    }
    let mut hash = KEY_SEED;
    for path in key {
        hash = match part(schema, type_id, flat, &path.steps)? {
            Some(part) => part.mix_order(hash),
            None => hash,
        };
    }
    Ok(hash)
}

pub(crate) fn flat_error(schema: &Schema, type_id: TypeId, source: FlatError) -> StateError {
    StateError::Flat {
        type_name: schema.get(type_id).name.clone(),
        source,
    }
}
