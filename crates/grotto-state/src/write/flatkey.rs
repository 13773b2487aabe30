//! Keys of flat records, before they have an ordinal.
//!
//! Owns: finding key parts in flat bytes, and keys as bytes by themselves.

use crate::error::{StateError, StateResult};
use crate::key::{KeyInfo, KeyPart, KeyParts};
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

impl KeyParts for FlatKey<'_> {
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

/// A key as bytes: equal exactly when the keys are.
pub(super) fn key_bytes<K: KeyParts + ?Sized>(key: &K) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16);
    for position in 0..key.arity() {
        match key.part(position) {
            KeyPart::Fixed(word) => {
                bytes.push(0);
                bytes.extend_from_slice(&word.to_le_bytes());
            }
            KeyPart::Var(value) => {
                bytes.push(1);
                bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
                bytes.extend_from_slice(value);
            }
        }
    }
    bytes
}

/// The parts that [`key_bytes`] wrote.
pub(super) fn key_parts(mut bytes: &[u8]) -> Vec<KeyPart<'_>> {
    let mut parts = Vec::new();
    while let Some((tag, rest)) = bytes.split_first() {
        let Some((word, rest)) = rest.split_first_chunk::<8>() else {
            break;
        };
        let word = u64::from_le_bytes(*word);
        if *tag == 0 {
            parts.push(KeyPart::Fixed(word));
            bytes = rest;
        } else {
            let (value, rest) = rest.split_at((word as usize).min(rest.len()));
            parts.push(KeyPart::Var(value));
            bytes = rest;
        }
    }
    parts
}
