//! What the tests of the log share: entries, and a log on a disk that forgets.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use grotto_env::ForgetfulFiles;
use grotto_format::Schema;

use crate::Result;
use crate::wal::{ReadEntry, Recovery, Wal, WalChange, WalEntry, WalOptions};

pub(super) const FOLDER: &str = "/log";
pub(in crate::wal) const NONCE: &str = "0123456789abcdef0123456789abcdef";

pub(in crate::wal) fn schema() -> Schema {
    Schema::parse("City @PrimaryKey(id) { long id; string name; }").unwrap()
}

/// Segments of a few entries.
pub(super) fn small() -> WalOptions {
    WalOptions {
        segment_bytes: 1000,
        max_bytes: 1 << 20,
        ..WalOptions::default()
    }
}

pub(super) fn entry(key: Option<&str>, fill: u8, length: usize) -> Arc<WalEntry> {
    Arc::new(WalEntry {
        key: key.map(str::to_owned),
        atomic: false,
        source: "test".to_owned(),
        positions: BTreeMap::from([("file".to_owned(), u64::from(fill))]),
        time_ms: 7,
        changes: vec![WalChange::Upsert {
            type_id: 0,
            position: 1,
            flat: vec![fill; length],
        }],
    })
}

/// An entry that is told from all others by its number of creation.
pub(super) fn serial(number: u64, length: usize) -> Arc<WalEntry> {
    let mut flat = number.to_le_bytes().to_vec();
    flat.resize(length.max(8), 0xa5);
    let entry = entry(Some(&format!("key {number}")), 0, 0);
    Arc::new(WalEntry {
        changes: vec![WalChange::Upsert {
            type_id: 0,
            position: number,
            flat,
        }],
        ..WalEntry::clone(&entry)
    })
}

pub(super) fn open(files: &ForgetfulFiles, options: WalOptions) -> Result<(Wal, Recovery)> {
    open_as(files, options, &schema())
}

pub(super) fn open_as(
    files: &ForgetfulFiles,
    options: WalOptions,
    schema: &Schema,
) -> Result<(Wal, Recovery)> {
    let files = Arc::new(files.clone());
    Wal::open(files, Path::new(FOLDER), schema, options, || {
        NONCE.to_owned()
    })
}

pub(super) fn all(wal: &Wal) -> Vec<ReadEntry> {
    wal.read(0, usize::MAX).unwrap()
}

pub(super) fn numbers(wal: &Wal) -> Vec<u64> {
    all(wal).iter().map(|read| read.number).collect()
}

/// Names of the segments, oldest first.
pub(super) fn segments(files: &ForgetfulFiles) -> Vec<String> {
    use grotto_env::AppendFiles as _;
    let names = files.list(Path::new(FOLDER)).unwrap();
    names.into_iter().filter(|name| name != "LOCK").collect()
}
