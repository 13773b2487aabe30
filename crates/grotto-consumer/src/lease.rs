//! Telling the store that this consumer lives, and how it is.
//!
//! Owns: what the lease says, when it is renewed, and its end. Never: delays a refresh or a reader, or makes
//! the consumer any less healthy where the store takes no writes.
//!
//! A fleet learns of a version at the same time and starts at the same time: whatever is written then, and
//! at intervals, is spread by chance.

use crate::error::{ErrorKind, Result};
use crate::shared::{Shared, blocking};
use crate::status::ConsumerStatus;
use crate::target::was_written;
use crate::told::Told;
use grotto_env::{Env, Random};
use grotto_format::log::{FORMAT, MAX_EXPIRY_S};
use grotto_store::{ConsumerId, Dataset, Lease, Store, StoreOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Renewals that may be missed before a lease expires, the last one included.
const MISSES: u32 = 3;
/// The shortest wait between two renewals.
const SHORTEST: Duration = Duration::from_secs(1);
/// In which time the first renewals of a fleet are spread, and those after a version.
const SPREAD: Duration = Duration::from_secs(1);
/// Longest wait for the answer of the store, and the share of the interval that it is at most: a store that does not
/// answer must not delay the next try.
const DEADLINE: Duration = Duration::from_secs(10);
const DEADLINE_SHARE: f64 = 0.6;
/// Longest wait of a shutdown for the removal, which goes on while it waits for a refresh.
const LONGEST_END: Duration = Duration::from_secs(5);

/// A lease as it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct LeaseSettings {
    /// Name of the consumer; `None` keeps none.
    pub(crate) name: Option<String>,
    /// Longest time between two renewals.
    pub(crate) interval: Duration,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        Self {
            name: None,
            interval: Duration::from_secs(10),
        }
    }
}

impl LeaseSettings {
    /// What keeps the lease.
    ///
    /// # Errors
    /// `Invalid` when the name is none of a consumer.
    pub(crate) fn keeper(&self, store: &Store, dataset: &str) -> Result<Option<LeaseKeeper>> {
        let Some(name) = &self.name else {
            return Ok(None);
        };
        let id = ConsumerId::parse(name)?;
        let longest = Duration::from_secs(MAX_EXPIRY_S) / MISSES;
        let pace = Pace(self.interval.clamp(SHORTEST, longest));
        // A breaker of its own: a store that takes no writes must not look like one that cannot be read.
        let store = store.clone().with_options(StoreOptions {
            deadline: pace.deadline().min(store.options().deadline),
            breaker: None,
            ..*store.options()
        });
        Ok(Some(LeaseKeeper {
            store,
            dataset: dataset.to_owned(),
            id,
            pace,
            pinned: None,
            health: None,
            failed: None,
            wrote: false,
        }))
    }
}

/// The longest time between two renewals.
#[derive(Clone, Copy, Debug)]
struct Pace(Duration);

impl Pace {
    fn first(self, now: Duration, random: &dyn Random) -> Duration {
        now + SPREAD.mul_f64(random.fraction())
    }

    /// After a renewal that began at `start`, however long it took.
    fn next(self, start: Duration, random: &dyn Random) -> Duration {
        start + self.0.mul_f64(0.8 + 0.2 * random.fraction())
    }

    /// After one that failed: so that the second try after it ends before the lease does.
    fn again(self, start: Duration, random: &dyn Random) -> Duration {
        start + self.0.mul_f64(DEADLINE_SHARE + 0.2 * random.fraction())
    }

    /// For how long a renewal may take.
    fn deadline(self) -> Duration {
        DEADLINE.min(self.0.mul_f64(DEADLINE_SHARE))
    }

    /// After a version: at once for a fleet is within the spread, and not within a second of the last one.
    fn after_version(self, now: Duration, last: Duration, random: &dyn Random) -> Duration {
        now.max(last + SHORTEST) + SPREAD.mul_f64(random.fraction())
    }

    fn expires_after_s(self) -> u64 {
        (self.0 * MISSES).as_secs_f64().ceil() as u64
    }
}

/// What keeps a lease.
#[derive(Debug)]
pub(crate) struct LeaseKeeper {
    store: Store,
    dataset: String,
    id: ConsumerId,
    pace: Pace,
    /// The pin, as of the last time that no refresh was under way.
    pinned: Option<u64>,
    /// How the consumer was, and since when.
    health: Option<(String, Duration)>,
    /// What the last renewal failed with.
    failed: Option<ErrorKind>,
    /// Whether anything may lie in the store.
    wrote: bool,
}

/// Renews the lease until `stop` is dropped, and removes it then.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut keeper: LeaseKeeper,
    mut stop: watch::Receiver<()>,
) {
    let env = shared.env.clone();
    let (random, pace) = (&*env.random, keeper.pace);
    let (mut versions, began) = (shared.versions(), env.clock.monotonic());
    let (mut last, mut due) = (began, pace.first(began, random));
    // The sender never sends: the channel changes when it is dropped.
    while stop.has_changed().is_ok() {
        let now = env.clock.monotonic();
        if now >= due {
            // Not given up when the consumer ends: what is on its way would land after the removal.
            let renewed = keeper.renew(&shared, began).await;
            last = now;
            due = match renewed {
                true => pace.next(now, random),
                false => pace.again(now, random),
            };
            continue;
        }
        tokio::select! {
            biased; // the same seed of a simulation must take the same branch
            _ = stop.changed() => break,
            // Its sender is in what is shared.
            _ = versions.changed() => due = due.min(pace.after_version(now, last, random)),
            () = env.sleep(due - now) => {}
        }
    }
    drop((versions, shared));
    keeper.end().await;
}

/// Waits until the lease is removed, for a while: without that it expires.
pub(crate) async fn wait_for_end(env: &Env, mut task: JoinHandle<()>, dataset: &str) {
    match env.within(LONGEST_END, &mut task).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, dataset, "keeping the lease ended early"),
        Err(_) => {
            task.abort();
            tracing::warn!(dataset, "the lease is not removed in time and will expire");
        }
    }
}

impl LeaseKeeper {
    /// Writes the lease once, unless nothing is served yet: a name that is mistyped must not begin a dataset.
    /// Whether there is nothing to try again.
    async fn renew(&mut self, shared: &Arc<Shared>, began: Duration) -> bool {
        if !was_written(&shared.served()) {
            return true;
        }
        let written = self.write(shared, began).await;
        let renewed = written.is_ok();
        shared.metrics.lease_renewed(renewed);
        self.tell(written);
        renewed
    }

    async fn write(&mut self, shared: &Arc<Shared>, began: Duration) -> Result<()> {
        let asked = Arc::clone(shared);
        // The system is asked, too.
        let status = blocking(&shared.env, move || asked.status()).await?;
        let lease = self.lease(shared, status, began);
        let dataset = self.place()?;
        self.wrote = true;
        dataset.write_lease(&lease).await
    }

    /// What there is to say now.
    fn lease(&mut self, shared: &Shared, status: ConsumerStatus, began: Duration) -> Lease {
        let now = shared.env.clock.monotonic();
        if let Some(pinned) = shared.pin_now() {
            self.pinned = pinned;
        }
        let word = status.health.name().replace(' ', "-");
        let lease = Lease {
            format: FORMAT,
            dataset: self.dataset.clone(),
            dataset_id: shared.dataset_id(),
            consumer: self.id.to_string(),
            host: host(),
            process: std::process::id().to_string(),
            version: status.version,
            newest: status.newest.max(status.version),
            pinned: self.pinned,
            channel: status.channel,
            told: status.told.as_ref().map(Told::for_lease),
            held: status.held.map(|held| held.version),
            staleness_ms: ms(status.staleness),
            running_ms: ms(now.saturating_sub(began)),
            health_ms: ms(now.saturating_sub(self.health_since(&word, began, now))),
            health: word,
            reasons: status.reasons,
            expires_after_s: self.pace.expires_after_s(),
            time_ms: shared.env.clock.wall_ms(),
        };
        lease.shortened()
    }

    /// Since when the consumer is as `word` says: of the first time, since its start.
    fn health_since(&mut self, word: &str, began: Duration, now: Duration) -> Duration {
        let since = match &self.health {
            Some((same, since)) if same == word => return *since,
            Some(_) => now,
            None => began,
        };
        self.health = Some((word.to_owned(), since));
        since
    }

    /// Logs a failure that is not as the one before; whether it is one.
    fn tell(&mut self, written: Result<()>) -> bool {
        let Err(error) = written else {
            self.failed = None;
            return false;
        };
        let kind = error.kind();
        let is_news = self.failed.replace(kind) != Some(kind);
        if is_news {
            let (dataset, consumer) = (&self.dataset, self.id.as_str());
            tracing::warn!(%error, %kind, dataset, consumer, "the lease is not renewed; serving on");
        }
        is_news
    }

    /// The dataset in a store that takes writes again if a sync of its folder failed.
    fn place(&self) -> Result<Dataset> {
        Dataset::open(self.store.renewed()?, &self.dataset)
    }

    /// Nobody has to wait for a lease of a consumer that ended to expire.
    async fn end(self) {
        if !self.wrote {
            return;
        }
        let removed = match self.place() {
            Ok(dataset) => dataset.remove_lease(&self.id).await,
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            let (dataset, consumer) = (&self.dataset, self.id.as_str());
            tracing::warn!(%error, dataset, consumer, "the lease is not removed and will expire");
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[cfg(not(unix))]
fn host() -> String {
    "unknown host".to_owned()
}

#[cfg(test)]
mod tests;
