//! The pipeline: submissions in, versions out, nothing that was acknowledged lost.
//!
//! Owns: what its user may ask. The steps are in its modules: `intake` takes submissions, `commit` makes them
//! durable, `queue` holds what is not published, `publish` makes versions of it. Never: encodes or uploads; the
//! producer does.
//!
//! ```text
//! submit ──► room ──► write-ahead log ──► queue ──► batch ──► cycle ──► publish
//!            (waits)   one write for many   │  ▲
//!                      └► acknowledged      └──┘ read back from the log when there is room
//! ```
//!
//! **Invariants**
//! - An entry is acknowledged after the write-ahead log has it, on the disk or in the store, and released from there
//!   after the log entry of its version, or of a later one, names its number.
//! - Entries are applied in the order of their numbers, each of them once: the number up to which a version has
//!   them is committed with the version.
//! - A batch that cannot be published is tried again, whole, for as long as it takes; a change that no cycle can
//!   apply becomes a dead letter before its version is committed.

mod batch;
mod batches;
mod commit;
mod inner;
mod intake;
mod journal;
mod letters;
mod limiter;
mod metrics;
mod options;
mod progress;
mod publish;
mod queue;
mod recent;
mod reign;
mod room;
mod start;
mod status;
mod work;

pub use batch::{Batch, Refused};
pub use intake::{Ack, retry_after};
pub use options::{
    Adjustments, Batching, Durability, PipelineOptions, RateLimit, Shedding, Waiting,
};
pub use start::PipelineBuilder;
pub use status::{Condition, PipelineStatus};

use crate::dead_letter::DeadLetters;
use crate::{AnyError, FullCycle, Producer, Published, Result};
use grotto_format::Schema;
use grotto_store::SnapshotEntry;
use inner::{Inner, Phase, Running};
use limiter::Limiter;
use prometheus_client::registry::Registry;
use publish::Command;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{broadcast, oneshot};

/// Takes submissions in and publishes them. Cheap to clone; the pipeline ends when the last clone is dropped, or
/// when it is [shut down](Self::shutdown). What is acknowledged and not published then stays in the write-ahead
/// log, and is published after the next start.
#[derive(Clone)]
pub struct Pipeline {
    inner: Arc<Inner>,
    _running: Arc<Running>,
}

/// What a shutdown left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Acknowledged submissions that are in the write-ahead log and in no version.
    pub left: u64,
    /// The newest version; `None` if the store was never reached.
    pub version: Option<u64>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pipeline({})", self.inner.name)
    }
}

impl Pipeline {
    /// Name of the dataset.
    #[must_use]
    pub fn dataset(&self) -> &str {
        &self.inner.name
    }

    /// The schema of submissions.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        self.inner.admission.schema()
    }

    /// Begins a batch.
    #[must_use]
    pub fn batch(&self) -> Batch {
        Batch::new(self.inner.admission.clone())
    }

    /// Publishes what is acknowledged now without waiting for more; the version that has all of it.
    ///
    /// # Errors
    /// `Unavailable` when the pipeline ends before. A store that does not answer is waited for.
    pub async fn flush(&self) -> Result<u64> {
        let inner = &self.inner;
        inner.log_is_taken().await?;
        let last = inner.queue.lock().last();
        inner.flush.fetch_max(last, Ordering::AcqRel);
        inner.queue_filled.notify_one();
        let reached = inner.progress.lock().reach(last);
        reached.await.map_err(|_| inner.ended())?
    }

    /// Publishes a version of exactly the records that `fill` adds, after what is acknowledged so far; see
    /// [`Producer::run_cycle`].
    ///
    /// # Errors
    /// As [`Producer::run_cycle`]; `Unavailable` while the store cannot be reached.
    pub async fn run_full<F>(&self, fill: F) -> Result<Option<Published>>
    where
        F: FnOnce(&mut FullCycle) -> Result<(), AnyError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let command = Command::Full {
            fill: Box::new(fill),
            reply,
        };
        let sent = self.inner.commands.send(command);
        sent.map_err(|_| self.inner.ended())?;
        answer.await.map_err(|_| self.inner.ended())?
    }

    /// Writes a snapshot of the newest version now.
    ///
    /// # Errors
    /// As [`Producer::snapshot`]; `Unavailable` while the pipeline is not the producer of the dataset.
    pub async fn snapshot(&self) -> Result<SnapshotEntry> {
        let producer = self.inner.producer.lock().clone();
        let producer = producer.ok_or_else(|| self.inner.not_open())?;
        producer.snapshot().await
    }

    /// The producer that publishes; `None` while it is being opened.
    #[must_use]
    pub fn producer(&self) -> Option<Producer> {
        self.inner.producer.lock().clone()
    }

    /// Versions as they are published. Who is slow misses the oldest of them.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Published>> {
        self.inner.published.subscribe()
    }

    /// What became a dead letter; `None` if no folder was given for them.
    #[must_use]
    pub fn dead_letters(&self) -> Option<&Arc<DeadLetters>> {
        self.inner.dead_letters.as_ref()
    }

    /// Changes settings from now on.
    pub fn adjust(&self, changes: Adjustments) {
        let inner = &self.inner;
        {
            let mut options = inner.options.lock();
            let options = &mut *options;
            let before = options.rate;
            set(&mut options.batching, changes.batching);
            set(&mut options.waiting, changes.waiting);
            set(&mut options.rate, changes.rate);
            set(&mut options.retry, changes.retry);
            set(&mut options.drain_timeout, changes.drain_timeout);
            if before != options.rate {
                let clock = Arc::clone(&inner.env.clock);
                *inner.limiter.lock() = Arc::new(Limiter::new(options.rate, clock));
            }
        }
        if let Some(commits) = changes.snapshot_every {
            inner.builder.settings.set_snapshot_every(commits);
        }
        inner.room_filled.notify_one();
        inner.room_freed.notify_waiters();
        inner.queue_filled.notify_one();
    }

    /// How the pipeline is now.
    #[must_use]
    pub fn status(&self) -> PipelineStatus {
        self.inner.status()
    }

    /// Adds the metrics of the pipeline to a registry, labelled with the dataset. Those of the producer are added
    /// by [`Metrics::register`](crate::Metrics::register).
    pub fn register(&self, registry: &mut Registry) {
        self.inner.sample();
        let metrics = &self.inner.builder.metrics;
        metrics.register(registry);
        let registry = metrics.sub_registry(registry);
        self.inner.metrics.register(registry);
    }

    /// The metrics of pipeline and producer in the OpenMetrics text format.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        let mut registry = Registry::default();
        self.register(&mut registry);
        crate::metrics::text_of(&registry, &self.inner.name)
    }

    /// Takes nothing more in, makes durable what waits, and publishes what is acknowledged, for as long as
    /// [`PipelineOptions::drain_timeout`] says; then ends. Calling it again waits no longer than that.
    pub async fn shutdown(&self) -> Drained {
        let inner = &self.inner;
        inner.set_phase(Phase::Draining);
        let timeout = inner.options.lock().drain_timeout;
        if inner
            .env
            .within(timeout, inner.reached(Phase::Ended))
            .await
            .is_err()
        {
            let left = inner.queue.lock().entries();
            tracing::warn!(dataset = inner.name, left, "ending before all is published");
        }
        inner.set_phase(Phase::Ended);
        inner.reached(Phase::Closed).await;
        let producer = inner.producer.lock().clone();
        if let Some(producer) = &producer {
            producer.shutdown().await;
        }
        Drained {
            left: if inner.is_logged() {
                inner.queue.lock().entries()
            } else {
                0
            },
            version: producer.map(|producer| producer.version()),
        }
    }
}

fn set<T>(setting: &mut T, change: Option<T>) {
    if let Some(value) = change {
        *setting = value;
    }
}
