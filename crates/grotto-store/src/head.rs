//! Finding the newest entry of a log, however old the log and whatever is missing from it.
//!
//! Owns: where to look. Never: trusts the hint of the last writer, or takes a gap for the end.
//!
//! Only a listing tells what is newest: versions may be lost from the middle of a log, so that one that is
//! absent proves nothing about those after it. But a listing names a thousand objects an answer, and all
//! of an old log is named only to find its last. So when more than one answer is needed, versions are
//! asked for by name, further and further ahead, until one near the end is known; any that is there is a
//! good place to list from.

use futures::future::try_join_all;
use grotto_format::log::{LogEntry, MAX_VERSION};

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::layout::version_of;

/// Times the head is looked for while a collector deletes what a listing named.
const HEAD_TRIES: usize = 3;
/// Names of one listing: what stores give in one answer.
const LISTED: usize = 1_000;
/// Versions asked for at a time.
const PROBES: u64 = 8;

/// Tells an entry from another that has its name later, as far as a listing tells them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryMark {
    /// When it was written by the time of the store, in milliseconds since 1970.
    written_ms: i64,
    length: u64,
    tag: Option<String>,
}

impl Dataset {
    /// The versions from `first` on that are listed, rising, and what marks their entries: one request where these are
    /// few. Not all of them where they are many.
    ///
    /// # Errors
    /// `Unavailable` or `Overloaded` when the store does not answer or asks for less.
    pub async fn listed_from(&self, first: u64) -> Result<Vec<(u64, EntryMark)>> {
        let after = first
            .checked_sub(1)
            .map(|before| self.layout.log_entry(before));
        let folder = self.layout.log();
        let listing = self
            .store
            .list_objects(&folder, after.as_ref(), self.listed_at_once());
        let found = listing.await?.0.into_iter();
        let marked = found.filter_map(|meta| {
            let version = version_of(&meta.location)?;
            let mark = EntryMark {
                written_ms: meta.last_modified.timestamp_millis(),
                length: meta.size,
                tag: meta.e_tag,
            };
            (version >= first).then_some((version, mark))
        });
        let mut marked: Vec<_> = marked.collect();
        marked.sort_unstable_by_key(|(version, _)| *version);
        Ok(marked)
    }

    /// The newest log entry; `None` for a dataset that was never written.
    ///
    /// # Errors
    /// `Corrupt` when the newest entry is damaged; `Unavailable` also when the store lists what it cannot find;
    /// `Unavailable` or `Overloaded` when the store does not answer or asks for less.
    pub async fn head(&self) -> Result<Option<LogEntry>> {
        for _ in 0..HEAD_TRIES {
            let Some(newest) = self.newest_listed().await? else {
                return Ok(None);
            };
            // Absent now means collected since the listing: the head has moved on.
            if let Some(entry) = self.read_entry(newest).await? {
                return self.climb(entry).await.map(Some);
            }
        }
        Err(Error::unavailable(format!(
            "dataset {}: entries vanish while the head is looked for",
            self.name()
        )))
    }

    /// The newest version that a listing shows, starting where the leader last was.
    pub(crate) async fn newest_listed(&self) -> Result<Option<u64>> {
        let hinted = self.hinted_version().await;
        if hinted > 0 {
            // Nothing there: the hint is of another time. It is only a hint.
            if let Some(newest) = self.newest_from(hinted).await? {
                return Ok(Some(newest));
            }
        }
        self.newest_from(1).await
    }

    async fn hinted_version(&self) -> u64 {
        match self.leader_hint().await {
            Ok(hint) => hint.map_or(0, |hint| hint.version),
            Err(error) => {
                tracing::debug!(%error, dataset = self.name(), "no usable leader hint");
                0
            }
        }
    }

    /// The newest version at or past `first` that is listed.
    async fn newest_from(&self, first: u64) -> Result<Option<u64>> {
        let mut first = first;
        loop {
            let after = first
                .checked_sub(1)
                .map(|before| self.layout.log_entry(before));
            let (paths, all) = self
                .store
                .list_some(&self.layout.log(), after.as_ref(), self.listed_at_once())
                .await?;
            let versions = paths.iter().filter_map(version_of);
            let newest = versions.filter(|version| *version >= first).max();
            match newest {
                _ if all => return Ok(newest),
                Some(newest) if newest > first => first = self.gallop(newest).await?,
                // Other things lie there, so many that they hide the log.
                _ => return Ok(self.list_versions(first..=u64::MAX).await?.last().copied()),
            }
        }
    }

    /// A folder gives all its names at once: to ask for some of them first would only come on top.
    fn listed_at_once(&self) -> usize {
        match self.store.local_root() {
            Some(_) => usize::MAX,
            None => LISTED,
        }
    }

    /// A version that is there, `known` or a later one; less than a listing from the end where nothing is
    /// missing in between.
    async fn gallop(&self, known: u64) -> Result<u64> {
        let mut span = Span::from(known);
        while let Some(probes) = span.probes() {
            let asked = probes.iter().map(|version| self.has_entry(*version));
            let there = try_join_all(asked).await?;
            for (version, there) in probes.into_iter().zip(there) {
                span.learn(version, there);
            }
        }
        Ok(span.known)
    }

    async fn has_entry(&self, version: u64) -> Result<bool> {
        let path = self.layout.log_entry(version);
        let length = self.store.reading(|| self.store.length(&path)).await?;
        Ok(length.is_some())
    }

    /// Entries may be created after the listing was made: ask for the next until there is none.
    pub(crate) async fn climb(&self, mut entry: LogEntry) -> Result<LogEntry> {
        while let Some(slot) = entry.version.checked_add(1) {
            match self.read_entry(slot).await? {
                Some(next) => entry = next,
                None => break,
            }
        }
        Ok(entry)
    }
}

/// Where the newest version may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    /// One that is there.
    known: u64,
    /// The lowest past it that was asked for and is absent.
    absent: Option<u64>,
    /// How far ahead to ask next, until one is absent.
    stride: u64,
}

impl Span {
    fn from(known: u64) -> Self {
        Self {
            known,
            absent: None,
            stride: LISTED as u64,
        }
    }

    /// What to ask for next, rising; `None` once one listing tells the rest.
    fn probes(&mut self) -> Option<Vec<u64>> {
        let probes: Vec<u64> = match self.absent {
            None => {
                let first = self.stride;
                self.stride = first.saturating_mul(1 << PROBES);
                let ahead = (0..PROBES).map(|doubled| first.saturating_mul(1 << doubled));
                ahead
                    .map(|ahead| self.known.saturating_add(ahead))
                    .collect()
            }
            Some(absent) => {
                let width = absent - self.known;
                if width <= LISTED as u64 {
                    return None;
                }
                let part = width / (PROBES + 1);
                (1..=PROBES).map(|n| self.known + n * part).collect()
            }
        };
        let possible = probes.into_iter().filter(|version| *version <= MAX_VERSION);
        let possible: Vec<u64> = possible.collect();
        (!possible.is_empty()).then_some(possible)
    }

    /// Answers come by rising version.
    fn learn(&mut self, version: u64, there: bool) {
        if there {
            self.known = version;
            self.absent = self.absent.filter(|absent| *absent > version);
        } else if self.absent.is_none_or(|absent| version < absent) {
            self.absent = Some(version);
        }
    }
}
