//! Building a consumer.
//!
//! Owns: its settings and its start. Never: reads the environment or a configuration file.

use crate::cache::{CacheSettings, with_cache};
use crate::consumer::Consumer;
use crate::dir::{Access, HostFiles, StateDir};
use crate::error::{Error, ErrorKind, Result};
use crate::guards::Guards;
use crate::lease::LeaseSettings;
use crate::listeners::Listener;
use crate::place::Place;
use crate::poll::Pace;
use crate::report::Refresh;
use crate::scrub::ScrubPace;
use crate::shared::{Requirement, Shared, blocking};
use crate::start::{check_there, is_usable};
use crate::status::Tolerance;
use crate::target::Goal;
use grotto_env::{FileSystem, MOST_THREADS, default_threads};
use grotto_state::{HashSeed, HeapSeal, RecordType, SegmentOptions, State, TypeFilter};
use grotto_store::plan::PlanWeights;
use grotto_store::{Announcements, ChannelId, Dataset, Store};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Settings of a consumer.
pub struct ConsumerBuilder {
    name: String,
    store: Store,
    state_dir: Option<PathBuf>,
    /// Other than the host's.
    system: Option<Arc<dyn FileSystem>>,
    access: Access,
    pace: Pace,
    tolerance: Tolerance,
    pub(crate) guards: Guards,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) cache: Option<CacheSettings>,
    scrub: ScrubPace,
    patience: Duration,
    segments: SegmentOptions,
    weights: PlanWeights,
    wait_for_dataset: bool,
    requirements: Vec<Requirement>,
    filter: Option<TypeFilter>,
    threads: usize,
    listeners: Vec<Listener>,
    lease: LeaseSettings,
    pub(crate) channel: Option<String>,
    pub(crate) push: Option<Announcements>,
}

impl fmt::Debug for ConsumerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConsumerBuilder({} from {:?})", self.name, self.store)
    }
}

impl ConsumerBuilder {
    pub(crate) fn new(name: String, store: Store) -> Self {
        Self {
            name,
            store,
            state_dir: None,
            system: None,
            access: Access::default(),
            pace: Pace::default(),
            tolerance: Tolerance::default(),
            guards: Guards::default(),
            memory_limit: None,
            cache: None,
            scrub: ScrubPace::default(),
            patience: Duration::from_secs(30),
            segments: SegmentOptions::default(),
            weights: PlanWeights::default(),
            wait_for_dataset: false,
            requirements: Vec::new(),
            filter: None,
            threads: default_threads(),
            listeners: Vec::new(),
            lease: LeaseSettings::default(),
            channel: None,
            push: None,
        }
    }

    /// Keeps the state in this folder, where the next start and other processes find it. Without
    /// one the state is on the heap.
    #[must_use]
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(path.into());
        self
    }

    /// Permission bits of the state directory's folders, such as `0o750`, for other users of the host to
    /// attach; its files have the same without those for execution. Unless set, they are for the user of
    /// this process alone. Only that user ever writes there: a mode that lets others is refused, and so is a
    /// folder that another user owns or may write to.
    ///
    /// Whoever may read a state directory can read all records, and the seed that keeps strangers from
    /// choosing keys that collide.
    #[must_use]
    pub fn state_mode(mut self, mode: u32) -> Self {
        self.access.mode = Some(mode);
        self
    }

    /// Number of the group that the state directory is given to, of which this process' user must be a
    /// member. Its mode is then `0o750` unless it is set.
    #[must_use]
    pub fn state_group(mut self, group: u32) -> Self {
        self.access.group = Some(group);
        self
    }

    /// Keeps the state directory in another file system than the host's: for a simulation, where
    /// [`Consumer::attach_in`] attaches to it.
    #[must_use]
    pub fn file_system(mut self, system: Arc<dyn FileSystem>) -> Self {
        self.system = Some(system);
        self
    }

    /// How often to look for a new version of a dataset that had news lately: within
    /// [`max_backoff`](Self::max_backoff), and the last 50 looks; 100 ms unless set.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.pace.interval = interval;
        self
    }

    /// The longest wait between two looks; 5 s unless set. While there is no news the wait doubles up to here,
    /// the last fifth by chance so that a fleet does not ask all at once, and news makes it the
    /// [`poll_interval`](Self::poll_interval) again. While the store does not answer it doubles in the same
    /// way, on a scale of its own.
    #[must_use]
    pub fn max_backoff(mut self, wait: Duration) -> Self {
        self.pace.max_backoff = wait;
        self
    }

    /// Errors in a minute with which the consumer still counts as [ready](crate::Health::Ready), those
    /// included that were worked around; 10 unless set.
    #[must_use]
    pub fn max_errors_per_minute(mut self, errors: u64) -> Self {
        self.tolerance.errors_per_minute = errors;
        self
    }

    /// How often to look at the log as a whole, for what polling for the next version does not show: a
    /// version that was lost, a dataset that was created anew. 30 s unless set.
    #[must_use]
    pub fn check_interval(mut self, interval: Duration) -> Self {
        self.pace.check_interval = interval;
        self
    }

    /// How long to wait between two passes in which all bytes of the state directory that are served are
    /// verified again, in the background of [`ConsumerBuilder::start`]; one hour unless set, 100 ms at least. Damage is
    /// dropped and loaded afresh.
    #[must_use]
    pub fn scrub_interval(mut self, interval: Duration) -> Self {
        self.scrub.interval = interval;
        self
    }

    /// Most bytes of such a pass in a second; 8 MiB unless set.
    #[must_use]
    pub fn scrub_rate(mut self, bytes_per_second: u64) -> Self {
        self.scrub.rate = bytes_per_second;
        self
    }

    /// Longest wait of [`Consumer::shutdown`] for a refresh under way; 30 s unless set.
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.patience = timeout;
        self
    }

    /// Keeps segments in another way than the default: for tests that are to reach with little data
    /// what a large dataset reaches.
    #[must_use]
    pub fn segments(mut self, options: SegmentOptions) -> Self {
        self.segments = options;
        self
    }

    /// How ways are weighed: what waiting for a request is worth in bytes. Unless set, as for a store that
    /// takes 30 ms to answer at some 35 megabytes a second; less for one that is near, more for one that
    /// is far or where many bytes cost little.
    #[must_use]
    pub fn plan_weights(mut self, weights: PlanWeights) -> Self {
        self.weights = weights;
        self
    }

    /// Serves the empty state at version 0 until somebody publishes, instead of refusing to start: for a
    /// reader that is set up before its producer. A name that is mistyped then goes unnoticed, but for
    /// [`Consumer::staleness`], which grows.
    #[must_use]
    pub fn wait_for_dataset(mut self, wait: bool) -> Self {
        self.wait_for_dataset = wait;
        self
    }

    /// Keeps only the records of these types (`City`), of some only these fields (`City.name`, `City.area`), and the types
    /// that what is kept refers to. Fields of keys are kept in any case. What is left out takes no memory, but for eight
    /// bytes for each record of a type that is kept by field, and to read it is an error. What is kept is compared with
    /// the checksums that the log has for each type.
    ///
    /// A state directory that was written for others is loaded anew. Where what is kept needs something from a new
    /// version on that was left out so far, the consumer goes on by a snapshot, and waits for one.
    #[must_use]
    pub fn types<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.filter = Some(TypeFilter::of(names));
        self
    }

    /// Serves only versions that have all that `T` reads: its type, every field in the same type, and
    /// its primary key. Without this a field that was removed or renamed reads as its default.
    ///
    /// A version that lacks something is refused: the start fails, and later the refresh, while the
    /// version before it stays served. The error is `Invalid` and names type and field.
    #[must_use]
    pub fn require<T: RecordType>(mut self) -> Self {
        let requirement: Requirement = |state| state.typed_strict::<T>().map(|_| ());
        self.requirements.push(requirement);
        self
    }

    /// Threads for work that takes the processor: applying versions. 1 to 256; one per processor, at most 8,
    /// unless set.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.clamp(1, MOST_THREADS);
        self
    }

    /// Calls `listener` after every refresh, the first load included; see
    /// [`Consumer::on_refresh`].
    #[must_use]
    pub fn on_refresh(mut self, listener: impl Fn(&Refresh) + Send + Sync + 'static) -> Self {
        self.listeners.push(Listener::Refreshed(Box::new(listener)));
        self
    }

    /// Calls `listener` with the error of every refresh that fails, the first load included; see
    /// [`Consumer::on_error`].
    #[must_use]
    pub fn on_error(mut self, listener: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.listeners.push(Listener::Failed(Box::new(listener)));
        self
    }

    /// Keeps a lease in the store under this name, so that `grotto status` shows who serves which version: a
    /// small object that is written at intervals, and about a second after each version, but once a second
    /// at most. It is removed when the consumer ends, and expires if it dies. Where the store takes no
    /// writes, this is logged and counted, and changes nothing else. Needs the background of
    /// [`ConsumerBuilder::start`].
    ///
    /// Names are 1 to 100 letters, digits, `-`, `_` and `.`, not starting with `.`, and each consumer of a
    /// dataset needs one of its own: two of one name take turns in being shown.
    #[must_use]
    pub fn lease(mut self, name: impl Into<String>) -> Self {
        self.lease.name = Some(name.into());
        self
    }

    /// Longest time between two renewals of the lease, which expires after three times as long; 10 s unless
    /// set, 1 s at least and 8 hours at most.
    #[must_use]
    pub fn lease_interval(mut self, interval: Duration) -> Self {
        self.lease.interval = interval;
        self
    }

    /// Starts serving and polls in the background. A state found in the state directory is served
    /// at once and caught up in the background; without one, the newest version is loaded first.
    ///
    /// # Errors
    /// `NoDataset` when nothing was ever published under the name, unless
    /// [`ConsumerBuilder::wait_for_dataset`] says otherwise. When there is no local state and none can be loaded,
    /// or the state directory is in use, of another dataset, or cannot be written.
    pub async fn start(self) -> Result<Consumer> {
        let (pace, patience, wait) = (self.pace, self.patience, self.wait_for_dataset);
        let scrub = self.scrub;
        let lease = self.lease.keeper(&self.store, &self.name)?;
        let shared = self.polling().assemble().await?;
        if !is_usable(&shared) {
            if let Err(error) = shared.refresh(Goal::Start).await
                && !(wait && shared.waits_for_channel(&error))
            {
                return Err(error);
            }
            check_there(&shared, wait)?;
        }
        Ok(Consumer::polling(shared, pace, scrub, patience).leased(lease))
    }

    /// Loads the newest version and does not poll: for commands that end soon. While the store
    /// does not answer or nothing leads on, a state found in the state directory is served as it is;
    /// [`Consumer::refresh`] then tells why it may not be the newest.
    ///
    /// # Errors
    /// As [`ConsumerBuilder::start`].
    pub async fn open(self) -> Result<Consumer> {
        let (patience, wait) = (self.patience, self.wait_for_dataset);
        let shared = self.assemble().await?;
        // Decided on what was here before: how far a failed refresh came does not make it good.
        let found = is_usable(&shared);
        if let Err(error) = shared.refresh(Goal::Start).await {
            let served = shared.served();
            if !found || !shared.is_sound(&served) {
                return Err(error);
            }
            let version = served.version();
            tracing::warn!(%error, dataset = shared.dataset.name(), version, "serving the local state, which may not be the newest");
        }
        check_there(&shared, wait)?;
        Ok(Consumer::quiet(shared, patience))
    }

    /// Loads one version, and does not poll.
    ///
    /// # Errors
    /// As [`ConsumerBuilder::start`], and when the version is not in the log or can no longer be reached.
    pub async fn open_at(self, version: u64) -> Result<Consumer> {
        let patience = self.patience;
        let shared = self.assemble().await?;
        shared.refresh(Goal::Pin(version)).await?;
        shared.check_required(&shared.served())?;
        Ok(Consumer::quiet(shared, patience))
    }

    /// A whole look is due in every check interval, and may come a wait late.
    fn polling(mut self) -> Self {
        let pace = self.pace;
        let certain = pace.check_interval.saturating_add(pace.longest_wait());
        self.tolerance.staleness = Some(certain.saturating_mul(2));
        self
    }

    async fn assemble(self) -> Result<Arc<Shared>> {
        grotto_env::check_runtime().map_err(|e| Error::showing(ErrorKind::Invalid, e))?;
        let env = self.store.env().clone();
        let store = match (&self.state_dir, &self.system) {
            // The disk that it has anyway: a large blob would not fit in memory.
            (Some(folder), None) => self.store.with_spool(folder),
            _ => self.store,
        };
        let dataset = Dataset::open(store, &self.name)?;
        let channel = self.channel.as_deref().map(ChannelId::parse).transpose()?;
        let elsewhere = self.system.clone();
        let (place, found) = match self.state_dir {
            None => (Place::Heap(HeapSeal::with_options(self.segments)), None),
            Some(path) => {
                let access = self.access.completed();
                access.check().map_err(Error::invalid)?;
                let host = || Arc::new(HostFiles::with_access(access)) as Arc<dyn FileSystem>;
                let (system, name) = (self.system.unwrap_or_else(host), self.name);
                let open = move || StateDir::open(system, &path, &name);
                let (dir, found) = blocking(&env, open).await??;
                (Place::Dir(Box::new(dir.with_options(self.segments))), found)
            }
        };
        let age = |fresh_ms| env.clock.wall_ms().saturating_sub(fresh_ms);
        // What was kept for another filter lacks what this one keeps, or has too much.
        let filter = self.filter.map(Arc::new);
        let found = found.filter(|found| found.state.filter() == filter.as_ref());
        let (state, id, age_ms) = match found {
            Some(found) => (found.state, found.dataset_id, found.fresh_ms.map_or(0, age)),
            None => {
                let seed = HashSeed::new(env.random.secret());
                (State::empty_of(seed, filter), String::new(), 0)
            }
        };
        let age = Duration::from_millis(age_ms);
        let mut shared = Shared::new(dataset, env, place, (state, &id), age);
        let (plain, metrics) = (shared.dataset.clone(), shared.metrics.cache.clone());
        shared.dataset = with_cache(plain, self.cache, elsewhere, metrics).await?;
        shared.weights = self.weights;
        shared.threads = self.threads;
        shared.tolerance = self.tolerance;
        shared.doubts.wait_first(self.pace.check_interval);
        (shared.holding.guards, shared.holding.memory_limit) = (self.guards, self.memory_limit);
        shared.requirements = self.requirements;
        (shared.tellers.channel, shared.tellers.consumer) = (channel, self.lease.name);
        shared.listen_to(self.push);
        let shared = Arc::new(shared);
        for listener in self.listeners {
            shared.listeners.add(listener);
        }
        Ok(shared)
    }
}
