//! A dataset that the sidecar follows.
//!
//! Owns: opening it, again and again while that fails, and what is known of it meanwhile; one that does not open leaves
//! the others alone. Never: knows HTTP.

use super::health::{Condition, View};
use super::held::HeldStates;
use crate::config::{FollowSettings, group_number};
use crate::push::{Pushes, note};
use grotto::consumer::{ConsumerBuilder, ConsumerStatus, Refresh};
use grotto::engine::env::Env;
use grotto::{Attached, Consumer, Result, State, Store, StoreUrl};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;

/// Wait before the second try to open a dataset; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Is told of every version that is served from now on.
pub type OnVersion = Arc<dyn Fn(&str, &Refresh) + Send + Sync>;

/// The stores of all datasets: one client, with one pool of connections and one breaker, for each address. And the servers
/// of announcements.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    opened: Mutex<BTreeMap<String, Store>>,
    pushes: Pushes,
}

impl Stores {
    fn open(&self, url: &StoreUrl) -> Result<Store> {
        let mut opened = self.opened.lock();
        if let Some(store) = opened.get(&url.to_string()) {
            return Ok(store.clone());
        }
        let store = Store::open(url)?;
        opened.insert(url.to_string(), store.clone());
        Ok(store)
    }
}

/// How a dataset is at one moment.
pub(crate) struct Moment {
    pub(crate) view: View,
    pub(crate) state: Option<Arc<State>>,
    /// Of that state, once the dataset is open.
    pub(crate) status: Option<ConsumerStatus>,
}

/// A dataset.
pub(crate) struct Followed {
    pub(crate) name: String,
    settings: FollowSettings,
    /// Interval and longest wait, which may change.
    pace: Mutex<(Duration, Duration)>,
    url: StoreUrl,
    env: Env,
    consumer: OnceLock<Consumer>,
    /// What is on this host, while the dataset does not open.
    attached: RwLock<Option<Attached>>,
    /// The version served; 0 while there is none.
    versions: watch::Sender<u64>,
    /// Why it does not open.
    trouble: Mutex<Option<String>>,
    /// States that scans go on with.
    pub(crate) held: HeldStates,
}

impl std::fmt::Debug for Followed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} from {}", self.name, self.url)
    }
}

impl Followed {
    pub(crate) fn new(name: &str, settings: &FollowSettings, url: StoreUrl, env: Env) -> Self {
        Self {
            name: name.to_owned(),
            settings: settings.clone(),
            pace: Mutex::new((settings.poll_interval, settings.max_backoff)),
            url,
            env,
            consumer: OnceLock::new(),
            attached: RwLock::new(None),
            versions: watch::Sender::new(0),
            trouble: Mutex::default(),
            held: HeldStates::default(),
        }
    }

    /// Opens the dataset, however often it takes.
    pub(crate) async fn open(
        self: Arc<Self>,
        stores: Arc<Stores>,
        lease: String,
        on_version: Option<OnVersion>,
    ) {
        let (mut wait, mut failures) = (FIRST_WAIT, 0_u32);
        loop {
            let error = match self.start(&stores, &lease, on_version.clone()).await {
                Ok(consumer) => return self.opened(consumer).await,
                Err(error) => error,
            };
            failures = failures.saturating_add(1);
            // A store that is down for a day must not fill the disk with its log.
            if failures.is_power_of_two() {
                let kind = error.kind();
                tracing::warn!(dataset = self.name, %error, %kind, failures, "the dataset does not open yet");
            }
            *self.trouble.lock() = Some(error.message().to_owned());
            self.make_do(|dir| Consumer::attach(dir)).await;
            self.env.sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Serves what is in the state directory, which this or another process left there, while there is nothing better.
    pub(super) async fn make_do(
        &self,
        attach: impl FnOnce(&Path) -> Result<Attached> + Send + 'static,
    ) {
        let Some(dir) = self.settings.state_dir.clone() else {
            return;
        };
        if self.attached.read().is_none() {
            // Reads files: beside the threads of the runtime, and while nobody waits for a lock.
            let found = self.env.blocking(move || attach(&dir).ok()).await;
            let found = found.unwrap_or_else(|error| {
                tracing::error!(dataset = self.name, %error, "attaching to the state directory ended early");
                None
            });
            let found = found.filter(|found| found.dataset() == self.name);
            *self.attached.write() = found;
        }
        if let Some(state) = self.attached_state() {
            self.tell(state.version());
        }
    }

    /// Tells of the version served now, unless it was told already.
    fn tell(&self, version: u64) {
        self.versions.send_if_modified(|told| {
            let is_new = *told != version;
            *told = version;
            is_new
        });
    }

    async fn start(
        self: &Arc<Self>,
        stores: &Stores,
        lease: &str,
        on_version: Option<OnVersion>,
    ) -> Result<Consumer> {
        let mut store = stores.open(&self.url)?;
        if let Some(fallback) = &self.settings.fallback_store {
            store = store.with_fallback(&stores.open(fallback)?);
        }
        let settings = &self.settings;
        let (poll_interval, max_backoff) = *self.pace.lock();
        let builder = Consumer::builder(&self.name, store)
            .poll_interval(poll_interval)
            .max_backoff(max_backoff)
            .max_errors_per_minute(settings.max_errors_per_minute)
            .memory_limit(settings.memory_limit.0)
            .guards(settings.guards.guards())
            .check_interval(settings.health_check_interval)
            .shutdown_timeout(settings.graceful_shutdown_timeout);
        let builder = match settings.lease {
            true => builder.lease(lease).lease_interval(settings.lease_interval),
            false => builder,
        };
        let builder = match &settings.channel {
            Some(channel) => builder.channel(channel),
            None => builder,
        };
        let builder = match settings.types.is_empty() {
            true => builder,
            false => builder.types(settings.types.iter().cloned()),
        };
        let builder = self.place(builder)?;
        let announced = stores.pushes.open(&settings.push, &self.name, &self.env)?;
        let builder = match announced {
            Some((push, channel)) => builder.push(push.listen(&channel, &self.name)),
            None => builder,
        };
        let followed = Arc::downgrade(self);
        let builder = builder.on_refresh(move |refresh| {
            let Some(followed) = followed.upgrade() else {
                return;
            };
            log(&followed.name, refresh);
            // The first one is served once the dataset is open, which tells of it.
            if followed.consumer().is_some() {
                followed.tell(refresh.to);
            }
            if let Some(tell) = &on_version {
                tell(&followed.name, refresh);
            }
        });
        builder.start().await
    }

    fn place(&self, mut builder: ConsumerBuilder) -> Result<ConsumerBuilder> {
        let settings = &self.settings;
        if let Some(dir) = &settings.state_dir {
            builder = builder.state_dir(dir);
        }
        let cache = &settings.blob_cache;
        if let Some(folder) = &cache.folder {
            builder = builder.blob_cache(folder, cache.size.0, cache.age);
        }
        if let Some(mode) = settings.state_mode {
            builder = builder.state_mode(mode);
        }
        match settings.state_group.as_deref() {
            Some(group) => Ok(builder.state_group(group_number(group)?)),
            None => Ok(builder),
        }
    }

    async fn opened(&self, consumer: Consumer) {
        let (dataset, version) = (&self.name, consumer.version());
        tracing::info!(dataset, version, "the dataset is open");
        let consumer = self.consumer.get_or_init(|| consumer);
        // What changed while it was being opened.
        let (poll_interval, max_backoff) = *self.pace.lock();
        consumer.set_pace(poll_interval, max_backoff);
        let attached = self.attached.write().take();
        self.versions.send_modify(|told| *told = consumer.version());
        // Its thread ends with it, which is waited for.
        if let Err(error) = self.env.blocking(move || drop(attached)).await {
            tracing::error!(dataset, %error, "letting go of the state directory ended early");
        }
    }

    /// The consumer, once the dataset is open.
    pub(crate) fn consumer(&self) -> Option<&Consumer> {
        self.consumer.get()
    }

    /// Looks for new versions as often as this from now on.
    pub(crate) fn set_pace(&self, poll_interval: Duration, max_backoff: Duration) {
        *self.pace.lock() = (poll_interval, max_backoff);
        if let Some(consumer) = self.consumer() {
            consumer.set_pace(poll_interval, max_backoff);
        }
    }

    /// The state served now.
    pub(crate) fn state(&self) -> Option<Arc<State>> {
        match self.consumer.get() {
            Some(consumer) => Some(consumer.state()),
            None => self.attached_state(),
        }
    }

    fn attached_state(&self) -> Option<Arc<State>> {
        self.attached.read().as_ref().map(Attached::state)
    }

    /// Tells of versions as they come.
    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.versions.subscribe()
    }

    /// Why the dataset is not open.
    pub(crate) fn trouble(&self) -> String {
        let trouble = self.trouble.lock().clone();
        trouble.unwrap_or_else(|| "it is being opened".to_owned())
    }

    /// Lets go of versions that are held for scans where a newer one lacks the memory that they take: what is not in files
    /// counts together.
    pub(crate) fn make_room(&self) {
        let Some(consumer) = self.consumer() else {
            return;
        };
        if self.settings.state_dir.is_some() || self.held.count() == 0 {
            return;
        }
        let Some(lacking) = consumer.status().held.filter(|held| held.memory) else {
            return;
        };
        let let_go = self.held.let_go_of_older(&consumer.state());
        if let_go > 0 {
            let (dataset, version) = (&self.name, lacking.version);
            tracing::warn!(
                dataset,
                version,
                let_go,
                "versions held for scans make room for a newer one"
            );
        }
    }

    /// How the dataset is, all of it as of one state. Asks the system, which takes its time.
    pub(crate) fn look(&self) -> Moment {
        let consumer = self.consumer();
        let state = match consumer {
            Some(consumer) => Some(consumer.state()),
            None => self.attached_state(),
        };
        let status = consumer.zip(state.as_ref());
        let status = status.map(|(consumer, state)| consumer.status_of(state));
        let push = status.as_ref().and_then(|status| status.push.as_ref());
        let notes = push.and_then(|push| note(&push.link)).into_iter().collect();
        let (condition, reasons) = match &status {
            Some(status) => (Condition::of(status.health), status.reasons.clone()),
            None if state.is_some() => {
                let trouble = self.trouble();
                let reason = format!("served as it is on this host, and not followed: {trouble}");
                (Condition::Degraded, vec![reason])
            }
            None => (Condition::Opening, vec![self.trouble()]),
        };
        let view = View {
            dataset: self.name.clone(),
            condition,
            reasons,
            notes,
        };
        Moment {
            view,
            state,
            status,
        }
    }

    /// Ends, within the time that the settings give.
    pub(crate) async fn end(&self) {
        if let Some(consumer) = self.consumer() {
            consumer.shutdown().await;
            let (dataset, version) = (&self.name, consumer.version());
            tracing::info!(dataset, version, "dataset ended");
        }
    }

    /// Longest time that the end may take.
    pub(crate) fn patience(&self) -> Duration {
        self.settings.graceful_shutdown_timeout
    }
}

fn log(dataset: &str, refresh: &Refresh) {
    let ms = crate::logs::whole_ms(refresh.duration);
    let (version, from, records) = (refresh.to, refresh.from, refresh.after().total());
    tracing::info!(dataset, version, from, records, ms, "serving");
}

#[cfg(test)]
mod tests {
    use super::*;
    use grotto::Error;

    #[tokio::test]
    async fn attaching_to_a_state_directory_holds_nobody_up() {
        let settings = FollowSettings {
            state_dir: Some("/nowhere".into()),
            ..FollowSettings::default()
        };
        let url = StoreUrl::Memory;
        let followed = Arc::new(Followed::new("items", &settings, url, Env::system()));
        let (asked, of_runtime) = (Arc::clone(&followed), std::thread::current().id());
        let (tell, told) = std::sync::mpsc::channel();
        let attach = move |_: &Path| {
            let is_free = asked.attached.try_write().is_some();
            tell.send((is_free, std::thread::current().id() != of_runtime))
                .unwrap();
            Err(Error::invalid("nothing there"))
        };
        followed.make_do(attach).await;
        assert_eq!(told.recv(), Ok((true, true)));
        assert!(followed.state().is_none());
    }
}
