//! What the pin of the fleet, or the channel, tells this consumer to serve.
//!
//! Owns: reading them, how often, and which of them counts. Never: moves anywhere; a refresh does.
//!
//! **Invariant**: whoever is told something goes there or stays. Where a pointer is there and cannot be followed, what
//! is served stays, and who serves nothing loads nothing: any other version may be the one that it keeps away from.
//!
//! A pin counts before a channel, and the pin of a program ([`Consumer::refresh_to`](crate::Consumer::refresh_to))
//! before both. Nobody goes to another version before they were read for that.

use crate::builder::ConsumerBuilder;
use crate::error::{Error, ErrorKind, Result};
use crate::shared::Shared;
use crate::target::{Glance, Goal, was_written};
use grotto_store::{ChannelId, LeaseTold, Pointer, PointerName, ToldBy};
use parking_lot::Mutex;
use std::time::Duration;

/// For how long what was read counts while the next entry is asked for more often than this.
const READ_INTERVAL: Duration = Duration::from_millis(750);

/// What a pin or a channel tells a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Told {
    /// Which of them.
    pub by: PointerName,
    /// The version to serve.
    pub version: u64,
    /// Who set it.
    pub set_by: String,
    /// Why; may be empty.
    pub reason: String,
    /// The dataset that is meant.
    pub(crate) dataset_id: String,
}

impl Told {
    fn of(by: PointerName, pointer: Pointer, consumer: Option<&str>) -> Self {
        Self {
            by,
            version: pointer.version_for(consumer),
            set_by: pointer.by,
            reason: pointer.reason,
            dataset_id: pointer.dataset_id,
        }
    }

    /// The same for a lease.
    pub(crate) fn for_lease(&self) -> LeaseTold {
        LeaseTold {
            by: match self.by {
                PointerName::Pin => ToldBy::Pin,
                PointerName::Channel(_) => ToldBy::Channel,
            },
            version: self.version,
        }
    }

    /// The error of one that cannot be followed, with what to do about it.
    pub(crate) fn refused(&self, kind: ErrorKind, dataset: &str, why: &str) -> Error {
        let (name, version, mend) = (&self.by, self.version, mend(&self.by));
        Error::new(
            kind,
            format!("dataset {dataset}: {name} names version {version}, {why}; {mend}"),
        )
    }
}

/// What to do about one that cannot be followed.
fn mend(name: &PointerName) -> String {
    match name {
        PointerName::Pin => {
            "set it anew with `grotto pin`, or remove it with `grotto unpin`".to_owned()
        }
        PointerName::Channel(channel) => {
            format!("set it anew with `grotto channel set {channel}`")
        }
    }
}

/// Who tells a consumer what to serve.
#[derive(Debug, Default)]
pub(crate) struct Tellers {
    /// Followed instead of the newest version.
    pub(crate) channel: Option<ChannelId>,
    /// The name of this consumer, by which rollouts choose.
    pub(crate) consumer: Option<String>,
    known: Mutex<Known>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    /// When it was read; `None` where it has to be read again.
    read_at: Option<Duration>,
    /// What was told then, if anything; `None` before anything was read.
    told: Option<Option<Told>>,
}

impl Tellers {
    /// What was told last, if anything.
    pub(crate) fn told(&self) -> Option<Told> {
        self.known.lock().told.clone().flatten()
    }

    /// What was told a moment ago.
    fn recently(&self, now: Duration) -> Option<Option<Told>> {
        let known = self.known.lock();
        let read_at = known.read_at?;
        let is_recent = now.saturating_sub(read_at) < READ_INTERVAL;
        known.told.clone().filter(|_| is_recent)
    }

    /// Takes note of what was told; gives it if it is not what was told before.
    fn note(&self, told: Option<Told>, now: Duration) -> Option<Option<Told>> {
        let mut known = self.known.lock();
        known.read_at = Some(now);
        let before = known.told.replace(told.clone());
        // Nothing told at the start is what everybody expects.
        (before.flatten() != told).then_some(told)
    }

    /// It has to be read again. What was told before is in force while the store does not answer, and unknown where it
    /// was replaced by what cannot be followed.
    fn forget(&self, all: bool) {
        let mut known = self.known.lock();
        known.read_at = None;
        if all {
            known.told = None;
        }
    }
}

impl ConsumerBuilder {
    /// Follows a channel of the dataset instead of the newest version: serves the version that it names, forward or back
    /// (`grotto channel set`). A pin of the fleet (`grotto pin`) counts before it.
    ///
    /// While the channel does not exist, or names what is not there, what is served stays, and who serves nothing loads
    /// nothing: a version that nobody chose is never served. [`Consumer::status`](crate::Consumer::status) tells why.
    #[must_use]
    pub fn channel(mut self, name: impl Into<String>) -> Self {
        self.channel = Some(name.into());
        self
    }
}

impl Goal {
    /// The same where something is told.
    fn told(self, told: Option<&Told>) -> Self {
        match told {
            None => self,
            Some(told) => Self::Told {
                version: told.version,
                whole: self.looks_at_all(),
            },
        }
    }

    /// Whether the log is looked at as a whole.
    fn looks_at_all(self) -> bool {
        !matches!(
            self,
            Self::Glance(Glance::Next | Glance::Own | Glance::Hint)
        )
    }
}

impl Shared {
    /// The goal in place of one that leads to the newest version, and whether it was read for it what is told.
    ///
    /// # Errors
    /// When it cannot be read, or cannot be followed.
    pub(crate) async fn as_told(&self, goal: Goal) -> Result<(Goal, bool)> {
        if matches!(goal, Goal::Pin(_)) {
            return Ok((goal, true));
        }
        if !goal.looks_at_all()
            && let Some(told) = self.tellers.recently(self.env.clock.monotonic())
        {
            return Ok((goal.told(told.as_ref()), false));
        }
        self.told_now(goal).await.map(|goal| (goal, true))
    }

    /// The same, read now.
    ///
    /// # Errors
    /// As [`as_told`](Self::as_told).
    pub(crate) async fn told_now(&self, goal: Goal) -> Result<Goal> {
        let error = match self.read_told().await {
            Ok(told) => {
                let now = self.env.clock.monotonic();
                let goal = goal.told(told.as_ref());
                if let Some(news) = self.tellers.note(told, now) {
                    self.log_told(news.as_ref());
                }
                self.measure_told();
                return Ok(goal);
            }
            Err(error) => error,
        };
        self.tellers.forget(!error.kind().is_outage());
        self.measure_told();
        let served = self.served();
        // What is served stays, and is loaded afresh where it is damaged.
        match was_written(&served) && !self.is_sound(&served) {
            true => Ok(Goal::Again(served.version())),
            false => Err(error),
        }
    }

    async fn read_told(&self) -> Result<Option<Told>> {
        let store = self.dataset.store();
        let before = store.fallback_reads();
        let told = self.read_pointers().await?;
        if store.fallback_reads() == before {
            return Ok(told);
        }
        // Of a copy that may be behind: what the store itself said last stays in force.
        let last = self.tellers.known.lock().told.clone();
        Ok(last.unwrap_or(told))
    }

    /// The pin, else the channel.
    async fn read_pointers(&self) -> Result<Option<Told>> {
        if let Some(pin) = self.read_pointer(&PointerName::Pin).await? {
            return Ok(Some(Told::of(PointerName::Pin, pin, None)));
        }
        let Some(channel) = &self.tellers.channel else {
            return Ok(None);
        };
        let name = PointerName::Channel(channel.clone());
        let Some(pointer) = self.read_pointer(&name).await? else {
            let (dataset, kind) = (self.dataset.name(), ErrorKind::Missing);
            let mend = format!("make it with `grotto channel set {channel}`");
            let message = format!("dataset {dataset}: there is no {name}; {mend}");
            return Err(Error::new(kind, message));
        };
        let consumer = self.tellers.consumer.as_deref();
        Ok(Some(Told::of(name, pointer, consumer)))
    }

    async fn read_pointer(&self, name: &PointerName) -> Result<Option<Pointer>> {
        self.dataset.pointer(name).await.map_err(|error| {
            if error.kind().is_outage() {
                return error;
            }
            let message = format!("{}; {}", error.message(), mend(name));
            Error::new(error.kind(), message).with_source(error)
        })
    }

    /// Whether an error says that the channel is not there yet.
    pub(crate) fn waits_for_channel(&self, error: &Error) -> bool {
        self.tellers.channel.is_some() && error.kind() == ErrorKind::Missing
    }

    fn log_told(&self, told: Option<&Told>) {
        let (dataset, served) = (self.dataset.name(), self.served().version());
        match told {
            Some(told) => {
                let (by, version) = (&told.by, told.version);
                let (set_by, reason) = (&told.set_by, &told.reason);
                tracing::info!(dataset, version, served, %by, set_by, reason, "told which version to serve");
            }
            None => {
                tracing::info!(
                    dataset,
                    served,
                    "no pin any more: following the newest version"
                );
            }
        }
    }

    fn measure_told(&self) {
        let told = self.tellers.told();
        let of = |pin: bool| {
            let told = told
                .as_ref()
                .filter(|told| (told.by == PointerName::Pin) == pin);
            told.map_or(0, |told| told.version)
        };
        self.metrics.told(of(true), of(false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(version: u64) -> Told {
        Told {
            by: PointerName::Pin,
            version,
            set_by: "ada".to_owned(),
            reason: String::new(),
            dataset_id: "id".to_owned(),
        }
    }

    #[test]
    fn what_was_read_counts_for_a_moment_and_is_news_once() {
        let (tellers, ms) = (Tellers::default(), Duration::from_millis);
        assert_eq!(tellers.recently(ms(0)), None);
        assert_eq!(tellers.note(None, ms(0)), None);
        assert_eq!(tellers.recently(ms(749)), Some(None));
        assert_eq!(tellers.recently(ms(750)), None);
        assert_eq!(tellers.note(Some(told(4)), ms(800)), Some(Some(told(4))));
        assert_eq!(tellers.note(Some(told(4)), ms(900)), None);
        assert_eq!(tellers.recently(ms(1_000)), Some(Some(told(4))));
        // The store does not answer: it is still in force, and asked for again.
        tellers.forget(false);
        assert_eq!(tellers.recently(ms(1_000)), None);
        assert_eq!(tellers.told(), Some(told(4)));
        tellers.forget(true);
        assert_eq!(tellers.told(), None);
    }

    #[test]
    fn whoever_is_told_something_looks_at_all_of_the_log_as_often_as_others() {
        for (goal, whole) in [
            (Goal::Newest, true),
            (Goal::Start, true),
            (Goal::Follow, true),
            (Goal::Glance(Glance::List), true),
            (Goal::Glance(Glance::Next), false),
            (Goal::Glance(Glance::Own), false),
            (Goal::Glance(Glance::Hint), false),
        ] {
            assert_eq!(goal.told(None), goal);
            let expected = Goal::Told { version: 4, whole };
            assert_eq!(goal.told(Some(&told(4))), expected);
        }
    }
}
