//! Announcing: one connection to a server for all datasets that are published here.
//!
//! Owns: what waits to be announced, and announcing it as soon as the server takes it. Never: keeps whoever announces
//! waiting.
//!
//! **Invariant**: of a channel only the newest announcement waits: it says all that an earlier one would have said.

use crate::channel::Channel;
use crate::link::{Failures, Pulse, Server};
use crate::session::{Received, Session};
use crate::{Error, Result};
use bytes::Bytes;
use grotto_store::{Announcement, Announcer, PushLink};
use metrics::TellMetrics;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

mod metrics;

/// Announces the versions of one dataset. Clones announce the same.
#[derive(Clone)]
pub struct PushAnnouncer {
    outbox: Arc<Outbox>,
    channel: Channel,
    metrics: TellMetrics,
}

impl fmt::Debug for PushAnnouncer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PushAnnouncer({} at {})", self.channel, self.outbox.url)
    }
}

impl Announcer for PushAnnouncer {
    fn announce(&self, announcement: &Announcement) {
        match announcement.encode() {
            Ok(bytes) => self.outbox.put(&self.channel, bytes.into(), &self.metrics),
            Err(error) => {
                // A name or identity that no log entry has either.
                tracing::error!(%error, channel = %self.channel, "a version cannot be announced");
                self.metrics.failed.inc();
            }
        }
    }
}

impl PushAnnouncer {
    /// Whether what is announced reaches the server.
    #[must_use]
    pub fn link(&self) -> PushLink {
        self.outbox.waiting.lock().link.clone()
    }

    /// What it counts, in the OpenMetrics text format.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        let is_up = self.link() == PushLink::Up;
        self.metrics.text(is_up)
    }
}

/// What waits to be announced to a server. The connection is there while somebody may announce.
#[derive(Debug)]
pub(crate) struct Outbox {
    url: String,
    waiting: Mutex<Waiting>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Waiting {
    link: PushLink,
    /// By channel.
    letters: BTreeMap<String, Letter>,
}

#[derive(Clone, Debug)]
struct Letter {
    bytes: Bytes,
    metrics: TellMetrics,
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

impl Outbox {
    /// Starts what keeps the connection.
    pub(crate) fn start(server: Server) -> Arc<Self> {
        let outbox = Arc::new(Self {
            url: server.url.to_string(),
            waiting: Mutex::default(),
            changed: Arc::default(),
        });
        let keeper = Keeper {
            server,
            outbox: Arc::downgrade(&outbox),
            changed: Arc::clone(&outbox.changed),
        };
        tokio::spawn(keeper.keep());
        outbox
    }

    pub(crate) fn announcer(self: &Arc<Self>, channel: &Channel, dataset: &str) -> PushAnnouncer {
        PushAnnouncer {
            outbox: Arc::clone(self),
            channel: channel.clone(),
            metrics: TellMetrics::new(dataset),
        }
    }

    fn put(&self, channel: &Channel, bytes: Bytes, metrics: &TellMetrics) {
        let letter = Letter {
            bytes,
            metrics: metrics.clone(),
        };
        let replaced = self
            .waiting
            .lock()
            .letters
            .insert(channel.to_string(), letter);
        if let Some(older) = replaced {
            older.metrics.superseded.inc();
        }
        self.changed.notify_one();
    }

    fn next(&self) -> Option<(String, Letter)> {
        self.waiting.lock().letters.pop_first()
    }

    /// Lets one that did not go out wait again, unless there is a newer one.
    fn put_back(&self, channel: String, letter: Letter) {
        self.waiting.lock().letters.entry(channel).or_insert(letter);
    }

    fn set_link(&self, link: PushLink) {
        let mut waiting = self.waiting.lock();
        if let PushLink::Down(_) = link {
            waiting.letters.values().for_each(|letter| {
                letter.metrics.failed.inc();
            });
        }
        waiting.link = link;
    }
}

/// What keeps the connection.
struct Keeper {
    server: Server,
    outbox: Weak<Outbox>,
    changed: Arc<Notify>,
}

impl Keeper {
    async fn keep(self) {
        let mut failures = Failures::default();
        while self.outbox.strong_count() > 0 {
            let began = self.server.now();
            let ended = match self.server.open().await {
                Ok(session) => self.serve(session).await,
                Err(error) => Err(error),
            };
            let (Err(error), Some(outbox)) = (ended, self.outbox.upgrade()) else {
                continue;
            };
            outbox.set_link(PushLink::Down(error.message().to_owned()));
            drop(outbox);
            let held = self.server.now().saturating_sub(began);
            let wait = failures.next(&self.server, held, &error, "versions are not announced");
            self.server.env.sleep(wait).await;
        }
    }

    /// Announces until nobody can any more.
    async fn serve(&self, mut session: Session) -> Result<()> {
        if let Some(outbox) = self.outbox.upgrade() {
            outbox.set_link(PushLink::Up);
        }
        let (server, mut pulse) = (&self.server, Pulse::new(&self.server));
        loop {
            while let Some(outbox) = self.outbox.upgrade() {
                let Some((channel, letter)) = outbox.next() else {
                    break;
                };
                let sent = self.send(&mut session, &channel, &letter).await;
                pulse.heard(server.now());
                match sent {
                    Ok(()) => letter.metrics.sent.inc(),
                    Err(error) => {
                        outbox.put_back(channel, letter);
                        return Err(error);
                    }
                };
            }
            if self.outbox.strong_count() == 0 {
                return Ok(());
            }
            tokio::select! {
                () = self.changed.notified() => {}
                received = session.receive() => {
                    received?;
                    pulse.heard(server.now());
                }
                () = server.env.sleep(pulse.due(server.now())) => pulse.check(&mut session, server.now())?,
            }
        }
    }

    /// Announces one, and waits until the server has it.
    async fn send(&self, session: &mut Session, channel: &str, letter: &Letter) -> Result<()> {
        session.publish(channel, &letter.bytes);
        let confirmed = async {
            loop {
                match session.receive().await? {
                    Received::Published => return Ok(()),
                    Received::NotPublished(why) => {
                        let message = format!("the server refuses channel {channel}: {why}");
                        return Err(Error::unavailable(message));
                    }
                    // Of what was asked before.
                    _ => {}
                }
            }
        };
        let deadline = self.server.options.deadline;
        let confirmed = self.server.env.within(deadline, confirmed).await;
        confirmed.unwrap_or_else(|_| {
            Err(Error::unavailable(format!(
                "the server did not confirm within {deadline:?}"
            )))
        })
    }
}
