//! Record batches: records of one type as columns.
//!
//! Owns: the columnar form in which records are staged by the write state and stored in blobs, and
//! its encoding. Never knows where records live. Spec: `docs/format/spec.md`, section "Columns".
//!
//! An object type has one column per field, in schema order; a list, set or map type has a single
//! column of elements (a map's elements are keys and values in turn).

mod decode;
mod ordinals;
#[cfg(test)]
mod tests;

pub use crate::limits::{
    MAX_BLOCKS, MAX_CHUNK_BYTES, MAX_CHUNK_CELLS, MAX_CHUNK_ROWS, MAX_ELEMENTS,
};
use crate::schema::{FieldType, TypeKind, TypeSchema};
use crate::wire;
pub use ordinals::{MAX_ORDINAL, decode_ordinals, encode_ordinals};

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColumnKind {
    /// One 64-bit word a record; the payload is the stored width of floats in bytes, 0 for integers.
    Fixed(u8),
    /// Bytes; `true` when they are text.
    Var(bool),
    /// Ordinals of other records, this many for each element (1) or entry (2).
    Elements(u8),
}

/// The columns of a type.
#[must_use]
pub fn columns_of(ty: &TypeSchema) -> Vec<ColumnKind> {
    match &ty.kind {
        TypeKind::Object(object) => object.fields.iter().map(|f| column_of(f.ty)).collect(),
        TypeKind::List { .. } | TypeKind::Set { .. } => vec![ColumnKind::Elements(1)],
        TypeKind::Map { .. } => vec![ColumnKind::Elements(2)],
    }
}

fn column_of(ty: FieldType) -> ColumnKind {
    match ty {
        FieldType::Int | FieldType::Long | FieldType::Boolean | FieldType::Reference(_) => {
            ColumnKind::Fixed(0)
        }
        FieldType::Float => ColumnKind::Fixed(4),
        FieldType::Double => ColumnKind::Fixed(8),
        FieldType::String => ColumnKind::Var(true),
        FieldType::Bytes => ColumnKind::Var(false),
    }
}

/// Records of one type, column by column.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Number of records.
    pub rows: usize,
    /// One per column of the type.
    pub columns: Vec<Column>,
}

/// One column of a batch.
#[derive(Clone, Debug)]
pub struct Column {
    /// One bit per record, set where the value is null; empty when no value is.
    pub nulls: Vec<u64>,
    /// The values; a null has a zero word or no bytes.
    pub data: ColumnData,
}

/// Values of a column.
#[derive(Clone, Debug)]
pub enum ColumnData {
    /// Integers sign-extended, floats as bits, booleans as 0 or 1, references as ordinals.
    Fixed(Vec<u64>),
    /// Bytes of all records in a row, and where each record's end.
    Var {
        /// Ends of the values in `bytes`.
        ends: Vec<usize>,
        /// The values.
        bytes: Vec<u8>,
    },
    /// Ordinals of all records in a row, and where each record's end.
    Elements {
        /// Ends of the values in `ordinals`.
        ends: Vec<usize>,
        /// The values.
        ordinals: Vec<u32>,
    },
}

/// One value of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A word.
    Fixed(u64),
    /// Text or bytes.
    Var(&'a [u8]),
    /// Ordinals.
    Elements(&'a [u32]),
}

impl Batch {
    /// An empty batch for a type.
    #[must_use]
    pub fn new(kinds: &[ColumnKind]) -> Self {
        Self {
            rows: 0,
            columns: kinds.iter().map(|kind| Column::new(*kind)).collect(),
        }
    }
}

impl Column {
    /// An empty column.
    #[must_use]
    pub fn new(kind: ColumnKind) -> Self {
        let data = match kind {
            ColumnKind::Fixed(_) => ColumnData::Fixed(Vec::new()),
            ColumnKind::Var(_) => ColumnData::Var {
                ends: Vec::new(),
                bytes: Vec::new(),
            },
            ColumnKind::Elements(_) => ColumnData::Elements {
                ends: Vec::new(),
                ordinals: Vec::new(),
            },
        };
        Self {
            nulls: Vec::new(),
            data,
        }
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.data {
            ColumnData::Fixed(words) => words.len(),
            ColumnData::Var { ends, .. } | ColumnData::Elements { ends, .. } => ends.len(),
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the value of a row is null.
    #[inline]
    #[must_use]
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls
            .get(row / 64)
            .is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Appends a value. A value that does not fit the kind of the column is stored as null: callers
    /// have checked values against the schema.
    pub fn push(&mut self, value: Value<'_>) {
        let row = self.len();
        let null = match (&mut self.data, value) {
            (ColumnData::Fixed(words), Value::Fixed(word)) => {
                words.push(word);
                false
            }
            (ColumnData::Var { ends, bytes }, Value::Var(value)) => {
                bytes.extend_from_slice(value);
                ends.push(bytes.len());
                false
            }
            (ColumnData::Elements { ends, ordinals }, Value::Elements(value)) => {
                ordinals.extend_from_slice(value);
                ends.push(ordinals.len());
                false
            }
            (ColumnData::Fixed(words), _) => {
                words.push(0);
                true
            }
            (ColumnData::Var { ends, bytes }, _) => {
                ends.push(bytes.len());
                true
            }
            (ColumnData::Elements { ends, ordinals }, _) => {
                ends.push(ordinals.len());
                true
            }
        };
        if null {
            if self.nulls.len() <= row / 64 {
                self.nulls.resize(row / 64 + 1, 0);
            }
            self.nulls[row / 64] |= 1 << (row % 64);
        }
    }

    /// The value of a row; null beyond the end.
    #[inline]
    #[must_use]
    pub fn value(&self, row: usize) -> Value<'_> {
        if self.is_null(row) {
            return Value::Null;
        }
        let span = |ends: &[usize]| {
            let start = if row == 0 { 0 } else { *ends.get(row - 1)? };
            Some(start..*ends.get(row)?)
        };
        match &self.data {
            ColumnData::Fixed(words) => words
                .get(row)
                .map_or(Value::Null, |word| Value::Fixed(*word)),
            ColumnData::Var { ends, bytes } => span(ends)
                .and_then(|s| bytes.get(s))
                .map_or(Value::Null, Value::Var),
            ColumnData::Elements { ends, ordinals } => span(ends)
                .and_then(|s| ordinals.get(s))
                .map_or(Value::Null, Value::Elements),
        }
    }

    /// Encodes the values of `rows`, in that order.
    pub fn encode(&self, kind: ColumnKind, rows: &[u32], out: &mut Vec<u8>) {
        let nulls: Vec<bool> = rows.iter().map(|row| self.is_null(*row as usize)).collect();
        if nulls.contains(&true) {
            out.push(1);
            out.extend(nulls.chunks(8).map(|bits| {
                bits.iter()
                    .enumerate()
                    .fold(0_u8, |byte, (i, null)| byte | u8::from(*null) << i)
            }));
        } else {
            out.push(0);
        }
        match (&self.data, kind) {
            (ColumnData::Fixed(words), ColumnKind::Fixed(0)) => {
                // Nulls take the value of a neighbour so that they do not widen the column.
                let fill = rows
                    .iter()
                    .zip(&nulls)
                    .find(|(_, null)| !**null)
                    .map_or(0, |(r, _)| words[*r as usize]);
                let values = rows
                    .iter()
                    .zip(&nulls)
                    .map(|(r, null)| if *null { fill } else { words[*r as usize] });
                wire::put_packed(out, values);
            }
            (ColumnData::Fixed(words), _) => {
                let width = if kind == ColumnKind::Fixed(4) { 4 } else { 8 };
                for plane in 0..width {
                    out.extend(
                        rows.iter()
                            .map(|r| (words[*r as usize] >> (8 * plane)) as u8),
                    );
                }
            }
            (ColumnData::Var { ends, bytes }, _) => {
                put_lengths(out, ends, rows);
                for row in rows {
                    out.extend_from_slice(&bytes[span_of(ends, *row as usize)]);
                }
            }
            (ColumnData::Elements { ends, ordinals }, _) => {
                put_lengths(out, ends, rows);
                let values = rows
                    .iter()
                    .flat_map(|r| &ordinals[span_of(ends, *r as usize)]);
                wire::put_packed(out, values.map(|o| u64::from(*o)));
            }
        }
    }
}

fn span_of(ends: &[usize], row: usize) -> std::ops::Range<usize> {
    let start = if row == 0 { 0 } else { ends[row - 1] };
    start..ends[row]
}

fn put_lengths(out: &mut Vec<u8>, ends: &[usize], rows: &[u32]) {
    wire::put_packed(
        out,
        rows.iter()
            .map(|row| span_of(ends, *row as usize).len() as u64),
    );
}
