//! Configuration files.
//!
//! Owns: their keys with defaults, reading them, and which keys may change while a daemon runs. Never: guesses.
//! A key that this build does not act on is an unknown key, so that nobody believes in a setting without effect.
//! Never reads the environment: the binary hands in its variables.
//!
//! What is written is read twice: once from the text, for complaints with their place, and once more with the
//! variables of the environment put in and the entries of `datasets` completed.

mod check;
mod consumer;
mod daemon;
mod environment;
mod folders;
mod group;
mod locate;
mod producer;
mod push;
mod reload;
mod resolve;
mod rules;
mod section;
mod span;
mod text;
mod token;
mod unique;
mod value;

#[cfg(test)]
mod tests;

pub use check::{Checked, check, read_schema};
pub use consumer::{
    ConsumerListeners, ConsumerMonitoring, FollowSettings, GuardSettings, Limits, Mode,
};
pub use daemon::{Listeners, LogLevel, Monitoring, Security};
pub use environment::Environment;
pub(crate) use environment::variable;
pub use group::group_number;
pub use producer::{
    Batching, DatasetSettings, DeadLetter, Durability, Leadership, LeadershipRole, LoadShedding,
    Performance, RateLimit, Reliability, Retention, Shedding, Sources, Stdin, Validation, Wal,
};
pub use push::PushSettings;
pub use reload::{Change, changes};
pub use section::Key;
pub(crate) use section::duration_text;
pub use text::read_text;
pub use token::{Token, read_token, read_token_text};
pub use value::{Size, folder_mode, parse_duration};

use grotto::store::StoreUrl;
use grotto::{Error, Result};
use section::Section as _;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest configuration file in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A configuration file, as it is in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// For those who publish.
    pub producer: Option<ProducerSettings>,
    /// For those who read.
    pub consumer: Option<ConsumerSettings>,
}

/// Section `producer`, completed.
#[derive(Clone, Debug, PartialEq)]
pub struct ProducerSettings {
    /// Health, metrics and logs.
    pub monitoring: Monitoring,
    /// The HTTP listener.
    pub listeners: Listeners,
    /// Who may use it.
    pub security: Security,
    /// What holds for each dataset: the settings of the only one, if none is listed.
    pub common: DatasetSettings,
    /// The entries of `datasets`.
    pub listed: Vec<DatasetSettings>,
}

impl ProducerSettings {
    /// The datasets that a daemon keeps.
    #[must_use]
    pub fn datasets(&self) -> &[DatasetSettings] {
        match self.listed.as_slice() {
            [] => std::slice::from_ref(&self.common),
            listed => listed,
        }
    }
}

/// Section `consumer`, completed.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerSettings {
    /// Who follows, for those who look at a fleet.
    pub id: Option<String>,
    /// Health, metrics and logs.
    pub monitoring: ConsumerMonitoring,
    /// The HTTP listeners.
    pub listeners: ConsumerListeners,
    /// How much one request may ask for.
    pub limits: Limits,
    /// Who may use it.
    pub security: Security,
    /// What holds for each dataset: the settings of the only one, if none is listed.
    pub common: FollowSettings,
    /// The entries of `datasets`.
    pub listed: Vec<FollowSettings>,
}

impl ConsumerSettings {
    /// The datasets that a sidecar follows.
    #[must_use]
    pub fn datasets(&self) -> &[FollowSettings] {
        match self.listed.as_slice() {
            [] => std::slice::from_ref(&self.common),
            listed => listed,
        }
    }
}

/// What a command does, which decides whose section counts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Publishes: only section `producer` counts.
    Writer,
    /// Reads: section `consumer`, else `producer`.
    Reader,
}

impl Settings {
    /// Reads a file and puts variables of the environment in.
    ///
    /// # Errors
    /// `Invalid`, with the file, and with line, column and key or the variable.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self> {
        let text = read_text(path, "configuration", MAX_BYTES)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder, environment)
            .map_err(|complaint| Error::invalid(format!("{}: {complaint}", path.display())))
    }

    /// Reads text whose relative paths start at `folder`.
    ///
    /// # Errors
    /// What is wrong, with line, column and key or the variable.
    pub fn parse(text: &str, folder: &Path, environment: &Environment) -> Result<Self, String> {
        let settings = resolve::resolve(text, folder, environment)?;
        rules::check(&settings).map_err(|broken| broken.complaint(text, environment))?;
        Ok(settings)
    }

    /// Every key with its value. Of keys without a default only those that are set.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        if let Some(producer) = &self.producer {
            if producer.listed.is_empty() {
                producer.common.keys("producer", &mut keys);
            }
            for (index, dataset) in producer.listed.iter().enumerate() {
                dataset.keys(&format!("producer.datasets.{index}"), &mut keys);
            }
            producer.monitoring.keys("producer.monitoring", &mut keys);
            producer.listeners.keys("producer.listeners", &mut keys);
            producer.security.keys("producer.security", &mut keys);
        }
        if let Some(consumer) = &self.consumer {
            consumer_keys(consumer, &mut keys);
        }
        keys.retain(|key| !key.value.is_null());
        keys
    }

    fn common(&self) -> Option<&DatasetSettings> {
        self.producer.as_ref().map(|producer| &producer.common)
    }

    fn followed(&self) -> Option<&FollowSettings> {
        self.consumer.as_ref().map(|consumer| &consumer.common)
    }

    /// The store of a dataset that a sidecar follows: what is said of it, else where section `producer` publishes, else
    /// the folder where it would.
    #[must_use]
    pub fn store_of(&self, followed: &FollowSettings) -> StoreUrl {
        let default = || StoreUrl::Local(PathBuf::from(resolve::DEFAULT_STORE));
        let published = || self.store(Role::Writer);
        followed
            .store
            .clone()
            .or_else(published)
            .unwrap_or_else(default)
    }

    /// The store for a role.
    #[must_use]
    pub fn store(&self, role: Role) -> Option<StoreUrl> {
        let own = self.common().and_then(|producer| producer.store.clone());
        match role {
            Role::Writer => own,
            Role::Reader => self.followed().and_then(|c| c.store.clone()).or(own),
        }
    }

    /// The dataset for a role.
    #[must_use]
    pub fn dataset(&self, role: Role) -> Option<String> {
        let own = self.common().and_then(|producer| producer.dataset.clone());
        match role {
            Role::Writer => own,
            Role::Reader => self.followed().and_then(|c| c.dataset.clone()).or(own),
        }
    }

    /// The schema file.
    #[must_use]
    pub fn schema(&self) -> Option<PathBuf> {
        self.common()?.schema.clone()
    }

    /// The state directory.
    #[must_use]
    pub fn state_dir(&self) -> Option<PathBuf> {
        self.followed()?.state_dir.clone()
    }

    /// Permission bits of the state directory's folders.
    #[must_use]
    pub fn state_mode(&self) -> Option<u32> {
        self.followed()?.state_mode
    }

    /// Group that may read the state directory.
    #[must_use]
    pub fn state_group(&self) -> Option<String> {
        self.followed()?.state_group.clone()
    }

    /// Types that are kept; all if there are none.
    #[must_use]
    pub fn types(&self) -> BTreeSet<String> {
        let followed = self.followed();
        followed.map_or_else(BTreeSet::new, |followed| followed.types.clone())
    }

    /// The channel that is followed; `None` for the newest version.
    #[must_use]
    pub fn channel(&self) -> Option<String> {
        self.followed()
            .and_then(|followed| followed.channel.clone())
    }

    /// How often to look for a new version.
    #[must_use]
    pub fn poll_interval(&self) -> Option<Duration> {
        self.followed().map(|followed| followed.poll_interval)
    }

    /// Section `producer.performance`.
    #[must_use]
    pub fn performance(&self) -> Option<&Performance> {
        self.common().map(|producer| &producer.performance)
    }
}

fn consumer_keys(consumer: &ConsumerSettings, keys: &mut Vec<Key>) {
    if consumer.listed.is_empty() {
        consumer.common.keys("consumer", keys);
    }
    for (index, dataset) in consumer.listed.iter().enumerate() {
        dataset.keys(&format!("consumer.datasets.{index}"), keys);
    }
    consumer::Id(consumer.id.clone()).keys("consumer.id", keys);
    consumer.monitoring.keys("consumer.monitoring", keys);
    consumer.listeners.keys("consumer.listeners", keys);
    consumer.limits.keys("consumer.limits", keys);
    consumer.security.keys("consumer.security", keys);
}
