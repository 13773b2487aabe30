//! The walk through a dataset.
//!
//! Owns: what is checked of blobs and states. Holds one state at a time. Never: stops at the first fault, so
//! that one run names everything that is damaged; only a store that does not answer ends it.

use super::Found;
use super::faults::Faults;
use super::log::Log;
use super::promise::{Promise, Side};
use crate::failure::Outcome;
use crate::progress::Bar;
use grotto::engine::format::blob::{Blob, BlobKind as Kind};
use grotto::engine::state::{HeapSeal, State};
use grotto::store::{BlobKind, BlobRef, Dataset, EntryKind, LogEntry, Outline, Source};
use std::collections::BTreeSet;

pub(super) struct Walk<'a> {
    dataset: &'a Dataset,
    bar: Bar,
    log: Log,
    /// The state at the end of the forward walk, if a way led there.
    newest: Option<State>,
    blobs: u64,
    bytes: u64,
    states: u64,
    faults: Faults,
}

impl<'a> Walk<'a> {
    /// Reads all log entries and announcements.
    pub(super) async fn begin(dataset: &'a Dataset, bar: Bar) -> Outcome<Self> {
        let mut faults = Faults::default();
        let log = Log::read(dataset, &mut faults).await?;
        let snapshots: usize = log.snapshots.values().map(BTreeSet::len).sum();
        bar.of_items(2 * log.commits() + snapshots as u64);
        Ok(Self {
            dataset,
            bar,
            log,
            newest: None,
            blobs: 0,
            bytes: 0,
            states: 0,
            faults,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.log.entries.is_empty() && self.faults.is_empty()
    }

    /// From the first version to the newest: deltas, and every snapshot on the way.
    pub(super) async fn forward(&mut self) -> Outcome<()> {
        let first = self.log.versions().first().copied().unwrap_or(0);
        let mut state = (first <= 1).then(|| super::empty(self.dataset));
        for version in self.log.versions() {
            let Some(told) = self.log.entries.get(&version).cloned() else {
                continue;
            };
            let entry = told.entry();
            state = state.filter(|state| state.version() == entry.parent);
            state = match entry.kind {
                EntryKind::Fence | EntryKind::Positions => {
                    state.map(|state| state.at_version(version))
                }
                EntryKind::Commit => self.step(state, &told).await?,
            };
            let snapshots = self.log.snapshots.remove(&version).unwrap_or_default();
            let loaded = self.load(version, snapshots, Some(entry)).await?;
            state = state.or(loaded);
        }
        let newest = self.log.versions().last().copied();
        self.newest = state.filter(|state| Some(state.version()) == newest);
        // Named by an entry, and that of their own version is lost.
        for (version, snapshots) in std::mem::take(&mut self.log.snapshots) {
            self.load(version, snapshots, None).await?;
        }
        Ok(())
    }

    /// From the newest version back to the first.
    pub(super) async fn back(&mut self) -> Outcome<()> {
        let mut state = self.newest.take();
        let mut versions = self.log.versions();
        versions.reverse();
        for version in versions {
            let Some(told) = self.log.entries.get(&version).cloned() else {
                continue;
            };
            let entry = told.entry();
            state = state.filter(|state| state.version() == version);
            let Some(blob) = told.blob(BlobKind::Reverse) else {
                state = match entry.kind {
                    EntryKind::Fence | EntryKind::Positions => {
                        state.map(|state| state.at_version(entry.parent))
                    }
                    EntryKind::Commit => None,
                };
                continue;
            };
            let parent = self.log.entry(entry.parent).cloned();
            let promise = Promise {
                kind: Kind::Reverse,
                from: Side::of(entry),
                to: Side::find(entry.parent, parent.as_ref()),
            };
            state = self.check(state, blob, &promise, parent.as_ref()).await?;
        }
        Ok(())
    }

    /// Every blob that the log or an announcement names.
    pub(super) fn named_blobs(&self) -> &BTreeSet<String> {
        &self.log.named
    }

    pub(super) fn finish(self) -> Found {
        let versions = self.log.versions();
        Found {
            first: versions.first().copied().unwrap_or(0),
            last: versions.last().copied().unwrap_or(0),
            commits: self.log.commits(),
            blobs: self.blobs,
            bytes: self.bytes,
            states: self.states,
            unborne: self.log.unborne,
            faults: self.faults.into_list(),
        }
    }

    async fn step(&mut self, state: Option<State>, told: &Outline) -> Outcome<Option<State>> {
        // A version that began anew is reached by its snapshot only, which is checked with the rest.
        let Some(blob) = told.blob(BlobKind::Delta) else {
            return Ok(None);
        };
        let entry = told.entry();
        let promise = Promise {
            kind: Kind::Delta,
            from: Side::find(entry.parent, self.log.entry(entry.parent)),
            to: Side::of(entry),
        };
        self.check(state, blob, &promise, Some(entry)).await
    }

    /// Loads every snapshot of a version, and gives the first state that is what its entry says.
    async fn load(
        &mut self,
        version: u64,
        snapshots: BTreeSet<BlobRef>,
        entry: Option<&LogEntry>,
    ) -> Outcome<Option<State>> {
        let mut loaded = None;
        for blob in snapshots {
            let promise = Promise {
                kind: Kind::Snapshot,
                from: Side::nothing(),
                to: Side::find(version, entry),
            };
            let empty = Some(super::empty(self.dataset));
            let blob = Source::from(&blob);
            let state = self.check(empty, &blob, &promise, entry).await?;
            loaded = loaded.or(state);
        }
        Ok(loaded)
    }

    /// Checks a blob's bytes and, where there is a state to apply it to, what it leads to: that must be all
    /// that the entry of `to` says.
    async fn check(
        &mut self,
        state: Option<State>,
        blob: &Source,
        promise: &Promise,
        to: Option<&LogEntry>,
    ) -> Outcome<Option<State>> {
        let fetched = self.dataset.fetch(blob).await;
        self.bar.add(1);
        let Some(bytes) = self.faults.tolerate(fetched)? else {
            return Ok(None);
        };
        self.blobs += 1;
        self.bytes += bytes.len() as u64;
        let outcome = Blob::parse(bytes)
            .map_err(|e| e.to_string())
            .and_then(|parsed| {
                promise.compare(&parsed.header, self.dataset.name())?;
                match state {
                    Some(state) => lead(&state, &parsed, to).map(Some),
                    None => sections(&parsed).map(|()| None),
                }
            });
        match outcome {
            Ok(state) => {
                self.states += u64::from(state.is_some());
                Ok(state)
            }
            Err(reason) => {
                let name = blob.name();
                self.faults.corrupt(format!("blob {name}: {reason}"));
                Ok(None)
            }
        }
    }
}

/// Applies a blob; the result must be what consumers compare, too: all that the log says of it.
fn lead(state: &State, blob: &Blob, to: Option<&LogEntry>) -> Result<State, String> {
    let (next, _) = state
        .apply(blob, &mut HeapSeal::default())
        .map_err(|e| e.to_string())?;
    match to {
        Some(entry) => grotto::engine::state::Promise::of(entry)
            .check(&next)
            .map(|()| next),
        None => Ok(next),
    }
}

/// Unpacks every section of a blob that cannot be applied.
fn sections(blob: &Blob) -> Result<(), String> {
    (0..blob.header.sections.len())
        .try_for_each(|index| blob.section(index).map(|_| ()).map_err(|e| e.to_string()))
}
