//! The log and the announcements of a dataset, read once.
//!
//! Owns: what is missing from them or damaged, and which of them break a rule. Keeps neither links nor the
//! blobs of entries, however long the log. Never: reads a blob.

use super::faults::Faults;
use super::rules;
use crate::failure::Outcome;
use grotto::store::{BlobKind, BlobRef, Dataset, EntryKind, Error, LogEntry, Outline, Source};
use std::collections::{BTreeMap, BTreeSet};

/// All that a log says past what was collected.
#[derive(Default)]
pub(super) struct Log {
    /// Versions at or below are followed by nobody, and their blobs go one after the other.
    boundary: u64,
    pub(super) entries: BTreeMap<u64, Outline>,
    /// Those that are announced and count, and those that entries name; by version.
    pub(super) snapshots: BTreeMap<u64, BTreeSet<BlobRef>>,
    /// Versions whose announced snapshots the log does not bear out.
    pub(super) unborne: Vec<u64>,
    /// Every blob that an entry, a link or an announcement names, of collected versions too.
    pub(super) named: BTreeSet<String>,
}

impl Log {
    pub(super) async fn read(dataset: &Dataset, faults: &mut Faults) -> Outcome<Self> {
        let boundary = dataset.collected().await?;
        let mut log = Self {
            boundary,
            ..Self::default()
        };
        let versions = dataset.list_versions(1..=u64::MAX).await?;
        log.read_entries(dataset, &versions, faults).await?;
        log.read_announcements(dataset, faults).await?;
        find_gaps(&versions, boundary, faults);
        // A collector takes old snapshots away, and entries go on naming them.
        log.snapshots.retain(|version, _| *version > boundary);
        Ok(log)
    }

    pub(super) fn commits(&self) -> u64 {
        let kinds = self.entries.values().map(|told| told.entry().kind);
        kinds.filter(|kind| *kind == EntryKind::Commit).count() as u64
    }

    pub(super) fn versions(&self) -> Vec<u64> {
        self.entries.keys().copied().collect()
    }

    /// What the entry of a version says.
    pub(super) fn entry(&self, version: u64) -> Option<&LogEntry> {
        self.entries.get(&version).map(Outline::entry)
    }

    async fn read_entries(
        &mut self,
        dataset: &Dataset,
        versions: &[u64],
        faults: &mut Faults,
    ) -> Outcome<()> {
        let mut before: Option<LogEntry> = None;
        for version in versions.iter().copied() {
            let entry = dataset.read_entry(version).await;
            let Some(entry) = self.tolerate(version, entry, faults)? else {
                continue;
            };
            if version <= self.boundary {
                self.note_names(&entry);
                continue;
            }
            rules::broken(before.as_ref(), &entry)
                .into_iter()
                .for_each(|broken| faults.corrupt(format!("version {version}: {broken}")));
            self.note_names(&entry);
            self.entries.insert(version, Outline::of(entry.clone()));
            before = Some(entry);
        }
        Ok(())
    }

    /// Takes note of damage, unless it was collected.
    fn tolerate<T>(
        &self,
        version: u64,
        read: Result<Option<T>, Error>,
        faults: &mut Faults,
    ) -> Outcome<Option<T>> {
        let mut collected = Faults::default();
        let faults = if version <= self.boundary {
            &mut collected
        } else {
            faults
        };
        Ok(faults.tolerate(read)?.flatten())
    }

    fn note_names(&mut self, entry: &LogEntry) {
        let steps = [BlobKind::Delta, BlobKind::Reverse];
        let own = steps.iter().filter_map(|kind| Source::of(entry, *kind));
        let links = entry.links.0.iter().flat_map(|link| {
            let linked = move |kind: &BlobKind| Source::linked(link, *kind);
            steps.iter().filter_map(linked)
        });
        let names = own.chain(links).map(|blob| blob.name().to_owned());
        self.named.extend(names);
        if let Some(snapshot) = &entry.snapshot {
            self.note_snapshot(snapshot.version, snapshot.blob.clone());
        }
    }

    fn note_snapshot(&mut self, version: u64, blob: BlobRef) {
        self.named.insert(blob.name.clone());
        self.snapshots.entry(version).or_default().insert(blob);
    }

    async fn read_announcements(&mut self, dataset: &Dataset, faults: &mut Faults) -> Outcome<()> {
        for version in dataset.snapshot_versions().await? {
            let announced = dataset.announcement(version).await;
            let Some(announced) = self.tolerate(version, announced, faults)? else {
                continue;
            };
            if version <= self.boundary {
                self.named.insert(announced.blob.name);
                continue;
            }
            // As for everybody: it counts only with the log entry of its version and its checksum.
            let entry = self.entry(version);
            match entry.filter(|entry| entry.state_checksum == announced.state_checksum) {
                Some(entry) => {
                    rules::broken_announcement(entry, &announced)
                        .into_iter()
                        .for_each(|broken| {
                            faults.corrupt(format!("snapshot of version {version}: {broken}"));
                        });
                    self.note_snapshot(version, announced.blob);
                }
                None => self.unborne.push(version),
            }
        }
        Ok(())
    }
}

/// No version is left out.
fn find_gaps(versions: &[u64], boundary: u64, faults: &mut Faults) {
    let mut expected = boundary + 1;
    for version in versions.iter().filter(|version| **version > boundary) {
        if *version > expected {
            let last = version - 1;
            faults.missing(format!("log entries {expected} to {last} are missing"));
        }
        expected = version + 1;
    }
}
