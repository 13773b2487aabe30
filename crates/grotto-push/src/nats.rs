//! A session with a NATS server.
//!
//! Owns: what is said to it: letting in, publish, subscribe, ping. Never: connects again, goes to another server that it
//! is told of, or decides what a message is worth.

mod reply;

use crate::session::Received;
use crate::url::PushUrl;
use crate::wire::{Wire, garbage, shown};
use crate::{Error, Result};
use bytes::Bytes;
use reply::{Reader, Said};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;

/// A session.
pub(crate) struct NatsSession {
    wire: Wire,
    reader: Reader,
    /// What the next answers to pings confirm, in order. The server answers nothing else, but tells of failures before.
    asked: VecDeque<Asked>,
    /// What the server refused since its last answer.
    failure: Option<String>,
    /// Subjects by the numbers of their subscriptions, from 1.
    subjects: Vec<String>,
}

enum Asked {
    Subscribe(String),
    Publish,
    Ping,
}

impl NatsSession {
    /// Connects and is let in.
    pub(crate) async fn open(url: &PushUrl) -> Result<Self> {
        let mut session = Self {
            wire: Wire::connect(url).await?,
            reader: Reader::default(),
            asked: VecDeque::new(),
            failure: None,
            subjects: Vec::new(),
        };
        let info = session.info().await?;
        let says = |name: &str| info.get(name).and_then(Value::as_bool).unwrap_or(false);
        let requires = says("tls_required");
        if url.tls && !requires && !says("tls_available") {
            return Err(Error::unavailable(
                "the server offers no TLS: expected nats:// for one without",
            ));
        }
        if url.tls || requires {
            session.wire = session.wire.secured(url).await?;
        }
        session.log_in(url, url.tls || requires).await?;
        Ok(session)
    }

    /// What the server tells of itself, first of all.
    async fn info(&mut self) -> Result<Map<String, Value>> {
        match self.said().await? {
            Said::Info(text) => serde_json::from_slice(&text)
                .map_err(|_| garbage("what a server tells of itself", &shown(&text))),
            Said::Failure(_) => Err(Error::unavailable("the server refuses the connection")),
            other => Err(unexpected("what a server tells of itself", &other)),
        }
    }

    async fn log_in(&mut self, url: &PushUrl, tls: bool) -> Result<()> {
        let mut told = json!({
            "verbose": false,
            "pedantic": false,
            "tls_required": tls,
            "lang": "rust",
            "version": env!("CARGO_PKG_VERSION"),
            "name": "grotto",
            "protocol": 0,
            "echo": false,
        });
        match (&url.login.user, &url.login.password) {
            (Some(user), password) => {
                told["user"] = user.as_str().into();
                told["pass"] = password.as_deref().unwrap_or_default().into();
            }
            (None, Some(token)) => told["auth_token"] = token.as_str().into(),
            (None, None) => {}
        }
        self.wire
            .put(format!("CONNECT {told}\r\nPING\r\n").as_bytes());
        loop {
            match self.said().await? {
                Said::Pong => return Ok(()),
                Said::Ok | Said::Info(_) => {}
                Said::Ping => self.wire.put(b"PONG\r\n"),
                Said::Failure(why) => return Err(refused("this process", &why)),
                other @ Said::Message(..) => return Err(unexpected("an answer to a ping", &other)),
            }
        }
    }

    async fn said(&mut self) -> Result<Said> {
        self.wire.flush().await?;
        loop {
            if let Some(said) = self.reader.next(&mut self.wire.inbox)? {
                return Ok(said);
            }
            self.wire.fill().await?;
        }
    }

    pub(crate) fn subscribe(&mut self, subject: &str) {
        self.subjects.push(subject.to_owned());
        let number = self.subjects.len();
        self.ask(
            format!("SUB {subject} {number}\r\n").as_bytes(),
            Asked::Subscribe(subject.to_owned()),
        );
    }

    pub(crate) fn publish(&mut self, subject: &str, message: &[u8]) {
        let mut bytes = format!("PUB {subject} {}\r\n", message.len()).into_bytes();
        bytes.extend_from_slice(message);
        bytes.extend_from_slice(b"\r\n");
        self.ask(&bytes, Asked::Publish);
    }

    pub(crate) fn ping(&mut self) {
        self.ask(b"", Asked::Ping);
    }

    fn ask(&mut self, bytes: &[u8], asked: Asked) {
        self.wire.put(bytes);
        self.wire.put(b"PING\r\n");
        self.asked.push_back(asked);
    }

    /// What comes next. Whoever stops waiting loses nothing.
    pub(crate) async fn receive(&mut self) -> Result<Received> {
        loop {
            match self.said().await? {
                Said::Message(number, text) => {
                    let subject = self.subject(number)?;
                    // Longer than any announcement: unreadable.
                    return Ok(Received::Message(subject, text.unwrap_or_else(Bytes::new)));
                }
                Said::Ping => self.wire.put(b"PONG\r\n"),
                Said::Pong => return self.confirmed(),
                Said::Failure(why) => self.failure = Some(shown(&why)),
                Said::Ok | Said::Info(_) => {}
            }
        }
    }

    fn subject(&self, number: u64) -> Result<String> {
        let at = usize::try_from(number)
            .ok()
            .and_then(|number| number.checked_sub(1));
        let subject = at.and_then(|at| self.subjects.get(at));
        let unknown = || {
            garbage(
                "a message to a subscription",
                &format!("one to number {number}"),
            )
        };
        subject.cloned().ok_or_else(unknown)
    }

    /// What an answer to a ping says of what was asked before it.
    fn confirmed(&mut self) -> Result<Received> {
        let failure = self.failure.take();
        Ok(match (self.asked.pop_front(), failure) {
            (Some(Asked::Subscribe(subject)), None) => Received::Ready(subject),
            (Some(Asked::Subscribe(subject)), Some(why)) => Received::Refused(subject, why),
            (Some(Asked::Publish), None) => Received::Published,
            (Some(Asked::Publish), Some(why)) => Received::NotPublished(why),
            (Some(Asked::Ping), None) => Received::Alive,
            (Some(Asked::Ping), Some(why)) => return Err(refused("something", why.as_bytes())),
            (None, _) => return Err(garbage("an answer to what was asked", "PONG")),
        })
    }
}

/// What a server says when it refuses repeats nothing that it was told but names.
fn refused(what: &str, why: &[u8]) -> Error {
    Error::unavailable(format!("the server refuses {what}: {}", shown(why)))
}

fn unexpected(expected: &str, found: &Said) -> Error {
    let found = match found {
        Said::Info(_) => "INFO",
        Said::Message(..) => "MSG",
        Said::Ping => "PING",
        Said::Pong => "PONG",
        Said::Ok => "+OK",
        Said::Failure(_) => "-ERR",
    };
    garbage(expected, found)
}
