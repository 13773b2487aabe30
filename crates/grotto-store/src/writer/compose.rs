//! What goes into a log entry.
//!
//! Owns: composing commits and fences from the head and the caller's fields. Never: IO.

use std::collections::BTreeMap;

use grotto_format::log::{
    BlobRef, EntryBlobs, EntryKind, FORMAT, LogEntry, MAX_TRANSITIONS, SnapshotRef, Transition,
};

use super::position::Position;
use crate::error::{Error, Result};

/// What the caller knows about the version it commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitFields {
    /// The uploaded blobs. Without a delta, consumers reach this version by `snapshot` only.
    pub blobs: EntryBlobs,
    /// An uploaded snapshot of this very version, which its entry is to name. A version without a
    /// delta needs one: nobody could reach it otherwise.
    pub snapshot: Option<BlobRef>,
    /// Checksum of the state.
    pub state_checksum: u64,
    /// Records per type.
    pub counts: BTreeMap<String, u64>,
    /// Hash of the schema.
    pub schema_hash: u64,
    /// Position reached in every source.
    pub sources: BTreeMap<String, u64>,
    /// The user's notes on this version.
    pub tags: BTreeMap<String, String>,
}

/// Who creates an entry, and which attempt it is.
#[derive(Clone, Debug)]
pub(super) struct Author {
    pub(super) dataset: String,
    pub(super) writer: String,
    pub(super) epoch: u64,
    pub(super) nonce: String,
    pub(super) time_ms: u64,
}

/// The fence that begins `author`'s epoch: the state stays what it was under the head.
pub(super) fn fence(author: Author, position: &Position) -> LogEntry {
    let mut entry = blank(author, position, EntryKind::Fence);
    if let Some(head) = &position.head {
        entry.state_version = head.state_version;
        entry.commits = head.commits;
        entry.transitions.clone_from(&head.transitions);
        entry.snapshot.clone_from(&head.snapshot);
        entry.state_checksum = head.state_checksum;
        entry.counts.clone_from(&head.counts);
        entry.schema_hash = head.schema_hash;
        // Also carried: ingestion resumes from the newest entry, whatever its kind.
        entry.sources.clone_from(&head.sources);
    }
    entry
}

/// The commit that follows the head, the first of all if there is none.
pub(super) fn commit(
    author: Author,
    position: &Position,
    fields: &CommitFields,
) -> Result<LogEntry> {
    let mut entry = blank(author, position, EntryKind::Commit);
    check_names(&entry, fields)?;
    if position.is_past_damage() && (fields.blobs.delta.is_some() || fields.snapshot.is_none()) {
        return Err(Error::invalid(format!(
            "version {} is damaged: expected a new start with a snapshot and no delta",
            position.newest
        )));
    }
    let head = position.head.as_ref();
    entry.state_version = entry.version;
    entry.commits = head.map_or(0, |head| head.commits) + 1;
    entry.transitions = transitions(&entry, head, &fields.blobs);
    entry.blobs = fields.blobs.clone();
    let own = fields.snapshot.clone().map(|blob| SnapshotRef {
        version: entry.version,
        blob,
    });
    entry.snapshot = own.or_else(|| position.snapshot.clone());
    entry.state_checksum = fields.state_checksum;
    entry.counts.clone_from(&fields.counts);
    entry.schema_hash = fields.schema_hash;
    entry.sources.clone_from(&fields.sources);
    entry.tags.clone_from(&fields.tags);
    Ok(entry)
}

fn blank(author: Author, position: &Position, kind: EntryKind) -> LogEntry {
    let (head, parent) = (position.head.as_ref(), position.newest);
    LogEntry {
        format: FORMAT,
        dataset: author.dataset,
        // The first attempt's nonce becomes the identity: nobody else has it.
        dataset_id: head.map_or_else(|| author.nonce.clone(), |head| head.dataset_id.clone()),
        version: parent + 1,
        kind,
        epoch: author.epoch,
        nonce: author.nonce,
        writer: author.writer,
        time_ms: author.time_ms,
        parent,
        state_version: 0,
        commits: 0,
        blobs: EntryBlobs::default(),
        snapshot: None,
        transitions: Vec::new(),
        state_checksum: 0,
        counts: BTreeMap::new(),
        schema_hash: 0,
        sources: BTreeMap::new(),
        tags: BTreeMap::new(),
        signature: None,
    }
}

/// The parent's steps and this one. A commit without delta breaks the chain: what lies before is
/// of no use to anyone who wants to get here.
fn transitions(entry: &LogEntry, head: Option<&LogEntry>, blobs: &EntryBlobs) -> Vec<Transition> {
    let Some(delta) = blobs.delta.clone() else {
        return Vec::new();
    };
    let keep = MAX_TRANSITIONS - 1;
    let before = head.map_or(&[][..], |head| &head.transitions);
    let surplus = before.len().saturating_sub(keep);
    let mut transitions: Vec<Transition> = before.iter().skip(surplus).cloned().collect();
    transitions.push(Transition {
        since: head.map_or(0, |head| head.state_version),
        from: entry.parent,
        version: entry.version,
        delta,
        reverse: blobs.reverse.clone(),
    });
    transitions
}

/// Blobs belong to the version and the reign they were uploaded for.
fn check_names(entry: &LogEntry, fields: &CommitFields) -> Result<()> {
    let part = format!("/{:020}-{}-", entry.version, entry.epoch);
    let steps = fields.blobs.delta.iter().chain(&fields.blobs.reverse);
    for blob in steps.chain(&fields.snapshot) {
        if !blob.name.contains(&part) {
            return Err(Error::invalid(format!(
                "blob {} was not uploaded for version {} of epoch {}",
                blob.name, entry.version, entry.epoch
            )));
        }
    }
    Ok(())
}
