//! Copying the documents beside the log: announcements of snapshots, and accepted versions.
//!
//! Owns: which of them count. Never: copies the leader's hint, leases, pins or channels: they are about the store
//! that they are in.

use std::collections::BTreeSet;

use bytes::Bytes;
use grotto_format::log::{AcceptedVersion, MAX_CONTROL_BYTES, SnapshotEntry};
use object_store::path::Path;

use super::Run;
use super::blobs::is_loss;
use super::plan::Plan;
use crate::control::unencodable;
use crate::error::Result;
use crate::layout::version_of;
use crate::object::Created;

impl Run<'_> {
    /// Snapshots of versions that the copy has or is about to get, those that were announced after their version was
    /// copied too.
    pub(super) async fn announce(&self, plan: &Plan) -> Result<()> {
        let there: BTreeSet<u64> = self.target.snapshot_versions().await?.into_iter().collect();
        let ours = self.source.snapshot_versions().await?;
        for version in self.missing(plan, ours, &there) {
            match self.announce_version(version).await {
                Err(error) if is_loss(&error) => self.without(version, &error).await?,
                other => other?,
            }
        }
        Ok(())
    }

    /// Those of which the copy has nothing yet.
    fn missing(&self, plan: &Plan, ours: Vec<u64>, there: &BTreeSet<u64>) -> Vec<u64> {
        let first = plan.first_without_gap();
        let all = plan.all();
        let wanted = ours.into_iter().filter(|version| {
            *version >= first && all.contains(version) && !there.contains(version)
        });
        wanted.collect()
    }

    pub(super) async fn announce_version(&self, version: u64) -> Result<()> {
        // One that does not count here would not count there.
        if self.source.snapshot_entry(version).await?.is_none() {
            return Ok(());
        }
        let path = self.source.layout.snapshot_entry(version);
        let decode = |bytes: &[u8]| {
            let announced = SnapshotEntry::decode(bytes)?;
            Ok((announced, Bytes::copy_from_slice(bytes)))
        };
        let read = self.source.read_document(&path, MAX_CONTROL_BYTES, decode);
        let Some((announced, bytes)) = read.await? else {
            return Ok(());
        };
        self.carry_blob(&announced.blob).await?;
        let path = self.target.layout.snapshot_entry(version);
        let found = self.target.announcement(version);
        self.create_or_replace(&path, bytes, async {
            let found = found.await;
            matches!(found, Ok(Some(found)) if found.state_checksum == announced.state_checksum)
        })
        .await
    }

    /// What people accepted of the versions that the copy has or is about to get.
    pub(super) async fn accept(&self, plan: &Plan) -> Result<()> {
        let list = |dataset: &crate::Dataset| {
            let (store, folder) = (dataset.store.clone(), dataset.layout.accepted());
            async move { store.list(&folder, None).await }
        };
        let there = list(self.target).await?;
        let there: BTreeSet<u64> = there.iter().filter_map(version_of).collect();
        let ours = list(self.source).await?;
        let ours = ours.iter().filter_map(version_of).collect();
        for version in self.missing(plan, ours, &there) {
            match self.accept_version(version).await {
                Err(error) if is_loss(&error) => self.fault(version, &error),
                other => other?,
            }
        }
        Ok(())
    }

    async fn accept_version(&self, version: u64) -> Result<()> {
        let path = self.source.layout.accepted_version(version);
        let decode = |bytes: &[u8]| {
            let accepted = AcceptedVersion::decode(bytes)?;
            Ok((accepted, Bytes::copy_from_slice(bytes)))
        };
        let read = self.source.read_document(&path, MAX_CONTROL_BYTES, decode);
        let Some((mut accepted, mut bytes)) = read.await? else {
            return Ok(());
        };
        self.source.check_dataset(&path, &accepted.dataset)?;
        if accepted.dataset_id != self.last.dataset_id {
            return Ok(());
        }
        if self.identity != accepted.dataset_id {
            accepted.dataset_id.clone_from(&self.identity);
            bytes = accepted.encode().map_err(unencodable)?.into();
        }
        let path = self.target.layout.accepted_version(version);
        self.create_or_replace(&path, bytes, async { true }).await
    }

    /// Creates a document; another one that is there stays if it is as good.
    async fn create_or_replace(
        &self,
        path: &Path,
        bytes: Bytes,
        is_good: impl Future<Output = bool>,
    ) -> Result<()> {
        let store = &self.target.store;
        let create = || store.create(path, bytes.clone());
        if store.writing(create).await? == Created::Exists {
            if is_good.await {
                return store.confirm(path).await;
            }
            store.writing(|| store.put(path, bytes.clone())).await?;
        }
        self.wrote(bytes.len() as u64);
        Ok(())
    }
}
