//! What a log entry must be.
//!
//! Owns: what follows which entry, and what it says of its version. Never: knows the history.

use std::collections::BTreeMap;

use bytes::Bytes;
use grotto_format::log::LogEntry;

use super::ledger::Content;
use super::limits::counts;

/// What an entry must be after the one before it.
pub(super) fn follows(before: &LogEntry, entry: &LogEntry, blind: bool) -> Result<(), String> {
    let version = entry.version;
    let same = before.writer == entry.writer;
    let rises = entry.epoch > before.epoch || (same && entry.epoch == before.epoch);
    if !rises {
        return Err(format!(
            "version {version} is of epoch {} of {}, after epoch {} of {}",
            entry.epoch, entry.writer, before.epoch, before.writer
        ));
    }
    if before.dataset_id != entry.dataset_id && !blind {
        return Err(format!("version {version} is of another dataset"));
    }
    Ok(())
}

/// What an entry says of how many records its version has, which guards go by.
pub(super) fn counted(entry: &LogEntry, content: &Content) -> Result<(), String> {
    let found = entry.types.iter().filter(|(_, ty)| ty.records > 0);
    let found: BTreeMap<&str, u64> = found.map(|(name, ty)| (&**name, ty.records)).collect();
    let expected = counts(content, |_| true);
    if found == expected {
        return Ok(());
    }
    let version = entry.version;
    Err(format!(
        "version {version} says that it has {found:?}, the model has {expected:?}"
    ))
}

pub(super) fn decode(bytes: &Bytes) -> Result<LogEntry, String> {
    LogEntry::decode(bytes).map_err(|error| format!("a log entry does not decode: {error}"))
}
