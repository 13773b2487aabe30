//! Finding out which blobs lead to a version, with few requests however long the log is.
//!
//! Owns: what is asked of the log and of the announcements, and when. Never: fetches a blob. The
//! choice among the blobs is the planner's.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use grotto_format::log::LogEntry;

use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Known, Plan, PlanWeights, plan};

/// Slots past a damaged entry that are asked for the same before the head is looked up.
const DAMAGED_IN_A_ROW: u64 = 4;
/// Announcements read before others are asked for: the newest snapshots are the nearest.
const NEWEST_SNAPSHOTS: usize = 2;
/// Entries read at a time.
const READS_AT_ONCE: usize = 8;
/// Entries read to find the deltas of a long absence before a snapshot is considered; each tells of
/// some sixty deltas.
const WALK: usize = 32;
/// Bound on the same when nothing but the deltas can help.
const LONG_WALK: usize = 1 << 12;

/// What is known of the ways to one target, learned as far as needed.
#[derive(Debug)]
pub(crate) struct Routes<'a> {
    dataset: &'a Dataset,
    target: u64,
    known: Known,
    weights: PlanWeights,
    /// The oldest version from which the learned deltas lead on, and the entry that tells more.
    oldest: Oldest,
    /// Whether the announcements were listed.
    snapshots_listed: bool,
    /// Version of the newest snapshot that the target names or that is announced at or below it.
    newest_snapshot: u64,
    /// Announced snapshots at or below the target that were not read yet, oldest first.
    unread: Vec<u64>,
    /// Versions of the snapshots past the target, from which reverse deltas may lead down to it.
    above: BTreeSet<u64>,
    /// From the target up to here all reverse deltas are known that can be learned.
    explored: u64,
}

#[derive(Clone, Copy, Debug)]
struct Oldest {
    since: u64,
    /// `None` once nothing older can be learned.
    read_next: Option<u64>,
    /// Versions that one entry told of; the next ones are likely to tell of as many.
    told: u64,
}

/// What lies in a slot of the log.
enum Found {
    Entry(Box<LogEntry>),
    Nothing,
    Damage,
}

impl Oldest {
    fn of(entry: &LogEntry) -> Self {
        let (since, read_next) = match entry.links.0.first() {
            Some(first) => (first.since, Some(first.from).filter(|from| *from > 0)),
            None => (entry.state_version, None),
        };
        Self {
            since,
            read_next,
            told: entry.version.saturating_sub(since).max(1),
        }
    }

    /// The next entries to read on the way down to `version`, so many at most; those after the first are
    /// where the deltas before them begin, unless there are gaps.
    fn slots(&self, version: u64, most: usize) -> Vec<u64> {
        let next = self.read_next.filter(|_| self.since > version);
        let further = |slot: &u64| slot.checked_sub(self.told).filter(|slot| *slot > version);
        std::iter::successors(next, further).take(most).collect()
    }

    /// What is known after the entry of `slot` was read.
    fn after(self, slot: u64, entry: Option<&LogEntry>) -> Self {
        let older = entry.map(Self::of);
        match older.filter(|older| older.since < self.since) {
            Some(older) => older,
            // Damaged, or a new start: nothing leads to it from before.
            None if self.read_next == Some(slot) => Self {
                read_next: None,
                ..self
            },
            None => self,
        }
    }
}

impl<'a> Routes<'a> {
    pub(crate) fn new(dataset: &'a Dataset, target: &LogEntry) -> Self {
        let mut known = Known::new();
        known.learn_entry(target);
        Self {
            dataset,
            target: target.version,
            known,
            weights: PlanWeights::default(),
            oldest: Oldest::of(target),
            snapshots_listed: false,
            newest_snapshot: target
                .snapshot
                .as_ref()
                .map_or(0, |snapshot| snapshot.version),
            unread: Vec::new(),
            above: BTreeSet::new(),
            explored: target.version,
        }
    }

    pub(crate) fn weigh(&mut self, weights: PlanWeights) {
        self.weights = weights;
    }

    /// Version of the newest snapshot known, at or below the target; 0 for none.
    pub(crate) fn newest_snapshot(&self) -> u64 {
        self.newest_snapshot
    }

    /// Never uses this blob again.
    pub(crate) fn exclude(&mut self, blob: &str) {
        self.known.exclude(blob);
    }

    /// The way from a version (0: the empty state) to the target.
    ///
    /// # Errors
    /// `Missing` when no known blobs lead there.
    pub(crate) async fn plan(&mut self, from: u64) -> Result<Plan> {
        if from > self.target {
            self.learn_way_back(from, WALK).await?;
        } else if from == 0 {
            self.learn_snapshots(NEWEST_SNAPSHOTS).await?;
            self.walk_to(self.newest_snapshot, WALK).await?;
        } else {
            self.walk_to(from, WALK).await?;
        }
        if let Some(plan) = self.known_way(from) {
            return Ok(plan);
        }
        if let Some(plan) = self.way_from_older(from).await? {
            return Ok(plan);
        }
        self.walk_to(0, LONG_WALK).await?;
        if let Some(plan) = self.known_way(from) {
            return Ok(plan);
        }
        if let Some(plan) = self.way_from_above(from).await? {
            return Ok(plan);
        }
        Err(Error::new(
            ErrorKind::Missing,
            format!(
                "dataset {}: no intact blobs lead from version {from} to version {}",
                self.dataset.name(),
                self.target
            ),
        ))
    }

    fn known_way(&self, from: u64) -> Option<Plan> {
        plan(Some(from), self.target, &self.known, self.weights)
    }

    /// The way from an older snapshot: they are asked for from the newest down, only as far as needed.
    async fn way_from_older(&mut self, from: u64) -> Result<Option<Plan>> {
        loop {
            let oldest = self.learn_snapshots(NEWEST_SNAPSHOTS).await?;
            if let Some(plan) = self.known_way(from) {
                return Ok(Some(plan));
            }
            let Some(oldest) = oldest else {
                return Ok(None);
            };
            self.walk_to(oldest, LONG_WALK).await?;
            if let Some(plan) = self.known_way(from) {
                return Ok(Some(plan));
            }
        }
    }

    /// The way down from a newer version: the one we are at, or that of a snapshot. The nearest is
    /// tried first, as each is as far a walk through the log as it lies above the target.
    async fn way_from_above(&mut self, from: u64) -> Result<Option<Plan>> {
        let mut tops = self.above.clone();
        tops.extend(Some(from).filter(|from| *from > self.target));
        for top in tops {
            if self.above.remove(&top) {
                self.learn_snapshot(top).await?;
            }
            if top > self.explored {
                self.learn_way_back(top, LONG_WALK).await?;
                self.explored = top;
            }
            if let Some(plan) = self.known_way(from) {
                return Ok(Some(plan));
            }
        }
        Ok(None)
    }

    /// Reads older entries until the learned deltas begin at `version` or before it.
    async fn walk_to(&mut self, version: u64, most: usize) -> Result<()> {
        let mut left = most;
        loop {
            let slots = self.oldest.slots(version, left.min(READS_AT_ONCE));
            if slots.is_empty() {
                return Ok(());
            }
            left -= slots.len();
            let read = slots.iter().map(|slot| self.read_or_warn(*slot));
            let read = try_join_all(read).await?;
            for (slot, found) in slots.into_iter().zip(read) {
                self.go_down_to(slot, found);
            }
        }
    }

    /// Learns what the entry of a slot tells, if the learned deltas lead there.
    fn go_down_to(&mut self, slot: u64, found: Found) {
        if self.oldest.read_next.is_none() || slot < self.oldest.since {
            return;
        }
        let entry = match found {
            Found::Entry(entry) => Some(entry),
            Found::Nothing | Found::Damage => None,
        };
        if let Some(entry) = &entry {
            self.known.learn_entry(entry);
        }
        self.oldest = self.oldest.after(slot, entry.as_deref());
    }

    /// Learns of the reverse deltas from `top` down to what is explored, by reading `most` entries
    /// or fewer.
    async fn learn_way_back(&mut self, top: u64, most: usize) -> Result<()> {
        let Some(entry) = self.entry_at_or_above(top).await? else {
            return Ok(());
        };
        self.known.learn_entry(&entry);
        let below = self.oldest;
        self.oldest = Oldest::of(&entry);
        self.walk_to(self.explored, most).await?;
        if self.oldest.since > below.since {
            self.oldest = below;
        }
        Ok(())
    }

    /// The entry of a version. Where it is damaged or gone, the next ones tell the same; the last
    /// resort is the head.
    async fn entry_at_or_above(&self, version: u64) -> Result<Option<LogEntry>> {
        for slot in version..=version.saturating_add(DAMAGED_IN_A_ROW) {
            match self.read_or_warn(slot).await? {
                Found::Entry(entry) => return Ok(Some(*entry)),
                Found::Nothing => break,
                Found::Damage => {}
            }
        }
        match self.dataset.head().await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::warn!(%error, "the head of the log is damaged");
                Ok(None)
            }
            other => other,
        }
    }

    async fn read_or_warn(&self, version: u64) -> Result<Found> {
        match self.dataset.read_entry(version).await {
            Ok(Some(entry)) => Ok(Found::Entry(Box::new(entry))),
            Ok(None) => Ok(Found::Nothing),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::warn!(%error, "a damaged log entry hides the deltas before it");
                Ok(Found::Damage)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the newest announcements that were not read yet, at most so many. Returns the oldest
    /// version it read of; `None` once there are no more.
    async fn learn_snapshots(&mut self, most: usize) -> Result<Option<u64>> {
        if !self.snapshots_listed {
            let versions = self.dataset.snapshot_versions().await?;
            let (below, above): (Vec<u64>, Vec<u64>) = versions
                .into_iter()
                .partition(|version| *version <= self.target);
            self.unread = below;
            self.above.extend(above);
            self.snapshots_listed = true;
        }
        let mut oldest = None;
        for _ in 0..most {
            let Some(version) = self.unread.pop() else {
                break;
            };
            oldest = Some(version);
            if self.learn_snapshot(version).await? {
                self.newest_snapshot = self.newest_snapshot.max(version);
            }
        }
        Ok(oldest)
    }

    /// Whether there is an intact announcement of this version.
    async fn learn_snapshot(&mut self, version: u64) -> Result<bool> {
        let Some(entry) = self.dataset.read_snapshot_or_warn(version).await? else {
            return Ok(false);
        };
        self.known.learn_snapshot(entry.version, &entry.blob);
        Ok(true)
    }
}
