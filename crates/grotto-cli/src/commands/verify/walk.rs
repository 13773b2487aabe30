//! The walk through a dataset.
//!
//! Owns: what is checked. Holds one state at a time. Never: stops at the first fault, so that one
//! run names everything that is damaged; only a store that does not answer ends it.

use super::Found;
use super::promise::Promise;
use crate::failure::{Failure, Outcome};
use crate::progress::Bar;
use grotto::format::blob::{Blob, BlobKind as Kind};
use grotto::state::{HeapSeal, State};
use grotto::store::{
    BlobKind, BlobRef, Dataset, EntryKind, Error, ErrorKind, LogEntry, SnapshotEntry, Source,
};
use std::collections::{BTreeMap, BTreeSet};

/// Something that is not as it should be.
pub(super) struct Fault {
    pub(super) kind: ErrorKind,
    pub(super) message: String,
}

pub(super) struct Walk<'a> {
    dataset: &'a Dataset,
    bar: Bar,
    entries: BTreeMap<u64, LogEntry>,
    snapshots: BTreeMap<u64, SnapshotEntry>,
    /// Versions whose announced snapshots the log does not bear out.
    unborne: Vec<u64>,
    /// The state at the end of the forward walk, if a way led there.
    newest: Option<State>,
    blobs: u64,
    bytes: u64,
    states: u64,
    faults: Vec<Fault>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(dataset: &'a Dataset, bar: Bar) -> Self {
        Self {
            dataset,
            bar,
            entries: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            unborne: Vec::new(),
            newest: None,
            blobs: 0,
            bytes: 0,
            states: 0,
            faults: Vec::new(),
        }
    }

    /// Reads all log entries and announcements.
    pub(super) async fn read_log(&mut self) -> Outcome<()> {
        let versions = self.dataset.list_versions(1..=u64::MAX).await?;
        for version in versions.iter().copied() {
            let entry = self.dataset.read_entry(version).await;
            if let Some(entry) = self.tolerate(entry)?.flatten() {
                self.entries.insert(version, entry);
            }
        }
        for version in self.dataset.snapshot_versions().await? {
            let announced = self.dataset.announcement(version).await;
            let Some(announced) = self.tolerate(announced)?.flatten() else {
                continue;
            };
            // As for everybody: it counts only with the log entry of its version and its checksum.
            let entry = self.entries.get(&version);
            if entry.is_some_and(|entry| entry.state_checksum == announced.state_checksum) {
                self.snapshots.insert(version, announced);
            } else {
                self.unborne.push(version);
            }
        }
        let boundary = self.dataset.collected().await?;
        self.check_order(&versions, boundary);
        let deltas = self
            .entries
            .values()
            .filter(|entry| entry.kind == EntryKind::Commit)
            .count();
        self.bar
            .of_items((2 * deltas + self.snapshots.len()) as u64);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.faults.is_empty()
    }

    /// No version is left out, each follows the one before, and epochs never fall.
    fn check_order(&mut self, versions: &[u64], boundary: u64) {
        let mut faults = Vec::new();
        let mut expected = boundary + 1;
        for version in versions.iter().filter(|version| **version > boundary) {
            if *version > expected {
                faults.push(missing(format!(
                    "log entries {expected} to {} are missing",
                    version - 1
                )));
            }
            expected = version + 1;
        }
        for (before, entry) in self.entries.values().zip(self.entries.values().skip(1)) {
            let version = entry.version;
            if entry.epoch < before.epoch {
                let (found, newest) = (entry.epoch, before.epoch);
                faults.push(corrupt(format!(
                    "version {version}: epoch {found} is below {newest}, that of the version before"
                )));
            }
            if entry.dataset_id != before.dataset_id {
                faults.push(corrupt(format!(
                    "version {version} is of another dataset than the version before"
                )));
            }
            if entry.parent == before.version
                && entry.kind != EntryKind::Commit
                && entry.state_checksum != before.state_checksum
            {
                faults.push(corrupt(format!(
                    "version {version}: only a commit may change the state checksum"
                )));
            }
        }
        self.faults.extend(faults);
    }

    /// From the first version to the newest: deltas, and every snapshot on the way.
    pub(super) async fn forward(&mut self) -> Outcome<()> {
        let first = self.entries.keys().next().copied().unwrap_or(0);
        let mut state = (first <= 1).then(|| super::empty(self.dataset));
        for version in self.versions() {
            let Some(entry) = self.entries.get(&version).cloned() else {
                continue;
            };
            state = state.filter(|state| state.version() == entry.parent);
            state = match entry.kind {
                EntryKind::Fence | EntryKind::Positions => {
                    state.map(|state| state.at_version(version))
                }
                EntryKind::Commit => self.step(state, &entry).await?,
            };
            let loaded = self.snapshot(&entry).await?;
            state = state.or(loaded);
        }
        let newest = self.entries.keys().next_back().copied();
        self.newest = state.filter(|state| Some(state.version()) == newest);
        Ok(())
    }

    /// From the newest version back to the first.
    pub(super) async fn back(&mut self) -> Outcome<()> {
        let mut state = self.newest.take();
        let mut versions = self.versions();
        versions.reverse();
        for version in versions {
            let Some(entry) = self.entries.get(&version).cloned() else {
                continue;
            };
            state = state.filter(|state| state.version() == version);
            let Some(blob) = Source::of(&entry, BlobKind::Reverse) else {
                state = match entry.kind {
                    EntryKind::Fence | EntryKind::Positions => {
                        state.map(|state| state.at_version(entry.parent))
                    }
                    EntryKind::Commit => None,
                };
                continue;
            };
            let checksum = self
                .entries
                .get(&entry.parent)
                .map(|parent| parent.state_checksum);
            let promise = checksum.map(|checksum| Promise {
                kind: Kind::Reverse,
                from: version,
                to: entry.parent,
                checksum,
            });
            state = self.check(state, &blob, promise).await?;
        }
        Ok(())
    }

    /// Every blob that the log or an announcement names.
    pub(super) fn named_blobs(&self) -> BTreeSet<String> {
        let mut named = BTreeSet::new();
        let mut add = |blob: &Source| named.insert(blob.name().to_owned());
        let steps = [BlobKind::Delta, BlobKind::Reverse];
        for entry in self.entries.values() {
            let own = steps.iter().filter_map(|kind| Source::of(entry, *kind));
            let links = entry.links.0.iter().flat_map(|link| {
                let linked = move |kind: &BlobKind| Source::linked(link, *kind);
                steps.iter().filter_map(linked)
            });
            own.chain(links).for_each(|blob| _ = add(&blob));
            if let Some(snapshot) = &entry.snapshot {
                add(&Source::from(&snapshot.blob));
            }
        }
        self.snapshots
            .values()
            .for_each(|entry| _ = add(&Source::from(&entry.blob)));
        named
    }

    pub(super) fn finish(self) -> Found {
        let commits = self
            .entries
            .values()
            .filter(|entry| entry.kind == EntryKind::Commit)
            .count();
        Found {
            first: self.entries.keys().next().copied().unwrap_or(0),
            last: self.entries.keys().next_back().copied().unwrap_or(0),
            commits: commits as u64,
            blobs: self.blobs,
            bytes: self.bytes,
            states: self.states,
            unborne: self.unborne,
            faults: self.faults,
        }
    }

    fn versions(&self) -> Vec<u64> {
        self.entries.keys().copied().collect()
    }

    async fn step(&mut self, state: Option<State>, entry: &LogEntry) -> Outcome<Option<State>> {
        let version = entry.version;
        let Some(blob) = Source::of(entry, BlobKind::Delta) else {
            // A version that began anew is reached by its snapshot only, which is checked with the rest.
            if self.snapshots_of(entry).is_empty() {
                self.faults.push(corrupt(format!(
                    "version {version}: a commit with neither a delta nor a snapshot"
                )));
            }
            return Ok(None);
        };
        let promise = Promise {
            kind: Kind::Delta,
            from: entry.parent,
            to: version,
            checksum: entry.state_checksum,
        };
        let state = self.check(state, &blob, Some(promise)).await?;
        if let Some(state) = &state {
            self.check_state(state, entry);
        }
        Ok(state)
    }

    async fn snapshot(&mut self, entry: &LogEntry) -> Outcome<Option<State>> {
        let mut loaded = None;
        for blob in self.snapshots_of(entry) {
            let promise = Promise {
                kind: Kind::Snapshot,
                from: 0,
                to: entry.version,
                checksum: entry.state_checksum,
            };
            let state = self
                .check(
                    Some(super::empty(self.dataset)),
                    &Source::from(&blob),
                    Some(promise),
                )
                .await?;
            loaded = loaded.or(state);
        }
        Ok(loaded)
    }

    /// The snapshots of an entry's own version: the one it names, and the announced one.
    fn snapshots_of(&self, entry: &LogEntry) -> BTreeSet<BlobRef> {
        let named = entry.snapshot.iter().filter(|s| s.version == entry.version);
        let announced = self.snapshots.get(&entry.version).map(|s| &s.blob);
        named.map(|s| &s.blob).chain(announced).cloned().collect()
    }

    /// Checks a blob's bytes and, where there is a state to apply it to, what it leads to.
    async fn check(
        &mut self,
        state: Option<State>,
        blob: &Source,
        promise: Option<Promise>,
    ) -> Outcome<Option<State>> {
        let fetched = self.dataset.fetch(blob).await;
        self.bar.add(1);
        let Some(bytes) = self.tolerate(fetched)? else {
            return Ok(None);
        };
        self.blobs += 1;
        self.bytes += bytes.len() as u64;
        let outcome = Blob::parse(bytes)
            .map_err(|e| e.to_string())
            .and_then(|parsed| {
                if let Some(promise) = &promise {
                    promise.compare(&parsed.header, self.dataset.name())?;
                }
                match state {
                    Some(state) => lead(&state, &parsed, promise.as_ref()).map(Some),
                    None => sections(&parsed).map(|()| None),
                }
            });
        match outcome {
            Ok(state) => {
                self.states += u64::from(state.is_some());
                Ok(state)
            }
            Err(reason) => {
                self.faults
                    .push(corrupt(format!("blob {}: {reason}", blob.name())));
                Ok(None)
            }
        }
    }

    /// What consumers compare, too: all that the entry says of its state.
    fn check_state(&mut self, state: &State, entry: &LogEntry) {
        if let Err(reason) = grotto::state::Promise::of(entry).check(state) {
            self.faults.push(corrupt(reason));
        }
    }

    /// Takes note of damage; anything else ends the walk.
    fn tolerate<T>(&mut self, outcome: Result<T, Error>) -> Outcome<Option<T>> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Missing) => {
                self.faults.push(Fault {
                    kind: error.kind(),
                    message: error.message().to_owned(),
                });
                Ok(None)
            }
            Err(error) => Err(Failure::from(error)),
        }
    }
}

/// Applies a blob; the result must have the checksum that the log states.
fn lead(state: &State, blob: &Blob, promise: Option<&Promise>) -> Result<State, String> {
    let (next, _) = state
        .apply(blob, &mut HeapSeal::default())
        .map_err(|e| e.to_string())?;
    match promise {
        Some(promise) if promise.checksum != next.checksum() => Err(format!(
            "expected state checksum {:016x}, found {:016x}",
            promise.checksum,
            next.checksum()
        )),
        _ => Ok(next),
    }
}

/// Unpacks every section of a blob that cannot be applied.
fn sections(blob: &Blob) -> Result<(), String> {
    (0..blob.header.sections.len())
        .try_for_each(|index| blob.section(index).map(|_| ()).map_err(|e| e.to_string()))
}

fn corrupt(message: String) -> Fault {
    Fault {
        kind: ErrorKind::Corrupt,
        message,
    }
}

fn missing(message: String) -> Fault {
    Fault {
        kind: ErrorKind::Missing,
        message,
    }
}
