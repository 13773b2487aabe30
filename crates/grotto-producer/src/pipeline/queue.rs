//! What is acknowledged and not published yet.
//!
//! Owns: which of it is in memory, which only in the write-ahead log, and when a batch is due. Never: reads the
//! log, waits, or forgets an entry before it is committed.
//!
//! **Invariant:** the entries in memory are those with the numbers from the first uncommitted one on, without a
//! gap; all behind them are in the log only.

use super::batch::weight;
use super::options::Batching;
use crate::wal::{RejectedChange, WalEntry};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// An acknowledged entry.
#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub(super) number: u64,
    pub(super) entry: Arc<WalEntry>,
    /// What was not read back with it, as it does not fit the schema in use.
    pub(super) rejected: Arc<[RejectedChange]>,
    /// When it was submitted or read back, by the monotonic clock.
    pub(super) arrived: Duration,
}

/// When the next batch is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Now,
    /// At this time of the monotonic clock, unless more comes.
    At(Duration),
    /// When something comes.
    Never,
}

/// What is to be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refill {
    pub(super) from: u64,
    pub(super) bytes: usize,
    pub(super) records: usize,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    memory: VecDeque<Queued>,
    /// Entries at the front that are part of a batch under way.
    taken: usize,
    records: usize,
    bytes: usize,
    /// Records of `memory` behind the taken ones.
    free_records: usize,
    free_bytes: usize,
    /// The first entry that is in the log only.
    spilled: Option<u64>,
    last: u64,
    /// Times that an entry found no place in memory.
    pub(super) spills: u64,
}

impl Queue {
    /// Begins with what the log holds behind `committed`.
    pub(super) fn begin(&mut self, committed: u64, last: u64) {
        *self = Self {
            spilled: (last > committed).then_some(committed + 1),
            last,
            spills: self.spills,
            ..Self::default()
        };
    }

    pub(super) fn records(&self) -> usize {
        self.records
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Entries that are not committed, wherever they are.
    pub(super) fn entries(&self) -> u64 {
        let behind = self.spilled.map_or(0, |first| self.last + 1 - first);
        self.memory.len() as u64 + behind
    }

    pub(super) fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.spilled.is_none()
    }

    /// Number of the newest entry.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// When the first entry in memory came.
    pub(super) fn oldest(&self) -> Option<Duration> {
        self.memory.front().map(|queued| queued.arrived)
    }

    /// Where entries that are in the log only begin.
    pub(super) fn spilled(&self) -> Option<u64> {
        self.spilled
    }

    /// Whether so much more may be kept in memory.
    pub(super) fn has_room(&self, records: usize, bytes: usize, batching: &Batching) -> bool {
        self.memory.is_empty()
            || (self.records + records <= batching.max_pending_records
                && self.bytes + bytes <= batching.max_pending_bytes)
    }

    /// Notes an entry that was acknowledged; keeps it in memory if there is room. One that is only here has to
    /// be kept.
    pub(super) fn push(&mut self, queued: Queued, batching: &Batching, only_here: bool) {
        if queued.number <= self.last {
            // The log had it when this queue began, so it comes back from there.
            return;
        }
        if queued.number > self.last + 1 && !only_here {
            // Entries of an earlier process that turned out to be durable come before it.
            self.spilled.get_or_insert(self.last + 1);
        }
        self.last = queued.number;
        let (records, bytes) = (queued.entry.changes.len(), weight(&queued.entry));
        let fits = self.spilled.is_none() && self.has_room(records, bytes, batching);
        if only_here || fits {
            self.keep(queued);
        } else {
            self.spilled.get_or_insert(queued.number);
            self.spills += 1;
        }
    }

    /// Whether entries should be read back now: half of the memory is free.
    pub(super) fn wants_refill(&self, batching: &Batching) -> Option<Refill> {
        let from = self.spilled?;
        let half = self.records <= batching.max_pending_records / 2
            && self.bytes <= batching.max_pending_bytes / 2;
        half.then(|| Refill {
            from,
            bytes: batching.max_pending_bytes - self.bytes,
            records: batching.max_pending_records - self.records,
        })
    }

    /// Takes in entries that were read back, as far as there is room; gives the rest.
    ///
    /// # Errors
    /// The numbers that were expected and found where entries are missing.
    pub(super) fn refill(
        &mut self,
        read: Vec<Queued>,
        batching: &Batching,
    ) -> Result<Vec<Queued>, (u64, u64)> {
        let mut read = read.into_iter();
        for queued in read.by_ref() {
            let (records, bytes) = (queued.entry.changes.len(), weight(&queued.entry));
            let Some(next) = self.spilled.filter(|next| *next <= queued.number) else {
                continue;
            };
            if next != queued.number {
                return Err((next, queued.number));
            }
            if !self.has_room(records, bytes, batching) {
                break;
            }
            self.spilled = (queued.number < self.last).then_some(queued.number + 1);
            self.keep(queued);
        }
        Ok(read.collect())
    }

    fn keep(&mut self, queued: Queued) {
        let (records, bytes) = (queued.entry.changes.len(), weight(&queued.entry));
        self.records += records;
        self.bytes += bytes;
        self.free_records += records;
        self.free_bytes += bytes;
        self.memory.push_back(queued);
    }

    /// Whether there is so much that batches must not wait for their time.
    pub(super) fn is_pressed(&self, batching: &Batching) -> bool {
        self.spilled.is_some() || self.free_records >= batching.memory_pressure_threshold
    }

    /// When the next batch is due.
    pub(super) fn due(&self, batching: &Batching, flush: bool) -> Due {
        let Some(oldest) = self.memory.get(self.taken) else {
            return Due::Never;
        };
        let full = self.free_records >= batching.max_batch_size
            || self.free_bytes >= batching.max_batch_bytes;
        match full || flush || self.is_pressed(batching) {
            true => Due::Now,
            false => Due::At(oldest.arrived.saturating_add(batching.batch_timeout)),
        }
    }

    /// The entries of the next batch, in order. They stay here until they are committed.
    pub(super) fn take(&mut self, batching: &Batching) -> Vec<Queued> {
        let most = match self.is_pressed(batching) {
            true => batching
                .max_batch_size
                .max(batching.memory_pressure_threshold),
            false => batching.max_batch_size,
        };
        let mut batch: Vec<Queued> = Vec::new();
        let (mut records, mut bytes) = (0, 0);
        for queued in self.memory.iter().skip(self.taken) {
            let (more, more_bytes) = (queued.entry.changes.len(), weight(&queued.entry));
            let full = records + more > most || bytes + more_bytes > batching.max_batch_bytes;
            if !batch.is_empty() && full {
                break;
            }
            records += more;
            bytes += more_bytes;
            batch.push(queued.clone());
        }
        self.taken += batch.len();
        self.free_records -= records;
        self.free_bytes -= bytes;
        batch
    }

    /// No batch is under way any more: what was taken and not committed is to be taken again.
    pub(super) fn untake(&mut self) {
        self.taken = 0;
        (self.free_records, self.free_bytes) = (self.records, self.bytes);
    }

    /// Forgets entries that are committed; gives them.
    pub(super) fn commit(&mut self, through: u64) -> Vec<Queued> {
        let mut committed = Vec::new();
        while let Some(queued) = self.memory.pop_front_if(|queued| queued.number <= through) {
            let (records, bytes) = (queued.entry.changes.len(), weight(&queued.entry));
            self.records -= records;
            self.bytes -= bytes;
            match self.taken {
                0 => {
                    self.free_records -= records;
                    self.free_bytes -= bytes;
                }
                taken => self.taken = taken - 1,
            }
            committed.push(queued);
        }
        if self.spilled.is_some_and(|first| first <= through) {
            self.spilled = (through < self.last).then_some(through + 1);
        }
        committed
    }
}

#[cfg(test)]
mod tests;
