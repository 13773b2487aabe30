//! Listening: one connection to a server for all datasets that are listened for.
//!
//! Owns: who listens on which channel, and telling them whether anything reaches them. Never: reads a message.
//!
//! The connection is there while somebody listens.

use crate::channel::Channel;
use crate::link::{Failures, Pulse, Server};
use crate::session::{Received, Session};
use crate::{Error, Result};
use grotto_store::Feed;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How often to ask again for a channel that was refused.
const REFUSED_FOR: Duration = Duration::from_secs(30);

/// Who listens.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    listeners: Mutex<Listeners>,
    /// Somebody listens who did not before.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Listeners {
    feeds: BTreeMap<String, Vec<Feed>>,
    /// Whether a task keeps the connection.
    is_kept: bool,
}

impl Listeners {
    /// Whether there are any that still hear.
    fn are_there(&mut self) -> bool {
        self.feeds.retain(|_, feeds| {
            feeds.retain(|feed| !feed.is_closed());
            !feeds.is_empty()
        });
        !self.feeds.is_empty()
    }
}

impl Hub {
    /// Feeds what comes on a channel, from now on until nobody hears it any more.
    pub(crate) fn add(self: &Arc<Self>, server: &Server, channel: &Channel, feed: Feed) {
        let mut listeners = self.listeners.lock();
        let feeds = listeners.feeds.entry(channel.to_string()).or_default();
        feeds.retain(|feed| !feed.is_closed());
        feeds.push(feed);
        if !std::mem::replace(&mut listeners.is_kept, true) {
            tokio::spawn(Arc::clone(self).keep(server.clone()));
        }
        self.changed.notify_one();
    }

    /// Keeps the connection while somebody listens.
    async fn keep(self: Arc<Self>, server: Server) {
        let mut failures = Failures::default();
        while self.is_wanted() {
            let began = server.now();
            let ended = match server.open().await {
                Ok(session) => self.serve(&server, session).await,
                Err(error) => Err(error),
            };
            let Err(error) = ended else {
                continue;
            };
            self.all_down(&error);
            let held = server.now().saturating_sub(began);
            let wait = failures.next(
                &server,
                held,
                &error,
                "announcements of versions are not heard",
            );
            server.env.sleep(wait).await;
        }
    }

    /// Whether anybody listens; if not, the task that asks is not needed any more.
    fn is_wanted(&self) -> bool {
        let mut listeners = self.listeners.lock();
        listeners.is_kept = listeners.are_there();
        listeners.is_kept
    }

    /// Listens until nobody does any more.
    async fn serve(&self, server: &Server, mut session: Session) -> Result<()> {
        let (mut channels, mut pulse) = (Channels::default(), Pulse::new(server));
        self.subscribe(&mut session, &mut channels, server.now());
        loop {
            tokio::select! {
                received = session.receive() => {
                    pulse.heard(server.now());
                    self.hear(&mut channels, received?, server.now())?;
                }
                () = self.changed.notified() => {
                    self.subscribe(&mut session, &mut channels, server.now());
                }
                () = server.env.sleep(pulse.due(server.now())) => {
                    if !self.listeners.lock().are_there() {
                        return Ok(());
                    }
                    pulse.check(&mut session, server.now())?;
                    self.subscribe(&mut session, &mut channels, server.now());
                }
            }
        }
    }

    /// Subscribes to what is new, and to what was refused a while ago.
    fn subscribe(&self, session: &mut Session, channels: &mut Channels, now: Duration) {
        let listeners = self.listeners.lock();
        channels
            .refused
            .retain(|_, at| now.saturating_sub(*at) < REFUSED_FOR);
        for (channel, feeds) in &listeners.feeds {
            if channels.ready.contains(channel) {
                // One of them may be new.
                feeds.iter().for_each(Feed::up);
            } else if !channels.refused.contains_key(channel)
                && channels.asked.insert(channel.clone())
            {
                session.subscribe(channel);
            }
        }
    }

    fn hear(&self, channels: &mut Channels, received: Received, now: Duration) -> Result<()> {
        let of = |channel: &str, tell: &dyn Fn(&Feed)| {
            let listeners = self.listeners.lock();
            let feeds = listeners.feeds.get(channel);
            feeds.into_iter().flatten().for_each(tell);
        };
        match received {
            Received::Message(channel, bytes) => of(&channel, &|feed| feed.message(&bytes)),
            Received::Ready(channel) => {
                of(&channel, &Feed::up);
                tracing::debug!(channel, "announcements of versions are heard");
                channels.asked.remove(&channel);
                channels.ready.insert(channel);
            }
            Received::Refused(channel, why) => {
                let reason = format!("the server refuses channel {channel}: {why}");
                tracing::warn!(
                    reason,
                    "announcements of versions are not heard; consumers poll"
                );
                of(&channel, &|feed| feed.down(reason.as_str()));
                channels.asked.remove(&channel);
                channels.refused.insert(channel, now);
            }
            Received::Alive => {}
            Received::Published | Received::NotPublished(_) => {
                return Err(Error::internal("an answer to what was never asked"));
            }
        }
        Ok(())
    }

    fn all_down(&self, error: &Error) {
        let listeners = self.listeners.lock();
        let feeds = listeners.feeds.values().flatten();
        feeds.for_each(|feed| feed.down(error.message()));
    }
}

/// Channels of one session.
#[derive(Debug, Default)]
struct Channels {
    /// Not confirmed yet.
    asked: BTreeSet<String>,
    ready: BTreeSet<String>,
    /// Since when.
    refused: BTreeMap<String, Duration>,
}
