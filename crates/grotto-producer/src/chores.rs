//! What a producer does after a commit that nobody needs to wait for.
//!
//! Owns: the writer's hint, announcing the version, and sweeping what crashed writers left in a local folder. Never: holds up a
//! cycle or its acknowledgement, or fails one.

use crate::producer::Shared;
use grotto_env::Env;
use grotto_error::panic_text;
use grotto_store::Announcement;
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Age of a staged file from which on no writer can still be at work on it: far longer than any upload
/// is waited for.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 3_600);
/// Longest wait for chores of somebody who ends. What is not done then costs others a moment at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// Chores under way.
#[derive(Debug, Default)]
pub(crate) struct Chores {
    hint: Mutex<Option<JoinHandle<()>>>,
    sweep: Mutex<Option<JoinHandle<()>>>,
    /// Once in the life of a producer is enough.
    swept: AtomicBool,
}

impl Chores {
    /// Waits for those under way, for a moment.
    pub(crate) async fn finish(&self, env: &Env) {
        let chores = [self.hint.lock().take(), self.sweep.lock().take()];
        let ended = async {
            for chore in chores.into_iter().flatten() {
                if let Err(error) = chore.await {
                    tracing::error!(%error, "a chore in the background ended early");
                }
            }
        };
        if env.within(PATIENCE, ended).await.is_err() {
            tracing::warn!("the store does not answer: the hint where the head is may be old");
        }
    }
}

impl Shared {
    /// Tells of the newest version of the log, if there is one.
    pub(crate) fn announce(&self) {
        let announcers = &self.settings.announcers;
        let Some(head) = self.writer.head().filter(|_| !announcers.is_empty()) else {
            return;
        };
        let told = Announcement::new(&self.name, head.dataset_id, head.version);
        for announcer in announcers {
            let announced = catch_unwind(AssertUnwindSafe(|| announcer.announce(&told)));
            if let Err(panic) = announced {
                let (dataset, panic) = (&self.name, panic_text(&*panic));
                tracing::error!(dataset, panic, "announcing a version panicked");
            }
        }
    }

    /// Starts what is to be done after a commit, unless it is under way.
    pub(crate) fn start_chores(self: &Arc<Self>) {
        self.give_sign();
        if !self.chores.swept.swap(true, Ordering::Relaxed) {
            *self.chores.sweep.lock() = Some(tokio::spawn(Arc::clone(self).sweep()));
        }
    }

    /// Writes the hint, unless that is under way.
    pub(crate) fn give_sign(self: &Arc<Self>) {
        let mut hint = self.chores.hint.lock();
        if hint.as_ref().is_none_or(JoinHandle::is_finished) {
            *hint = Some(tokio::spawn(Arc::clone(self).write_hint()));
        }
    }

    /// Writes the hint, again if there was a commit meanwhile.
    async fn write_hint(self: Arc<Self>) {
        loop {
            let version = self.writer.next_version();
            self.writer.heartbeat().await;
            if self.writer.next_version() == version {
                return;
            }
        }
    }

    async fn sweep(self: Arc<Self>) {
        match self.writer.dataset().sweep_leftovers(LEFTOVER_AGE).await {
            Ok(removed) if removed.is_empty() => {}
            Ok(removed) => {
                let (dataset, files) = (&self.name, removed.len());
                tracing::info!(dataset, files, "removed what crashed writers left");
            }
            Err(error) => {
                tracing::warn!(%error, dataset = self.name, "cannot remove what crashed writers left");
            }
        }
    }
}
