//! The dataset as it should be: which records live, at which revision.
//!
//! Owns: change steps. Never: an engine.

use super::Workload;
use super::rng::{Rng, id, mix};
use std::collections::HashSet;

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The record with this key is gone.
    Delete(i64),
    /// The record at this position of [`Model::records`] is new or has another revision.
    Put(usize),
}

/// All live records, generated.
#[derive(Debug)]
pub struct Model<W: Workload> {
    workload: W,
    /// Number of records at the start.
    n: u64,
    /// Index and revision of the live records, parallel to `records`.
    live: Vec<(u64, u64)>,
    records: Vec<W::Record>,
    unused: u64,
    step: u64,
}

impl<W: Workload> Model<W> {
    /// The dataset of `n` records before any change.
    #[must_use]
    pub fn new(n: u64) -> Self {
        let workload = W::new(n);
        Self {
            live: (0..n).map(|index| (index, 0)).collect(),
            records: (0..n).map(|index| workload.record(index, 0)).collect(),
            workload,
            n,
            unused: n,
            step: 0,
        }
    }

    /// The workload.
    pub fn workload(&self) -> &W {
        &self.workload
    }

    /// Number of records at the start.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// The live records.
    #[must_use]
    pub fn records(&self) -> &[W::Record] {
        &self.records
    }

    /// The digest of the live records.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let digests = self.records.iter().map(|r| self.workload.digest(r));
        digests.fold(0, u64::wrapping_add)
    }

    /// Takes the next change step, with `k` changed, `k / 10` deleted and `k / 10` new records.
    pub fn step(&mut self, k: u64) -> Vec<Change> {
        self.step_by(k, k / 10, k / 10)
    }

    /// Takes the next change step, with this many changed, deleted and new records; fewer are
    /// changed or deleted when fewer live.
    pub fn step_by(&mut self, changed: u64, deleted: u64, added: u64) -> Vec<Change> {
        self.step += 1;
        let mut rng = Rng(mix(0x4445_4C54_4100_0000_u64.wrapping_add(self.step)));
        let mut changes = Vec::new();
        for _ in 0..deleted.min(self.live.len() as u64) {
            let position = rng.below(self.live.len() as u64) as usize;
            let (index, _) = self.live.swap_remove(position);
            self.records.swap_remove(position);
            changes.push(Change::Delete(id(index)));
        }
        let mut modified = HashSet::new();
        while (modified.len() as u64) < changed.min(self.live.len() as u64) {
            let position = rng.below(self.live.len() as u64) as usize;
            if !modified.insert(position) {
                continue;
            }
            let (index, revision) = &mut self.live[position];
            *revision += 1;
            self.records[position] = self.workload.record(*index, *revision);
            changes.push(Change::Put(position));
        }
        for _ in 0..added {
            changes.push(Change::Put(self.records.len()));
            self.live.push((self.unused, 0));
            self.records.push(self.workload.record(self.unused, 0));
            self.unused += 1;
        }
        changes
    }

    /// `count` random keys of live records, always the same ones.
    #[must_use]
    pub fn keys(&self, count: usize) -> Vec<i64> {
        let mut rng = Rng(0x4C4F_4F4B_5550);
        let mut draw = || self.live[rng.below(self.live.len() as u64) as usize].0;
        (0..count).map(|_| id(draw())).collect()
    }

    /// `count` keys without a record, as long as fewer than `n` records were added.
    #[must_use]
    pub fn misses(&self, count: usize) -> Vec<i64> {
        // Far from the indexes that changes add.
        (0..count as u64).map(|i| id(self.unused + i)).collect()
    }
}
