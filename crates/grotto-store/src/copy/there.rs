//! What the target holds before a copy, and whether a copy may go on from it.
//!
//! Owns: telling a copy that lags from another dataset and from one that was written to. Never: writes.

use grotto_format::log::LogEntry;
use parking_lot::Mutex;

use super::hold::Hold;
use super::{CopyOptions, CopyWatch, Run, Tally};
use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};

/// Snapshots of the copy that log entries of the source may still name.
const NEWEST_SNAPSHOTS: usize = 4;

impl<'a> Run<'a> {
    /// Looks at both sides, and refuses a target that is no older state of the source.
    pub(super) async fn prepare(
        source: &'a Dataset,
        target: &'a Dataset,
        options: &'a CopyOptions,
        hold: &'a Hold<'a>,
        watch: CopyWatch<'a>,
    ) -> Result<Self> {
        let (last, damaged) = last_to_copy(source, options).await?;
        let (there, newest) = target.head_past_damage().await?;
        let found = there.as_ref().map_or(0, |there| there.version);
        if newest > found && !options.recheck {
            return Err(Error::corrupt(format!(
                "the newest log entry of the copy, version {newest}, is damaged: a recheck writes it again"
            )));
        }
        let random = &target.store.env().random;
        let identity = match (&there, options.new_identity) {
            (Some(there), true) => there.dataset_id.clone(),
            (None, true) => random.nonce(),
            (_, false) => last.dataset_id.clone(),
        };
        let run = Self {
            source,
            target,
            options,
            hold,
            watch,
            last,
            identity,
            before: found,
            tally: Mutex::new(Tally::default()),
        };
        if let Some(version) = damaged
            && let Err(error) = source.read_entry(version).await
        {
            run.fault(version, &error);
        }
        if let Some(there) = &there {
            run.check_lags(there).await?;
            if !options.recheck {
                run.know_snapshots().await?;
            }
        }
        Ok(run)
    }

    /// Those that the next log entries may name: an earlier copy verified them.
    async fn know_snapshots(&self) -> Result<()> {
        let mut names = Vec::new();
        let announced = self.target.snapshot_versions().await?;
        for version in announced.into_iter().rev().take(NEWEST_SNAPSHOTS) {
            let announced = self.target.read_snapshot_or_warn(version).await?;
            names.extend(announced.map(|announced| announced.blob.name));
        }
        self.tally.lock().known.extend(names);
        Ok(())
    }

    /// The target's newest entry must be one of the source's, or older than all of them.
    async fn check_lags(&self, there: &LogEntry) -> Result<()> {
        let name = self.source.name();
        if there.dataset_id != self.identity {
            return Err(Error::invalid(format!(
                "the target holds another dataset {name}: expected identity {}, found {}",
                self.identity, there.dataset_id
            )));
        }
        let shared = there.version.min(self.last.version);
        let theirs = match shared == there.version {
            true => Some(there.clone()),
            false => readable(self.target.read_entry(shared).await)?,
        };
        let ours = match shared == self.last.version {
            true => Some(self.last.clone()),
            false => readable(self.source.read_entry(shared).await)?,
        };
        if let (Some(theirs), Some(ours)) = (&theirs, &ours)
            && !self.is_copy(ours, theirs)
        {
            return Err(self.aside(shared));
        }
        if there.version > self.last.version {
            let (found, last) = (there.version, self.last.version);
            return Err(Error::invalid(format!(
                "the target is ahead: it holds version {found} of dataset {name}, expected at most {last}"
            )));
        }
        if there.epoch > self.last.epoch || there.commits > self.last.commits {
            return Err(self.aside(there.version));
        }
        Ok(())
    }

    /// Whether an entry of the copy is the one of the source, but for its identity.
    pub(super) fn is_copy(&self, ours: &LogEntry, theirs: &LogEntry) -> bool {
        if ours == theirs {
            return true;
        }
        let alike = LogEntry {
            dataset_id: self.identity.clone(),
            ..ours.clone()
        };
        self.options.new_identity && alike == *theirs
    }

    /// Somebody wrote to the copy, or to the source after it was led back.
    pub(super) fn aside(&self, version: u64) -> Error {
        Error::invalid(format!(
            "version {version} of dataset {} is another one in the target: it has a history of its own, and a copy \
             would destroy that",
            self.source.name()
        ))
    }

    /// The oldest version that the copy holds.
    pub(super) async fn first_there(&self) -> Result<u64> {
        let collected = self.target.collected().await?;
        let there = self.target.list_versions(collected + 1..=u64::MAX).await?;
        Ok(there.first().copied().unwrap_or(0))
    }
}

/// Damage proves nothing.
fn readable(read: Result<Option<LogEntry>>) -> Result<Option<LogEntry>> {
    match read {
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
        other => other,
    }
}

/// The last entry to copy, and the version of a newer one that is damaged.
async fn last_to_copy(source: &Dataset, options: &CopyOptions) -> Result<(LogEntry, Option<u64>)> {
    let name = source.name();
    let Some(version) = options.up_to else {
        let (head, newest) = source.head_past_damage().await?;
        let head = head.ok_or_else(|| Error::unavailable(format!("dataset {name} vanished")))?;
        let damaged = Some(newest).filter(|newest| *newest > head.version);
        return Ok((head, damaged));
    };
    let collected = source.collected().await?;
    let entry = match version > collected {
        true => source.read_entry(version).await?,
        false => None,
    };
    let entry = entry.ok_or_else(|| {
        Error::invalid(format!(
            "dataset {name}: version {version} is not in the log"
        ))
    })?;
    Ok((entry, None))
}
