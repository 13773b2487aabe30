//! Those who run the daemon: the system's manager and a person's signals.
//!
//! Owns: what is told to systemd and when, and which signal asks for what. Never: acts on a request itself.

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

/// How often the manager wants to hear that all is well: twice as often as it asks for.
pub(crate) fn watchdog_interval() -> Option<Duration> {
    let mut usec = 0;
    let enabled = sd_notify::watchdog_enabled(false, &mut usec);
    (enabled && usec > 0).then(|| Duration::from_micros(usec) / 2)
}

/// All is well.
pub(crate) fn tell_watchdog() {
    tell(&[NotifyState::Watchdog]);
}
