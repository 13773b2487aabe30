//! Finding out what is newest, and which blobs lead there.
//!
//! Owns: what is asked of the log and when. Never: fetches a blob. The choice among the blobs is
//! the planner's.

use crate::error::{Error, ErrorKind, Result};
use grotto_store::plan::{Known, Plan, plan};
use grotto_store::{Dataset, LogEntry, Next};

/// Entries read one by one before the head is looked up.
const CLIMB: usize = 4;
/// Entries read to find the deltas of a long absence before a snapshot is considered; each tells of
/// some thirty deltas.
const WALK: usize = 32;
/// Bound on the same when nothing but the deltas can help.
const LONG_WALK: usize = 1 << 12;

/// The newest entry past `version`; `None` if there is none. One small request without news.
pub(crate) async fn news(dataset: &Dataset, version: u64) -> Result<Option<LogEntry>> {
    let entry = match dataset.next_entry(version).await {
        Ok(Next::None) => return Ok(None),
        Ok(Next::Entry(entry)) => *entry,
        Ok(Next::Collected { .. }) => return newer_head(dataset, version).await,
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            // One damaged entry must not hold up those who can go around it.
            tracing::warn!(%error, dataset = dataset.name(), "looking past a damaged log entry");
            return match newer_head(dataset, version).await {
                Ok(Some(head)) => Ok(Some(head)),
                _ => Err(error.into()),
            };
        }
        Err(error) => return Err(error.into()),
    };
    climb(dataset, entry).await.map(Some)
}

/// The head of the log, if it is past `version`.
pub(crate) async fn newer_head(dataset: &Dataset, version: u64) -> Result<Option<LogEntry>> {
    let head = dataset.head().await?;
    Ok(head.filter(|head| head.version > version))
}

/// Goes up the log while that takes few requests; far behind, asks for the head.
async fn climb(dataset: &Dataset, mut entry: LogEntry) -> Result<LogEntry> {
    for _ in 0..CLIMB {
        match dataset.read_entry(entry.version.saturating_add(1)).await {
            Ok(Some(next)) => entry = next,
            // What is known is good; the rest is for the next refresh to meet.
            Ok(None) | Err(_) => return Ok(entry),
        }
    }
    match newer_head(dataset, entry.version).await {
        Ok(Some(head)) => Ok(head),
        Ok(None) | Err(_) => Ok(entry),
    }
}

/// What is known of the ways to one target, learned as far as needed.
#[derive(Debug)]
pub(crate) struct Routes<'a> {
    dataset: &'a Dataset,
    target: u64,
    known: Known,
    /// The oldest version from which the learned deltas lead on, and the entry that tells more.
    oldest: Oldest,
    snapshots_known: bool,
    newest_snapshot: u64,
}

#[derive(Clone, Copy, Debug)]
struct Oldest {
    since: u64,
    /// `None` once nothing older can be learned.
    read_next: Option<u64>,
}

impl Oldest {
    fn of(entry: &LogEntry) -> Self {
        match entry.transitions.first() {
            Some(first) => Self {
                since: first.since,
                read_next: Some(first.from).filter(|from| *from > 0),
            },
            None => Self {
                since: entry.state_version,
                read_next: None,
            },
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
            oldest: Oldest::of(target),
            snapshots_known: false,
            newest_snapshot: target
                .snapshot
                .as_ref()
                .map_or(0, |snapshot| snapshot.version),
        }
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
            self.learn_way_back(from).await?;
        } else if from == 0 {
            self.learn_snapshots().await?;
            self.walk_to(self.newest_snapshot, WALK).await?;
        } else {
            self.walk_to(from, WALK).await?;
        }
        if let Some(plan) = plan(Some(from), self.target, &self.known) {
            return Ok(plan);
        }
        self.learn_snapshots().await?;
        if let Some(plan) = plan(Some(from), self.target, &self.known) {
            return Ok(plan);
        }
        self.walk_to(0, LONG_WALK).await?;
        plan(Some(from), self.target, &self.known).ok_or_else(|| {
            Error::new(
                ErrorKind::Missing,
                format!(
                    "dataset {}: no intact blobs lead from version {from} to version {}",
                    self.dataset.name(),
                    self.target
                ),
            )
        })
    }

    /// Reads older entries until the learned deltas begin at `version` or before it.
    async fn walk_to(&mut self, version: u64, most: usize) -> Result<()> {
        for _ in 0..most {
            let Some(next) = self
                .oldest
                .read_next
                .filter(|_| self.oldest.since > version)
            else {
                break;
            };
            let read = match self.dataset.read_entry(next).await {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::warn!(%error, "a damaged log entry hides the deltas before it");
                    None
                }
                other => other?,
            };
            let older = read.map(|entry| {
                self.known.learn_entry(&entry);
                Oldest::of(&entry)
            });
            self.oldest = match older {
                Some(older) if older.since < self.oldest.since => older,
                _ => Oldest {
                    read_next: None,
                    ..self.oldest
                },
            };
        }
        Ok(())
    }

    /// The entry of the version we are at, or the head, tells of the reverse deltas below it.
    async fn learn_way_back(&mut self, from: u64) -> Result<()> {
        let top = match self.dataset.read_entry(from).await? {
            Some(entry) => Some(entry),
            None => self.dataset.head().await?,
        };
        let Some(top) = top else { return Ok(()) };
        self.known.learn_entry(&top);
        let below = self.oldest;
        self.oldest = Oldest::of(&top);
        self.walk_to(self.target, WALK).await?;
        if self.oldest.since > below.since {
            self.oldest = below;
        }
        Ok(())
    }

    async fn learn_snapshots(&mut self) -> Result<()> {
        if self.snapshots_known {
            return Ok(());
        }
        for entry in self.dataset.snapshot_entries().await? {
            if entry.version <= self.target {
                self.newest_snapshot = self.newest_snapshot.max(entry.version);
            }
            self.known.learn_snapshot(entry.version, entry.blob);
        }
        self.snapshots_known = true;
        Ok(())
    }
}
