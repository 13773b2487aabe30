//! The documents beside the log: snapshot announcements, rows of the collected range, the leader hint and
//! accepted versions.
//!
//! Owns: their fields. Never: IO, or a decision about what they mean.
//! Spec: `docs/format/spec.md`, section "Commit log".

use serde::{Deserialize, Serialize};

use super::check::check_blob;
use super::{BlobKind, BlobRef, LogError, MAX_CONTROL_BYTES, MAX_VERSION, sealed};

/// Most bytes of the texts that people write into a control document.
pub const MAX_NOTE_BYTES: usize = 1_000;

/// Announces that a snapshot exists; created once, after its upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotEntry {
    /// Format number, [`super::FORMAT`].
    pub format: u32,
    /// The dataset's name.
    pub dataset: String,
    /// The version whose state the snapshot holds.
    pub version: u64,
    /// Checksum of that state. The announcement counts only together with the log entry of its
    /// version, and only if that states the same: a log that lost its end may have another state
    /// under this number by now.
    #[serde(with = "sealed::hex_u64")]
    pub state_checksum: u64,
    /// The file.
    pub blob: BlobRef,
    /// The announcing writer's epoch.
    pub epoch: u64,
    /// Random name of the announcing attempt.
    pub nonce: String,
    /// The writer's wall time, in milliseconds since 1970; informative only.
    pub time_ms: u64,
}

impl SnapshotEntry {
    const WHAT: &'static str = "snapshot entry";

    /// The bytes to create in the store.
    ///
    /// # Errors
    /// When it says what [`decode`](Self::decode) would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, LogError> {
        self.check()?;
        sealed::seal(Self::WHAT, self, MAX_CONTROL_BYTES)
    }

    /// Reads an announcement from untrusted bytes; any altered byte is refused.
    ///
    /// # Errors
    /// When the bytes are torn or altered, or say what cannot be; the message names what.
    pub fn decode(bytes: &[u8]) -> Result<Self, LogError> {
        let entry: Self = sealed::open(Self::WHAT, bytes, MAX_CONTROL_BYTES)?;
        entry.check()?;
        Ok(entry)
    }

    fn check(&self) -> Result<(), LogError> {
        check_blob("blob", &self.blob, BlobKind::Snapshot).map_err(|(field, reason)| {
            LogError::Field {
                what: Self::WHAT,
                field,
                reason,
            }
        })
    }
}

/// Versions at or below are gone for good: a slot recreated there counts for nothing. Rows are created and
/// never changed, and the highest counts, so that a collector that slept cannot lower the range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectedRow {
    /// Format number, [`super::FORMAT`].
    pub format: u32,
    /// The dataset's name.
    pub dataset: String,
    /// The newest version that is gone.
    pub version: u64,
    /// Wall time of the collector, in milliseconds since 1970; informative only.
    pub time_ms: u64,
}

impl CollectedRow {
    const WHAT: &'static str = "collected row";

    /// The bytes to put into the store.
    ///
    /// # Errors
    /// When it says what [`decode`](Self::decode) would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, LogError> {
        sealed::seal(Self::WHAT, self, MAX_CONTROL_BYTES)
    }

    /// Reads a row from untrusted bytes; any altered byte is refused.
    ///
    /// # Errors
    /// When the bytes are torn or altered, or say what cannot be; the message names what.
    pub fn decode(bytes: &[u8]) -> Result<Self, LogError> {
        sealed::open(Self::WHAT, bytes, MAX_CONTROL_BYTES)
    }
}

/// Where the log's head was when its writer last said so. A hint to search from, never the fence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderHint {
    /// Format number, [`super::FORMAT`].
    pub format: u32,
    /// The dataset's name.
    pub dataset: String,
    /// The newest version the writer created.
    pub version: u64,
    /// The writer's epoch.
    pub epoch: u64,
    /// Who it is, for people.
    pub writer: String,
    /// The writer's wall time, in milliseconds since 1970; informative only.
    pub time_ms: u64,
    /// The writer has ended and asks whoever stands by to take over at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resigned: bool,
}

impl LeaderHint {
    const WHAT: &'static str = "leader hint";

    /// The bytes to put into the store.
    ///
    /// # Errors
    /// When it says what [`decode`](Self::decode) would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, LogError> {
        sealed::seal(Self::WHAT, self, MAX_CONTROL_BYTES)
    }

    /// Reads a hint from untrusted bytes; any altered byte is refused.
    ///
    /// # Errors
    /// When the bytes are torn or altered, or say what cannot be; the message names what.
    pub fn decode(bytes: &[u8]) -> Result<Self, LogError> {
        sealed::open(Self::WHAT, bytes, MAX_CONTROL_BYTES)
    }
}

/// Somebody looked at a version that consumers hold because it differs much from the one before, and found it
/// right. Created once for a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedVersion {
    /// Format number, [`super::FORMAT`].
    pub format: u32,
    /// The dataset's name.
    pub dataset: String,
    /// The dataset's identity: one that was created anew under the name is another.
    pub dataset_id: String,
    /// The version.
    pub version: u64,
    /// Checksum of its state. It counts only while the log entry of the version states the same.
    #[serde(with = "sealed::hex_u64")]
    pub state_checksum: u64,
    /// Who accepted it, for people.
    pub by: String,
    /// Why, for people; may be empty.
    pub reason: String,
    /// Wall time of whoever did, in milliseconds since 1970; informative only.
    pub time_ms: u64,
}

impl AcceptedVersion {
    const WHAT: &'static str = "accepted version";

    /// The bytes to create in the store.
    ///
    /// # Errors
    /// When it says what [`decode`](Self::decode) would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, LogError> {
        self.check()?;
        sealed::seal(Self::WHAT, self, MAX_CONTROL_BYTES)
    }

    /// Reads one from untrusted bytes; any altered byte is refused.
    ///
    /// # Errors
    /// When the bytes are torn or altered, or say what cannot be; the message names what.
    pub fn decode(bytes: &[u8]) -> Result<Self, LogError> {
        let accepted: Self = sealed::open(Self::WHAT, bytes, MAX_CONTROL_BYTES)?;
        accepted.check()?;
        Ok(accepted)
    }

    fn check(&self) -> Result<(), LogError> {
        let refuse = |field, reason| {
            let what = Self::WHAT;
            Err(LogError::Field {
                what,
                field,
                reason,
            })
        };
        if !(1..=MAX_VERSION).contains(&self.version) {
            let reason = format!("expected 1 to {MAX_VERSION}, found {}", self.version);
            return refuse("version", reason);
        }
        for (field, text) in [("by", &self.by), ("reason", &self.reason)] {
            if text.len() > MAX_NOTE_BYTES {
                let reason = format!(
                    "expected at most {MAX_NOTE_BYTES} bytes, found {}",
                    text.len()
                );
                return refuse(field, reason);
            }
        }
        Ok(())
    }
}
