//! Reading columns.
//!
//! Owns: their decoding, into memory that is used again from chunk to chunk: a load decodes a
//! column for every 65,536 records. Never trusts a byte.
//! Spec: `docs/format/spec.md`, section "Columns".

use super::{Column, ColumnData, ColumnKind};
use crate::limits::Limits;
use crate::wire::{Packed, Reader, WireError};

impl Column {
    /// Decodes a column of `rows` records.
    ///
    /// # Errors
    /// With offset and expectation when the bytes are not such a column. Text is validated here, so
    /// that it need never be refused later.
    pub fn decode(kind: ColumnKind, rows: usize, bytes: &[u8]) -> Result<Self, WireError> {
        let mut column = Self::new(kind);
        column.refill(kind, rows, bytes, &Limits::FORMAT)?;
        Ok(column)
    }

    /// Bytes of memory that decoding a column takes, before any is taken: equal values take no byte of
    /// the column, so its length says little.
    ///
    /// # Errors
    /// When its lengths cannot be read or pass a limit.
    pub fn claim(
        kind: ColumnKind,
        rows: usize,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<u64, WireError> {
        let words = rows as u64 * 8;
        Ok(match kind {
            ColumnKind::Fixed(_) => words,
            ColumnKind::Var(_) => words + bytes.len() as u64,
            ColumnKind::Elements(_) => {
                let mut reader = Reader::new(bytes);
                if reader.u8("null flag")? == 1 {
                    reader.take(rows.div_ceil(8), "null bits")?;
                }
                let at = reader.at();
                let lengths = Packed::read(&mut reader, rows)?;
                let total = lengths.fold(0, u64::saturating_add);
                if total > limits.elements as u64 {
                    let expected = "lengths within the limit of a chunk";
                    return Err(WireError { at, expected });
                }
                words + total * 4
            }
        })
    }

    /// Bytes of memory that the column holds, also those that it only has room for.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let values = match &self.data {
            ColumnData::Fixed(words) => words.capacity() * 8,
            ColumnData::Var { ends, bytes } => ends.capacity() * 8 + bytes.capacity(),
            ColumnData::Elements { ends, ordinals } => {
                ends.capacity() * 8 + ordinals.capacity() * 4
            }
        };
        (self.nulls.capacity() * 8 + values) as u64
    }

    /// Decodes a column in the place of this one, which means nothing after an error.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn refill(
        &mut self,
        kind: ColumnKind,
        rows: usize,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<(), WireError> {
        let mut reader = Reader::new(bytes);
        if rows > limits.chunk_rows {
            return reader.fail("a chunk within the limit of records");
        }
        let nulls = &mut self.nulls;
        read_nulls(&mut reader, rows, nulls)?;
        match (&mut self.data, kind) {
            (ColumnData::Fixed(words), ColumnKind::Fixed(0)) => {
                words.clear();
                Packed::read(&mut reader, rows)?.append_to(words);
                for (row, word) in words.iter_mut().enumerate().filter(|_| !nulls.is_empty()) {
                    if nulls[row / 64] >> (row % 64) & 1 == 1 {
                        *word = 0;
                    }
                }
            }
            (ColumnData::Fixed(words), ColumnKind::Fixed(width)) => {
                read_planes(&mut reader, rows, width, words)?;
            }
            (
                ColumnData::Var {
                    ends,
                    bytes: values,
                },
                ColumnKind::Var(text),
            ) => {
                let total = read_lengths(&mut reader, rows, 1, bytes.len(), ends)?;
                let at = reader.at();
                values.clear();
                values.extend_from_slice(reader.take(total, "bytes of all values")?);
                if text && !text_is_valid(values, ends) {
                    let expected = "text in UTF-8";
                    return Err(WireError { at, expected });
                }
            }
            (ColumnData::Elements { ends, ordinals }, ColumnKind::Elements(per)) => {
                let per = usize::from(per);
                let total = read_lengths(&mut reader, rows, per, limits.elements, ends)?;
                read_elements(&mut reader, total, ordinals)?;
            }
            _ => {
                *self = Self::new(kind);
                return self.refill(kind, rows, bytes, limits);
            }
        }
        reader.end("end of the column")
    }
}

/// Reads the lengths of the values; gives their sum, which is at most `max`.
fn read_lengths(
    reader: &mut Reader<'_>,
    rows: usize,
    per: usize,
    max: usize,
    ends: &mut Vec<usize>,
) -> Result<usize, WireError> {
    let at = reader.at();
    let mut total = 0_usize;
    ends.clear();
    ends.reserve(rows);
    for length in Packed::read(reader, rows)? {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        total = total.saturating_add(length);
        if total > max || length % per != 0 {
            return Err(WireError {
                at,
                expected: "lengths within the limit of a chunk",
            });
        }
        ends.push(total);
    }
    Ok(total)
}

fn read_elements(
    reader: &mut Reader<'_>,
    count: usize,
    ordinals: &mut Vec<u32>,
) -> Result<(), WireError> {
    let at = reader.at();
    ordinals.clear();
    ordinals.reserve(count);
    for word in Packed::read(reader, count)? {
        let ordinal = u32::try_from(word).map_err(|_| WireError {
            at,
            expected: "ordinals of 32 bits",
        })?;
        ordinals.push(ordinal);
    }
    Ok(())
}

fn read_nulls(reader: &mut Reader<'_>, rows: usize, nulls: &mut Vec<u64>) -> Result<(), WireError> {
    nulls.clear();
    match reader.u8("null flag")? {
        0 => Ok(()),
        1 => {
            let bytes = reader.take(rows.div_ceil(8), "null bits")?;
            nulls.resize(rows.div_ceil(64), 0);
            for (i, byte) in bytes.iter().enumerate() {
                nulls[i / 8] |= u64::from(*byte) << (8 * (i % 8));
            }
            Ok(())
        }
        _ => reader.fail("null flag of 0 or 1"),
    }
}

fn read_planes(
    reader: &mut Reader<'_>,
    rows: usize,
    width: u8,
    words: &mut Vec<u64>,
) -> Result<(), WireError> {
    let planes = reader.take(rows * usize::from(width), "byte planes")?;
    words.clear();
    words.resize(rows, 0);
    if rows > 0 {
        for (i, plane) in planes.chunks_exact(rows).enumerate() {
            for (word, byte) in words.iter_mut().zip(plane) {
                *word |= u64::from(*byte) << (8 * i);
            }
        }
    }
    Ok(())
}

/// Whether every single value is UTF-8: the whole is, and no value starts within a character.
fn text_is_valid(bytes: &[u8], ends: &[usize]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(text) => ends.iter().all(|end| text.is_char_boundary(*end)),
        Err(_) => false,
    }
}
