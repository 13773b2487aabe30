//! What the tasks of a pipeline share.
//!
//! Owns: where the pipeline is in its life, its condition, and what it says of itself. Never: takes in or
//! publishes.

use super::journal::Journal;
use super::limiter::Limiter;
use super::metrics::PipelineMetrics;
use super::options::PipelineOptions;
use super::progress::Progress;
use super::publish::Command;
use super::queue::Queue;
use super::recent::Recent;
use super::reign::Reign;
use super::room::Room;
use super::status::{Condition, PipelineStatus, State};
use super::work::Buried;
use crate::builder::ProducerBuilder;
use crate::dead_letter::DeadLetters;
use crate::{Error, Producer, Published, Result};
use grotto_env::{AppendFiles, Env};
use grotto_state::Admission;
use grotto_store::{BreakerState, Store};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, broadcast, mpsc};

/// Ends the tasks of a pipeline with the last handle to it.
pub(super) struct Running(pub(super) Arc<Inner>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set_phase(Phase::Ended);
    }
}

/// Where a pipeline is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Running,
    Draining,
    Ended,
    /// No task runs any more, and the log is free.
    Closed,
}

/// What all tasks of a pipeline share.
pub(super) struct Inner {
    pub(super) name: String,
    /// What the numbers of the log's entries are positions of; `None` without a log.
    pub(super) source: Option<Arc<str>>,
    pub(super) env: Env,
    pub(super) builder: ProducerBuilder,
    /// Opened again after a sync of it failed.
    pub(super) store: Mutex<Store>,
    pub(super) admission: Admission,
    pub(super) options: Mutex<PipelineOptions>,
    pub(super) limiter: Mutex<Arc<Limiter>>,
    /// Gone when the pipeline has ended, so that the next one can have it.
    pub(super) journal: Mutex<Option<Journal>>,
    /// The log in the store was taken over, or could not be.
    pub(super) log_changed: Notify,
    pub(super) dead_letters: Option<Arc<DeadLetters>>,
    pub(super) metrics: PipelineMetrics,
    pub(super) phase: Mutex<Phase>,
    pub(super) phase_changed: Notify,

    pub(super) room: Mutex<Room>,
    /// Somebody came into the room, or there is more room behind it.
    pub(super) room_filled: Notify,
    /// Somebody left the room, or the log has room again.
    pub(super) room_freed: Notify,
    /// Somebody who left the room found the log full, and waits.
    pub(super) log_is_full: AtomicBool,

    pub(super) queue: Mutex<Queue>,
    pub(super) queue_filled: Notify,
    /// Entries up to here are wanted at once.
    pub(super) flush: AtomicU64,
    pub(super) commands: mpsc::UnboundedSender<Command>,

    pub(super) progress: Mutex<Progress>,
    pub(super) published: broadcast::Sender<Arc<Published>>,
    pub(super) state: Mutex<State>,
    pub(super) producer: Mutex<Option<Producer>>,
    /// The last entry whose number a log entry names.
    pub(super) committed: AtomicU64,
    pub(super) files: Arc<dyn AppendFiles>,
    pub(super) reign: Mutex<Reign>,
    /// Entries of the log up to here were set aside where they were not published.
    pub(super) aside_through: AtomicU64,
    /// The last entry that the log had when it was opened, until publishing begins.
    pub(super) began_at: Mutex<Option<u64>>,
    /// What became a dead letter and is behind what is published: it stays one, whatever the next try could do.
    pub(super) buried: Mutex<Buried>,
    /// Keys of submissions, where no log remembers them.
    pub(super) recent: Mutex<Recent>,
}

impl Inner {
    pub(super) fn phase(&self) -> Phase {
        *self.phase.lock()
    }

    /// Moves on in life; never back.
    pub(super) fn set_phase(&self, phase: Phase) {
        {
            let mut present = self.phase.lock();
            if *present >= phase {
                return;
            }
            *present = phase;
        }
        self.set_condition(Condition::Ended, None);
        self.phase_changed.notify_waiters();
        self.log_changed.notify_waiters();
        self.room_filled.notify_one();
        self.room_freed.notify_waiters();
        self.queue_filled.notify_one();
    }

    /// Waits until the pipeline is in this phase, or further.
    pub(super) async fn reached(&self, phase: Phase) {
        loop {
            let changed = self.phase_changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.phase() >= phase {
                return;
            }
            changed.await;
        }
    }

    /// Waits so long, unless the pipeline ends.
    pub(super) async fn pause(&self, time: Duration) {
        tokio::select! {
            biased;
            () = self.reached(Phase::Ended) => {}
            () = self.env.sleep(time) => {}
        }
    }

    /// Changes the condition, unless the pipeline has failed or ended for good, and says so once.
    pub(super) fn set_condition(&self, condition: Condition, reason: Option<Error>) {
        let condition = match self.phase() {
            Phase::Running => condition,
            // It goes on publishing, or trying to.
            Phase::Draining => Condition::Draining,
            Phase::Ended | Phase::Closed => Condition::Ended,
        };
        let now_ms = self.env.clock.wall_ms();
        if !self.state.lock().set(condition, reason.clone(), now_ms) {
            return;
        }
        let dataset = &self.name;
        match reason {
            Some(reason) => tracing::warn!(dataset, %condition, %reason, "the pipeline changed"),
            None => tracing::info!(dataset, %condition, "the pipeline changed"),
        }
    }

    pub(super) fn ended(&self) -> Error {
        if let Some(error) = &self.state.lock().failure {
            return error.clone();
        }
        Error::unavailable(format!("the pipeline of dataset {} has ended", self.name))
    }

    pub(super) fn not_open(&self) -> Error {
        let reason = self.state.lock().reason.clone();
        let reason = reason.map(|error| error.to_string());
        Error::unavailable(reason.unwrap_or_else(|| "the dataset is being opened".to_owned()))
    }

    pub(super) async fn published(&self, number: u64) -> Result<u64> {
        let told = self.progress.lock().wait(number);
        told.await.map_err(|_| self.ended())?
    }

    /// Tells all who wait that nothing more comes.
    pub(super) fn end_all(&self, error: &Error) {
        for submission in self.room.lock().close() {
            _ = submission.reply.send(Err(error.clone()));
        }
        self.progress.lock().end(error.clone());
        self.room_freed.notify_waiters();
    }

    /// Nothing more can be done, and somebody has to look at it.
    pub(super) fn fail(&self, error: &Error) {
        tracing::error!(dataset = self.name, %error, "the pipeline stops");
        self.state.lock().fail(error, self.env.clock.wall_ms());
        self.end_all(error);
    }

    /// Acknowledged entries that a restart would read again.
    pub(super) fn uncommitted(&self) -> u64 {
        let last = self.queue.lock().last();
        last.saturating_sub(self.committed.load(Ordering::Acquire))
    }

    /// Whether there is, or was, a write-ahead log.
    pub(super) fn is_logged(&self) -> bool {
        self.source.is_some()
    }

    pub(super) fn status(&self) -> PipelineStatus {
        let now = self.env.clock.monotonic();
        let (waiting_records, waiting_bytes) = {
            let room = self.room.lock();
            (room.records(), room.bytes())
        };
        let producer = self.producer.lock().clone();
        let journal = self.journal();
        let not_taking = journal.as_ref().and_then(|journal| self.why_full(journal));
        let store = self.store.lock().clone();
        let state = self.state.lock();
        let queue = self.queue.lock();
        let lag = queue
            .oldest()
            .map_or(Duration::ZERO, |since| now.saturating_sub(since));
        PipelineStatus {
            dataset: self.name.clone(),
            condition: state.condition,
            reasons: state
                .reason
                .iter()
                .map(ToString::to_string)
                .chain(not_taking.clone())
                .collect(),
            takes_in: not_taking.is_none()
                && self.phase() == Phase::Running
                && state.failure.is_none(),
            since_ms: state.since_ms,
            version: producer
                .map(|producer| producer.version())
                .filter(|version| *version > 0),
            published_ms: state.published_ms,
            waiting_records,
            waiting_bytes,
            pending_entries: queue.entries(),
            pending_records: queue.records(),
            pending_bytes: queue.bytes(),
            spilled: queue.spilled().is_some(),
            lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
            wal_bytes: journal.map(|journal| journal.bytes()),
            failures: state.failures,
            breaker: store.breaker(),
        }
    }

    /// Why the log takes nothing in now.
    fn why_full(&self, journal: &Journal) -> Option<String> {
        let full = self.log_is_full.load(Ordering::Acquire) || !journal.has_room(1);
        let budget = || format!("the write-ahead log is full: {} bytes", journal.bytes());
        journal.failed().or_else(|| full.then(budget))
    }

    /// Sets the gauges to what is now.
    pub(super) fn sample(&self) {
        let status = self.status();
        let metrics = &self.metrics;
        metrics.waiting_records.set(status.waiting_records as i64);
        metrics.pending_records.set(status.pending_records as i64);
        metrics.pending_bytes.set(status.pending_bytes as i64);
        metrics.pending_entries.set(status.pending_entries as i64);
        metrics.wal_bytes.set(status.wal_bytes.unwrap_or(0) as i64);
        metrics.wal_lag.set(self.uncommitted() as i64);
        let trips = self.store.lock().breaker_trips();
        // Counted by the store itself.
        metrics
            .breaker_trips
            .inner()
            .store(trips, Ordering::Relaxed);
        metrics.breaker.set(match status.breaker {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        });
    }
}
