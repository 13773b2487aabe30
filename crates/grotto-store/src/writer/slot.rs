//! Creating one slot of the log, and finding out who did.
//!
//! Owns: the loop of create and read back. Never: decides what losing means.

use bytes::Bytes;
use grotto_format::log::LogEntry;
use object_store::path::Path;

use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::object::Created;

/// Whose the slot is.
#[derive(Debug)]
pub(super) enum Slot {
    /// Ours.
    Won,
    /// The entry of another attempt is there.
    Lost(Box<LogEntry>),
}

/// Creates `entry` in its slot. An error means that the outcome is unknown: the entry may be in
/// the log, or may still get there.
pub(super) async fn create(
    dataset: &Dataset,
    entry: &LogEntry,
    bytes: &Bytes,
    unfenced: bool,
) -> Result<Slot> {
    let path = dataset.layout.log_entry(entry.version);
    let attempt = || attempt(dataset, &path, entry, bytes, unfenced);
    dataset.store.writing(attempt).await
}

async fn attempt(
    dataset: &Dataset,
    path: &Path,
    entry: &LogEntry,
    bytes: &Bytes,
    unfenced: bool,
) -> Result<Slot> {
    if unfenced {
        return attempt_unfenced(dataset, path, entry, bytes).await;
    }
    let failure = match dataset.store.create(path, bytes.clone()).await {
        Ok(Created::New) => return Ok(Slot::Won),
        // A question, not an answer: our own first attempt may have landed.
        Ok(Created::Exists) => None,
        // An entry that can be read back may not be on the disk: its folder's sync may have failed.
        // Creating it again asks for that sync again, and answers.
        Err(error) if dataset.store.may_lose_what_it_shows() => return Err(error),
        // Also a question: an error may follow a success.
        Err(error) => Some(error),
    };
    if let Some(owner) = owner(dataset, entry).await? {
        return Ok(owner);
    }
    // Nothing there, so nothing happened, yet. Trying again with the same bytes is harmless even
    // if the lost attempt still lands.
    Err(failure.unwrap_or_else(|| {
        Error::unavailable(format!(
            "{path} exists and does not: the store contradicts itself"
        ))
    }))
}

/// The store does not keep a second writer out; at least notice one that is already there.
async fn attempt_unfenced(
    dataset: &Dataset,
    path: &Path,
    entry: &LogEntry,
    bytes: &Bytes,
) -> Result<Slot> {
    if let Some(owner) = owner(dataset, entry).await? {
        return Ok(owner);
    }
    dataset.store.put(path, bytes.clone()).await?;
    owner(dataset, entry).await?.ok_or_else(|| {
        Error::new(
            ErrorKind::Unavailable,
            format!("{path} was written and cannot be read back"),
        )
    })
}

/// Reads the slot back: our entry, we won; another, we lost; `None`, nobody is there. All of the entry
/// counts, as two clones of one machine may draw the same nonce.
async fn owner(dataset: &Dataset, entry: &LogEntry) -> Result<Option<Slot>> {
    let found = dataset.read_entry(entry.version).await?;
    Ok(found.map(|found| {
        if found == *entry {
            Slot::Won
        } else {
            Slot::Lost(Box::new(found))
        }
    }))
}
