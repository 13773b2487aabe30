//! The small JSON documents of a dataset: log entries, snapshot announcements, rows of
//! the collected range, the leader hint, accepted versions, pins and channels, the leases of consumers, and
//! announcements.
//!
//! Owns: their fields, their limits, and the checksum that seals each of them. Never: IO, or a
//! decision about what an entry means. Spec: `docs/format/spec.md`, section "Commit log".
//!
//! **Invariant**: a sealed document is one JSON object whose last member is `checksum`, the XXH3-64
//! of the document's own bytes with that member's text empty. The check is over bytes, not over
//! fields, so that a field added by a newer writer is covered by an older reader.
//!
//! **Invariant**: versions between [`Link::since`] and [`Link::from`], and between
//! [`LogEntry::state_version`] and [`LogEntry::version`], share one state: only fences lie there.

mod announcement;
mod blobs;
mod check;
mod control;
mod lease;
mod links;
mod pointer;
mod rollout;
mod sealed;
#[cfg(test)]
mod tests;

pub use announcement::{Announcement, MAX_ANNOUNCEMENT_BYTES};
pub use blobs::{
    BlobKind, BlobRef, EntryBlobs, InlineBlobs, SnapshotRef, StepNonce, Stored, StoredBlobs,
};
pub use control::{AcceptedVersion, CollectedRow, LeaderHint, MAX_NOTE_BYTES, SnapshotEntry};
pub use lease::{
    Lease, LeaseTold, MAX_EXPIRY_S, MAX_LEASE_BYTES, MAX_PLAIN_NAME, MAX_REASON, MAX_REASONS,
    MAX_WORD, ToldBy, is_plain_name,
};
pub use links::{Link, Links};
pub use pointer::Pointer;
pub use rollout::{MAX_STAGE_MS, MAX_STAGES, Rollout, WHOLE};

use check::Fault;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The format number written into every document of this module.
pub const FORMAT: u32 = 1;
/// Largest log entry in bytes; readers refuse more before they parse.
pub const MAX_ENTRY_BYTES: usize = 1 << 20;
/// Bytes that a commit's entry leaves free of [`MAX_ENTRY_BYTES`]. The fence of the next writer repeats
/// most of it, with another writer's name and maybe a newer snapshot: were there no room for these,
/// nobody could ever take over.
pub const ENTRY_RESERVE: usize = 16 << 10;
/// Largest snapshot announcement, collected row, leader hint, accepted version, pin or channel in bytes.
pub const MAX_CONTROL_BYTES: usize = 64 << 10;
/// The largest version and the largest epoch. Numbers up to here are exact in every JSON reader, and far
/// enough from the end of `u64` that the one after can be computed anywhere.
pub const MAX_VERSION: u64 = (1 << 53) - 1;
/// How many past steps a writer lists in an entry, and the most a reader accepts.
pub const MAX_LINKS: usize = 64;

/// Why a document was refused.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The document is longer than its kind may be.
    #[error("{what} of {found} bytes exceeds the limit of {limit} bytes")]
    TooLarge {
        /// Which kind of document.
        what: &'static str,
        /// Its length in bytes.
        found: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The document does not end in a checksum.
    #[error("{what} does not end in a checksum: torn or not a {what}")]
    NoChecksum {
        /// Which kind of document.
        what: &'static str,
    },
    /// The document's bytes are not those that were written.
    #[error("{what} is altered: checksum expected {expected}, found {found}")]
    Altered {
        /// Which kind of document.
        what: &'static str,
        /// The checksum the document states.
        expected: String,
        /// The checksum of its bytes.
        found: String,
    },
    /// The document was written by a newer format than this build reads.
    #[error("{what} has format {found}, this build reads up to {supported}")]
    Format {
        /// Which kind of document.
        what: &'static str,
        /// The document's format number.
        found: u32,
        /// The newest format this build reads.
        supported: u32,
    },
    /// A field holds a value that no writer may write.
    #[error("{what}: field {field}: {reason}")]
    Field {
        /// Which kind of document.
        what: &'static str,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The document is not the JSON that its kind demands.
    #[error("{what}: {source}")]
    Json {
        /// Which kind of document.
        what: &'static str,
        /// What the parser met, and where.
        source: serde_json::Error,
    },
}

/// Whether an entry brings a new state or only a new writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A new version of the state.
    Commit,
    /// A new writer's epoch begins; the state stays as it was.
    Fence,
    /// Only source positions and tags move; the state stays as it was.
    Positions,
}

/// What a commit did to the records of a type, by its writer's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordChanges {
    /// Records without a predecessor of the same key.
    pub added: u64,
    /// Records that went without a successor of the same key.
    pub removed: u64,
    /// Records whose key stayed and that say something else.
    pub modified: u64,
}

/// What a type holds at a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeSummary {
    /// Its records.
    pub records: u64,
    /// What became of its records by the commit that made the state; `None` if nothing did. For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<RecordChanges>,
    /// Whether its records only come within those of other types. For people.
    #[serde(default, skip_serializing_if = "is_false")]
    pub nested: bool,
    /// Its share of the state checksum: the sum over its records.
    #[serde(with = "sealed::hex_u64")]
    pub checksum: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// One entry of the commit log. Its creation is the commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Format number, [`FORMAT`].
    pub format: u32,
    /// The dataset's name.
    pub dataset: String,
    /// The dataset's identity, chosen once when its first entry was created.
    pub dataset_id: String,
    /// Position in the commit log, from 1.
    pub version: u64,
    /// Commit or fence.
    pub kind: EntryKind,
    /// The writer's reign; rises with every fence.
    pub epoch: u64,
    /// Random name of the attempt that created this entry: how a writer knows its own.
    pub nonce: String,
    /// Who wrote it, for people.
    pub writer: String,
    /// The writer's wall time, in milliseconds since 1970; informative only.
    pub time_ms: u64,
    /// The version this one follows; 0 for the empty state.
    pub parent: u64,
    /// The version of the commit that made this state: the entry's own for a commit, an earlier
    /// one for a fence, 0 if nothing was committed yet.
    pub state_version: u64,
    /// Commits in the log up to this entry, which is one of them if it brought a state.
    pub commits: u64,
    /// What this commit published. `None` for a fence, and for a commit that its snapshot alone leads to.
    pub blobs: Option<EntryBlobs>,
    /// The newest snapshot the writer knew of.
    pub snapshot: Option<SnapshotRef>,
    /// The last steps of the state, oldest first, this commit's own included.
    pub links: Links,
    /// Checksum of the state at this version.
    #[serde(with = "sealed::hex_u64")]
    pub state_checksum: u64,
    /// Records and checksum per type at this version.
    #[serde(deserialize_with = "sealed::unique")]
    pub types: BTreeMap<String, TypeSummary>,
    /// Hash of the schema at this version.
    #[serde(with = "sealed::hex_u64")]
    pub schema_hash: u64,
    /// Position reached in every source, by its name; ingestion resumes here after a crash.
    #[serde(deserialize_with = "sealed::unique")]
    pub sources: BTreeMap<String, u64>,
    /// The user's own notes on this version.
    #[serde(deserialize_with = "sealed::unique")]
    pub tags: BTreeMap<String, String>,
    /// Signature over the entry, where the dataset is signed.
    pub signature: Option<String>,
}

impl LogEntry {
    /// The bytes to create in the store. Refuses an entry that [`LogEntry::decode`] would refuse.
    ///
    /// # Errors
    /// When the entry says what cannot be, or outgrows its limit.
    pub fn encode(&self) -> Result<Vec<u8>, LogError> {
        self.check()?;
        let most = match self.kind {
            EntryKind::Commit => MAX_ENTRY_BYTES - ENTRY_RESERVE,
            EntryKind::Fence | EntryKind::Positions => MAX_ENTRY_BYTES,
        };
        sealed::seal(Self::WHAT, self, most)
    }

    /// Reads an entry from untrusted bytes; any altered byte is refused.
    ///
    /// # Errors
    /// When the bytes are torn or altered, or say what cannot be; the message names what.
    pub fn decode(bytes: &[u8]) -> Result<Self, LogError> {
        let entry: Self = sealed::open(Self::WHAT, bytes, MAX_ENTRY_BYTES)?;
        entry.check()?;
        Ok(entry)
    }

    /// The step that a commit with blobs makes: the last of its links.
    pub fn own_link(&self) -> Option<&Link> {
        self.links.0.last().filter(|_| self.blobs.is_some())
    }

    /// A blob of this commit that is a file of its own.
    pub fn blob(&self, kind: BlobKind) -> Option<BlobRef> {
        let Some(EntryBlobs::Stored(blobs)) = &self.blobs else {
            return None;
        };
        let stored = match kind {
            BlobKind::Delta => Some(blobs.delta),
            BlobKind::Reverse => blobs.reverse,
            BlobKind::Snapshot => None,
        };
        stored.map(|stored| BlobRef {
            name: blobs.nonce.name(kind, self.version, self.epoch),
            length: stored.length,
            checksum: stored.checksum,
        })
    }

    /// A blob of this commit that the entry holds itself.
    pub fn inline(&self, kind: BlobKind) -> Option<&Bytes> {
        match (&self.blobs, kind) {
            (Some(EntryBlobs::Inline(blobs)), BlobKind::Delta) => Some(&blobs.delta),
            (Some(EntryBlobs::Inline(blobs)), BlobKind::Reverse) => blobs.reverse.as_ref(),
            _ => None,
        }
    }

    /// Records of all types.
    pub fn records(&self) -> u64 {
        let records = self.types.values().map(|ty| ty.records);
        records.fold(0, u64::saturating_add)
    }

    /// Records that came by themselves, and not within others.
    pub fn top_level_records(&self) -> u64 {
        let types = self.types.values().filter(|ty| !ty.nested);
        types.map(|ty| ty.records).fold(0, u64::saturating_add)
    }
}
