//! Which versions are copied.
//!
//! Owns: where a copy begins, and where it goes on. Never: copies.

use std::collections::BTreeSet;

use grotto_format::log::{BlobRef, LogEntry};

use super::{Run, Trouble};
use crate::error::{Error, ErrorKind, Result};

/// What one round copies.
#[derive(Debug)]
pub(super) struct Plan {
    /// In rising order.
    pub(super) versions: Vec<u64>,
    /// Those that the target holds and that count there.
    pub(super) there: BTreeSet<u64>,
    /// The newest version that is gone in the target.
    pub(super) collected: u64,
    /// The version that the copy begins with, where it does not go on from what is there.
    pub(super) begin: Option<u64>,
    /// The first version that the source lost.
    pub(super) hole: Option<Trouble>,
}

impl Plan {
    /// Leaves out a version and all after it.
    pub(super) fn end_before(&mut self, version: u64) {
        self.versions.retain(|planned| *planned < version);
    }

    /// The oldest version of the source that is yet to be read.
    pub(super) fn oldest_needed(&self) -> u64 {
        let first = self.versions.first().copied();
        first.unwrap_or_else(|| self.there.last().copied().unwrap_or(1))
    }

    /// Those that the target holds afterwards.
    pub(super) fn all(&self) -> BTreeSet<u64> {
        self.there.iter().chain(&self.versions).copied().collect()
    }

    /// The oldest version from which on the target has no gap afterwards.
    pub(super) fn first_without_gap(&self) -> u64 {
        let all = self.all();
        let mut first = all.last().copied().unwrap_or(0);
        while first > 0 && all.contains(&(first - 1)) {
            first -= 1;
        }
        first
    }
}

impl Run<'_> {
    /// The newest version that is not copied, whatever else: by what was asked for.
    pub(super) async fn floor(&self) -> Result<u64> {
        let Some(from) = self.options.from.filter(|_| self.before == 0) else {
            return Ok(0);
        };
        let announced = self.source.snapshot_versions().await?;
        let before = announced
            .into_iter()
            .rev()
            .filter(|version| *version <= from);
        for version in before {
            if self.is_start(version).await? {
                return Ok(version - 1);
            }
        }
        Ok(0)
    }

    /// What to copy of the versions past `floor`.
    pub(super) async fn plan(&self, floor: u64) -> Result<Plan> {
        let last = self.last.version;
        let gone = self.source.collected().await?;
        let ours = self.source.list_versions(gone + 1..=last).await?;
        let collected = self.target.collected().await?;
        let there = self.target.list_versions(collected + 1..=u64::MAX).await?;
        let there: BTreeSet<u64> = there.into_iter().collect();
        let mut plan = Plan {
            versions: Vec::new(),
            there,
            collected,
            begin: None,
            hole: None,
        };
        let newest = plan.there.last().copied().unwrap_or(0);
        // What the copy lost.
        let gaps = ours
            .iter()
            .filter(|version| (collected + 1..newest).contains(version));
        plan.versions = gaps
            .copied()
            .filter(|gap| !plan.there.contains(gap))
            .collect();
        if newest >= last {
            return Ok(plan);
        }
        let next = newest + 1;
        let begin = match newest > 0 && next > floor && next > gone {
            true => next,
            false => match self.start_after(floor.max(gone).max(newest)).await? {
                Some(start) => {
                    plan.begin = Some(start);
                    start
                }
                None if newest > 0 => return Ok(plan),
                None => return Err(self.nowhere()),
            },
        };
        let new = ours.into_iter().filter(|version| *version >= begin);
        let new: Vec<u64> = new.collect();
        plan.hole = self.hole(begin, &new);
        plan.versions.extend(new);
        Ok(plan)
    }

    /// The first version that should be there and is not.
    fn hole(&self, begin: u64, versions: &[u64]) -> Option<Trouble> {
        let mut expected = begin..=self.last.version;
        let found = versions.iter().copied();
        let (hole, _) = expected
            .by_ref()
            .zip(found.map(Some).chain(std::iter::repeat(None)))
            .find(|(expected, found)| Some(*expected) != *found)?;
        Some(Trouble {
            version: hole,
            error: Error::missing(format!(
                "log entry {} is gone from the source",
                self.source.layout.log_entry(hole)
            )),
        })
    }

    fn nowhere(&self) -> Error {
        let faults = &self.tally.lock().faults;
        let first = faults.first().map(|fault| format!(": {fault}"));
        Error::missing(format!(
            "dataset {}: no intact snapshot to begin a copy from{}",
            self.source.name(),
            first.unwrap_or_default()
        ))
    }

    /// The first version past `version` that a copy can begin with: one that a snapshot leads to, or the first of all.
    pub(super) async fn start_after(&self, version: u64) -> Result<Option<u64>> {
        let gone = self.source.collected().await?.max(version);
        let ours = self
            .source
            .list_versions(gone + 1..=self.last.version)
            .await?;
        for version in ours {
            if version == 1 || self.is_start(version).await? {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    async fn is_start(&self, version: u64) -> Result<bool> {
        let entry = match self.source.read_entry(version).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(false),
            other => other?,
        };
        let Some(entry) = entry else { return Ok(false) };
        if let Some(own) = own_snapshot(&entry) {
            return self.is_there(own).await;
        }
        match self.source.read_snapshot_or_warn(version).await? {
            Some(announced) => self.is_there(&announced.blob).await,
            None => Ok(false),
        }
    }

    async fn is_there(&self, blob: &BlobRef) -> Result<bool> {
        let path = self.source.layout.blob(&blob.name);
        let store = &self.source.store;
        let length = store.reading(|| store.length(&path)).await?;
        Ok(length == Some(blob.length))
    }
}

/// The snapshot of its own version that an entry names.
pub(super) fn own_snapshot(entry: &LogEntry) -> Option<&BlobRef> {
    let named = entry.snapshot.as_ref();
    let own = named.filter(|snapshot| snapshot.version == entry.version);
    own.map(|snapshot| &snapshot.blob)
}
