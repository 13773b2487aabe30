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
/// Longest wait for the answer of the store.
const DEADLINE: Duration = Duration::from_secs(10);
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
        // A breaker of its own: a store that takes no writes must not look like one that cannot be read.
        let store = store.clone().with_options(StoreOptions {
            deadline: DEADLINE.min(store.options().deadline),
            breaker: None,
            ..*store.options()
        });
        let longest = Duration::from_secs(MAX_EXPIRY_S) / MISSES;
        Ok(Some(LeaseKeeper {
            store,
            dataset: dataset.to_owned(),
            id,
            pace: Pace(self.interval.clamp(SHORTEST, longest)),
            identity: String::new(),
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

    fn next(self, now: Duration, random: &dyn Random) -> Duration {
        now + self.0.mul_f64(0.8 + 0.2 * random.fraction())
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
    /// Identity of the dataset, and the pin, as of the last time that no refresh was under way.
    identity: String,
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
            keeper.renew(&shared, began).await;
            last = env.clock.monotonic();
            due = pace.next(last, random);
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
    async fn renew(&mut self, shared: &Arc<Shared>, began: Duration) {
        if !was_written(&shared.served()) {
            return;
        }
        let written = self.write(shared, began).await;
        shared.metrics.lease_renewed(written.is_ok());
        self.tell(written);
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
        if let Some(identity) = shared.dataset_id_now() {
            self.identity = identity;
        }
        if let Some(pinned) = shared.pin_now() {
            self.pinned = pinned;
        }
        let word = status.health.name().replace(' ', "-");
        let lease = Lease {
            format: FORMAT,
            dataset: self.dataset.clone(),
            dataset_id: self.identity.clone(),
            consumer: self.id.to_string(),
            host: host(),
            process: std::process::id().to_string(),
            version: status.version,
            newest: status.newest.max(status.version),
            pinned: self.pinned,
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
mod tests {
    use super::*;
    use grotto_env::SeededRandom;

    const SECOND: Duration = Duration::from_secs(1);

    /// The same moment of a thousand consumers.
    fn of_a_fleet(moment: impl Fn(&dyn Random) -> Duration) -> Vec<Duration> {
        let mut times: Vec<Duration> = (0..1000)
            .map(|seed| moment(&SeededRandom::new(seed)))
            .collect();
        times.sort_unstable();
        times
    }

    /// Most times within a tenth of a second.
    fn crowd(times: &[Duration]) -> usize {
        let within = |at: Duration| {
            let end = at + SECOND / 10;
            times
                .iter()
                .filter(|time| **time >= at && **time < end)
                .count()
        };
        times.iter().map(|at| within(*at)).max().unwrap()
    }

    #[test]
    fn a_fleet_does_not_write_at_the_same_instant() {
        let (pace, now) = (Pace(10 * SECOND), 100 * SECOND);
        let started = of_a_fleet(|random| pace.first(now, random));
        let renewed = of_a_fleet(|random| pace.next(now, random));
        let informed = of_a_fleet(|random| pace.after_version(now, 50 * SECOND, random));
        for (times, from, to) in [
            (&started, now, now + SECOND),
            (&renewed, now + 8 * SECOND, now + 10 * SECOND),
            (&informed, now, now + SECOND),
        ] {
            assert!(
                times[0] >= from && times[999] <= to,
                "{:?} to {:?}",
                times[0],
                times[999]
            );
            // One in ten, or in twenty, if they were spread evenly.
            assert!(crowd(times) < 150, "{}", crowd(times));
        }
    }

    #[test]
    fn versions_are_told_a_second_after_the_last_renewal_at_the_earliest() {
        let (pace, now) = (Pace(10 * SECOND), 100 * SECOND);
        let due = pace.after_version(now, now - SECOND / 4, &SeededRandom::new(1));
        assert!(due >= now + SECOND * 3 / 4, "{due:?}");
    }

    #[test]
    fn a_lease_outlives_two_renewals_that_fail() {
        let expiry = |interval| Pace(interval).expires_after_s();
        assert_eq!(expiry(10 * SECOND), 30);
        assert_eq!(expiry(Duration::from_millis(1_100)), 4);
        assert_eq!(expiry(Duration::from_secs(28_800)), MAX_EXPIRY_S);
    }

    #[test]
    fn a_failure_is_logged_when_it_is_another_one_than_before() {
        let store = Store::open(&grotto_store::StoreUrl::Memory).unwrap();
        let settings = LeaseSettings {
            name: Some("web-1".to_owned()),
            ..LeaseSettings::default()
        };
        let mut keeper = settings.keeper(&store, "cities").unwrap().unwrap();
        let away = |text: &str| Err(crate::Error::unavailable(text.to_owned()));
        let refused = || Err(crate::Error::invalid("permission denied".to_owned()));
        let told = [
            away("a"),
            away("b"),
            refused(),
            refused(),
            away("a"),
            Ok(()),
            away("a"),
        ]
        .map(|written| keeper.tell(written));
        assert_eq!(told, [true, false, true, false, true, false, true]);
    }
}
