//! What a consumer's handle, its poller and its refreshes share.
//!
//! Owns: what they share, and the order in which a state becomes visible. Never: blocks a reader.

use crate::error::{Error, ErrorKind, Result};
use crate::guards::Holding;
use crate::listeners::Listeners;
use crate::memory::Site;
use crate::metrics::Metrics;
use crate::place::Place;
use crate::refresh::Doubts;
use crate::report::Refresh;
use crate::served::Served;
use crate::status::Tolerance;
use crate::subscribe::Subscriptions;
use crate::target::was_written;
use crate::told::Tellers;
use crate::vitals::{Vitals, with_cause};
use grotto_env::{Env, default_threads};
use grotto_state::State;
use grotto_store::follow::Suspects;
use grotto_store::plan::PlanWeights;
use grotto_store::{Announcements, Dataset, EntryMark};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Longest wait of whoever drops a consumer for its state directory.
const SHORT_USE: Duration = Duration::from_millis(20);

/// Refuses a state that lacks what the program reads.
pub(crate) type Requirement = fn(&State) -> Result<()>;

/// State of a consumer.
pub(crate) struct Shared {
    pub(crate) dataset: Dataset,
    pub(crate) env: Env,
    /// How a way is chosen.
    pub(crate) weights: PlanWeights,
    /// For work that takes the processor.
    pub(crate) threads: usize,
    /// What every served state must have.
    pub(crate) requirements: Vec<Requirement>,
    pub(crate) metrics: Metrics,
    pub(crate) vitals: Vitals,
    /// What it is told of versions; nothing of one that only polls.
    pub(crate) heard: Option<Announcements>,
    pub(crate) tolerance: Tolerance,
    /// Versions that are not served although they are there.
    pub(crate) holding: Holding,
    /// Who tells which version to serve, where that is not the newest.
    pub(crate) tellers: Tellers,
    /// Where the files of states are.
    pub(crate) site: Site,
    /// The empty state that all states here come from: hashed as that of the state directory, or by a seed of this
    /// process.
    origin: Arc<State>,
    /// Held during a refresh: one at a time. Holds the version that the consumer is pinned to.
    pub(crate) gate: tokio::sync::Mutex<Option<u64>>,
    pub(crate) served: Served,
    /// The served state contradicts the log.
    distrusted: AtomicBool,
    versions: watch::Sender<u64>,
    keeper: Mutex<Keeper>,
    /// Blobs that stopped the last refresh: the next one asks for them first.
    pub(crate) suspects: Mutex<Suspects>,
    pub(crate) doubts: Doubts,
    pub(crate) listeners: Arc<Listeners>,
    pub(crate) subscriptions: Arc<Subscriptions>,
    /// Set when the consumer ends: nobody waits for a refresh any more.
    ended: watch::Sender<bool>,
    freshness: Mutex<Freshness>,
    /// The served version, and what marked its entry when it was read: as it is as long as it is marked so.
    pub(crate) own_entry: Mutex<Option<(u64, EntryMark)>>,
}

/// Where states are kept. Held while a step is applied, which takes as long as it is large.
pub(crate) struct Keeper {
    pub(crate) place: Place,
}

/// When the served state was known to be the newest or the pinned one, by the monotonic clock.
#[derive(Clone, Copy, Debug)]
struct Freshness {
    /// When a look began that found nothing newer.
    seen_at: Duration,
    /// When that was certain: a look for the next entry alone also finds nothing in a store that was
    /// emptied.
    certain_at: Duration,
    /// How old the state was when it was found in the state directory.
    age: Duration,
    /// Whether the last look failed.
    failed: bool,
}

impl Freshness {
    fn since(&self, now: Duration) -> Duration {
        let at = if self.failed {
            self.certain_at
        } else {
            self.seen_at
        };
        now.saturating_sub(at).saturating_add(self.age)
    }

    /// Of a look that began then.
    fn account(&mut self, began: Duration, succeeded: bool, certain: bool) {
        self.failed = !succeeded;
        if succeeded {
            self.seen_at = began;
        }
        if succeeded && certain {
            (self.certain_at, self.age) = (began, Duration::ZERO);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at version {}",
            self.dataset.name(),
            self.served().version()
        )
    }
}

impl Shared {
    pub(crate) fn new(
        dataset: Dataset,
        env: Env,
        place: Place,
        (state, dataset_id): (State, &str),
        age: Duration,
    ) -> Self {
        let metrics = Metrics::new(dataset.name());
        metrics.served(state.version(), state.total());
        Self {
            vitals: Vitals::default(),
            heard: None,
            tolerance: Tolerance::default(),
            holding: Holding::default(),
            tellers: Tellers::default(),
            site: Site::of(&place),
            origin: Arc::new(state.origin()),
            gate: tokio::sync::Mutex::new(None),
            distrusted: AtomicBool::new(false),
            versions: watch::Sender::new(state.version()),
            served: Served::new(state, dataset_id),
            keeper: Mutex::new(Keeper { place }),
            suspects: Mutex::default(),
            doubts: Doubts::default(),
            listeners: Arc::default(),
            subscriptions: Arc::new(Subscriptions::new(metrics.readers.clone())),
            ended: watch::Sender::new(false),
            freshness: Mutex::new(Freshness {
                seen_at: env.clock.monotonic(),
                certain_at: env.clock.monotonic(),
                age,
                failed: false,
            }),
            own_entry: Mutex::default(),
            dataset,
            env,
            metrics,
            weights: PlanWeights::default(),
            threads: default_threads(),
            requirements: Vec::new(),
        }
    }

    /// The empty state that all states here come from.
    pub(crate) fn origin(&self) -> Arc<State> {
        Arc::clone(&self.origin)
    }

    /// The served state, held.
    pub(crate) fn served(&self) -> Arc<State> {
        self.served.hold()
    }

    /// Identity of the dataset that the served state is of; empty for the empty state.
    pub(crate) fn dataset_id(&self) -> String {
        self.served.identified().dataset_id.to_string()
    }

    /// The pinned version if there is one, unless a refresh is under way.
    pub(crate) fn pin_now(&self) -> Option<Option<u64>> {
        self.gate.try_lock().ok().map(|pinned| *pinned)
    }

    /// Tells of every version that is served from now on.
    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.versions.subscribe()
    }

    /// The keeper, for one step of a refresh.
    pub(crate) fn keeper(&self) -> parking_lot::MutexGuard<'_, Keeper> {
        self.keeper.lock()
    }

    /// Refuses a state that lacks what the program said that it reads.
    pub(crate) fn check_required(&self, state: &State) -> Result<()> {
        let mut checks = self.requirements.iter().map(|require| require(state));
        checks
            .find_map(std::result::Result::err)
            .map_or(Ok(()), |error| {
                let (name, version) = (self.dataset.name(), state.version());
                let place = format!("dataset {name}, version {version} lacks what is required");
                Err(error.of_kind(ErrorKind::Invalid).at(place))
            })
    }

    /// Makes a state visible to everyone: first on disk, then to readers of this process.
    pub(crate) fn publish(
        &self,
        keeper: &mut Keeper,
        state: &Arc<State>,
        dataset_id: &str,
    ) -> Result<()> {
        self.check_required(state)?;
        keeper.place.publish(state, dataset_id)?;
        self.served.replace(Arc::clone(state), dataset_id);
        // At once: nobody is to see it served and held.
        self.let_go();
        self.distrusted.store(false, Ordering::Relaxed);
        self.note_served(dataset_id, state.version());
        self.versions.send_replace(state.version());
        self.metrics.served(state.version(), state.total());
        Ok(())
    }

    /// Frees replaced states that no reader holds any more, on this thread.
    pub(crate) fn reclaim_here(&self) {
        self.served.reclaim();
    }

    /// Frees replaced states that no reader holds any more, away from the runtime's own threads.
    pub(crate) async fn reclaim(self: &Arc<Self>) {
        if !self.served.has_garbage() {
            return;
        }
        let shared = Arc::clone(self);
        if let Err(error) = blocking(&self.env, move || shared.reclaim_here()).await {
            tracing::error!(%error, dataset = self.dataset.name(), "freeing old states ended early");
        }
    }

    /// Whether the served state may be gone on from: no read met damage, the log does not contradict.
    pub(crate) fn is_sound(&self, served: &State) -> bool {
        !served.is_damaged() && !self.is_distrusted()
    }

    /// Whether the next refresh loads what is served afresh.
    pub(crate) fn is_distrusted(&self) -> bool {
        self.distrusted.load(Ordering::Relaxed)
    }

    /// Has the next refresh load what is served afresh.
    pub(crate) fn distrust(&self) {
        self.distrusted.store(true, Ordering::Relaxed);
    }

    /// Waits until the served version is at least `version`.
    pub(crate) async fn wait_for(&self, version: u64, timeout: Duration) -> Result<()> {
        let mut versions = self.versions.subscribe();
        let arrives = async {
            tokio::select! {
                biased; // the same seed of a simulation must take the same branch
                // Its sender is ours.
                _ = versions.wait_for(|served| *served >= version) => Ok(()),
                () = self.ended() => Err(shut_down()),
            }
        };
        self.env.within(timeout, arrives).await.unwrap_or_else(|_| {
            let (name, served) = (self.dataset.name(), self.served().version());
            Err(Error::unavailable(format!(
                "dataset {name}: expected version {version} within {timeout:?}, found version {served}"
            )))
        })
    }

    /// Calls the listeners with what waits. Not while the gate is held, as a listener may wait for a refresh.
    pub(crate) async fn tell(&self) {
        if !self.listeners.has_news() {
            return;
        }
        let listeners = Arc::clone(&self.listeners);
        let dataset = self.dataset.name().to_owned();
        if let Err(error) = blocking(&self.env, move || listeners.tell(&dataset)).await {
            tracing::error!(%error, dataset = self.dataset.name(), "telling the listeners ended early");
        }
    }

    /// Gives up refreshes that are under way, at the next point at which they wait.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Gives the place up: another consumer may have it. At once, or when the step that is being applied is
    /// done; nobody waits for that.
    pub(crate) fn leave(self: &Arc<Self>) {
        if let Some(mut keeper) = self.keeper.try_lock() {
            return keeper.place.leave();
        }
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let leave = Arc::clone(&shared);
            let left = blocking(&shared.env, move || leave.keeper().place.leave()).await;
            if let Err(error) = left {
                let dataset = shared.dataset.name();
                tracing::error!(%error, dataset, "leaving the state directory ended early");
            }
        });
    }

    /// Ends without waiting for a refresh, with or without an async runtime around the call: the place is given
    /// up at once, or with the step that is being applied, whose task holds the last reference.
    pub(crate) fn drop_out(&self) {
        self.end();
        self.listeners.abandon();
        self.subscriptions.end();
        // Other uses than a step are short, and the next consumer may be about to take the place.
        if let Some(mut keeper) = self.keeper.try_lock_for(SHORT_USE) {
            keeper.place.leave();
        }
    }

    /// Whether the consumer ended.
    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Waits until the consumer ends.
    pub(crate) async fn ended(&self) {
        let mut ended = self.ended.subscribe();
        // Its sender is ours.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Counts an error, whatever becomes of it.
    pub(crate) fn note_error(&self, kind: ErrorKind) {
        self.metrics.error(kind);
        self.vitals.note_error(self.env.clock.monotonic());
    }

    /// Takes note of how a refresh ended, and whether it is certain what it found. `began` is when it did, by the
    /// monotonic clock and by the wall clock, in milliseconds.
    pub(crate) fn account(
        &self,
        outcome: &Result<Option<Refresh>>,
        (began, began_ms): (Duration, u64),
        certain: bool,
    ) {
        // Nothing there is not news: the name may be mistyped, or the store another one.
        let there = was_written(&self.served());
        let succeeded = outcome.is_ok() && there && !self.holding.is_holding();
        self.freshness.lock().account(began, succeeded, certain);
        if succeeded && certain {
            self.keeper().place.note_fresh(began, began_ms);
        }
        match outcome {
            Ok(Some(_)) => self.vitals.note_refresh(),
            Ok(None) => {}
            Err(error) => self.note_error(error.kind()),
        }
        let failure = outcome.as_ref().err();
        self.vitals.note_outcome(failure.map(with_cause));
        self.metrics.stale_for(self.staleness().as_secs_f64());
    }

    /// Time since the served state was known to be the newest or the pinned one.
    pub(crate) fn staleness(&self) -> Duration {
        self.freshness.lock().since(self.env.clock.monotonic())
    }
}

/// What whoever asks for something gets once the consumer ended.
pub(crate) fn shut_down() -> Error {
    Error::unavailable("the consumer was shut down")
}

/// Runs CPU or file work away from the runtime's own threads.
pub(crate) async fn blocking<T: Send + 'static>(
    env: &Env,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let ended = env.blocking(work).await;
    ended.map_err(|e| Error::internal("background work ended early").with_source(e))
}
