//! The signals that end `grotto follow` and `grotto rollout` in good order.
//!
//! Owns: which they are. Never: ends anything itself.

use crate::failure::{Failure, Outcome};

/// Waits to be asked to end: by Ctrl-C or, where there is such a thing, SIGTERM.
#[cfg(unix)]
pub(in crate::commands) struct Ending {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Ending {
    /// From now on these signals do not end the process by themselves.
    pub(in crate::commands) fn new() -> Outcome<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|e| cannot_wait(&e));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    pub(in crate::commands) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Waits to be asked to end by Ctrl-C.
#[cfg(windows)]
pub(in crate::commands) struct Ending(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Ending {
    /// From now on Ctrl-C does not end the process by itself.
    pub(in crate::commands) fn new() -> Outcome<Self> {
        tokio::signal::windows::ctrl_c()
            .map(Self)
            .map_err(|e| cannot_wait(&e))
    }

    pub(in crate::commands) async fn asked(&mut self) {
        self.0.recv().await;
    }
}

fn cannot_wait(error: &std::io::Error) -> Failure {
    Failure::internal(format!("cannot wait for a signal: {error}"))
}
