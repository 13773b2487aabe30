//! Where a writer stands in the log.
//!
//! Owns: the head it builds on, its epoch, the attempt in doubt. Never: writes.

use bytes::Bytes;
use grotto_format::log::{LogEntry, MAX_VERSION, SnapshotRef};

use super::compose::CommitFields;
use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};

/// Where the writer stands in the log.
#[derive(Debug)]
pub(super) struct Position {
    /// The newest intact entry.
    pub(super) head: Option<LogEntry>,
    /// The newest version with an entry: the head's, unless those past it are damaged. At most
    /// [`MAX_VERSION`], so that the next one is a number.
    pub(super) newest: u64,
    pub(super) reign: Reign,
    /// The newest snapshot known.
    pub(super) snapshot: Option<SnapshotRef>,
    /// The attempt that is under way or whose outcome is unknown.
    pub(super) pending: Option<Pending>,
    /// The store failed the probe, and that was allowed.
    pub(super) unfenced: bool,
}

/// Whether the writer may write, and under which epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reign {
    /// Not asked for.
    None,
    /// The next epoch, which its first entry will carry. Creating that entry is the fence.
    Claimed(u64),
    /// An entry of this epoch is in the log.
    Held(u64),
}

/// An entry that may or may not be in the log.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) entry: LogEntry,
    pub(super) bytes: Bytes,
    /// What the caller asked for; `None` for a fence.
    pub(super) fields: Option<CommitFields>,
}

impl Reign {
    pub(super) fn epoch(self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Claimed(epoch) | Self::Held(epoch) => Some(epoch),
        }
    }

    pub(super) fn is_held(self) -> bool {
        matches!(self, Self::Held(_))
    }
}

impl Position {
    /// Reads the head and makes sure that it stays: its writer may have failed to sync it.
    pub(super) async fn find(dataset: &Dataset, past_damage: bool) -> Result<Self> {
        let (head, newest) = match dataset.head().await {
            Err(error) if past_damage && error.kind() == ErrorKind::Corrupt => {
                tracing::warn!(%error, dataset = dataset.name(), "going on past damaged log entries");
                dataset.head_past_damage().await?
            }
            head => {
                let head = head?;
                let newest = head.as_ref().map_or(0, |head| head.version);
                (head, newest)
            }
        };
        if newest >= MAX_VERSION {
            let path = dataset.layout.log_entry(newest);
            return Err(Error::invalid(format!(
                "{path} leaves no version to write: expected one below {MAX_VERSION}, found {newest}"
            )));
        }
        if newest > 0 {
            let path = dataset.layout.log_entry(newest);
            dataset.store.confirm(&path).await?;
        }
        Ok(Self {
            snapshot: head.as_ref().and_then(|head| head.snapshot.clone()),
            head,
            newest,
            reign: Reign::None,
            pending: None,
            unfenced: false,
        })
    }

    pub(super) fn is_past_damage(&self) -> bool {
        self.newest > self.head.as_ref().map_or(0, |head| head.version)
    }

    /// The epoch after all there were. Damaged entries hide theirs, but each raised it by one at most.
    pub(super) fn next_epoch(&self) -> u64 {
        let (version, epoch) = match &self.head {
            Some(head) => (head.version, head.epoch),
            None => (0, 0),
        };
        epoch + (self.newest - version) + 1
    }
}
