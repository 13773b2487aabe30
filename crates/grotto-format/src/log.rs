//! The small JSON documents of a dataset: log entries, snapshot announcements, the
//! garbage-collection boundary and the leader hint.
//!
//! Owns: their fields, their limits, and the checksum that seals each of them. Never: IO, or a
//! decision about what an entry means. Spec: `docs/format/spec.md`, section "Commit log".
//!
//! **Invariant**: a sealed document is one JSON object whose last member is `checksum`, the XXH3-64
//! of the document's own bytes with that member's text empty. The check is over bytes, not over
//! fields, so that a field added by a newer writer is covered by an older reader.
//!
//! **Invariant**: versions between [`Transition::since`] and [`Transition::from`], and between
//! [`LogEntry::state_version`] and [`LogEntry::version`], share one state: only fences lie there.

mod control;
mod sealed;
#[cfg(test)]
mod tests;

pub use control::{GcBoundary, LeaderHint, SnapshotEntry};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The format number written into every document of this module.
pub const FORMAT: u32 = 1;
/// Largest log entry in bytes; readers refuse more before they parse.
pub const MAX_ENTRY_BYTES: usize = 1 << 20;
/// Bytes that a commit's entry leaves free of [`MAX_ENTRY_BYTES`]. The fence of the next writer repeats
/// most of it, with another writer's name and maybe a newer snapshot: were there no room for these,
/// nobody could ever take over.
pub const ENTRY_RESERVE: usize = 16 << 10;
/// Largest control document (snapshot announcement, boundary, hint) in bytes.
pub const MAX_CONTROL_BYTES: usize = 64 << 10;
/// How many past transitions a writer lists in an entry, and the most a reader accepts.
pub const MAX_TRANSITIONS: usize = 32;

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

/// What a blob is, which is also the folder it lives in and the ending of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlobKind {
    /// From one version to the next.
    Delta,
    /// From one version to the one before.
    Reverse,
    /// A whole state.
    Snapshot,
}

impl BlobKind {
    /// The folder under the dataset's prefix, and the ending of the name.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Reverse => "reverse",
            Self::Snapshot => "snapshot",
        }
    }

    /// The name of a blob of this kind. Nobody else picks the same one as long as the nonce is
    /// fresh; the version leads so that listings sort by it.
    pub fn blob_name(self, version: u64, epoch: u64, nonce: &str) -> String {
        let folder = self.folder();
        format!("{folder}/{version:020}-{epoch}-{nonce}.{folder}")
    }
}

/// A published file: where it is and how to know it is whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobRef {
    /// Path under the dataset's prefix.
    pub name: String,
    /// Length of the file in bytes.
    pub length: u64,
    /// XXH3-64 of the whole file.
    #[serde(with = "sealed::hex_u64")]
    pub checksum: u64,
}

/// Whether an entry brings a new state or only a new writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A new version of the state.
    Commit,
    /// A new writer's epoch begins; the state stays as it was.
    Fence,
}

/// The blobs a commit published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryBlobs {
    /// From the parent to this version.
    pub delta: Option<BlobRef>,
    /// From this version to the parent.
    pub reverse: Option<BlobRef>,
}

/// A snapshot that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRef {
    /// The version whose state it holds.
    pub version: u64,
    /// The file.
    pub blob: BlobRef,
}

/// One past step of the state, repeated in later entries so that one request plans a catch-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The oldest version with the same state as `from`; lower than `from` if fences lie between.
    pub since: u64,
    /// The version before the step: the committed entry's parent.
    pub from: u64,
    /// The version after the step: the committed entry's own.
    pub version: u64,
    /// The way forward.
    pub delta: BlobRef,
    /// The way back, where the writer made one.
    pub reverse: Option<BlobRef>,
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
    /// Commits in the log up to this entry, which is one of them unless it is a fence.
    pub commits: u64,
    /// What this commit published; empty for a fence.
    pub blobs: EntryBlobs,
    /// The newest snapshot the writer knew of.
    pub snapshot: Option<SnapshotRef>,
    /// The last steps of the state, oldest first, this commit's own included.
    pub transitions: Vec<Transition>,
    /// Checksum of the state at this version.
    #[serde(with = "sealed::hex_u64")]
    pub state_checksum: u64,
    /// Records per type at this version.
    pub counts: BTreeMap<String, u64>,
    /// Hash of the schema at this version.
    #[serde(with = "sealed::hex_u64")]
    pub schema_hash: u64,
    /// Position reached in every source, by its name; ingestion resumes here after a crash.
    pub sources: BTreeMap<String, u64>,
    /// The user's own notes on this version.
    pub tags: BTreeMap<String, String>,
    /// Signature over the entry, where the dataset is signed.
    pub signature: Option<String>,
}

impl LogEntry {
    /// The bytes to create in the store. Refuses an entry that [`LogEntry::decode`] would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, LogError> {
        self.check()?;
        let most = match self.kind {
            EntryKind::Commit => MAX_ENTRY_BYTES - ENTRY_RESERVE,
            EntryKind::Fence => MAX_ENTRY_BYTES,
        };
        sealed::seal(Self::WHAT, self, most)
    }

    /// Reads an entry from untrusted bytes; any altered byte is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, LogError> {
        let entry: Self = sealed::open(Self::WHAT, bytes, MAX_ENTRY_BYTES)?;
        entry.check()?;
        Ok(entry)
    }

    const WHAT: &'static str = "log entry";

    fn check(&self) -> Result<(), LogError> {
        self.check_versions()
            .and_then(|()| self.check_blobs())
            .map_err(|(field, reason)| LogError::Field {
                what: Self::WHAT,
                field,
                reason,
            })
    }

    fn check_versions(&self) -> Result<(), Fault> {
        let (version, parent, state) = (self.version, self.parent, self.state_version);
        if parent >= version {
            return Err(("parent", format!("{parent} is not below version {version}")));
        }
        let state_fits = match self.kind {
            EntryKind::Commit => state == version,
            EntryKind::Fence => state <= parent,
        };
        if !state_fits {
            return Err((
                "state_version",
                format!(
                    "{state} does not fit a {:?} of version {version}",
                    self.kind
                ),
            ));
        }
        let commits = self.commits;
        if commits > version || (self.kind == EntryKind::Commit && commits == 0) {
            return Err((
                "commits",
                format!("{commits} does not fit version {version}"),
            ));
        }
        if self.nonce.is_empty() {
            return Err(("nonce", "expected a value, found none".to_owned()));
        }
        Ok(())
    }

    fn check_blobs(&self) -> Result<(), Fault> {
        check_blob_option("blobs.delta", self.blobs.delta.as_ref(), BlobKind::Delta)?;
        check_blob_option(
            "blobs.reverse",
            self.blobs.reverse.as_ref(),
            BlobKind::Reverse,
        )?;
        if let Some(snapshot) = &self.snapshot {
            check_blob("snapshot", &snapshot.blob, BlobKind::Snapshot)?;
            if snapshot.version > self.version {
                let (found, own) = (snapshot.version, self.version);
                return Err(("snapshot", format!("version {found} is past version {own}")));
            }
        }
        if self.transitions.len() > MAX_TRANSITIONS {
            let found = self.transitions.len();
            return Err(("transitions", format!("{found} exceed {MAX_TRANSITIONS}")));
        }
        self.transitions
            .iter()
            .try_for_each(|t| check_transition(t, self.version))
    }
}

/// A field and what is wrong with it.
type Fault = (&'static str, String);

fn check_transition(t: &Transition, newest: u64) -> Result<(), Fault> {
    if !(t.since <= t.from && t.from < t.version && t.version <= newest) {
        let (since, from, version) = (t.since, t.from, t.version);
        return Err((
            "transitions",
            format!("step {since}..{from} to {version} is out of order at version {newest}"),
        ));
    }
    check_blob("transitions", &t.delta, BlobKind::Delta)?;
    check_blob_option("transitions", t.reverse.as_ref(), BlobKind::Reverse)
}

fn check_blob_option(
    field: &'static str,
    blob: Option<&BlobRef>,
    kind: BlobKind,
) -> Result<(), Fault> {
    blob.map_or(Ok(()), |blob| check_blob(field, blob, kind))
}

/// A name becomes a path in a store, possibly a folder of the host: one known folder, one plain
/// file name, nothing that could climb or hide.
fn check_blob(field: &'static str, blob: &BlobRef, kind: BlobKind) -> Result<(), Fault> {
    let folder = kind.folder();
    let file = blob
        .name
        .strip_prefix(folder)
        .and_then(|rest| rest.strip_prefix('/'));
    let plain = |file: &str| {
        file.len() <= 200
            && !file.starts_with('.')
            && file.ends_with(&format!(".{folder}"))
            && file
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    if file.is_some_and(plain) {
        return Ok(());
    }
    let shown: String = blob.name.chars().take(80).collect();
    Err((
        field,
        format!("blob name {shown:?} is not {folder}/<name>.{folder}"),
    ))
}
