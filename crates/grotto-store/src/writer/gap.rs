//! Slots that look free and are a gap of the log.
//!
//! Owns: telling whether the log goes on behind a slot that was won, without what is in it. Never: removes an
//! entry: what follows may rest on it after all.
//!
//! The entry of a version may be lost while later ones stay. A writer that slept through them finds its slot free and
//! wins it, and what it commits there is in no version that comes after.

use grotto_format::log::{EntryKind, LogEntry};

use super::Writer;
use crate::error::{ErrorKind, Result};

impl Writer {
    /// Ends this writer if the slot that it won is a gap.
    pub(super) async fn check_gap(&self, own: &LogEntry) -> Result<()> {
        let Some(slot) = own.version.checked_add(1) else {
            return Ok(());
        };
        let next = match self.dataset.read_entry(slot).await {
            // What it follows cannot be told any more.
            Err(error) if error.kind() == ErrorKind::Corrupt => None,
            other => other?,
        };
        let Some(next) = next.filter(|next| !follows(next, own)) else {
            return Ok(());
        };
        Err(self.end(format!(
            "version {} was lost from the log, which goes on with version {slot} by writer {:?} of epoch {}: what this writer made of version {} is not in it",
            own.version, next.writer, next.epoch, own.version
        )))
    }
}

/// Whether `next` was made by whoever found `own` in the log. That is another writer, in a later reign: this one is
/// still at `own`.
fn follows(next: &LogEntry, own: &LogEntry) -> bool {
    if next.epoch <= own.epoch || next.dataset_id != own.dataset_id {
        return false;
    }
    match (next.kind, next.links.0.split_last()) {
        (EntryKind::Fence | EntryKind::Positions, _) => {
            (next.state_version, next.state_checksum) == (own.state_version, own.state_checksum)
                && next.links == own.links
                && keeps_start(next, own)
        }
        (EntryKind::Commit, Some((step, before))) => {
            step.since == own.state_version
                && before.is_empty() == own.links.0.is_empty()
                && own.links.0.ends_with(before)
                && keeps_start(next, own)
        }
        // A new start rests on nothing.
        (EntryKind::Commit, None) => true,
    }
}

/// A new start has no links: what goes on from it is told by the snapshot that it names.
fn keeps_start(next: &LogEntry, own: &LogEntry) -> bool {
    let start = own.snapshot.as_ref();
    let start = start.filter(|named| named.version == own.version);
    start.is_none_or(|start| {
        let named = next.snapshot.as_ref();
        named.is_some_and(|named| named == start || named.version > own.version)
    })
}
