//! Copying blobs.
//!
//! Owns: that what gets there is what the log promises. Never: holds more of a large blob in memory than its store does;
//! see [`with_spool`](crate::Store::with_spool).

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use grotto_format::log::{BlobKind, BlobRef, EntryKind, LogEntry};

use super::plan::{Plan, own_snapshot};
use super::{CopyStep, Run, Trouble};
use crate::error::{Error, ErrorKind, Result};
use crate::object::Created;

impl Run<'_> {
    /// Copies all blobs of the planned versions; or until the first version whose blobs are damaged, those before it
    /// whole.
    pub(super) async fn carry(&self, plan: &Plan) -> Result<Option<Trouble>> {
        let first = plan.first_without_gap();
        let each = |version: u64| async move {
            let carried = self.carry_version(version, first).await;
            (self.watch)(CopyStep::Version(version));
            match carried {
                Ok(()) => Ok(None),
                Err(error) => Trouble::of(version, error).map(Some),
            }
        };
        let versions = futures::stream::iter(plan.versions.iter().copied());
        let carried = versions.map(each).buffered(self.options.at_once.max(1));
        let troubles = carried.try_filter_map(|trouble| async move { Ok(trouble) });
        let mut troubles = std::pin::pin!(troubles);
        let trouble = troubles.try_next().await?;
        self.carry_named().await?;
        Ok(trouble)
    }

    /// Snapshots that log entries name, one at a time, as each may be large. Nobody needs them to get to the versions
    /// that name them.
    async fn carry_named(&self) -> Result<()> {
        let named = std::mem::take(&mut self.tally.lock().named);
        for (version, blob) in named {
            match self.carry_blob(&blob).await {
                Err(error) if is_loss(&error) => self.without(version, &error).await?,
                other => other?,
            }
        }
        Ok(())
    }

    async fn carry_version(&self, version: u64, first: u64) -> Result<()> {
        let entry = self.ours(version).await?.entry;
        for kind in [BlobKind::Delta, BlobKind::Reverse] {
            if let Some(blob) = entry.blob(kind) {
                self.carry_blob(&blob).await?;
            }
        }
        if is_new_start(&entry) {
            let own = own_snapshot(&entry).ok_or_else(|| {
                Error::corrupt("a commit without a delta names no snapshot of its own")
            })?;
            return self.carry_blob(own).await;
        }
        // Those of versions that the copy does not have are gone there, as after a collection.
        if let Some(named) = entry.snapshot.filter(|named| named.version >= first) {
            self.tally.lock().named.insert((named.version, named.blob));
        }
        Ok(())
    }

    /// Has a blob in the copy, verified.
    pub(super) async fn carry_blob(&self, blob: &BlobRef) -> Result<()> {
        if self.tally.lock().known.contains(&blob.name) {
            return Ok(());
        }
        let in_parts = self.target.store.takes_parts(blob.length);
        // Parts write over what is there: it is looked for first.
        if !(in_parts && self.is_intact_there(blob).await?) {
            let bytes = self.source.fetch_blob(blob).await?;
            match in_parts {
                true => self.put_blob(blob, bytes).await?,
                false => self.create_blob(blob, bytes).await?,
            }
        }
        self.tally.lock().known.insert(blob.name.clone());
        Ok(())
    }

    /// What an earlier copy left is taken if it is whole.
    async fn create_blob(&self, blob: &BlobRef, bytes: Bytes) -> Result<()> {
        let store = &self.target.store;
        let path = self.target.layout.blob(&blob.name);
        let create = || store.create(&path, bytes.clone());
        if store.writing(create).await? == Created::New {
            self.wrote_blob(blob);
            return Ok(());
        }
        match self.is_intact_there(blob).await? {
            true => store.confirm(&path).await,
            false => self.put_blob(blob, bytes).await,
        }
    }

    /// Writes a blob, whatever is there.
    pub(super) async fn put_blob(&self, blob: &BlobRef, bytes: Bytes) -> Result<()> {
        let store = &self.target.store;
        let path = self.target.layout.blob(&blob.name);
        let put = || async {
            match store.takes_parts(blob.length) {
                true => store.put_in_parts(&path, &bytes).await,
                false => store.put(&path, bytes.clone()).await,
            }
        };
        store.writing(put).await?;
        self.wrote_blob(blob);
        Ok(())
    }

    fn wrote_blob(&self, blob: &BlobRef) {
        self.tally.lock().blobs += 1;
        self.wrote(blob.length);
    }

    /// Whether the copy has a blob, byte by byte.
    pub(super) async fn is_intact_there(&self, blob: &BlobRef) -> Result<bool> {
        let store = &self.target.store;
        let path = self.target.layout.blob(&blob.name);
        if store.reading(|| store.length(&path)).await? != Some(blob.length) {
            return Ok(false);
        }
        match self.target.fetch_blob(blob).await {
            Ok(_) => Ok(true),
            Err(error) if is_loss(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

pub(super) fn is_loss(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Missing)
}

/// Whether nothing but its own snapshot leads to a version.
fn is_new_start(entry: &LogEntry) -> bool {
    entry.kind == EntryKind::Commit && entry.blobs.is_none()
}
