//! What a consumer remembers of how it fares.
//!
//! Owns: the newest version heard of, when versions were committed, errors of the last minute, the wait
//! between looks. Never: decides anything; `health` tells what to think of it.

use crate::error::Error;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::error::Error as StdError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Versions whose time of commit is remembered: the served one, and those on the way to the next.
const TIMES_KEPT: usize = 4;

/// How a consumer fares.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    newest: AtomicU64,
    committed: Mutex<VecDeque<(u64, u64)>>,
    errors: Mutex<LastMinute>,
    refreshes: AtomicU64,
    /// Zero where nobody polls.
    wait_us: AtomicU64,
    /// What the last refresh failed with.
    failure: Mutex<Option<String>>,
    /// Wakes whoever polls.
    pub(crate) wake: Notify,
    /// How often to look from now on, and the longest wait, until whoever polls took it over.
    pub(crate) new_pace: Mutex<Option<(Duration, Duration)>>,
}

impl Vitals {
    /// The log has this version, committed at this wall time by its writer's clock.
    pub(crate) fn heard_of(&self, version: u64, time_ms: u64) {
        let mut committed = self.committed.lock();
        committed.retain(|(known, _)| *known != version);
        committed.push_back((version, time_ms));
        if committed.len() > TIMES_KEPT {
            committed.pop_front();
        }
    }

    /// When a version was committed, if that was heard of lately.
    pub(crate) fn committed_ms(&self, version: u64) -> Option<u64> {
        let committed = self.committed.lock();
        let found = committed.iter().find(|(known, _)| *known == version);
        found.map(|(_, time_ms)| *time_ms)
    }

    /// The newest version of the log as of the last look. Falls when a dataset is created anew.
    pub(crate) fn note_newest(&self, version: u64) {
        self.newest.store(version, Ordering::Relaxed);
    }

    pub(crate) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Relaxed)
    }

    pub(crate) fn note_refresh(&self) {
        self.refreshes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refreshes(&self) -> u64 {
        self.refreshes.load(Ordering::Relaxed)
    }

    pub(crate) fn note_error(&self, now: Duration) {
        self.errors.lock().add(now);
    }

    pub(crate) fn errors_per_minute(&self, now: Duration) -> u64 {
        self.errors.lock().total(now)
    }

    pub(crate) fn note_wait(&self, wait: Duration) {
        let us = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        self.wait_us.store(us, Ordering::Relaxed);
    }

    pub(crate) fn wait(&self) -> Duration {
        Duration::from_micros(self.wait_us.load(Ordering::Relaxed))
    }

    pub(crate) fn note_outcome(&self, failure: Option<String>) {
        *self.failure.lock() = failure;
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }
}

/// What an error says, and the words of what did not answer at the bottom of it.
pub(crate) fn with_cause(error: &Error) -> String {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(StdError::source) {
        cause = Some(deeper);
    }
    match cause.map(ToString::to_string) {
        Some(cause) if !error.message().ends_with(&cause) => format!("{error}: {cause}"),
        _ => error.to_string(),
    }
}

/// Counts by second, of the last sixty: bounded however many there are.
#[derive(Debug)]
struct LastMinute([(u64, u64); 60]);

impl Default for LastMinute {
    fn default() -> Self {
        Self([(u64::MAX, 0); 60])
    }
}

impl LastMinute {
    fn add(&mut self, now: Duration) {
        let second = now.as_secs();
        let Some(slot) = self.0.get_mut((second % 60) as usize) else {
            return;
        };
        if slot.0 != second {
            *slot = (second, 0);
        }
        slot.1 = slot.1.saturating_add(1);
    }

    fn total(&self, now: Duration) -> u64 {
        let now = now.as_secs();
        let recent = |(second, _): &&(u64, u64)| *second <= now && now - *second < 60;
        let counts = self.0.iter().filter(recent).map(|(_, count)| *count);
        counts.fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_failure_is_told_with_its_cause_once() {
        let cause = || std::io::Error::other("no route to host");
        let error = Error::unavailable("cannot list x").with_source(cause());
        assert_eq!(with_cause(&error), "cannot list x: no route to host");
        let error = Error::unavailable("cannot list x: no route to host").with_source(cause());
        assert_eq!(with_cause(&error), "cannot list x: no route to host");
        assert_eq!(with_cause(&Error::corrupt("torn")), "torn");
    }

    #[test]
    fn errors_count_for_a_minute_and_no_longer() {
        let mut minute = LastMinute::default();
        assert_eq!(minute.total(at(0)), 0);
        minute.add(at(0));
        minute.add(at(30));
        minute.add(at(30));
        assert_eq!(minute.total(at(30)), 3);
        assert_eq!(minute.total(at(59)), 3);
        assert_eq!(minute.total(at(60)), 2);
        // In the slot of the first.
        minute.add(at(60));
        assert_eq!(minute.total(at(60)), 3);
        assert_eq!(minute.total(at(90)), 1);
        assert_eq!(minute.total(at(10_000)), 0);
    }

    #[test]
    fn times_of_commits_are_remembered_for_a_few_versions_only() {
        let vitals = Vitals::default();
        for version in 1..=6 {
            vitals.heard_of(version, version * 1_000);
        }
        vitals.heard_of(6, 6_500);
        assert_eq!(vitals.committed_ms(6), Some(6_500));
        assert_eq!(vitals.committed_ms(3), Some(3_000));
        assert_eq!(vitals.committed_ms(2), None);
        assert_eq!(vitals.committed.lock().len(), TIMES_KEPT);
    }
}
