//! Reading a dataset: log entries, the head, snapshot announcements.
//!
//! Owns: what a reader may ask. Never: writes, or follows anything that the log does not name.
//! Spec: `docs/format/spec.md`, section "Commit log".

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use grotto_format::log::{LogEntry, LogError, MAX_CONTROL_BYTES, MAX_ENTRY_BYTES, SnapshotEntry};
use object_store::path::Path;

use crate::cache::BlobCache;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{Layout, version_of};
use crate::object::Store;
use crate::outline::Outline;

/// Entries read at a time when many are wanted.
const ENTRIES_AT_ONCE: usize = 8;

/// One dataset in a store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dataset {
    pub(crate) store: Store,
    pub(crate) layout: Layout,
    /// Where blobs are looked for before they are fetched.
    pub(crate) cache: Option<Arc<dyn BlobCache>>,
}

/// What follows a version.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing yet.
    None,
    /// The next entry.
    Entry(Box<LogEntry>),
    /// The next entry was collected; look for the [`Dataset::head`] and plan from there.
    Collected {
        /// The newest version that is gone.
        boundary: u64,
    },
}

impl Dataset {
    /// Names a dataset; it need not exist yet.
    ///
    /// # Errors
    /// `Invalid` when the name is no name of a dataset; the message says what one is.
    pub fn open(store: Store, name: &str) -> Result<Self> {
        let layout = Layout::new(name)?;
        Ok(Self {
            store,
            layout,
            cache: None,
        })
    }

    /// As its writer sees it: never by a copy that may be behind.
    pub(crate) fn alone(&self) -> Self {
        Self {
            store: self.store.alone(),
            ..self.clone()
        }
    }

    /// The dataset's name.
    pub fn name(&self) -> &str {
        self.layout.name()
    }

    /// The store it lies in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The log entry of a version; `None` if there is none (not yet, or no longer).
    ///
    /// # Errors
    /// `Corrupt` when the entry is damaged or is that of another version; `Unavailable` or `Overloaded` when
    /// the store does not answer or asks for less.
    pub async fn read_entry(&self, version: u64) -> Result<Option<LogEntry>> {
        let path = self.layout.log_entry(version);
        let entry = self
            .read_document(&path, MAX_ENTRY_BYTES, LogEntry::decode)
            .await?;
        let Some(entry) = entry else { return Ok(None) };
        self.check_dataset(&path, &entry.dataset)?;
        check_version(&path, version, entry.version)?;
        Ok(Some(entry))
    }

    /// What follows `version`: two small requests.
    ///
    /// A slot that was collected can be created again by a writer that slept through it, and one that
    /// is absent may have been collected: both are checked against the collected range, which a
    /// collector raises before it deletes. A poll that looks more often than it needs to know this may use
    /// [`Dataset::read_entry`].
    ///
    /// # Errors
    /// As [`read_entry`](Self::read_entry) for the entry that follows.
    pub async fn next_entry(&self, version: u64) -> Result<Next> {
        let Some(slot) = version.checked_add(1) else {
            return Ok(Next::None);
        };
        let entry = self.read_entry(slot).await?;
        match self.collected().await? {
            boundary if boundary >= slot => Ok(Next::Collected { boundary }),
            _ => Ok(entry.map_or(Next::None, |entry| Next::Entry(Box::new(entry)))),
        }
    }

    /// The positions of the sources that the newest version states; empty for a dataset that was never
    /// written.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    pub async fn positions(&self) -> Result<BTreeMap<String, u64>> {
        let head = self.head().await?;
        Ok(head.map(|head| head.sources).unwrap_or_default())
    }

    /// The newest intact log entry, and the newest version that has an entry at all: where the newest
    /// ones are damaged, a new start goes after them.
    pub(crate) async fn head_past_damage(&self) -> Result<(Option<LogEntry>, u64)> {
        let mut newest = self.newest_listed().await?.unwrap_or(0);
        while let Some(slot) = newest.checked_add(1) {
            match self.read_entry(slot).await {
                Ok(None) => break,
                Ok(Some(_)) => newest = slot,
                Err(error) if error.kind() == ErrorKind::Corrupt => newest = slot,
                Err(error) => return Err(error),
            }
        }
        for version in self.list_versions(1..=newest).await?.into_iter().rev() {
            match self.read_entry(version).await {
                // Rightly gone only if it was collected since the listing was made.
                Ok(None) if version <= self.collected().await? => {}
                Ok(None) => return Err(self.listed_and_gone(version)),
                Ok(Some(entry)) => return Ok((Some(entry), newest)),
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::warn!(%error, dataset = self.name(), "passing a damaged log entry");
                }
                Err(error) => return Err(error),
            }
        }
        Ok((None, newest))
    }

    fn listed_and_gone(&self, version: u64) -> Error {
        let path = self.layout.log_entry(version);
        Error::unavailable(format!(
            "{path} was listed and cannot be found: the store contradicts itself"
        ))
    }

    /// The versions with a log entry in a range, ascending.
    ///
    /// # Errors
    /// `Unavailable` or `Overloaded` when the store does not answer or asks for less.
    pub async fn list_versions(&self, range: RangeInclusive<u64>) -> Result<Vec<u64>> {
        let after = range.start().checked_sub(1);
        let after = after.map(|version| self.layout.log_entry(version));
        let paths = self.store.list(&self.layout.log(), after.as_ref()).await?;
        let mut versions: Vec<u64> = paths
            .iter()
            .filter_map(version_of)
            .filter(|version| range.contains(version))
            .collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// What the intact log entries in a range say, ascending; those collected meanwhile are left out,
    /// damaged ones too, with a warning: what others say is still good.
    ///
    /// # Errors
    /// `Unavailable` or `Overloaded` when the store does not answer or asks for less.
    pub async fn outlines(&self, range: RangeInclusive<u64>) -> Result<Vec<Outline>> {
        let versions = self.list_versions(range).await?;
        let entries: Vec<Option<Outline>> = futures::stream::iter(versions)
            .map(|version| self.read_outline_or_warn(version))
            .buffered(ENTRIES_AT_ONCE)
            .try_collect()
            .await?;
        Ok(entries.into_iter().flatten().collect())
    }

    /// The announced snapshots that count, oldest first. A damaged announcement is logged and left out: the
    /// state it stands for can be reached in other ways.
    ///
    /// # Errors
    /// `Unavailable` or `Overloaded` when the store does not answer or asks for less.
    pub async fn snapshot_entries(&self) -> Result<Vec<SnapshotEntry>> {
        let versions = self.snapshot_versions().await?;
        let entries: Vec<Option<SnapshotEntry>> = futures::stream::iter(versions)
            .map(|version| self.read_snapshot_or_warn(version))
            .buffered(ENTRIES_AT_ONCE)
            .try_collect()
            .await?;
        Ok(entries.into_iter().flatten().collect())
    }

    /// The versions of which a snapshot is announced, ascending, whether it counts or not.
    ///
    /// # Errors
    /// `Unavailable` or `Overloaded` when the store does not answer or asks for less.
    pub async fn snapshot_versions(&self) -> Result<Vec<u64>> {
        let paths = self.store.list(&self.layout.snapshots(), None).await?;
        let mut versions: Vec<u64> = paths.iter().filter_map(version_of).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// The announcement of a snapshot of `version`; `None` if there is none that counts: the log must
    /// have the version, and with the same state. A log that lost its end may not have it, or may
    /// have something else under its number.
    ///
    /// # Errors
    /// `Corrupt` when the announcement is damaged; `Unavailable` or `Overloaded` when the store does not answer
    /// or asks for less.
    pub async fn snapshot_entry(&self, version: u64) -> Result<Option<SnapshotEntry>> {
        let Some(announced) = self.announcement(version).await? else {
            return Ok(None);
        };
        let entry = match self.read_entry(version).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                let dataset = self.name();
                tracing::warn!(%error, dataset, version, "ignoring a snapshot of an unknown state");
                None
            }
            other => other?,
        };
        Ok(entry
            .filter(|entry| entry.state_checksum == announced.state_checksum)
            .map(|_| announced))
    }

    /// The announcement of a snapshot of `version` as it lies there, whether it counts or not.
    ///
    /// # Errors
    /// `Corrupt` when the announcement is damaged; `Unavailable` or `Overloaded` when the store does not answer
    /// or asks for less.
    pub async fn announcement(&self, version: u64) -> Result<Option<SnapshotEntry>> {
        let path = self.layout.snapshot_entry(version);
        let entry = self
            .read_document(&path, MAX_CONTROL_BYTES, SnapshotEntry::decode)
            .await?;
        let Some(entry) = entry else { return Ok(None) };
        self.check_dataset(&path, &entry.dataset)?;
        check_version(&path, version, entry.version)?;
        Ok(Some(entry))
    }

    async fn read_outline_or_warn(&self, version: u64) -> Result<Option<Outline>> {
        match self.read_entry(version).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::warn!(%error, dataset = self.name(), version, "ignoring a damaged log entry");
                Ok(None)
            }
            other => Ok(other?.map(Outline::of)),
        }
    }

    pub(crate) async fn read_snapshot_or_warn(
        &self,
        version: u64,
    ) -> Result<Option<SnapshotEntry>> {
        match self.snapshot_entry(version).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                let dataset = self.name();
                tracing::warn!(%error, dataset, version, "ignoring a damaged snapshot entry");
                Ok(None)
            }
            other => other,
        }
    }

    pub(crate) fn check_dataset(&self, path: &Path, found: &str) -> Result<()> {
        if found == self.name() {
            return Ok(());
        }
        let shown: String = found.chars().take(100).collect();
        Err(Error::corrupt(format!(
            "{path}: expected dataset {}, found {shown:?}",
            self.name()
        )))
    }

    /// Reads and decodes a small document. Bytes that do not decode are fetched once more: a
    /// damaged transfer is likelier than a damaged object.
    pub(crate) async fn read_document<T>(
        &self,
        path: &Path,
        limit: usize,
        decode: impl Fn(&[u8]) -> Result<T, LogError>,
    ) -> Result<Option<T>> {
        let mut first = true;
        loop {
            let bytes: Option<Bytes> = self.store.get(path, limit as u64).await?;
            let Some(bytes) = bytes else { return Ok(None) };
            match decode(&bytes) {
                Ok(document) => return Ok(Some(document)),
                Err(error) if first => {
                    tracing::warn!(%error, %path, "fetching a damaged document again");
                    first = false;
                }
                Err(error) => return Err(undecodable(path, error)),
            }
        }
    }
}

fn undecodable(path: &Path, error: LogError) -> Error {
    // A newer format is whole: what helps is a newer build, not another fetch.
    let kind = match error {
        LogError::Format { .. } => ErrorKind::Invalid,
        _ => ErrorKind::Corrupt,
    };
    Error::new(kind, format!("{path}: {error}")).with_source(error)
}

/// Refuses what lies under the name of another version.
fn check_version(path: &Path, expected: u64, found: u64) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "{path}: expected version {expected}, found {found}"
    )))
}
