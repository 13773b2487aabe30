//! Keeping up with a server: connecting in time, noticing that it is gone, and when to try again.
//!
//! Owns: these decisions. Never: what is said over a connection.

use crate::options::PushOptions;
use crate::session::Session;
use crate::url::PushUrl;
use crate::{Error, Result};
use grotto_env::Env;
use std::time::Duration;

/// A connection that held for so long was a good one: what fails then fails for the first time.
const STEADY: Duration = Duration::from_secs(10);

/// A server, and how to deal with it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) url: PushUrl,
    pub(crate) options: PushOptions,
    pub(crate) env: Env,
}

impl Server {
    /// A session, or an error within the deadline.
    pub(crate) async fn open(&self) -> Result<Session> {
        let deadline = self.options.deadline;
        let opened = self.env.within(deadline, Session::open(&self.url)).await;
        opened.unwrap_or_else(|_| Err(silent(deadline)))
    }

    pub(crate) fn now(&self) -> Duration {
        self.env.clock.monotonic()
    }
}

fn silent(time: Duration) -> Error {
    Error::unavailable(format!("the server did not answer within {time:?}"))
}

/// Failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Failures(u32);

impl Failures {
    /// A session failed that had been there for so long, or did not come about. How long to wait before the next try;
    /// what it failed with is told now and then.
    pub(crate) fn next(
        &mut self,
        server: &Server,
        held: Duration,
        error: &Error,
        role: &str,
    ) -> Duration {
        if held >= STEADY {
            self.0 = 0;
        }
        self.0 = self.0.saturating_add(1);
        let (url, failures) = (&server.url, self.0);
        // A server that is down for a day must not fill the disk with its log.
        if failures.is_power_of_two() {
            tracing::warn!(%error, %url, failures, "{role}; consumers poll");
        }
        server.options.retry().delay(failures, &*server.env.random)
    }
}

/// Whether a server is still there.
#[derive(Debug)]
pub(crate) struct Pulse {
    heard_at: Duration,
    is_asked: bool,
    patience: Duration,
}

impl Pulse {
    pub(crate) fn new(server: &Server) -> Self {
        Self {
            heard_at: server.now(),
            is_asked: false,
            patience: server.options.patience,
        }
    }

    /// Something came from the server.
    pub(crate) fn heard(&mut self, now: Duration) {
        (self.heard_at, self.is_asked) = (now, false);
    }

    /// How long until it has to be looked at.
    pub(crate) fn due(&self, now: Duration) -> Duration {
        let after = self.patience * (1 + u32::from(self.is_asked));
        (self.heard_at + after).saturating_sub(now)
    }

    /// Asks a server that was silent for a while.
    ///
    /// # Errors
    /// When it was asked before and did not answer.
    pub(crate) fn check(&mut self, session: &mut Session, now: Duration) -> Result<()> {
        if !self.due(now).is_zero() {
            return Ok(());
        }
        if self.is_asked {
            return Err(silent(self.patience * 2));
        }
        session.ping();
        self.is_asked = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_further_and_further_apart_and_begin_anew_after_a_steady_session() {
        let server = Server {
            url: PushUrl::parse("redis://host").unwrap(),
            options: PushOptions::default(),
            env: Env::simulated(1),
        };
        let (mut failures, error) = (Failures::default(), Error::unavailable("gone"));
        let mut next = |held| failures.next(&server, held, &error, "nobody is told");
        for round in 0..2 {
            let mut most = Duration::from_millis(100);
            for failed in 0..40 {
                // The first try after a steady session is one after the first failure.
                let held = match (round, failed) {
                    (1, 0) => STEADY,
                    _ => STEADY - Duration::from_millis(1),
                };
                let wait = next(held);
                assert!(wait <= most && wait >= most / 2, "{wait:?}, {most:?}");
                most = (most * 2).min(Duration::from_secs(5));
            }
        }
    }
}
