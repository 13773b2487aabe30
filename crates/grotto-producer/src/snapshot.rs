//! Snapshots in the background: a delta never waits for one.
//!
//! Owns: when a snapshot is due, encoding and announcing it. A snapshot that fails costs consumers
//! nothing but a longer way; it is logged and tried again after the next version. Its threads yield
//! to those of cycles, so that a cycle beside a snapshot takes about as long as without.

use crate::producer::{Core, Producer, Shared};
use crate::{Error, Result, spool};
use bytes::Bytes;
use grotto_env::{Env, Work};
use grotto_state::{State, encode_snapshot};
use grotto_store::{BlobRef, SnapshotEntry};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

impl Producer {
    /// Starts a snapshot of the version just committed when it is due and none is being written.
    pub(crate) fn start_snapshot_if_due(&self, core: &Core) -> bool {
        let every = self.shared.settings.snapshot_every();
        let state = core.write.state();
        let last = self.shared.last_snapshot.load(Ordering::Acquire);
        let due = last == 0 || self.shared.commits() >= last.saturating_add(every);
        if every == 0 || !due {
            return false;
        }
        // Taken means that somebody waits for a snapshot that is being written.
        let Ok(mut running) = self.shared.snapshots.try_lock() else {
            return false;
        };
        if !running.is_empty() {
            // Those that ended are collected here unless somebody waits for them with `finish`.
            while running.try_join_next().is_some() {}
            if !running.is_empty() {
                return false;
            }
        }
        let shared = Arc::clone(&self.shared);
        running.spawn(shared.write_snapshot(Arc::clone(state)));
        true
    }
}

impl Shared {
    pub(crate) async fn write_snapshot(
        self: Arc<Self>,
        state: Arc<State>,
    ) -> Result<SnapshotEntry> {
        let (version, commits) = (state.version(), self.commits());
        let outcome = self.try_write_snapshot(state).await;
        match &outcome {
            Ok(entry) => {
                self.last_snapshot.fetch_max(commits, Ordering::AcqRel);
                self.metrics.snapshots.inc();
                self.metrics.bytes.inc_by(entry.blob.length);
            }
            Err(error) => {
                self.metrics.failed_snapshots.inc();
                tracing::warn!(dataset = self.name, version, %error, "snapshot failed");
            }
        }
        outcome
    }

    /// Commits in the log: what snapshots are counted by, as fences change nothing.
    fn commits(&self) -> u64 {
        self.writer.head().map_or(0, |head| head.commits)
    }

    async fn try_write_snapshot(&self, state: Arc<State>) -> Result<SnapshotEntry> {
        let version = state.version();
        let blob = self.upload_snapshot(state).await?;
        self.writer.announce_snapshot(version, blob).await
    }

    /// The version just committed has a snapshot.
    pub(crate) fn count_snapshots_from_here(&self) {
        self.last_snapshot
            .fetch_max(self.commits(), Ordering::AcqRel);
    }

    /// Announces a snapshot that the log names already: who cannot find the announcement finds the
    /// entry, so that a failure costs a longer way and nothing else.
    pub(crate) async fn announce_or_warn(&self, version: u64, blob: BlobRef) {
        if let Err(error) = self.writer.announce_snapshot(version, blob).await {
            tracing::warn!(dataset = self.name, version, %error, "cannot announce the snapshot");
        }
    }

    /// Uploads a snapshot that nobody knows of yet.
    pub(crate) async fn upload_snapshot(&self, state: Arc<State>) -> Result<BlobRef> {
        let version = state.version();
        if state.schema().types().is_empty() {
            return Err(Error::invalid(
                "nothing was committed yet: expected a version to write a snapshot of",
            ));
        }
        let options = self.options(version);
        let spool = self.writer.dataset().store().spool().map(PathBuf::from);
        let encode = move || match &spool {
            Some(folder) => spool::encode(&state, &options, folder),
            None => Ok(encode_snapshot(&state, &options)?.into()),
        };
        let bytes = match self.env.work {
            Work::Threads => encode_behind(&self.env, encode).await?,
            Work::Inline | Work::Interleaved => encode()?,
        };
        self.writer.upload_snapshot(version, bytes).await
    }
}

/// Encodes on a thread of its own: lowered priority cannot be restored, so it cannot be one of a pool.
/// Threads that encoding starts have the priority of the one they come from. Where no thread can be
/// had, a snapshot at the priority of cycles is better than none.
async fn encode_behind(
    env: &Env,
    encode: impl Fn() -> Result<Bytes> + Send + Sync + 'static,
) -> Result<Bytes> {
    let stopped = "encoding the snapshot stopped: its thread panicked";
    let (done, encoded) = oneshot::channel();
    let encode = Arc::new(encode);
    let behind = Arc::clone(&encode);
    let started = std::thread::Builder::new()
        .name("grotto-snapshot".to_owned())
        .spawn(move || {
            yield_to_others();
            // Nobody waits any more when the producer is gone.
            let _ = done.send(behind());
        });
    if let Err(error) = started {
        tracing::debug!(%error, "no thread for a snapshot");
        let pooled = env.blocking(move || encode());
        return pooled.await.map_err(|_| Error::internal(stopped))?;
    }
    encoded.await.map_err(|_| Error::internal(stopped))?
}

/// Nice value of the threads of a snapshot: about a tenth of the share of a busy core.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

#[cfg(target_os = "linux")]
fn yield_to_others() {
    use rustix::process::{getpriority_process, setpriority_process};
    let this = rustix::thread::gettid();
    // Never up: a program that was started as more modest stays so.
    let set = getpriority_process(Some(this))
        .and_then(|nice| setpriority_process(Some(this), nice.max(NICE)));
    if let Err(error) = set {
        tracing::debug!(%error, "a snapshot runs at the priority of cycles");
    }
}

/// Elsewhere priorities belong to processes.
#[cfg(not(target_os = "linux"))]
fn yield_to_others() {}
