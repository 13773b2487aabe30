//! The producer itself: one cycle at a time.
//!
//! Owns: the order of a cycle's steps, and what survives a failed one. CPU work runs on blocking
//! threads; only talking to the store is async.

use crate::builder::{ProducerBuilder, Settings};
use crate::chores::Chores;
use crate::cycle::{FullCycle, IncrementalCycle};
use crate::guard::guarded;
use crate::metrics::Metrics;
use crate::notes::Notes;
use crate::publish::{Pending, Published, Times};
use crate::takeover::check_follows;
use crate::validate::Candidate;
use crate::{Error, Result};
use grotto_env::Env;
use grotto_format::Schema;
use grotto_state::{Cycle, EncodeOptions, Encoded, Mode, Promise, State, WriteState};
use grotto_store::{SnapshotEntry, Store, Writer};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::task::JoinSet;

/// Publishes the versions of one dataset. Share it behind an `Arc`; cycles take turns.
pub struct Producer {
    pub(crate) shared: Arc<Shared>,
    core: Arc<tokio::sync::Mutex<Core>>,
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

/// What the CPU part of a cycle gives.
pub(crate) struct Worked {
    pub(crate) encoded: Option<Encoded>,
    pub(crate) records: u64,
    pub(crate) notes: Notes,
    pub(crate) times: Times,
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
    /// there is none and no position of a source moved; nothing is published then. `fill` runs on a blocking thread.
    ///
    /// A future that is dropped stops nothing half-way: while `fill` runs, it goes on to its end, the next
    /// cycle waits for it, and nothing is published; while the store is asked to commit, the version may or
    /// may not be published, and the next cycle settles that first.
    ///
    /// # Errors
    /// The error of `fill`, or of a record added before it that was not told yet; `Invalid` when
    /// records or validators refuse; `UserPanic` when `fill` or a validator panics; `Fenced` when another producer took over; `Unavailable` when the
    /// store did not answer. Nothing is visible after an error, unless its message says that the version
    /// may or may not be published: then the next cycle settles that first, and returns the version
    /// with or instead of its own once it is known to be published.
    pub async fn run_cycle<F>(&self, fill: F) -> Result<Option<Published>>
    where
        F: FnOnce(&mut FullCycle) -> Result<()> + Send + 'static,
    {
        let threads = self.shared.settings.threads;
        let work = move |cycle| {
            let mut full = FullCycle::new(cycle, threads);
            let filled = guarded(CLOSURE, || fill(&mut full))?;
            let (records, notes) = (full.records, std::mem::take(&mut full.notes));
            Ok((full.into_cycle(filled)?, records, notes))
        };
        self.run(Mode::Full, work).await
    }

    /// Runs an incremental cycle: `fill` upserts and deletes by key, everything else stays.
    ///
    /// # Errors
    /// As [`run_cycle`](Self::run_cycle).
    pub async fn run_incremental<F>(&self, fill: F) -> Result<Option<Published>>
    where
        F: FnOnce(&mut IncrementalCycle) -> Result<()> + Send + 'static,
    {
        let work = move |cycle| {
            let mut incremental = IncrementalCycle::new(cycle);
            guarded(CLOSURE, || fill(&mut incremental))??;
            Ok((incremental.cycle, incremental.records, incremental.notes))
        };
        self.run(Mode::Incremental, work).await
    }

    async fn run<F>(&self, mode: Mode, work: F) -> Result<Option<Published>>
    where
        F: FnOnce(Cycle) -> Result<(Cycle, u64, Notes)> + Send + 'static,
    {
        let outcome = self.cycle(mode, work).await;
        match &outcome {
            Ok(Some(_)) => {}
            Ok(None) => _ = self.shared.metrics.quiet_cycles.inc(),
            Err(_) => _ = self.shared.metrics.failed_cycles.inc(),
        }
        outcome
    }

    async fn cycle<F>(&self, mode: Mode, work: F) -> Result<Option<Published>>
    where
        F: FnOnce(Cycle) -> Result<(Cycle, u64, Notes)> + Send + 'static,
    {
        let mut core = Arc::clone(&self.core).lock_owned().await;
        self.settle(&mut core).await?;
        if core.starts_over && mode == Mode::Incremental {
            let message =
                "the newest version cannot be restored: only a full-state cycle can start over";
            return Err(Error::invalid(message));
        }
        self.check_base(&core)?;
        let from = self.version();
        core.write.skip_to(from);
        let shared = Arc::clone(&self.shared);
        let blocking = move || {
            let worked = shared.work(&core, mode, from + 1, work);
            (core, worked)
        };
        let joined = self.shared.env.blocking(blocking).await;
        let (mut core, worked) =
            joined.map_err(|e| Error::internal(format!("the cycle stopped: {e}")))?;
        self.publish(&mut core, worked?).await
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

    /// The next cycle's difference is taken to the state of the head, so that must be the one held.
    fn check_base(&self, core: &Core) -> Result<()> {
        let Some(head) = self.shared.writer.head().filter(|_| !core.starts_over) else {
            return Ok(());
        };
        Promise::of(&head)
            .check(core.write.state())
            .map_err(|reason| Error::internal(format!("{reason}: open it again")))
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

/// What users hand to a cycle, in messages.
const CLOSURE: &str = "the closure that fills the cycle";

impl Shared {
    pub(crate) fn options(&self, version: u64) -> EncodeOptions {
        EncodeOptions {
            dataset: self.name.clone(),
            version,
            level: self.settings.level,
            threads: self.settings.threads,
        }
    }

    /// Populates, encodes, checks and validates.
    fn work<F>(&self, core: &Core, mode: Mode, version: u64, work: F) -> Result<Worked>
    where
        F: FnOnce(Cycle) -> Result<(Cycle, u64, Notes)>,
    {
        let start = self.env.clock.monotonic();
        let cycle = core.write.begin(&core.schema, mode)?;
        let (cycle, records, notes) = work(cycle)?;
        self.metrics.records.inc_by(records);
        let populated = self.env.clock.monotonic();
        let encoded = cycle.finish(&self.options(version))?;
        if let Some(encoded) = &encoded {
            self.validate(core, encoded)?;
        }
        let times = Times {
            populate: populated - start,
            encode: self.env.clock.monotonic() - populated,
            ..Times::default()
        };
        Ok(Worked {
            encoded,
            records,
            notes,
            times,
        })
    }

    fn validate(&self, core: &Core, encoded: &Encoded) -> Result<()> {
        let candidate = Candidate {
            before: core.write.state(),
            next: &encoded.next,
            changes: &encoded.changes,
            counts: &encoded.counts,
        };
        for validator in &self.settings.validators {
            let name = format!("validator {}", validator.name());
            guarded(&name, || validator.validate(&candidate))?.map_err(|reason| {
                Error::invalid(format!("{name}: {reason}; nothing was published"))
            })?;
        }
        Ok(())
    }
}
