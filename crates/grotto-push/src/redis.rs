//! A session with a Redis server.
//!
//! Owns: the commands: letting in, publish, subscribe, ping. Never: connects again, or decides what a message is worth.

mod reply;

use crate::session::Received;
use crate::url::PushUrl;
use crate::wire::{Wire, garbage, shown};
use crate::{Error, Result};
use bytes::Bytes;
use reply::{Reader, Reply, command};
use std::collections::VecDeque;

/// A session.
pub(crate) struct RedisSession {
    wire: Wire,
    reader: Reader,
    /// What is not answered yet, in the order in which it was asked.
    asked: VecDeque<Asked>,
}

enum Asked {
    Subscribe(String),
    Publish,
    Ping,
}

impl RedisSession {
    /// Connects and is let in.
    pub(crate) async fn open(url: &PushUrl) -> Result<Self> {
        let wire = Wire::connect(url).await?;
        let wire = match url.tls {
            true => wire.secured(url).await?,
            false => wire,
        };
        let mut session = Self {
            wire,
            reader: Reader::default(),
            asked: VecDeque::new(),
        };
        session.log_in(url).await?;
        Ok(session)
    }

    async fn log_in(&mut self, url: &PushUrl) -> Result<()> {
        if let Some(password) = &url.login.password {
            let mut parts = vec![b"AUTH".as_slice()];
            parts.extend(url.login.user.as_ref().map(String::as_bytes));
            parts.push(password.as_bytes());
            self.wire.put(&command(&parts));
            self.expect_ok("the credentials").await?;
        }
        if let Some(database) = url.database {
            self.wire
                .put(&command(&[b"SELECT", database.to_string().as_bytes()]));
            self.expect_ok("the number of the database").await?;
        }
        // One that lets nobody do anything without credentials says so here.
        self.wire.put(&command(&[b"PING"]));
        match self.reply().await? {
            Reply::Status(_) => Ok(()),
            Reply::Failure(why) => Err(refused("this process", &why)),
            other => Err(unexpected("an answer to a ping", &other)),
        }
    }

    async fn expect_ok(&mut self, what: &str) -> Result<()> {
        match self.reply().await? {
            Reply::Status(_) => Ok(()),
            Reply::Failure(why) => Err(refused(what, &why)),
            other => Err(unexpected("OK", &other)),
        }
    }

    async fn reply(&mut self) -> Result<Reply> {
        self.wire.flush().await?;
        loop {
            if let Some(reply) = self.reader.next(&mut self.wire.inbox)? {
                return Ok(reply);
            }
            self.wire.fill().await?;
        }
    }

    pub(crate) fn subscribe(&mut self, channel: &str) {
        self.wire.put(&command(&[b"SUBSCRIBE", channel.as_bytes()]));
        self.asked.push_back(Asked::Subscribe(channel.to_owned()));
    }

    pub(crate) fn publish(&mut self, channel: &str, message: &[u8]) {
        self.wire
            .put(&command(&[b"PUBLISH", channel.as_bytes(), message]));
        self.asked.push_back(Asked::Publish);
    }

    pub(crate) fn ping(&mut self) {
        self.wire.put(&command(&[b"PING"]));
        self.asked.push_back(Asked::Ping);
    }

    /// What comes next. Whoever stops waiting loses nothing.
    pub(crate) async fn receive(&mut self) -> Result<Received> {
        match self.reply().await? {
            Reply::List(parts) => self.pushed(parts),
            Reply::Failure(why) => match self.asked.pop_front() {
                Some(Asked::Subscribe(channel)) => Ok(Received::Refused(channel, shown(&why))),
                Some(Asked::Publish) => Ok(Received::NotPublished(shown(&why))),
                _ => Err(refused("a command", &why)),
            },
            Reply::Status(_) => self.answer_to(
                "PONG",
                |asked| matches!(asked, Asked::Ping),
                Received::Alive,
            ),
            Reply::Number(_) => self.answer_to(
                "a number",
                |asked| matches!(asked, Asked::Publish),
                Received::Published,
            ),
            other => Err(unexpected("a message", &other)),
        }
    }

    fn answer_to(
        &mut self,
        what: &str,
        fits: impl Fn(&Asked) -> bool,
        received: Received,
    ) -> Result<Received> {
        match self.asked.pop_front().filter(fits) {
            Some(_) => Ok(received),
            None => Err(garbage("an answer to what was asked", what)),
        }
    }

    /// Reads what comes to whoever has subscribed: messages, confirmations, and answers to pings.
    fn pushed(&mut self, parts: Vec<Reply>) -> Result<Received> {
        let kind = match parts.first() {
            Some(Reply::Text(kind)) => kind.clone(),
            other => return Err(garbage("a message", &format!("{other:?}"))),
        };
        match (&*kind, parts.as_slice()) {
            (b"message", [_, channel, text]) => Ok(Received::Message(
                channel_of(channel)?,
                match text {
                    Reply::Text(text) => text.clone(),
                    // Longer than any announcement: unreadable.
                    _ => Bytes::new(),
                },
            )),
            (b"subscribe", [_, channel, _]) => {
                let channel = channel_of(channel)?;
                let fits = |asked: &Asked| matches!(asked, Asked::Subscribe(of) if *of == channel);
                self.answer_to("another channel", fits, Received::Ready(channel.clone()))
            }
            (b"pong", [_, _]) => self.answer_to(
                "pong",
                |asked| matches!(asked, Asked::Ping),
                Received::Alive,
            ),
            _ => Err(garbage("a message", &shown(&kind))),
        }
    }
}

fn channel_of(part: &Reply) -> Result<String> {
    match part {
        Reply::Text(name) => Ok(shown(name)),
        other => Err(unexpected("the name of a channel", other)),
    }
}

/// Of what the server says only the code counts: the rest may repeat what it was told.
fn refused(what: &str, why: &[u8]) -> Error {
    let code = why.split(|byte| *byte == b' ').next().unwrap_or_default();
    Error::unavailable(format!("the server refuses {what}: {}", shown(code)))
}

fn unexpected(expected: &str, found: &Reply) -> Error {
    let found = match found {
        Reply::Status(text) | Reply::Text(text) => shown(text),
        Reply::Failure(_) => "an error".to_owned(),
        Reply::Number(number) => number.to_string(),
        Reply::TooLong => "a text that is too long".to_owned(),
        Reply::Null => "nothing".to_owned(),
        Reply::List(parts) => format!("a list of {}", parts.len()),
    };
    garbage(expected, &found)
}
