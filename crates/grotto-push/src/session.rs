//! A session with a server, whatever it speaks.
//!
//! Owns: what can be asked of a server, and what comes from it. Never: knows a protocol.

use crate::Result;
use crate::nats::NatsSession;
use crate::redis::RedisSession;
use crate::url::{Protocol, PushUrl};
use bytes::Bytes;

/// What came from a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A message on a channel.
    Message(String, Bytes),
    /// Messages of this channel come from here on.
    Ready(String),
    /// Messages of this channel do not come, for this reason.
    Refused(String, String),
    /// What was published is with the server.
    Published,
    /// It was refused, for this reason.
    NotPublished(String),
    /// An answer to a ping.
    Alive,
}

/// A session. What is asked is sent while somebody [receives](Self::receive).
pub(crate) enum Session {
    Redis(RedisSession),
    Nats(NatsSession),
}

impl Session {
    /// Connects and is let in.
    pub(crate) async fn open(url: &PushUrl) -> Result<Self> {
        match url.protocol() {
            Protocol::Redis => RedisSession::open(url).await.map(Self::Redis),
            Protocol::Nats => NatsSession::open(url).await.map(Self::Nats),
        }
    }

    pub(crate) fn subscribe(&mut self, channel: &str) {
        match self {
            Self::Redis(session) => session.subscribe(channel),
            Self::Nats(session) => session.subscribe(channel),
        }
    }

    pub(crate) fn publish(&mut self, channel: &str, message: &[u8]) {
        match self {
            Self::Redis(session) => session.publish(channel, message),
            Self::Nats(session) => session.publish(channel, message),
        }
    }

    pub(crate) fn ping(&mut self) {
        match self {
            Self::Redis(session) => session.ping(),
            Self::Nats(session) => session.ping(),
        }
    }

    /// Sends what was asked and waits for what comes next. Whoever stops waiting loses nothing.
    pub(crate) async fn receive(&mut self) -> Result<Received> {
        match self {
            Self::Redis(session) => session.receive().await,
            Self::Nats(session) => session.receive().await,
        }
    }
}
