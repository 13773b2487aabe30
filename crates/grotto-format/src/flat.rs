//! The record codec: one whole record, nested records included, as one run of bytes.
//!
//! Owns: the flat form that travels between decoding (JSON, Rust structs) and the write state. It
//! means something only together with its schema. Never knows ordinals: nested records are inline.
//! Spec: `docs/format/spec.md`, section "Flat records".
//!
//! ```text
//! object    u16 number of fields present, then per field: u16 position, value (absent = null)
//! list, set u32 count, then per element: u32 length, record
//! map       u32 count, then per entry: u32 length, key record, u32 length, value record
//! value     int 4 · long 8 · float 4 · double 8 · boolean 1 bytes; text and bytes: u32 length, bytes;
//!           reference: u32 length, record                      (all little endian)
//! ```

#[cfg(test)]
mod tests;

use crate::schema::{FieldType, Schema, TypeId, TypeKind};

/// Deepest nesting of records that is accepted, anywhere.
pub const MAX_DEPTH: usize = 64;

/// Why flat bytes are not a record of the type.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("flat record is damaged at byte {at}: {what}")]
pub struct FlatError {
    /// Offset from the start of the record.
    pub at: usize,
    /// What was expected there.
    pub what: &'static str,
}

/// A whole record in flat form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlatRecord {
    /// Its type.
    pub type_id: TypeId,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Writes flat records. Calls must follow the schema; the reader checks.
#[derive(Debug, Default)]
pub struct FlatBuilder {
    bytes: Vec<u8>,
}

/// A place whose length or count is filled in later.
#[derive(Debug)]
#[must_use]
pub struct Mark(usize);

impl FlatBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets what was written, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Takes the bytes out.
    #[must_use]
    pub fn finish(self, type_id: TypeId) -> FlatRecord {
        FlatRecord {
            type_id,
            bytes: self.bytes,
        }
    }

    /// Starts an object; its fields follow, then [`end_object`](Self::end_object).
    pub fn begin_object(&mut self) -> Mark {
        let mark = Mark(self.bytes.len());
        self.bytes.extend_from_slice(&[0; 2]);
        mark
    }

    /// Ends an object in which `present` fields were written.
    pub fn end_object(&mut self, mark: Mark, present: u16) {
        if let Some(slot) = self.bytes.get_mut(mark.0..mark.0 + 2) {
            slot.copy_from_slice(&present.to_le_bytes());
        }
    }

    /// Announces the field whose value follows.
    pub fn field(&mut self, position: u16) {
        self.bytes.extend_from_slice(&position.to_le_bytes());
    }

    /// Starts a collection; elements (each a [`nested`](Self::begin_nested) record) follow.
    pub fn begin_collection(&mut self) -> Mark {
        let mark = Mark(self.bytes.len());
        self.bytes.extend_from_slice(&[0; 4]);
        mark
    }

    /// Ends a collection of `count` elements or entries.
    pub fn end_collection(&mut self, mark: Mark, count: u32) {
        if let Some(slot) = self.bytes.get_mut(mark.0..mark.0 + 4) {
            slot.copy_from_slice(&count.to_le_bytes());
        }
    }

    /// Starts a nested record: a reference's target, an element, a key or a value.
    pub fn begin_nested(&mut self) -> Mark {
        self.begin_collection()
    }

    /// Ends a nested record.
    pub fn end_nested(&mut self, mark: Mark) {
        let length = self.bytes.len() - mark.0 - 4;
        self.end_collection(mark, u32::try_from(length).unwrap_or(u32::MAX));
    }

    /// An `int` value.
    pub fn int(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A `long` value.
    pub fn long(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A `float` value; its bits survive.
    pub fn float(&mut self, value: f32) {
        self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    /// A `double` value; its bits survive.
    pub fn double(&mut self, value: f64) {
        self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    /// A `boolean` value.
    pub fn boolean(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    /// A `string` or `bytes` value.
    pub fn var(&mut self, value: &[u8]) {
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(value);
    }

    /// Bytes that already are in flat form: a nested record read elsewhere.
    pub fn raw(&mut self, flat: &[u8]) {
        self.bytes.extend_from_slice(flat);
    }

    /// Forgets everything after the first `length` bytes, to undo a half-written record.
    pub fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }
}

/// One value of an object's field.
#[derive(Clone, Copy, Debug)]
pub enum FlatValue<'a> {
    /// int, long, float, double, boolean as a 64-bit word: integers sign-extended, floats as bits.
    Fixed(u64),
    /// Text or bytes.
    Var(&'a [u8]),
    /// A nested record of the field's target type.
    Nested(&'a [u8]),
}

/// Reads flat bytes from front to back, checking every length.
#[derive(Clone, Debug)]
pub struct FlatReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> FlatReader<'a> {
    /// A reader over one record.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], FlatError> {
        let end = self
            .at
            .checked_add(length)
            .filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(FlatError { at: self.at, what })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FlatError> {
        let at = self.at;
        self.take(N, what)?
            .try_into()
            .map_err(|_| FlatError { at, what })
    }

    /// Number of fields present in the object that starts here.
    ///
    /// # Errors
    /// When the bytes end early.
    pub fn object(&mut self) -> Result<u16, FlatError> {
        Ok(u16::from_le_bytes(self.array("number of fields")?))
    }

    /// Position of the next field.
    ///
    /// # Errors
    /// When the bytes end early.
    pub fn field(&mut self) -> Result<u16, FlatError> {
        Ok(u16::from_le_bytes(self.array("field position")?))
    }

    /// Number of elements (or entries) of the collection that starts here.
    ///
    /// # Errors
    /// When the bytes end early or could not hold that many elements.
    pub fn collection(&mut self) -> Result<u32, FlatError> {
        let at = self.at;
        let count = u32::from_le_bytes(self.array("number of elements")?);
        if count as usize > (self.bytes.len() - self.at) / 4 {
            return Err(FlatError {
                at,
                what: "number of elements that fits the record",
            });
        }
        Ok(count)
    }

    /// The next nested record.
    ///
    /// # Errors
    /// When the bytes end early.
    pub fn nested(&mut self) -> Result<&'a [u8], FlatError> {
        let length = u32::from_le_bytes(self.array("length of a nested record")?);
        self.take(length as usize, "nested record")
    }

    /// The next value of a field of type `ty`.
    ///
    /// # Errors
    /// When the bytes end early, a boolean is neither 0 nor 1, or text is not UTF-8.
    #[inline]
    pub fn value(&mut self, ty: FieldType) -> Result<FlatValue<'a>, FlatError> {
        let at = self.at;
        Ok(match ty {
            FieldType::Int => {
                FlatValue::Fixed(i64::from(i32::from_le_bytes(self.array("int")?)) as u64)
            }
            FieldType::Long | FieldType::Double => {
                FlatValue::Fixed(u64::from_le_bytes(self.array("long or double")?))
            }
            FieldType::Float => {
                FlatValue::Fixed(u64::from(u32::from_le_bytes(self.array("float")?)))
            }
            FieldType::Boolean => match self.array::<1>("boolean")? {
                [bit @ (0 | 1)] => FlatValue::Fixed(u64::from(bit)),
                _ => {
                    return Err(FlatError {
                        at,
                        what: "boolean of 0 or 1",
                    });
                }
            },
            FieldType::String => {
                let text = self.nested()?;
                if std::str::from_utf8(text).is_err() {
                    return Err(FlatError {
                        at,
                        what: "text in UTF-8",
                    });
                }
                FlatValue::Var(text)
            }
            FieldType::Bytes => FlatValue::Var(self.nested()?),
            FieldType::Reference(_) => FlatValue::Nested(self.nested()?),
        })
    }

    /// Checks that nothing follows the record.
    ///
    /// # Errors
    /// When bytes are left over.
    pub fn end(&self) -> Result<(), FlatError> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(FlatError {
                at: self.at,
                what: "end of the record",
            })
        }
    }
}

/// Checks that `bytes` are exactly one record of the type, to the last nested one.
///
/// # Errors
/// With the position and what was expected there.
pub fn validate(schema: &Schema, type_id: TypeId, bytes: &[u8]) -> Result<(), FlatError> {
    validate_at(schema, type_id, bytes, 0)
}

fn validate_at(
    schema: &Schema,
    type_id: TypeId,
    bytes: &[u8],
    depth: usize,
) -> Result<(), FlatError> {
    if depth > MAX_DEPTH {
        return Err(FlatError {
            at: 0,
            what: "nesting of at most 64 records",
        });
    }
    let mut reader = FlatReader::new(bytes);
    match &schema.get(type_id).kind {
        TypeKind::Object(object) => {
            let mut seen = vec![false; object.fields.len()];
            for _ in 0..reader.object()? {
                let at = reader.at;
                let position = usize::from(reader.field()?);
                match seen.get_mut(position) {
                    Some(seen) if !*seen => *seen = true,
                    _ => {
                        return Err(FlatError {
                            at,
                            what: "each field of the type at most once",
                        });
                    }
                }
                let ty = object.fields[position].ty;
                if let (FlatValue::Nested(inner), FieldType::Reference(to)) =
                    (reader.value(ty)?, ty)
                {
                    validate_at(schema, to, inner, depth + 1)?;
                }
            }
        }
        TypeKind::List { element } | TypeKind::Set { element, .. } => {
            for _ in 0..reader.collection()? {
                validate_at(schema, *element, reader.nested()?, depth + 1)?;
            }
        }
        TypeKind::Map { key, value, .. } => {
            for _ in 0..reader.collection()? {
                validate_at(schema, *key, reader.nested()?, depth + 1)?;
                validate_at(schema, *value, reader.nested()?, depth + 1)?;
            }
        }
    }
    reader.end()
}
