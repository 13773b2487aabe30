//! Announcements: versions that are told instead of asked for.
//!
//! Owns: the seam to whoever tells of a commit ([`Announcer`]), and what a consumer remembers of what it was told
//! ([`Announcements`]). Never: opens a connection, or believes what it is told: the log stays the truth, and an
//! announcement, lost, repeated, late or forged, changes nothing but when somebody looks there.
//!
//! **Invariant**: what is remembered has a bound, however much is told.

use grotto_format::log::Announcement;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// Versions that were announced lately and are remembered.
const RECENT: usize = 16;

/// Tells of versions that were committed.
pub trait Announcer: Send + Sync + fmt::Debug {
    /// Tells that there is a version. Called between a commit and the next cycle: it neither waits nor fails. What
    /// cannot be told is forgotten, and consumers find the version by polling.
    fn announce(&self, announcement: &Announcement);
}

/// What a consumer of a dataset is told, and the end at which it is told.
pub fn announcements(dataset: impl Into<String>) -> (Feed, Announcements) {
    let inner = Arc::new(Inner {
        dataset: dataset.into(),
        heard: Mutex::default(),
        news: Notify::new(),
    });
    (Feed(Arc::downgrade(&inner)), Announcements(inner))
}

/// Where announcements come in: for whoever receives messages. Clones feed the same consumer.
#[derive(Clone, Debug)]
pub struct Feed(Weak<Inner>);

/// Announcements of one dataset, for a consumer.
#[derive(Debug)]
pub struct Announcements(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dataset: String,
    heard: Mutex<Heard>,
    /// Something is to be looked at.
    news: Notify,
}

/// Whether announcements reach a consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushLink {
    /// Nobody said yet.
    #[default]
    Opening,
    /// What is announced is heard.
    Up,
    /// It is not, for this reason.
    Down(String),
}

/// What was heard, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeardCounts {
    /// Announcements of versions that were not served yet.
    pub news: u64,
    /// Announcements of versions that were served already: repeated or late ones, and those that polling was faster than.
    pub known: u64,
    /// Announcements of other datasets.
    pub other: u64,
    /// Messages that are no announcement.
    pub unreadable: u64,
    /// Times that the link went down.
    pub breaks: u64,
}

/// Why somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The newest version that was announced; 0 where only the link went up or down.
    pub version: u64,
}

#[derive(Debug, Default)]
struct Heard {
    link: PushLink,
    /// Identity and version of what is served.
    served: (String, u64),
    /// Versions that were announced since the link is up, newest last.
    recent: VecDeque<u64>,
    pending: Option<Hint>,
    counts: HeardCounts,
}

impl Feed {
    /// From now on, what is announced comes in.
    pub fn up(&self) {
        self.with(|heard| {
            let is_new = heard.link != PushLink::Up;
            heard.link = PushLink::Up;
            is_new
        });
    }

    /// From now on, nothing comes in.
    pub fn down(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.with(|heard| {
            let was_up = heard.link == PushLink::Up;
            heard.counts.breaks += u64::from(was_up);
            heard.link = PushLink::Down(reason);
            // They do not prove that the next link works.
            heard.recent.clear();
            was_up
        });
    }

    /// A message came in, from whomever. What is no announcement of the dataset is counted and ignored.
    pub fn message(&self, bytes: &[u8]) {
        let Some(inner) = self.0.upgrade() else {
            return;
        };
        let mut heard = inner.heard.lock();
        match Announcement::decode(bytes) {
            Err(_) => heard.counts.unreadable += 1,
            Ok(told) if told.dataset != inner.dataset => heard.counts.other += 1,
            Ok(told) => {
                if heard.told(&told) {
                    drop(heard);
                    inner.news.notify_one();
                }
            }
        }
    }

    /// Whether nobody hears any more what is fed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.strong_count() == 0
    }

    /// Changes the link; where the change says so, somebody should look.
    fn with(&self, change: impl FnOnce(&mut Heard) -> bool) {
        let Some(inner) = self.0.upgrade() else {
            return;
        };
        let mut heard = inner.heard.lock();
        if change(&mut heard) {
            heard.pending.get_or_insert(Hint { version: 0 });
            drop(heard);
            inner.news.notify_one();
        }
    }
}

impl Heard {
    /// Whether an announcement is a reason to look.
    fn told(&mut self, told: &Announcement) -> bool {
        let (id, served) = &self.served;
        let is_of_served = *id == told.dataset_id;
        if is_of_served || id.is_empty() {
            if self.recent.len() == RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(told.version);
        }
        if is_of_served && told.version <= *served {
            self.counts.known += 1;
            return false;
        }
        self.counts.news += 1;
        let version = self.pending.map_or(0, |hint| hint.version);
        self.pending = Some(Hint {
            version: version.max(told.version),
        });
        true
    }
}

impl Announcements {
    /// Waits until there is a reason to look.
    pub async fn wait(&self) {
        loop {
            let news = self.0.news.notified();
            if self.0.heard.lock().pending.is_some() {
                return;
            }
            news.await;
        }
    }

    /// Why to look, if there is a reason: all that were given so far are one. Whoever takes it looks.
    #[must_use]
    pub fn take(&self) -> Option<Hint> {
        self.0.heard.lock().pending.take()
    }

    /// What is served now: no announcement of it is a reason to look.
    pub fn serves(&self, dataset_id: &str, version: u64) {
        let mut heard = self.0.heard.lock();
        if heard.served.0 != dataset_id {
            dataset_id.clone_into(&mut heard.served.0);
        }
        heard.served.1 = version;
    }

    /// Whether the next version can be expected to be announced, as the served one was.
    #[must_use]
    pub fn is_relied_on(&self) -> bool {
        let heard = self.0.heard.lock();
        heard.link == PushLink::Up && heard.recent.contains(&heard.served.1)
    }

    /// Whether announcements reach the consumer.
    #[must_use]
    pub fn link(&self) -> PushLink {
        self.0.heard.lock().link.clone()
    }

    /// What was heard so far.
    #[must_use]
    pub fn counts(&self) -> HeardCounts {
        self.0.heard.lock().counts
    }
}

#[cfg(test)]
mod tests;
