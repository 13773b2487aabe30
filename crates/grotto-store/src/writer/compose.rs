//! What goes into a log entry.
//!
//! Owns: composing commits and fences from the head and the caller's fields. Never: IO.

use std::collections::BTreeMap;

use grotto_format::Schema;
use grotto_format::log::{
    BlobRef, EntryKind, FORMAT, Link, Links, LogEntry, MAX_LINKS, SnapshotRef, TypeSummary,
};

use super::position::Position;
use super::upload::Uploaded;
use crate::error::{Error, Result};

/// What the caller knows about the version it commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitFields {
    /// What [`Writer::upload_step`](super::Writer::upload_step) gave. Without it, consumers reach this
    /// version by `snapshot` only.
    pub blobs: Option<Uploaded>,
    /// An uploaded snapshot of this very version, which its entry is to name. A version without a
    /// delta needs one: nobody could reach it otherwise.
    pub snapshot: Option<BlobRef>,
    /// Checksum of the state.
    pub state_checksum: u64,
    /// Records and checksum per type.
    pub types: BTreeMap<String, TypeSummary>,
    /// Hash of the schema.
    pub schema_hash: u64,
    /// Positions reached in sources. Those that are not named stay where the head has them.
    pub sources: BTreeMap<String, u64>,
    /// The user's notes on this version.
    pub tags: BTreeMap<String, String>,
    /// Only positions and tags move: the state stays, and no other field counts.
    pub positions_only: bool,
}

/// Who creates an entry, and which attempt it is.
#[derive(Clone, Debug)]
pub(super) struct Author {
    pub(super) dataset: String,
    pub(super) writer: String,
    pub(super) epoch: u64,
    pub(super) nonce: String,
    pub(super) time_ms: u64,
    /// See [`WriterOptions::mark`](super::WriterOptions::mark).
    pub(super) mark: Option<String>,
}

/// The fence that begins `author`'s epoch: the state stays what it was under the head.
pub(super) fn fence(
    author: Author,
    position: &Position,
    positions: BTreeMap<String, u64>,
) -> LogEntry {
    let mark = author.mark.clone();
    let mut entry = stay(author, position, EntryKind::Fence);
    entry.sources.extend(positions);
    signed(entry, mark)
}

/// The entry with the mark of its writer.
fn signed(mut entry: LogEntry, mark: Option<String>) -> LogEntry {
    if let Some(mark) = mark {
        entry.sources.insert(mark, entry.epoch);
    }
    entry
}

/// An entry under which the state is what it was under the head.
fn stay(author: Author, position: &Position, kind: EntryKind) -> LogEntry {
    let mut entry = blank(author, position, kind);
    if let Some(head) = &position.head {
        entry.state_version = head.state_version;
        entry.commits = head.commits;
        entry.links.clone_from(&head.links);
        entry.snapshot.clone_from(&head.snapshot);
        entry.state_checksum = head.state_checksum;
        entry.types.clone_from(&head.types);
        entry.schema_hash = head.schema_hash;
        // Also carried: ingestion resumes from the newest entry, whatever its kind.
        entry.sources.clone_from(&head.sources);
        entry.tags.clone_from(&head.tags);
    }
    entry
}

/// The commit that follows the head, the first of all if there is none.
pub(super) fn commit(
    author: Author,
    position: &Position,
    fields: &CommitFields,
) -> Result<LogEntry> {
    if fields.positions_only {
        return positions(author, position, fields);
    }
    let mark = author.mark.clone();
    let mut entry = blank(author, position, EntryKind::Commit);
    check_owner(&entry, fields)?;
    if position.is_past_damage() && (fields.blobs.is_some() || fields.snapshot.is_none()) {
        return Err(Error::invalid(format!(
            "version {} is damaged: expected a new start with a snapshot and no delta",
            position.newest
        )));
    }
    let head = position.head.as_ref();
    entry.state_version = entry.version;
    entry.commits = head.map_or(0, |head| head.commits) + 1;
    entry.blobs = fields.blobs.as_ref().map(|step| step.blobs.clone());
    entry.links = links(&entry, head);
    let own = fields.snapshot.clone().map(|blob| SnapshotRef {
        version: entry.version,
        blob,
    });
    entry.snapshot = own.or_else(|| position.snapshot.clone());
    entry.state_checksum = fields.state_checksum;
    entry.types.clone_from(&fields.types);
    entry.schema_hash = fields.schema_hash;
    if let Some(head) = head {
        entry.sources.clone_from(&head.sources);
    }
    entry.sources.extend(fields.sources.clone());
    entry.tags.clone_from(&fields.tags);
    Ok(signed(entry, mark))
}

/// A commit of nothing but positions and tags.
fn positions(author: Author, position: &Position, fields: &CommitFields) -> Result<LogEntry> {
    if position.is_past_damage() {
        return Err(Error::invalid(format!(
            "version {} is damaged: positions alone cannot tell what its state is",
            position.newest
        )));
    }
    let mark = author.mark.clone();
    let mut entry = stay(author, position, EntryKind::Positions);
    entry.sources.extend(fields.sources.clone());
    entry.tags.extend(fields.tags.clone());
    Ok(signed(entry, mark))
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
        blobs: None,
        snapshot: None,
        links: Links::default(),
        state_checksum: 0,
        types: BTreeMap::new(),
        schema_hash: Schema::default().hash(),
        sources: BTreeMap::new(),
        tags: BTreeMap::new(),
        signature: None,
    }
}

/// The parent's steps and this one. A commit without delta breaks the chain: what lies before is
/// of no use to anyone who wants to get here.
fn links(entry: &LogEntry, head: Option<&LogEntry>) -> Links {
    let Some(blobs) = &entry.blobs else {
        return Links::default();
    };
    let before = head.map_or(&[][..], |head| &head.links.0);
    let surplus = before.len().saturating_sub(MAX_LINKS - 1);
    let own = Link {
        since: head.map_or(0, |head| head.state_version),
        from: entry.parent,
        epoch: entry.epoch,
        nonce: blobs.nonce(),
        delta_bytes: blobs.delta_bytes(),
        reverse_bytes: blobs.reverse_bytes(),
        inline: blobs.is_inline(),
    };
    let before = before.iter().skip(surplus).copied();
    Links(before.chain([own]).collect())
}

/// Blobs belong to the version and the reign they were uploaded for.
fn check_owner(entry: &LogEntry, fields: &CommitFields) -> Result<()> {
    let (version, epoch) = (entry.version, entry.epoch);
    let other = |what: &str| {
        Err(Error::invalid(format!(
            "{what} was not uploaded for version {version} of epoch {epoch}"
        )))
    };
    let part = format!("/{version:020}-{epoch}-");
    if let Some(blob) = fields
        .snapshot
        .iter()
        .find(|blob| !blob.name.contains(&part))
    {
        return other(&format!("blob {}", blob.name));
    }
    match &fields.blobs {
        Some(step) if (step.version, step.epoch) != (version, epoch) => other("the delta"),
        _ => Ok(()),
    }
}
