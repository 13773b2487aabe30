//! Reading all that the copy holds, and mending it from the source.
//!
//! Owns: what is written again. Never: changes what is whole.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};
use grotto_format::log::{BlobKind, BlobRef};

use super::Run;
use super::blobs::is_loss;
use super::log::raw_entry;
use crate::error::{Error, ErrorKind, Result};

impl Run<'_> {
    /// Every log entry, announcement and blob of the copy that the source still has.
    pub(super) async fn recheck(&self) -> Result<()> {
        let first = self.target.collected().await? + 1;
        let there = self.target.list_versions(first..=u64::MAX).await?;
        let each = |version| self.recheck_version(version);
        let versions = futures::stream::iter(there).map(each);
        let checked = versions.buffered(self.options.at_once.max(1));
        checked.try_collect::<Vec<()>>().await?;
        for version in self.target.snapshot_versions().await? {
            if version >= first {
                self.recheck_announcement(version).await?;
            }
        }
        Ok(())
    }

    async fn recheck_version(&self, version: u64) -> Result<()> {
        let theirs = match raw_entry(self.target, version).await {
            Ok(Some(raw)) => raw.entry,
            Ok(None) => return Ok(()),
            Err(error) if is_loss(&error) => match self.ours(version).await {
                Ok(ours) => {
                    let store = &self.target.store;
                    let path = self.target.layout.log_entry(version);
                    let bytes = self.for_target(&ours)?;
                    store.writing(|| store.put(&path, bytes.clone())).await?;
                    self.mended(bytes.len() as u64);
                    ours.entry
                }
                Err(_) => {
                    self.fault(version, &error);
                    return Ok(());
                }
            },
            Err(error) => return Err(error),
        };
        let mut blobs: BTreeSet<BlobRef> = BTreeSet::new();
        blobs.extend(theirs.blob(BlobKind::Delta));
        blobs.extend(theirs.blob(BlobKind::Reverse));
        let first = self.target.collected().await? + 1;
        let named = theirs.snapshot.filter(|named| named.version >= first);
        blobs.extend(named.map(|named| named.blob));
        for blob in blobs {
            self.recheck_blob(version, &blob).await?;
        }
        Ok(())
    }

    async fn recheck_announcement(&self, version: u64) -> Result<()> {
        match self.target.announcement(version).await {
            Ok(Some(announced)) => self.recheck_blob(version, &announced.blob).await,
            Ok(None) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                match self.announce_version(version).await {
                    Err(failed) if is_loss(&failed) => self.fault(version, &error),
                    other => {
                        other?;
                        self.tally.lock().mended += 1;
                    }
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn recheck_blob(&self, version: u64, blob: &BlobRef) -> Result<()> {
        if self.tally.lock().known.contains(&blob.name) {
            return Ok(());
        }
        if !self.is_intact_there(blob).await? {
            match self.source.fetch_blob(blob).await {
                Ok(bytes) => {
                    self.put_blob(blob, bytes).await?;
                    self.tally.lock().mended += 1;
                }
                Err(error) if is_loss(&error) => {
                    let name = &blob.name;
                    let lost =
                        format!("blob {name} of the copy is damaged, and here it is as well");
                    self.fault(version, &Error::new(error.kind(), lost));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.tally.lock().known.insert(blob.name.clone());
        Ok(())
    }

    fn mended(&self, bytes: u64) {
        self.tally.lock().mended += 1;
        self.wrote(bytes);
    }
}
