//! How a consumer is: for health checks, status pages and whoever is called at night.
//!
//! Owns: what is told, and when a consumer counts as ready, degraded or not ready. Never: asks the store;
//! everything here is known already.

use crate::shared::Shared;
use crate::target::was_written;
use crate::told::Told;
use grotto_state::State;
use grotto_store::{Announcements, BreakerState, HeardCounts, PushLink};
use std::fmt;
use std::time::Duration;

/// Whether a consumer should be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Health {
    /// It serves, and follows the log.
    Ready,
    /// It serves, but something needs attention; see [`ConsumerStatus::reasons`].
    Degraded,
    /// It has nothing to serve, or has ended.
    NotReady,
}

impl Health {
    /// Its name in logs, metrics and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::NotReady => "not ready",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A version that is not served because a guard holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldVersion {
    /// The version.
    pub version: u64,
    /// Which limit it is past, with the figures.
    pub reason: String,
    /// Whether it is for the memory that it would take.
    pub memory: bool,
}

/// How a consumer is told of versions. Nothing of it makes a consumer less healthy: it looks by itself as well.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PushStatus {
    /// Whether what is announced is heard.
    pub link: PushLink,
    /// Whether polling is rare because announcements come.
    pub is_relied_on: bool,
    /// What was heard since the start.
    pub counts: HeardCounts,
}

impl PushStatus {
    fn of(heard: &Announcements) -> Self {
        Self {
            link: heard.link(),
            is_relied_on: heard.is_relied_on(),
            counts: heard.counts(),
        }
    }
}

/// How a consumer is, as of one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConsumerStatus {
    /// Name of the dataset.
    pub dataset: String,
    /// The version served; 0 before the first.
    pub version: u64,
    /// The newest version of the log as of the last look; 0 before the first look that found one.
    pub newest: u64,
    /// When the served version was committed, by its writer's clock: milliseconds since 1970. `None` where
    /// the log was not asked since: of a state that was found in the state directory.
    pub committed_ms: Option<u64>,
    /// Time since what is served was known to be the newest, or the pinned, version.
    pub staleness: Duration,
    /// Whether it should be read from.
    pub health: Health,
    /// Why it is not simply ready, one sentence each; empty if it is.
    pub reasons: Vec<String>,
    /// The channel that it follows; `None` for the newest version.
    pub channel: Option<String>,
    /// What the pin of the fleet, or the channel, tells it to serve; `None` while neither does.
    pub told: Option<Told>,
    /// The version that a guard holds; `None` while none is held.
    pub held: Option<HeldVersion>,
    /// The wait between two looks at the log now; zero for a consumer that does not poll.
    pub poll_wait: Duration,
    /// How it is told of versions; `None` for one that only polls.
    pub push: Option<PushStatus>,
    /// What the circuit breaker of the store does with the next request.
    pub breaker: BreakerState,
    /// Refreshes since the start that led to another state.
    pub refreshes: u64,
    /// Errors of the last 60 seconds, those that were worked around included.
    pub errors_per_minute: u64,
    /// Live records of all types in the served version.
    pub records: u64,
    /// Bytes of the segments of all states that are held, the served one and older ones that readers hold:
    /// files that are mapped, or memory where there is no state directory.
    pub mapped_bytes: u64,
    /// Bytes of these that are in memory now; `None` where the system does not tell.
    pub resident_bytes: Option<u64>,
    /// Handles of other processes, and of this one, that are attached to the state directory; `None` where
    /// there is none, or the system does not tell.
    pub attached_readers: Option<u64>,
}

/// When a consumer counts as degraded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tolerance {
    /// Errors in a minute that are still fine.
    pub(crate) errors_per_minute: u64,
    /// The longest time without certainty that is still fine; only of one that polls.
    pub(crate) staleness: Option<Duration>,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            errors_per_minute: 10,
            staleness: None,
        }
    }
}

impl Shared {
    pub(crate) fn status(&self) -> ConsumerStatus {
        self.status_of(&self.served())
    }

    /// The same, with what is told of a version told of a state that is or was served.
    pub(crate) fn status_of(&self, state: &State) -> ConsumerStatus {
        let now = self.env.clock.monotonic();
        let (health, reasons) = self.health(now);
        ConsumerStatus {
            dataset: self.dataset.name().to_owned(),
            version: state.version(),
            newest: self.vitals.newest(),
            committed_ms: self.vitals.committed_ms(state.version()),
            staleness: self.staleness(),
            health,
            reasons,
            channel: self.tellers.channel.as_ref().map(ToString::to_string),
            told: self.tellers.told(),
            held: self.holding.held(),
            poll_wait: self.vitals.wait(),
            push: self.heard.as_ref().map(PushStatus::of),
            breaker: self.dataset.store().breaker(),
            refreshes: self.vitals.refreshes(),
            errors_per_minute: self.vitals.errors_per_minute(now),
            records: state.total(),
            mapped_bytes: self.mapped_bytes(),
            resident_bytes: self.resident_bytes(),
            attached_readers: self.attached_readers(),
        }
    }

    /// What to think of it, and why.
    fn health(&self, now: Duration) -> (Health, Vec<String>) {
        if self.has_ended() {
            return (
                Health::NotReady,
                vec!["the consumer was shut down".to_owned()],
            );
        }
        let served = self.served();
        let mut reasons = Vec::new();
        let lacks = match was_written(&served) {
            true => self.check_required(&served).err().map(|e| e.to_string()),
            false => Some("no version was loaded yet".to_owned()),
        };
        let ready = lacks.is_none();
        reasons.extend(lacks);
        reasons.extend(self.troubles(now));
        let health = match (ready, reasons.is_empty()) {
            (false, _) => Health::NotReady,
            (true, true) => Health::Ready,
            (true, false) => Health::Degraded,
        };
        (health, reasons)
    }

    /// What needs attention.
    fn troubles(&self, now: Duration) -> Vec<String> {
        let (tolerance, mut found) = (self.tolerance, Vec::new());
        let errors = self.vitals.errors_per_minute(now);
        if errors > tolerance.errors_per_minute {
            let most = tolerance.errors_per_minute;
            found.push(format!(
                "{errors} errors in the last minute, expected at most {most}"
            ));
        }
        let stale = self.staleness();
        if tolerance.staleness.is_some_and(|most| stale > most) {
            let seconds = stale.as_secs();
            found.push(format!(
                "what is served was not known to be the newest for {seconds} s"
            ));
        }
        match self.dataset.store().breaker() {
            BreakerState::Closed => {}
            BreakerState::Open => {
                found.push("the store failed repeatedly and is left alone for a while".to_owned());
            }
            BreakerState::HalfOpen => {
                found.push("the store failed repeatedly and is being tried again".to_owned());
            }
        }
        if let Some(failure) = self.vitals.failure() {
            found.push(format!("the last refresh failed: {failure}"));
        }
        if let Some(held) = self.holding.held() {
            found.push(format!("version {} is held: {}", held.version, held.reason));
        }
        if self.is_distrusted() || self.served().is_damaged() {
            found.push("what is served is damaged and is being loaded afresh".to_owned());
        }
        found
    }
}
