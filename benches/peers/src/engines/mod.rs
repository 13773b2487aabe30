//! Engines that run in this process, over the workload `flat`.
//!
//! Owns: what an engine must do to be compared. Never: timing.

mod grotto;
mod lmdb;
mod maps;
mod redb;

use anyhow::Result;
use grotto_bench::workload::Model;
use grotto_bench::workload::flat::{Flat, Product};
use std::path::Path;

/// What is read of each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// One number.
    Number,
    /// The first and the last byte of a string.
    Text,
    /// One number, with many keys in one call.
    Many,
    /// The ends of a string, with many keys in one call.
    ManyText,
    /// Nothing: there are no such records.
    Miss,
    /// One number of every record.
    Scan,
}

impl Read {
    /// Name of the metric.
    pub(crate) fn metric(self) -> &'static str {
        match self {
            Self::Number => "get",
            Self::Text => "get_string",
            Self::Many => "get_many",
            Self::ManyText => "get_many_string",
            Self::Miss => "miss",
            Self::Scan => "scan",
        }
    }
}

/// A filled engine.
pub(crate) trait Engine {
    /// The sum over everything read; `None` for what the engine has no call for.
    fn read(&self, read: Read, keys: &[i64]) -> Result<Option<i64>>;
}

/// Fills an engine with the records of a model; files go to a folder.
type Build = fn(&Model<Flat>, &Path) -> Result<Box<dyn Engine>>;

/// Grotto in this process, in turns with the others; what its own program measures is `grotto`.
pub(crate) const OURS: &str = "grotto_in_turn";

/// All engines by name.
pub(crate) const ALL: &[(&str, Build)] = &[
    (OURS, grotto::build),
    ("hashmap", maps::std),
    ("hashmap_numbers", maps::std_numbers),
    ("hashbrown", maps::hashbrown),
    ("lmdb", lmdb::build),
    ("redb", redb::build),
];

/// The sum of the first and the last byte.
#[inline]
pub(crate) fn ends(text: &[u8]) -> i64 {
    match (text.first(), text.last()) {
        (Some(first), Some(last)) => i64::from(*first) + i64::from(*last),
        _ => 0,
    }
}

/// Where the title starts in [`encode`]d records.
const TITLE: usize = 29;

/// A record as bytes that can be read in place: what one would write by hand for a store of bytes.
pub(crate) fn encode(product: &Product) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(TITLE + product.title.len());
    bytes.extend_from_slice(&product.cents.to_le_bytes());
    bytes.extend_from_slice(&product.stock.to_le_bytes());
    bytes.extend_from_slice(&product.category.to_le_bytes());
    bytes.extend_from_slice(&product.rating.to_le_bytes());
    bytes.extend_from_slice(&product.updated_at.to_le_bytes());
    bytes.extend_from_slice(&[u8::from(product.active), 0, 0, 0, 0]);
    bytes.extend_from_slice(product.title.as_bytes());
    bytes
}

/// What a read takes from an encoded record.
#[inline]
pub(crate) fn part_of(read: Read, bytes: &[u8]) -> i64 {
    match read {
        Read::Text => ends(bytes.get(TITLE..).unwrap_or_default()),
        Read::Miss => 1,
        _ => bytes
            .first_chunk()
            .map_or(0, |word| i64::from(i32::from_le_bytes(*word))),
    }
}

/// Records in the order of their keys, which is how stores of sorted pages are best filled.
pub(crate) fn sorted(model: &Model<Flat>) -> Vec<&Product> {
    let mut records: Vec<&Product> = model.records().iter().collect();
    records.sort_unstable_by_key(|product| product.id);
    records
}
