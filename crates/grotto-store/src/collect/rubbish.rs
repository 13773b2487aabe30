//! Which objects are of no use.
//!
//! Owns: the rule for each kind of object. Never: removes one.
//!
//! What is not understood stays: objects of other names, and blobs of versions whose log entry is damaged.

use std::collections::{BTreeMap, BTreeSet};

use grotto_format::log::BlobKind;
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::dataset::Dataset;
use crate::error::Result;
use crate::layout::{blob_version, version_of};
use crate::lease::{StoreTime, renewed_ms};

use super::needs::Needs;
use super::{Doomed, Retention, Why};

/// The objects of a dataset, and what is needed of them.
struct Rubbish<'a> {
    dataset: &'a Dataset,
    /// The time of the store.
    now: StoreTime,
    retention: &'a Retention,
    needs: &'a Needs,
    /// The newest version that nobody needs.
    boundary: u64,
    found: Vec<Doomed>,
}

/// What goes, in the order in which it goes: what names something goes before what it names.
pub(super) async fn of(
    dataset: &Dataset,
    retention: &Retention,
    needs: &Needs,
    boundary: u64,
    now: StoreTime,
) -> Result<Vec<Doomed>> {
    let mut rubbish = Rubbish {
        dataset,
        now,
        retention,
        needs,
        boundary,
        found: Vec::new(),
    };
    let announced = rubbish.announcements().await?;
    rubbish.documents().await?;
    rubbish.blobs(&announced).await?;
    Ok(rubbish.found)
}

impl Rubbish<'_> {
    /// Announcements of snapshots that are not kept; the names of the blobs of the others.
    async fn announcements(&mut self) -> Result<BTreeMap<u64, Option<String>>> {
        let mut names = BTreeMap::new();
        let listed = self.list(&self.dataset.layout.snapshots()).await?;
        for meta in &listed {
            let Some(version) = version_of(&meta.location) else {
                continue;
            };
            if version <= self.boundary {
                self.doom(meta, Why::Collected);
            } else {
                // One that cannot be read says nothing of the blobs of its version.
                let announced = self.dataset.announcement(version).await.ok().flatten();
                names.insert(version, announced.map(|announced| announced.blob.name));
            }
        }
        Ok(names)
    }

    /// Log entries and accepted versions up to the boundary, and what checks of the store left.
    async fn documents(&mut self) -> Result<()> {
        let layout = &self.dataset.layout;
        for folder in [layout.accepted(), layout.log()] {
            let mut listed = self.list(&folder).await?;
            listed.sort_by(|a, b| a.location.cmp(&b.location));
            for meta in &listed {
                if version_of(&meta.location).is_some_and(|version| version <= self.boundary) {
                    self.doom(meta, Why::Collected);
                }
            }
        }
        let listed = self.list(&layout.control()).await?;
        for meta in &listed {
            if self.dataset.layout.is_probe(&meta.location) && self.is_old(meta) {
                self.doom(meta, Why::Leftover);
            }
        }
        Ok(())
    }

    async fn blobs(&mut self, announced: &BTreeMap<u64, Option<String>>) -> Result<()> {
        let named = self.named_by_the_log().await?;
        for kind in [BlobKind::Delta, BlobKind::Reverse, BlobKind::Snapshot] {
            let listed = self.list(&self.dataset.layout.blobs(kind)).await?;
            for meta in &listed {
                let Some(version) = blob_version(&meta.location, kind) else {
                    continue;
                };
                let name = self.name_of(meta);
                let why = match version <= self.boundary {
                    true => Some(Why::Collected),
                    false if !self.is_old(meta) => None,
                    false => self.fate(kind, version, &name, &named, announced),
                };
                if let Some(why) = why {
                    self.doom(meta, why);
                }
            }
        }
        Ok(())
    }

    /// Why a blob past the boundary goes; `None` if it stays.
    fn fate(
        &self,
        kind: BlobKind,
        version: u64,
        name: &str,
        named: &BTreeMap<u64, BTreeSet<String>>,
        announced: &BTreeMap<u64, Option<String>>,
    ) -> Option<Why> {
        // An entry in its slot is what nobody can commit past; without one its writer may still.
        let committed = named.get(&version)?;
        if committed.contains(name) || named.values().any(|names| names.contains(name)) {
            return None;
        }
        match (kind, announced.get(&version)) {
            (BlobKind::Snapshot, Some(Some(other))) => (other != name).then_some(Why::Orphan),
            // Its announcement cannot be read, or may yet come.
            (BlobKind::Snapshot, Some(None) | None) => None,
            _ => Some(Why::Orphan),
        }
    }

    /// By version past the boundary: the blobs that its log entry names. Versions whose entry is damaged are not there.
    async fn named_by_the_log(&self) -> Result<BTreeMap<u64, BTreeSet<String>>> {
        let past = self.boundary.saturating_add(1)..=self.needs.newest;
        let mut named: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        for outline in self.dataset.outlines(past).await? {
            let entry = outline.entry();
            let names = named.entry(entry.version).or_default();
            for kind in [BlobKind::Delta, BlobKind::Reverse] {
                names.extend(outline.blob(kind).map(|blob| blob.name().to_owned()));
            }
            // The newest snapshot that its writer knew of, which may be older than its version.
            names.extend(
                entry
                    .snapshot
                    .as_ref()
                    .map(|snapshot| snapshot.blob.name.clone()),
            );
        }
        Ok(named)
    }

    async fn list(&self, folder: &Path) -> Result<Vec<ObjectMeta>> {
        let store = &self.dataset.store;
        let (objects, _) = store.list_objects(folder, None, usize::MAX).await?;
        Ok(objects)
    }

    fn is_old(&self, meta: &ObjectMeta) -> bool {
        self.now.age(renewed_ms(meta)) > self.retention.grace
    }

    fn name_of(&self, meta: &ObjectMeta) -> String {
        let prefix = format!("{}/", self.dataset.name());
        let path = meta.location.as_ref();
        path.strip_prefix(&prefix).unwrap_or(path).to_owned()
    }

    fn doom(&mut self, meta: &ObjectMeta, why: Why) {
        let (name, bytes) = (self.name_of(meta), meta.size);
        self.found.push(Doomed { name, bytes, why });
    }
}
