//! Those who run the daemon: the system's manager and a person's signals.
//!
//! Owns: what is told to systemd and when, and which signal asks for what. Never: acts on a request itself.

use crate::config::Environment;
use grotto::engine::env::Env;
use grotto::{Error, Result};
use sd_notify::NotifyState;
use std::time::Duration;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Read the configuration again.
    Reload,
    /// Publish what is acknowledged, then end.
    Stop,
}

/// Signals as they come.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Signals {
    hangup: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Catches signals from now on.
    pub(crate) fn catch() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let catch =
            |kind| signal(kind).map_err(|e| Error::internal(format!("cannot catch a signal: {e}")));
        Ok(Self {
            hangup: catch(SignalKind::hangup())?,
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.hangup.recv() => Request::Reload,
            _ = self.terminate.recv() => Request::Stop,
            _ = self.interrupt.recv() => Request::Stop,
        }
    }
}

/// Waits for the next request to end.
pub(crate) async fn second(signals: &mut Signals) {
    while signals.next().await == Request::Reload {}
}

/// Tells the manager; without one, nothing happens.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// All is open.
pub(crate) fn tell_ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// One line for people who ask the manager.
pub(crate) fn tell_status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The configuration is being read again; ready tells when that is done.
pub(crate) fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager cannot be told of a reload"),
    }
}

/// The daemon is ending, and may take this long.
pub(crate) fn tell_stopping(patience: Duration) {
    let most = u32::try_from(patience.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(most)]);
}

/// How often the manager wants to hear that all is well: twice as often as it asks for. It says so in variables, and
/// for which process.
pub(crate) fn watchdog_interval(environment: &Environment, process: u32) -> Option<Duration> {
    let for_whom = environment.get("WATCHDOG_PID");
    if for_whom.is_some_and(|asked| *asked != process.to_string()) {
        return None;
    }
    let usec: u64 = environment.get("WATCHDOG_USEC")?.parse().ok()?;
    (usec > 0).then(|| Duration::from_micros(usec) / 2)
}

/// Tells the service manager again and again that tasks get their turn.
pub(crate) async fn feed_watchdog(env: Env, interval: Duration) {
    loop {
        tell(&[NotifyState::Watchdog]);
        env.sleep(interval).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_twice_as_often_as_it_asks_for_from_whom_it_asks() {
        let interval = |variables: &[(&str, &str)]| {
            let pairs = variables.iter();
            let pairs = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            watchdog_interval(&pairs.collect(), 7)
        };
        let asked = ("WATCHDOG_USEC", "3000000");
        assert_eq!(interval(&[asked]), Some(Duration::from_millis(1500)));
        assert_eq!(
            interval(&[asked, ("WATCHDOG_PID", "7")]),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(interval(&[asked, ("WATCHDOG_PID", "8")]), None);
        for none in [
            &[][..],
            &[("WATCHDOG_USEC", "0")],
            &[("WATCHDOG_USEC", "x")],
        ] {
            assert_eq!(interval(none), None);
        }
    }
}
