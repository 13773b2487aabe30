//! The producer itself: one cycle at a time.
//!
//! Owns: what its user may ask, and what survives a failed cycle. Never: knows the steps of a cycle; those are
//! in `run` and `publish`.

use crate::builder::{ProducerBuilder, Settings};
use crate::chores::Chores;
use crate::cycle::{FullCycle, IncrementalCycle};
use crate::metrics::Metrics;
use crate::open::OpenCycle;
use crate::publish::{Pending, Published};
use crate::takeover::check_follows;
use crate::{AnyError, Error, Result};
use grotto_env::Env;
use grotto_format::Schema;
use grotto_state::{Encoded, State, WriteState};
use grotto_store::{Collection, Retention, SnapshotEntry, Store, Writer};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::task::JoinSet;

/// Publishes the versions of one dataset. Cheap to clone: clones are handles of one producer, whose cycles take
/// turns.
#[derive(Clone)]
pub struct Producer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) core: Arc<tokio::sync::Mutex<Core>>,
}

/// What cycles and background snapshots share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) writer: Writer,
    pub(crate) settings: Settings,
    pub(crate) env: Env,
    pub(crate) metrics: Metrics,
    /// Set when the producer is shut down.
    pub(crate) ended: AtomicBool,
    /// Set when that did not wait for the cycle that was open.
    pub(crate) given_up: AtomicBool,
    pub(crate) state: Mutex<Arc<State>>,
    pub(crate) snapshots: tokio::sync::Mutex<JoinSet<Result<SnapshotEntry>>>,
    pub(crate) chores: Chores,
    /// Commits in the log at the newest snapshot; 0 for none.
    pub(crate) last_snapshot: AtomicU64,
}

/// What one cycle at a time may touch.
pub(crate) struct Core {
    pub(crate) write: WriteState,
    pub(crate) schema: Arc<Schema>,
    /// The cycle whose commit is not answered yet.
    pub(crate) pending: Option<Pending>,
    /// Versions that are published and that no caller was told of, oldest first.
    pub(crate) settled: Vec<Published>,
    /// The newest version could not be restored: the next one is a beginning, not a difference.
    pub(crate) starts_over: bool,
}

impl Core {
    /// The newest version that no caller was told of, with those before it.
    pub(crate) fn take_settled(&mut self) -> Option<Published> {
        let mut newest = self.settled.pop()?;
        newest.settled = std::mem::take(&mut self.settled);
        Some(newest)
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Producer({} at version {})",
            self.shared.name,
            self.version()
        )
    }
}

impl Producer {
    /// Starts the settings of a producer for a dataset of a store.
    #[must_use]
    pub fn builder(name: impl Into<String>, store: Store) -> ProducerBuilder {
        ProducerBuilder::new(name.into(), store)
    }

    pub(crate) fn assemble(shared: Shared, core: Core) -> Self {
        Self {
            shared: Arc::new(shared),
            core: Arc::new(tokio::sync::Mutex::new(core)),
        }
    }

    /// Name of the dataset.
    #[must_use]
    pub fn dataset(&self) -> &str {
        &self.shared.name
    }

    /// The committed state.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.shared.state.lock())
    }

    /// The newest version this producer knows: its own last commit or fence, or what it restored.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared.writer.next_version() - 1
    }

    /// The positions of the sources that the newest version states: where ingestion goes on.
    #[must_use]
    pub fn positions(&self) -> BTreeMap<String, u64> {
        let head = self.shared.writer.head();
        head.map(|head| head.sources).unwrap_or_default()
    }

    /// Removes from the store what no reader needs; see [`Dataset::collect`](grotto_store::Dataset::collect).
    ///
    /// # Errors
    /// As there.
    pub async fn collect(&self, retention: &Retention) -> Result<Collection> {
        self.shared.writer.dataset().collect(retention).await
    }

    /// Uses another schema from the next cycle on. One that removes a field of a type needs a full-state
    /// cycle next.
    ///
    /// # Errors
    /// `Invalid` when it cannot follow the schema of the newest version, or of a version whose commit is
    /// not answered yet; nothing changes then.
    pub async fn set_schema(&self, schema: Schema) -> Result<()> {
        let mut core = self.core.lock().await;
        let pending = core.pending.iter().filter_map(|p| p.encoded.as_ref());
        for state in pending
            .map(|encoded| &encoded.next)
            .chain([core.write.state()])
        {
            check_follows(&self.shared.name, state.schema(), &schema)?;
        }
        core.schema = Arc::new(schema);
        Ok(())
    }

    /// Runs a full-state cycle: `fill` adds all records, the engine finds the difference. `None` when
    /// there is none and no position of a source moved; nothing is published then. `fill` runs on a blocking
    /// thread, and may end with an error of any type.
    ///
    /// A future that is dropped stops nothing half-way: while `fill` runs, it goes on to its end, the next
    /// cycle waits for it, and nothing is published; while the store is asked to commit, the version may or
    /// may not be published, and the next cycle settles that first.
    ///
    /// # Errors
    /// The error of `fill`: as it is if it is one of this library, otherwise as the source of a `UserError`.
    /// That of a record added before takes precedence. `Invalid` when records or validators refuse;
    /// `UserPanic` when `fill` or a validator panics; `Fenced` when another producer took over; `Unavailable`
    /// when the store did not answer. Nothing is visible after an error, unless its message says that the
    /// version may or may not be published: then the next cycle settles that first, and returns the version
    /// with or instead of its own once it is known to be published.
    pub async fn run_cycle<F>(&self, fill: F) -> Result<Option<Published>>
    where
        F: FnOnce(&mut FullCycle) -> Result<(), AnyError> + Send + 'static,
    {
        self.run(&FullCycle::FORM, fill).await
    }

    /// Runs an incremental cycle: `fill` upserts and deletes by key, everything else stays.
    ///
    /// # Errors
    /// As [`run_cycle`](Self::run_cycle).
    pub async fn run_incremental<F>(&self, fill: F) -> Result<Option<Published>>
    where
        F: FnOnce(&mut IncrementalCycle) -> Result<(), AnyError> + Send + 'static,
    {
        self.run(&IncrementalCycle::FORM, fill).await
    }

    /// Begins a full-state cycle that is filled by a handle instead of a closure: from an async stream, or
    /// from what is borrowed. Waits until no other cycle is open.
    ///
    /// ```no_run
    /// # async fn example(producer: grotto_producer::Producer) -> grotto_producer::Result<()> {
    /// # async fn next() -> Option<String> { None }
    /// let mut cycle = producer.begin_cycle().await?;
    /// while let Some(line) = next().await {
    ///     cycle.add_json("City", &line, 1)?;
    /// }
    /// let published = cycle.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`run_cycle`](Self::run_cycle) that concern the state to start from.
    pub async fn begin_cycle(&self) -> Result<OpenCycle<FullCycle>> {
        self.begin(&FullCycle::FORM).await
    }

    /// Begins an incremental cycle that is filled by a handle instead of a closure; see
    /// [`begin_cycle`](Self::begin_cycle).
    ///
    /// # Errors
    /// As [`begin_cycle`](Self::begin_cycle).
    pub async fn begin_incremental(&self) -> Result<OpenCycle<IncrementalCycle>> {
        self.begin(&IncrementalCycle::FORM).await
    }

    /// Settles a commit that had no answer when its cycle ended: commits it now, or finds out that it
    /// is in the log. `None` if there is none, or if it was not published and never will be.
    ///
    /// # Errors
    /// As [`run_cycle`](Self::run_cycle).
    pub async fn settle_pending(&self) -> Result<Option<Published>> {
        let mut core = self.core.lock().await;
        self.settle(&mut core).await?;
        Ok(core.take_settled())
    }

    pub(crate) fn advance(&self, core: &mut Core, encoded: Encoded, ahead: Option<WriteState>) {
        match ahead {
            Some(ahead) => core.write = ahead,
            None => core.write.advance(encoded),
        }
        *self.shared.state.lock() = Arc::clone(core.write.state());
        let version = i64::try_from(core.write.state().version()).unwrap_or(i64::MAX);
        self.shared.metrics.version.set(version);
        self.shared.metrics.versions.inc();
    }

    /// Waits for snapshots that are being written in the background, and for what else goes on there.
    ///
    /// # Errors
    /// The first error of those snapshots. The versions themselves are not affected.
    pub async fn finish(&self) -> Result<Vec<SnapshotEntry>> {
        self.shared.chores.finish(&self.shared.env).await;
        let mut snapshots = self.shared.snapshots.lock().await;
        let mut written = Vec::new();
        while let Some(joined) = snapshots.join_next().await {
            written
                .push(joined.map_err(|e| Error::internal(format!("the snapshot stopped: {e}")))??);
        }
        Ok(written)
    }

    /// Writes a snapshot of the committed state now. It becomes no version of its own.
    ///
    /// # Errors
    /// When nothing was committed yet, the store does not answer, or the producer was shut down.
    pub async fn snapshot(&self) -> Result<SnapshotEntry> {
        self.check_running()?;
        self.shared.writer.claim().await?;
        Arc::clone(&self.shared).write_snapshot(self.state()).await
    }

    /// Writes a snapshot every so many commits from now on; 0 never writes one by itself.
    pub fn set_snapshot_every(&self, commits: u64) {
        self.shared.settings.set_snapshot_every(commits);
    }

    /// What this producer counts, to be added to a registry of the caller's.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The metrics in the OpenMetrics text format.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        self.shared.metrics.text()
    }

    /// Refuses cycles from now on, and waits for one that is open and for what goes on in the background, for
    /// as long as [`ProducerBuilder::shutdown_timeout`] says; then they are given up. Nothing half-done is
    /// visible then, and the next producer settles a commit without an answer.
    ///
    /// What is published stays, and so does [`state`](Self::state). To call it again does nothing.
    pub async fn shutdown(&self) {
        let shared = &self.shared;
        shared.ended.store(true, Ordering::Relaxed);
        let ended = async {
            drop(self.core.lock().await);
            // Snapshots that fail are logged where they are written.
            self.finish().await.is_ok()
        };
        if shared
            .env
            .within(shared.settings.patience, ended)
            .await
            .is_err()
        {
            let waited_ms = shared.settings.patience.as_millis();
            tracing::warn!(
                dataset = shared.name,
                waited_ms,
                "giving up what does not end"
            );
            shared.given_up.store(true, Ordering::Relaxed);
            if let Ok(mut snapshots) = shared.snapshots.try_lock() {
                snapshots.abort_all();
            }
        }
    }

    /// Refuses what a producer that was shut down is asked for.
    pub(crate) fn check_running(&self) -> Result<()> {
        unless(&self.shared.ended)
    }

    /// Refuses to publish a cycle that a shutdown gave up.
    pub(crate) fn check_awaited(&self) -> Result<()> {
        unless(&self.shared.given_up)
    }
}

fn unless(shut_down: &AtomicBool) -> Result<()> {
    match shut_down.load(Ordering::Relaxed) {
        true => Err(Error::unavailable("the producer was shut down")),
        false => Ok(()),
    }
}
