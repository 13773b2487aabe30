//! What a pipeline says of itself.
//!
//! Owns: its condition, and the figures that operators look at. Never: decides anything.

use crate::Error;
use grotto_store::BreakerState;
use std::fmt;

/// How a pipeline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Condition {
    /// It takes submissions in and is becoming the producer of the dataset.
    Opening,
    /// It takes submissions in and publishes them.
    Running,
    /// It takes submissions in and cannot publish them now; it goes on trying.
    Degraded,
    /// It publishes what is acknowledged, and takes nothing more in.
    Draining,
    /// It was shut down.
    Ended,
    /// It waits until nobody else publishes the dataset any more.
    Standby,
    /// It takes nothing in and publishes nothing, until it is started again.
    Failed,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opening => "opening",
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::Draining => "draining",
            Self::Ended => "ended",
            Self::Standby => "standby",
            Self::Failed => "failed",
        })
    }
}

/// The figures of a pipeline at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PipelineStatus {
    /// Name of the dataset.
    pub dataset: String,
    /// How it is.
    pub condition: Condition,
    /// What is wrong, if anything is: with publishing, with the log, or with the last snapshot.
    pub reasons: Vec<String>,
    /// Whether submissions are taken in now: the log has room for them, and did not fail at the last one.
    pub takes_in: bool,
    /// Wall time since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// The newest version; `None` while opening, and before the first one.
    pub version: Option<u64>,
    /// Wall time of the last commit, in milliseconds since 1970.
    pub published_ms: Option<u64>,
    /// Records that wait to become durable.
    pub waiting_records: usize,
    /// Bytes that wait to become durable.
    pub waiting_bytes: usize,
    /// Acknowledged entries that are not published.
    pub pending_entries: u64,
    /// Those of their records that are in memory.
    pub pending_records: usize,
    /// Bytes of these.
    pub pending_bytes: usize,
    /// Whether some of them are in the write-ahead log only.
    pub spilled: bool,
    /// How long the first of them has been waiting, in milliseconds.
    pub lag_ms: u64,
    /// Bytes of the write-ahead log; `None` without one.
    pub wal_bytes: Option<u64>,
    /// Failures to publish, one after the other, since the last success.
    pub failures: u32,
    /// What the breaker of the store does with the next call.
    pub breaker: BreakerState,
}

/// How a pipeline is, and since when.
#[derive(Debug)]
pub(super) struct State {
    pub(super) condition: Condition,
    pub(super) reason: Option<Error>,
    pub(super) since_ms: u64,
    pub(super) failures: u32,
    pub(super) published_ms: Option<u64>,
    /// Why nothing is done any more.
    pub(super) failure: Option<Error>,
}

impl State {
    pub(super) fn new(now_ms: u64) -> Self {
        Self {
            condition: Condition::Opening,
            reason: None,
            since_ms: now_ms,
            failures: 0,
            published_ms: None,
            failure: None,
        }
    }

    /// Nothing is done any more; the first error stays.
    pub(super) fn fail(&mut self, error: &Error, now_ms: u64) {
        self.set(Condition::Failed, Some(error.clone()), now_ms);
        self.failure.get_or_insert_with(|| error.clone());
    }

    /// Changes the condition, unless it failed; whether that says anything new.
    pub(super) fn set(&mut self, condition: Condition, reason: Option<Error>, now_ms: u64) -> bool {
        if self.failure.is_some() {
            return false;
        }
        // Messages name objects and times, which differ at every try.
        let kind = |reason: &Option<Error>| reason.as_ref().map(Error::kind);
        let news = self.condition != condition || kind(&self.reason) != kind(&reason);
        if self.condition != condition {
            self.since_ms = now_ms;
        }
        (self.condition, self.reason) = (condition, reason);
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_in_other_words_is_no_news() {
        let mut state = State::new(0);
        let down = |what: &str| Some(Error::unavailable(what));
        assert!(state.set(Condition::Degraded, down("blob a"), 1));
        assert!(!state.set(Condition::Degraded, down("blob b"), 2));
        assert_eq!(state.reason.as_ref().map(Error::message), Some("blob b"));
        assert!(state.set(Condition::Degraded, Some(Error::invalid("refused")), 3));
        assert!(state.set(Condition::Running, None, 4));
        state.fail(&Error::invalid("for good"), 5);
        assert!(!state.set(Condition::Running, None, 6));
    }
}
