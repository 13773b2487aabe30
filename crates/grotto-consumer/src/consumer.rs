//! The handle of a consumer.
//!
//! Owns: what its user may ask, and its end: dropping it ends the polling and frees the state directory.
//! Never: calls the store or the disk itself; refreshes do.

use crate::attach::Attached;
use crate::builder::ConsumerBuilder;
use crate::dir::{DirReport, HostFiles, verify_dir};
use crate::error::{Error, Result};
use crate::lease::{self, LeaseKeeper};
use crate::listeners::{Listener, ListenerHandle};
use crate::metrics::Metrics;
use crate::poll;
use crate::report::Refresh;
use crate::scrub::{self, ScrubPace};
use crate::shared::Shared;
use crate::status::ConsumerStatus;
use crate::subscribe::{Subscribe, Subscription};
use crate::target::Goal;
use grotto_env::{Env, FileSystem};
use grotto_state::State;
use grotto_store::Store;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Follows the versions of a dataset and serves the newest.
///
/// Dropping it stops polling, gives up a refresh under way and frees the state directory: at once, but for a
/// step that is being applied, which ends by itself. It waits some 20 ms at most, for another use of the
/// directory; [`shutdown`](Self::shutdown) waits for the refresh.
/// States that were taken stay readable.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    /// What polls, until it is shut down.
    poller: Mutex<Option<Poller>>,
    /// Longest wait of a shutdown.
    patience: Duration,
}

#[derive(Debug)]
struct Poller {
    /// Dropped to stop it.
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
    /// Verifies what is served, where others find it.
    scrubber: Option<JoinHandle<()>>,
    /// Keeps the lease, and removes it at the end.
    lease: Option<JoinHandle<()>>,
}

impl Consumer {
    /// Settings of a consumer of the dataset `name` in `store`.
    pub fn builder(name: impl Into<String>, store: Store) -> ConsumerBuilder {
        ConsumerBuilder::new(name.into(), store)
    }

    /// Maps a state directory that another process writes to. No network, no copy, no lock.
    ///
    /// # Errors
    /// When the directory does not exist, holds no state yet, or holds one that is damaged.
    pub fn attach(dir: impl AsRef<Path>) -> Result<Attached> {
        Attached::open(dir.as_ref(), Env::system())
    }

    /// The same with another clock, by which [`Attached::staleness`] is told.
    ///
    /// # Errors
    /// As [`Consumer::attach`].
    pub fn attach_with(dir: impl AsRef<Path>, env: Env) -> Result<Attached> {
        Attached::open(dir.as_ref(), env)
    }

    /// The same in another file system than the host's: for a simulation. Follows the directory in a task of
    /// the async runtime it is called in.
    ///
    /// # Errors
    /// As [`Consumer::attach`]; `Invalid` outside an async runtime.
    pub fn attach_in(
        dir: impl AsRef<Path>,
        system: Arc<dyn FileSystem>,
        env: Env,
    ) -> Result<Attached> {
        Attached::open_in(dir.as_ref(), system, env)
    }

    /// Verifies every byte of what a state directory holds, also while another process maintains it. No
    /// network, no lock, and nothing is written.
    ///
    /// # Errors
    /// When there is no such directory, it holds no state, or what names its files is damaged itself.
    /// Damage of the files is no error: the report names it.
    pub fn verify_dir(dir: impl AsRef<Path>) -> Result<DirReport> {
        verify_dir(&HostFiles::default(), dir.as_ref())
    }

    pub(crate) fn polling(
        shared: Arc<Shared>,
        pace: poll::Pace,
        scrub: ScrubPace,
        patience: Duration,
    ) -> Self {
        let (stop, stopped) = watch::channel(());
        let scrubbed = shared.keeper().place.is_shared();
        let scrubbing = || scrub::run(Arc::clone(&shared), scrub, stopped.clone());
        let scrubber = scrubbed.then(|| tokio::spawn(scrubbing()));
        let task = tokio::spawn(poll::run(Arc::clone(&shared), pace, stopped));
        Self {
            shared,
            poller: Mutex::new(Some(Poller {
                stop,
                task,
                scrubber,
                lease: None,
            })),
            patience,
        }
    }

    /// The same, with a lease for as long as it polls.
    pub(crate) fn leased(self, keeper: Option<LeaseKeeper>) -> Self {
        if let (Some(keeper), Some(poller)) = (keeper, &mut *self.poller.lock()) {
            let kept = lease::run(Arc::clone(&self.shared), keeper, poller.stop.subscribe());
            poller.lease = Some(tokio::spawn(kept));
        }
        self
    }

    pub(crate) fn quiet(shared: Arc<Shared>, patience: Duration) -> Self {
        Self {
            shared,
            poller: Mutex::new(None),
            patience,
        }
    }

    /// The state served now. Wait-free, and neither taking a state nor letting go of one allocates
    /// or frees memory while the consumer lives. It stays readable for as long as it is held, whatever
    /// refreshes do meanwhile; the memory of a version goes with the first refresh after its last
    /// reader, also one that finds nothing new.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.shared.served()
    }

    /// The version served now.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared.served().version()
    }

    /// Name of the dataset.
    #[must_use]
    pub fn dataset(&self) -> &str {
        self.shared.dataset.name()
    }

    /// Moves to the newest version, or does nothing while pinned. `None` if there was nothing to
    /// do. A caller that stops waiting does not stop the refresh.
    ///
    /// # Errors
    /// Names version, blob and reason; what is served stays, or is the last version before the blob,
    /// from which the next refresh goes on. Damaged and missing blobs are errors only if no other blobs lead to the version.
    pub async fn refresh(&self) -> Result<Option<Refresh>> {
        self.shared.refresh(Goal::Newest).await
    }

    /// Moves to a version, forward or back, and stays there until [`Consumer::follow`]. `None` if
    /// it was served already.
    ///
    /// # Errors
    /// As [`Consumer::refresh`], and when the version is not in the log. The pin is then as before, and so is what
    /// is served.
    pub async fn refresh_to(&self, version: u64) -> Result<Option<Refresh>> {
        self.shared.refresh(Goal::Pin(version)).await
    }

    /// Ends a pin and moves to the newest version.
    ///
    /// # Errors
    /// As [`Consumer::refresh`]; the pin then stays, and what is served.
    pub async fn follow(&self) -> Result<Option<Refresh>> {
        self.shared.refresh(Goal::Follow).await
    }

    /// Waits until the served version is at least `version`, at most `timeout`; gives the state that is
    /// served then. Needs somebody to refresh: the background polling of [`ConsumerBuilder::start`], or another task.
    ///
    /// # Errors
    /// `Unavailable` when the version does not come in time, or the consumer is shut down before.
    pub async fn wait_for(&self, version: u64, timeout: Duration) -> Result<Arc<State>> {
        self.shared.wait_for(version, timeout).await?;
        Ok(self.state())
    }

    /// Calls `listener` after every refresh from now on that leads to another state, in order and one at a
    /// time, on a thread that may wait. The refresh returns after its listeners, so they should be quick.
    ///
    /// A refresh is told once, however many versions it leads over: those in between are never served,
    /// and what they changed is part of the report's changes only as far as it is still so at its end.
    /// One that fails halfway is told too if another version is served than before, the last that
    /// could be reached.
    ///
    /// A listener may refresh, and add and remove listeners; what such a refresh has to tell is told once the
    /// listener is done. One that panics is logged, and the others are called all the same.
    ///
    /// The listener stays until it is removed by the handle, which may be dropped, or until the consumer is
    /// dropped or shut down. A closure that needs the consumer should hold a [`Weak`](std::sync::Weak) of
    /// it: with an `Arc` each keeps the other until [`Consumer::shutdown`].
    pub fn on_refresh(
        &self,
        listener: impl Fn(&Refresh) + Send + Sync + 'static,
    ) -> ListenerHandle {
        let listener = Listener::Refreshed(Box::new(listener));
        self.shared.listeners.add(listener)
    }

    /// Calls `listener` with the error of every refresh from now on that fails, once each: those of the
    /// background and those that somebody asked for, who gets the same error. Everything else is as with
    /// [`Consumer::on_refresh`]; where one refresh leads to both, its listeners come first.
    ///
    /// What was worked around is no failure: [`RefreshReport::recovered`](crate::RefreshReport::recovered)
    /// tells it. Neither is a refresh that is refused or given up because the consumer ends.
    pub fn on_error(&self, listener: impl Fn(&Error) + Send + Sync + 'static) -> ListenerHandle {
        let listener = Listener::Failed(Box::new(listener));
        self.shared.listeners.add(listener)
    }

    /// Tells what changes, as far as it is asked for, to a reader that takes it at its own pace: bounded, in order,
    /// nothing left out and nothing told twice. A reader that kept its [position](Subscription::position) goes on there.
    ///
    /// # Errors
    /// `Invalid` when the name is taken or the served version lacks a type, key or field that is asked for. Going on at a
    /// position: `Missing` when its version cannot be reached any more, or the dataset was created anew; the reader then
    /// has to begin anew. `Unavailable` when the store does not answer.
    pub async fn subscribe(&self, wanted: Subscribe) -> Result<Subscription> {
        self.shared.subscribe(wanted).await
    }

    /// The state of any version that the store still leads to, in the memory of this process. Goes on from the served
    /// one where deltas lead from it, so costs what differs. What is served stays.
    ///
    /// # Errors
    /// `Missing` when the version is not in the log, or no blobs lead to it any more; `Invalid`, with the figures, when
    /// its state does not fit the [memory limit](ConsumerBuilder::memory_limit) beside what is held; that of the store.
    pub async fn state_at(&self, version: u64) -> Result<Arc<State>> {
        Ok(self.shared.visit(version, None).await?.state)
    }

    /// Time since what is served was last known to be the newest (or the pinned) version. While
    /// refreshes fail, the last time that counts is one at which the store was seen to hold it.
    #[must_use]
    pub fn staleness(&self) -> Duration {
        self.shared.staleness()
    }

    /// How this consumer is. Asks neither the store nor the disk; the system is asked for what is in memory,
    /// every ten seconds at most, and for attached readers. A task that serves others should call it beside
    /// the runtime's own threads where the state is large.
    #[must_use]
    pub fn status(&self) -> ConsumerStatus {
        self.shared.status()
    }

    /// The same, with the version, its records and its time those of a state that the caller holds: whoever tells of
    /// both tells of one version.
    #[must_use]
    pub fn status_of(&self, state: &State) -> ConsumerStatus {
        self.shared.status_of(state)
    }

    /// Has the background look for a new version now instead of at the end of its wait, and as often as for
    /// a dataset that had news. For whoever heard that there is one: a message, a signal. Does not wait for
    /// it, and does nothing where nobody polls.
    pub fn look_now(&self) {
        self.shared.vitals.wake.notify_one();
    }

    /// Changes how often the background looks for a new version, and its longest wait without news, beginning with a
    /// look now. Does nothing where nobody polls.
    pub fn set_pace(&self, poll_interval: Duration, max_backoff: Duration) {
        *self.shared.vitals.new_pace.lock() = Some((poll_interval, max_backoff));
        self.look_now();
    }

    /// What this consumer counts, to be added to a registry of the caller's. What it measures (memory, records by
    /// type, staleness, health) is as of this call or the last [`metrics_text`](Self::metrics_text): call it
    /// whenever the registry is encoded.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        self.shared.measure_all();
        &self.shared.metrics
    }

    /// The metrics in the OpenMetrics text format.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        self.shared.measure_all();
        self.shared.metrics.text()
    }

    /// Stops polling and waits for a refresh under way, for as long as
    /// [`ConsumerBuilder::shutdown_timeout`] says; then the refresh is given up. The state directory is free
    /// afterwards, but for a step that is being applied, which ends by itself.
    ///
    /// What is served stays readable; whoever refreshes afterwards gets an error, and listeners are forgotten
    /// once they were told of what is done. To call it again does nothing. A listener that calls it and waits
    /// for it waits for itself until the time is over.
    pub async fn shutdown(&self) {
        let (shared, patience) = (&self.shared, self.patience);
        let dataset = shared.dataset.name();
        let poller = self.poller.lock().take();
        let (mut task, scrubber, lease) = match poller {
            Some(Poller {
                stop,
                task,
                scrubber,
                lease,
            }) => {
                drop(stop);
                (Some(task), scrubber, lease)
            }
            None => (None, None, None),
        };
        let ended = async {
            if let Some(task) = &mut task
                && let Err(error) = task.await
            {
                tracing::error!(%error, dataset, "polling ended early");
            }
            // Reads a part of a file at most, and holds the state directory meanwhile.
            if let Some(scrubber) = scrubber
                && let Err(error) = scrubber.await
            {
                tracing::error!(%error, dataset, "checks in the background ended early");
            }
            // Whoever refreshes holds the gate.
            drop(shared.gate.lock().await);
        };
        let in_time = shared.env.within(patience, ended).await.is_ok();
        shared.end();
        if !in_time {
            let waited_ms = patience.as_millis();
            tracing::warn!(dataset, waited_ms, "giving up a refresh that does not end");
            if let Some(task) = task {
                task.abort();
            }
            drop(shared.gate.lock().await);
        }
        shared.leave();
        shared.tell().await;
        shared.listeners.close();
        shared.subscriptions.end();
        if let Some(lease) = lease {
            lease::wait_for_end(&shared.env, lease, dataset).await;
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.drop_out();
    }
}
