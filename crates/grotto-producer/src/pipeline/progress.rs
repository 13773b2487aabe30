//! How far publishing is, and who waits for it.
//!
//! Owns: telling each waiter what became of its entry, once. Never: decides it.

use crate::{Error, Result};
use std::collections::{BTreeMap, VecDeque};
use tokio::sync::oneshot;

/// Versions that are remembered for those who ask late, and entries that failed.
const REMEMBERED: usize = 1_024;

/// How far publishing is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Entries up to here are in a version, or became dead letters.
    through: u64,
    /// The last entry of a version, and the version; oldest first.
    versions: VecDeque<(u64, u64)>,
    /// Entries of which nothing could be applied.
    failed: BTreeMap<u64, Error>,
    waiting: BTreeMap<u64, Vec<oneshot::Sender<Result<u64>>>>,
    /// Who wants to know of all up to an entry, whatever became of that one.
    reaching: BTreeMap<u64, Vec<oneshot::Sender<Result<u64>>>>,
    /// The version that was there when publishing began.
    base: u64,
    /// Nothing more is published.
    ended: Option<Error>,
}

impl Progress {
    pub(super) fn through(&self) -> u64 {
        self.through
    }

    /// Waits for an entry: the version that has it.
    pub(super) fn wait(&mut self, number: u64) -> oneshot::Receiver<Result<u64>> {
        let (sender, receiver) = oneshot::channel();
        if number <= self.through {
            // Who waits no longer is not told.
            _ = sender.send(self.outcome(number));
        } else if let Some(error) = &self.ended {
            _ = sender.send(Err(error.clone()));
        } else {
            self.waiting.entry(number).or_default().push(sender);
        }
        receiver
    }

    /// Waits until all up to an entry is in a version, or a dead letter: the newest version then.
    pub(super) fn reach(&mut self, number: u64) -> oneshot::Receiver<Result<u64>> {
        let (sender, receiver) = oneshot::channel();
        if number <= self.through {
            // Who waits no longer is not told.
            _ = sender.send(Ok(self.newest()));
        } else if let Some(error) = &self.ended {
            _ = sender.send(Err(error.clone()));
        } else {
            self.reaching.entry(number).or_default().push(sender);
        }
        receiver
    }

    fn newest(&self) -> u64 {
        self.versions
            .back()
            .map_or(self.base, |(_, version)| *version)
    }

    /// The version of an entry that is published. An entry of a version that is no longer remembered is also in
    /// the oldest one that is.
    fn outcome(&self, number: u64) -> Result<u64> {
        if let Some(error) = self.failed.get(&number) {
            return Err(error.clone());
        }
        let later = self.versions.partition_point(|(last, _)| *last < number);
        let version = self.versions.get(later).or(self.versions.back());
        Ok(version.map_or(self.base, |(_, version)| *version))
    }

    /// Notes that nothing of an entry could be applied.
    pub(super) fn fail(&mut self, number: u64, error: Error) {
        self.failed.insert(number, error);
    }

    /// Publishing begins with a version that has the entries up to `through`.
    pub(super) fn begin(&mut self, through: u64, version: u64) {
        self.base = version;
        self.advance(through, version);
    }

    /// Notes that entries up to `through` are in `version`.
    pub(super) fn advance(&mut self, through: u64, version: u64) {
        if through <= self.through {
            return;
        }
        self.through = through;
        self.versions.push_back((through, version));
        if self.versions.len() > REMEMBERED {
            self.versions.pop_front();
        }
        let behind = self.waiting.split_off(&(through + 1));
        for (number, waiters) in std::mem::replace(&mut self.waiting, behind) {
            for waiter in waiters {
                _ = waiter.send(self.outcome(number));
            }
        }
        let behind = self.reaching.split_off(&(through + 1));
        let reached = std::mem::replace(&mut self.reaching, behind);
        for waiter in reached.into_values().flatten() {
            _ = waiter.send(Ok(self.newest()));
        }
        // Only those who waited must be told; who asks late may be told that it is published.
        while self.failed.len() > REMEMBERED {
            self.failed.pop_first();
        }
    }

    /// Nothing more is published: all who wait are told.
    pub(super) fn end(&mut self, error: Error) {
        let waiting = std::mem::take(&mut self.waiting).into_values();
        let reaching = std::mem::take(&mut self.reaching).into_values();
        for waiter in waiting.chain(reaching).flatten() {
            _ = waiter.send(Err(error.clone()));
        }
        self.ended.get_or_insert(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(progress: &mut Progress, number: u64) -> Option<Result<u64>> {
        progress.wait(number).try_recv().ok()
    }

    #[test]
    fn each_entry_is_in_the_version_that_it_came_with() {
        let mut progress = Progress::default();
        let mut early = progress.wait(2);
        progress.advance(3, 7);
        progress.advance(5, 9);
        assert_eq!(early.try_recv().unwrap().unwrap(), 7);
        let version = |progress: &mut Progress, number| ask(progress, number).unwrap().unwrap();
        assert_eq!(
            [1, 3, 4, 5].map(|n| version(&mut progress, n)),
            [7, 7, 9, 9]
        );
        assert!(ask(&mut progress, 6).is_none());
    }

    #[test]
    fn an_entry_of_a_forgotten_version_is_in_a_later_one() {
        let mut progress = Progress::default();
        for n in 1..=REMEMBERED as u64 + 5 {
            progress.advance(n, n + 100);
        }
        assert_eq!(ask(&mut progress, 1).unwrap().unwrap(), 106);
    }

    #[test]
    fn all_who_waited_for_what_failed_are_told() {
        let mut progress = Progress::default();
        let last = 2 * REMEMBERED as u64;
        let waiting: Vec<_> = (1..=last).map(|number| progress.wait(number)).collect();
        (1..=last).for_each(|number| progress.fail(number, Error::invalid("refused")));
        progress.advance(last, 1);
        assert!(
            waiting
                .into_iter()
                .all(|mut told| told.try_recv().unwrap().is_err())
        );
        assert!(progress.failed.len() <= REMEMBERED);
    }

    #[test]
    fn what_was_there_before_is_in_the_version_of_the_beginning() {
        let mut progress = Progress::default();
        progress.begin(0, 7);
        assert_eq!(ask(&mut progress, 0).unwrap().unwrap(), 7);
    }

    #[test]
    fn what_failed_is_told_and_so_is_the_end() {
        let mut progress = Progress::default();
        progress.fail(1, Error::invalid("refused"));
        progress.advance(1, 4);
        assert!(ask(&mut progress, 1).unwrap().is_err());
        let mut waiting = progress.wait(2);
        progress.end(Error::unavailable("shut down"));
        assert!(waiting.try_recv().unwrap().is_err());
        assert!(ask(&mut progress, 9).unwrap().is_err());
    }
}
