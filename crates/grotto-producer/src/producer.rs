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
use grotto_store::{SnapshotEntry, Store, Writer};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
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
    pub(crate) registry: Registry,
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
    pub fn builder(name: &str, store: Store) -> ProducerBuilder {
        ProducerBuilder::new(name, store)
    }

    pub(crate) fn assemble(shared: Shared, core: Core) -> Self {
        Self {
            shared: Arc::new(shared),
            core: Arc::new(tokio::sync::Mutex::new(core)),
        }
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

    pub(crate) fn advance(&self, core: &mut Core, encoded: Encoded) {
        core.write.advance(encoded);
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
    /// When nothing was committed yet, or the store does not answer.
    pub async fn snapshot(&self) -> Result<SnapshotEntry> {
        self.shared.writer.claim().await?;
        Arc::clone(&self.shared).write_snapshot(self.state()).await
    }

    /// Metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// When the text cannot be written, which only a lack of memory causes.
    pub fn metrics_text(&self) -> Result<String> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.shared.registry)
            .map_err(|e| Error::internal(e.to_string()))?;
        Ok(text)
    }
}
