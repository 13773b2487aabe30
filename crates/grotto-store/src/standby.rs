//! Standing by: waiting until whoever writes a dataset is gone.
//!
//! Owns: when it is worth trying to take over, by this process's clock alone. Never: decides who writes; the log does,
//! and a standby that errs loses nothing but a fence.
//!
//! Whoever writes gives a sign of life with every version and with every heartbeat. A time in which the store did not
//! answer, or in which this process did not run, is no time in which the writer was silent.

use std::time::Duration;

use grotto_format::log::{LeaderHint, LogEntry};

use crate::dataset::Dataset;
use crate::error::{ErrorKind, Result};

/// How long to wait, and how often to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandbyOptions {
    /// Silence after which the writer counts as gone: several of its heartbeats.
    pub lease: Duration,
    /// Time between looks.
    pub look_every: Duration,
}

impl Default for StandbyOptions {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            look_every: Duration::from_secs(1),
        }
    }
}

/// What a look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Somebody else writes, as far as one can tell.
    Theirs,
    /// It is worth trying to take over.
    Ours(Vacancy),
}

/// The end of the log where nobody writes any more. Who finds another one there came too late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vacancy {
    /// The newest version; 0 where there is none.
    pub version: u64,
    /// Whether its writer asked for it, or was silent.
    pub resigned: bool,
}

/// Watches the writer of a dataset.
#[derive(Debug)]
pub struct Standby {
    dataset: Dataset,
    /// Who stands by: what it said itself when it ended asks others.
    own: String,
    options: StandbyOptions,
    head: Option<LogEntry>,
    hint: Option<LeaderHint>,
    /// When the last sign of life was seen; `None` before the first look.
    heard: Option<Duration>,
    /// When the store answered last.
    looked: Duration,
}

impl Standby {
    /// Begins to stand by: whoever writes has a whole lease to say so. `own` is the name of the writer that stands by.
    #[must_use]
    pub fn new(dataset: Dataset, own: impl Into<String>, options: StandbyOptions) -> Self {
        Self {
            dataset: dataset.alone(),
            own: own.into(),
            options,
            head: None,
            hint: None,
            heard: None,
            looked: Duration::ZERO,
        }
    }

    /// Who writes, as far as is known, for people.
    #[must_use]
    pub fn leader(&self) -> Option<&str> {
        let head = self.head.as_ref().map(|head| (head.epoch, &head.writer));
        let hint = self.hint.as_ref().map(|hint| (hint.epoch, &hint.writer));
        let newest = head.into_iter().chain(hint).max_by_key(|(epoch, _)| *epoch);
        newest.map(|(_, writer)| writer.as_str())
    }

    /// The newest entry that was seen.
    #[must_use]
    pub fn head(&self) -> Option<&LogEntry> {
        self.head.as_ref()
    }

    /// How it waits.
    #[must_use]
    pub fn options(&self) -> &StandbyOptions {
        &self.options
    }

    /// Looks once: two small requests.
    ///
    /// # Errors
    /// Those of the store, and `Corrupt` where the end of the log is damaged: nobody can take over there.
    pub async fn look(&mut self) -> Result<Turn> {
        let found = self.ask().await;
        let now = self.dataset.store.env().clock.monotonic();
        let (head, hint) = match found {
            Ok(found) => found,
            Err(error) => {
                // Whoever writes cannot be heard either.
                self.heard = None;
                return Err(error);
            }
        };
        let is_new = self.head != head || self.hint != hint;
        (self.head, self.hint) = (head, hint);
        // A process that was stopped has not heard a thing meanwhile.
        let was_away = now.saturating_sub(self.looked) > self.options.lease / 2;
        self.looked = now;
        if self.has_resigned() {
            return Ok(Turn::Ours(self.vacancy(true)));
        }
        match self.heard.filter(|_| !is_new && !was_away) {
            Some(heard) if now.saturating_sub(heard) >= self.options.lease => {
                self.settle(now).await
            }
            Some(_) => Ok(Turn::Theirs),
            None => {
                self.heard = Some(now);
                Ok(Turn::Theirs)
            }
        }
    }

    /// Makes sure that the newest entry seen is the newest: those after it may have been collected by somebody who
    /// writes all the time.
    async fn settle(&mut self, now: Duration) -> Result<Turn> {
        let head = self.dataset.head().await?;
        if head == self.head {
            return Ok(Turn::Ours(self.vacancy(false)));
        }
        (self.head, self.heard) = (head, Some(now));
        Ok(Turn::Theirs)
    }

    async fn ask(&self) -> Result<(Option<LogEntry>, Option<LeaderHint>)> {
        let hint = match self.dataset.leader_hint().await {
            // Only a hint: the log says whether there is life.
            Err(error) if error.kind() == ErrorKind::Corrupt => None,
            hint => hint?,
        };
        let head = match &self.head {
            None => self.dataset.head().await?,
            Some(known) => Some(self.dataset.climb(known.clone()).await?),
        };
        Ok((head, hint))
    }

    /// Whether the writer of the newest entry said that it ended.
    fn has_resigned(&self) -> bool {
        match (&self.hint, &self.head) {
            (Some(hint), Some(head)) => {
                let is_last = hint.epoch == head.epoch && hint.version >= head.version;
                hint.resigned && is_last && hint.writer != self.own
            }
            _ => false,
        }
    }

    fn vacancy(&self, resigned: bool) -> Vacancy {
        Vacancy {
            version: self.head.as_ref().map_or(0, |head| head.version),
            resigned,
        }
    }
}
