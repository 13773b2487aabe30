//! The model of a dataset that is collected, and whose consumers are told where to be.
//!
//! Owns: what its log, boundary, leases and pointers are, as they lie in the store, and what of it may be removed.
//! Never: asks a collector why, or a consumer what it was told.
//!
//! A collector may err on the side of keeping, never on that of removing: nothing past the boundary that the log names,
//! nothing that a lease or a pointer needs which was there, and living, since before the collection began.

mod pointers;
mod removals;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use grotto_format::log::{EntryKind, Lease, LogEntry, Pointer, SnapshotEntry};
use object_store::path::Path;

use super::entry::{decode, follows};
use super::relay::Records;

/// Name of the dataset.
pub(crate) const SHELF: &str = "shelf";
/// The record that tells the attempt.
pub(crate) const ATTEMPT: i64 = -1;

/// A version.
#[derive(Debug)]
struct Stored {
    entry: LogEntry,
    records: Records,
}

/// A lease as it lies in the store.
#[derive(Clone, Debug)]
struct Told {
    version: u64,
    pinned: Option<u64>,
    renewed: Duration,
    expires_after: Duration,
    /// Since when it has been living without a break.
    since: Duration,
}

/// What had to be kept when a collection began.
#[derive(Debug, Default)]
struct Run {
    leases: BTreeMap<String, Told>,
    pointers: BTreeMap<String, Pointer>,
}

/// What the store holds of the dataset, by the model.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    attempts: i64,
    /// What each writer was told last.
    told: BTreeMap<String, Records>,
    /// The same by the nonce of the entry.
    asked: BTreeMap<String, Records>,
    versions: BTreeMap<u64, Stored>,
    /// What versions held that a crash of the store's host took away, and somebody may serve.
    lost: BTreeMap<u64, Vec<Records>>,
    /// Versions that were said to be published.
    published: BTreeSet<u64>,
    /// Names of the snapshots' blobs that are announced, by version.
    announced: BTreeMap<u64, String>,
    collected: u64,
    /// Since when so much is collected.
    raised_at: Duration,
    leases: BTreeMap<String, Told>,
    /// All that each pointer ever was, and since when.
    pointers: BTreeMap<String, Vec<(Duration, Option<Pointer>)>>,
    /// Those whose setting was said to be done.
    set: BTreeMap<String, Pointer>,
    runs: BTreeMap<String, Run>,
}

/// The object of a path below the dataset: its folder and its name.
fn object(path: &Path) -> Option<(&str, &str)> {
    let below = path.as_ref().strip_prefix(SHELF)?.strip_prefix('/')?;
    below.rsplit_once('/')
}

/// The version that leads a name.
fn version(name: &str) -> Option<u64> {
    name.get(..20)?.parse().ok()
}

/// The name of a pointer, if it is one.
fn pointer(folder: &str, name: &str) -> Option<String> {
    let name = name.strip_suffix(".json")?;
    match folder {
        "control" if name == "pin" => Some(name.to_owned()),
        "control/channels" => Some(format!("channel {name}")),
        _ => None,
    }
}

impl Told {
    fn is_living(&self, now: Duration) -> bool {
        now.saturating_sub(self.renewed) <= self.expires_after
    }

    /// The oldest version that it needs.
    fn oldest(&self) -> u64 {
        self.pinned
            .map_or(self.version, |pinned| pinned.min(self.version))
    }

    /// It needs nothing below that: who goes back after it was seen there may come too late.
    fn moves_on_to(&mut self, oldest: u64) {
        if oldest > self.oldest() {
            (self.version, self.pinned) = (oldest, None);
        }
    }
}

impl Shelf {
    /// A writer is told what to write; `records` get the number of the attempt.
    pub(crate) fn tell(&mut self, writer: &str, records: &mut Records) {
        self.attempts += 1;
        records.insert(ATTEMPT, self.attempts);
        self.told.insert(writer.to_owned(), records.clone());
    }

    /// A writer wants an entry to be created.
    pub(crate) fn asked(&mut self, who: &str, bytes: &Bytes) -> Result<(), String> {
        let entry = decode(bytes)?;
        let told = self.told.get(who).cloned().unwrap_or_default();
        self.asked.entry(entry.nonce).or_insert(told);
        Ok(())
    }

    /// The newest version.
    pub(crate) fn head(&self) -> u64 {
        self.versions
            .last_key_value()
            .map_or(0, |(version, _)| *version)
    }

    /// The version that a lease tells of which has not expired.
    pub(crate) fn leased(&self, consumer: &str, now: Duration) -> Option<u64> {
        let told = self.leases.get(consumer);
        told.filter(|told| told.is_living(now))
            .map(|told| told.version)
    }

    /// Versions that a pointer may name.
    pub(crate) fn kept(&self) -> Vec<u64> {
        let kept = self.versions.range(self.collected + 1..);
        kept.map(|(version, _)| *version).collect()
    }

    /// Something is in the store from now on, or something else than before.
    ///
    /// # Errors
    /// When it must not be.
    pub(crate) fn landed(
        &mut self,
        who: &str,
        path: &Path,
        bytes: &Bytes,
        now: Duration,
    ) -> Result<(), String> {
        let Some((folder, name)) = object(path) else {
            return Ok(());
        };
        match folder {
            "log" => self.entry(version(name), bytes),
            "collected" => self.raised(who, version(name).unwrap_or(0), now),
            "snapshots" => {
                let announced = SnapshotEntry::decode(bytes).map_err(|error| error.to_string())?;
                self.announced
                    .insert(announced.version, announced.blob.name);
                Ok(())
            }
            "consumers" => {
                let lease = Lease::decode(bytes).map_err(|error| error.to_string())?;
                let before = self.leases.get(&lease.consumer);
                let living = before.filter(|told| told.is_living(now));
                let told = Told {
                    version: lease.version,
                    pinned: lease.pinned,
                    renewed: now,
                    expires_after: Duration::from_secs(lease.expires_after_s),
                    since: living.map_or(now, |told| told.since),
                };
                let runs = self.runs.values_mut();
                let seen = runs.filter_map(|run| run.leases.get_mut(&lease.consumer));
                seen.for_each(|before| before.moves_on_to(told.oldest()));
                self.leases.insert(lease.consumer, told);
                Ok(())
            }
            _ => {
                if let Some(pointer) = pointer(folder, name) {
                    let found = Pointer::decode(bytes).map_err(|error| error.to_string())?;
                    self.points(&pointer, Some(found), now);
                }
                Ok(())
            }
        }
    }

    fn entry(&mut self, version: Option<u64>, bytes: &Bytes) -> Result<(), String> {
        let entry = decode(bytes)?;
        if version != Some(entry.version) {
            return Err(format!(
                "an entry of version {} is at {version:?}",
                entry.version
            ));
        }
        let version = entry.version;
        if version <= self.collected {
            // Of a writer that slept through it: it must not be told that this is published.
            return Ok(());
        }
        if version != self.head() + 1 {
            let head = self.head();
            return Err(format!("version {version} follows version {head}"));
        }
        let before = self.versions.get(&(version - 1));
        if let Some(before) = before {
            follows(&before.entry, &entry, false)?;
        }
        let records = match entry.kind {
            EntryKind::Commit => self.asked.get(&entry.nonce).cloned(),
            EntryKind::Fence | EntryKind::Positions => Some(
                before
                    .map(|before| before.records.clone())
                    .unwrap_or_default(),
            ),
        };
        let records = records.ok_or_else(|| format!("nobody asked for version {version}"))?;
        self.versions.insert(version, Stored { entry, records });
        Ok(())
    }

    /// The boundary rises.
    fn raised(&mut self, who: &str, boundary: u64, now: Duration) -> Result<(), String> {
        if boundary > self.collected {
            (self.collected, self.raised_at) = (boundary, now);
        }
        if boundary >= self.head() {
            return Err(format!("version {boundary} is the newest, and collected"));
        }
        let needs = self.needing(who, boundary, now);
        // Whoever saw less than was there may have passed what is named.
        self.forget_set(|version| version <= boundary);
        match needs {
            Some(needs) => Err(format!("versions up to {boundary} are collected; {needs}")),
            None => Ok(()),
        }
    }

    /// Who needs a version, and needed it when the collection began.
    fn needing(&self, who: &str, version: u64, now: Duration) -> Option<String> {
        let run = self.runs.get(who)?;
        for (consumer, before) in &run.leases {
            let told = self.leases.get(consumer).filter(|told| told.is_living(now));
            let Some(told) = told.filter(|told| told.since == before.since) else {
                continue;
            };
            let oldest = before.oldest().max(told.oldest());
            if oldest > 0 && version >= oldest {
                return Some(format!("consumer {consumer} serves version {oldest}"));
            }
        }
        let standing = run.pointers.iter();
        let mut standing = standing.filter(|(name, before)| self.set.get(*name) == Some(before));
        let needs = standing.find(|(_, before)| before.versions().any(|named| version >= named));
        needs.map(|(name, before)| format!("{name} names version {}", before.version))
    }

    /// A collection begins.
    pub(crate) fn begins(&mut self, who: &str, now: Duration) {
        let living = self.leases.iter().filter(|(_, told)| told.is_living(now));
        let run = Run {
            leases: living
                .map(|(name, told)| (name.clone(), told.clone()))
                .collect(),
            pointers: self.set.clone(),
        };
        self.runs.insert(who.to_owned(), run);
    }

    /// A collection ended: the versions that pointers named all the while.
    pub(crate) fn ends(&mut self, who: &str) -> BTreeSet<u64> {
        let run = self.runs.remove(who).unwrap_or_default();
        let standing = run.pointers.iter();
        let standing = standing.filter(|(name, before)| self.set.get(*name) == Some(before));
        standing.flat_map(|(_, before)| before.versions()).collect()
    }

    /// Somebody sees less than is there, and cannot keep what it does not see.
    pub(crate) fn blurs(&mut self, who: &str) {
        if let Some(run) = self.runs.get_mut(who) {
            *run = Run::default();
        }
    }

    /// Objects were lost in a crash of the store's host, and are now what they were before.
    ///
    /// # Errors
    /// When something of them was told.
    pub(crate) fn crashed(
        &mut self,
        path: &Path,
        left: Option<&Bytes>,
        now: Duration,
    ) -> Result<(), String> {
        let Some((folder, name)) = object(path) else {
            return Ok(());
        };
        if let Some(pointer) = pointer(folder, name) {
            let left = left.and_then(|bytes| Pointer::decode(bytes).ok());
            self.points(&pointer, left, now);
        }
        let Some(version) = version(name) else {
            return Ok(());
        };
        match folder {
            "snapshots" => _ = self.announced.remove(&version),
            "log" => {
                for (version, stored) in self.versions.split_off(&version) {
                    self.lost.entry(version).or_default().push(stored.records);
                }
                self.forget_set(|named| named >= version);
                if self.published.range(version..).next().is_some() {
                    return Err(format!("version {version} was published, and is lost"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A writer says that it published a version.
    ///
    /// # Errors
    /// When that is not what it was told to write.
    pub(crate) fn was_published(&mut self, who: &str, version: u64) -> Result<(), String> {
        let told = self.told.get(who).and_then(|records| records.get(&ATTEMPT));
        let stored = self.versions.get(&version);
        let found = stored.and_then(|stored| stored.records.get(&ATTEMPT));
        if found.is_none() || found > told {
            return Err(format!(
                "version {version} is published with {told:?}, and has {found:?}"
            ));
        }
        self.published.insert(version);
        Ok(())
    }

    /// Compares what is served with what was written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self, version: u64, found: &Records) -> Result<(), String> {
        let mut lost = self.lost.get(&version).into_iter().flatten();
        let was_lost = lost.any(|lost| lost == found);
        match self.versions.get(&version) {
            _ if was_lost => Ok(()),
            None if version == 0 && found.is_empty() => Ok(()),
            None => Err(format!("serves version {version}, which never was")),
            Some(stored) if stored.records == *found => Ok(()),
            Some(stored) => {
                let expected = &stored.records;
                Err(format!(
                    "serves version {version} with {found:?}, expected {expected:?}"
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests;
