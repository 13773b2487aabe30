//! Content hashes and key hashes of staged rows, a column at a time.
//!
//! Owns: that they are what [`crate::Record::content_hash`] and [`crate::key::hash_record`] give for
//! the stored record. Never reads a record.

use crate::key::{KeyInfo, KeyPart};
use crate::known::TypeInfo;
use grotto_format::batch::{Batch, Column, ColumnData, Value};
use grotto_format::checksum;
use std::ops::Range;

/// Content hashes of some rows of a batch.
pub(super) fn contents(info: &TypeInfo, batch: &Batch, rows: Range<usize>) -> Vec<u64> {
    let mut sums = vec![0_u64; rows.len()];
    for (column, seed) in batch.columns.iter().zip(&info.seeds) {
        add(&mut sums, *seed, column, rows.clone());
    }
    let rest = info.rest().and_then(|rest| batch.columns.get(rest));
    if let Some(ColumnData::Fixed(words)) = rest.map(|rest| &rest.data) {
        let words = words.get(rows).unwrap_or_default();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums
}

/// Adds the hashes of some values of a column.
pub(super) fn add(sums: &mut [u64], seed: u64, column: &Column, rows: Range<usize>) {
    if let (ColumnData::Fixed(words), true) = (&column.data, column.nulls.is_empty()) {
        let words = words.get(rows).unwrap_or_default();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(checksum::fixed(seed, *word));
        }
        return;
    }
    for (sum, row) in sums.iter_mut().zip(rows) {
        *sum = sum.wrapping_add(match column.value(row) {
            Value::Null => 0,
            Value::Fixed(word) => checksum::fixed(seed, word),
            Value::Var(bytes) => checksum::var(seed, bytes),
            Value::Elements(ordinals) => checksum::elements(seed, ordinals.iter().copied()),
        });
    }
}

/// Key hashes of all rows of a batch; `None` when part of the key is in another record or null.
pub(super) fn keys(info: &KeyInfo, batch: &Batch) -> Option<Vec<u64>> {
    let secret = &info.secret;
    let mut hashes = vec![secret.start(); batch.rows];
    for path in &info.paths {
        let [column] = path.steps.as_slice() else {
            return None;
        };
        let column = batch.columns.get(usize::from(*column))?;
        for (row, hash) in hashes.iter_mut().enumerate() {
            let part = match column.value(row) {
                Value::Fixed(word) => KeyPart::Fixed(word),
                Value::Var(bytes) => KeyPart::Var(bytes),
                Value::Null | Value::Elements(_) => return None,
            };
            *hash = secret.mix(*hash, part);
        }
    }
    hashes
        .iter_mut()
        .for_each(|hash| *hash = secret.finish(*hash));
    Some(hashes)
}
