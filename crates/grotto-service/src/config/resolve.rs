//! From text to settings in force.
//!
//! Owns: putting variables of the environment in, completing the entries of `datasets` from their section, and where
//! relative paths start. Never: judges values that belong together; that is `rules`.

use super::consumer::{ConsumerSection, FollowSettings};
use super::environment::{Environment, overrides};
use super::producer::{DatasetSettings, ProducerSection};
use super::unique::Unique;
use super::{ConsumerSettings, ProducerSettings, Settings, span};
use grotto::StoreUrl;
use grotto::store::Access;
use serde::Deserialize;
use serde_yaml::{Mapping, Value};
use std::path::{Path, PathBuf};

/// Keys of `producer` and `consumer` that concern the daemon instead of a dataset.
const OF_THE_DAEMON: [&str; 6] = [
    "id",
    "monitoring",
    "listeners",
    "limits",
    "security",
    "datasets",
];
/// Where versions are published unless another store is named.
pub(super) const DEFAULT_STORE: &str = "/var/lib/grotto/store";

/// A file as it is written.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    producer: Option<ProducerSection>,
    consumer: Option<ConsumerSection>,
}

pub(super) fn resolve(
    text: &str,
    folder: &Path,
    environment: &Environment,
) -> Result<Settings, String> {
    let _: Option<Unique> = serde_yaml::from_str(text).map_err(|e| span::complaint(&e))?;
    // A file with nothing but comments is a configuration without settings.
    let _: Option<File> = serde_yaml::from_str(text).map_err(|e| span::complaint(&e))?;
    let mut document: Value = serde_yaml::from_str(text).map_err(|e| span::complaint(&e))?;
    let follows = document.get("consumer").is_some();
    for given in overrides(environment, follows)? {
        given.put_into(&mut document)?;
    }
    let file: Option<File> = read(document.clone())?;
    let File { producer, consumer } = file.unwrap_or_default();
    let access = Access::from_vars(environment);
    let push = grotto::push::Access::from_vars(environment);
    let place = Place {
        folder,
        access,
        push,
    };
    let producer = producer.map(|section| complete_producer(section, &document, &place));
    let consumer = consumer.map(|section| complete_consumer(section, &document, &place));
    Ok(Settings {
        producer: producer.transpose()?,
        consumer: consumer.transpose()?,
    })
}

/// Reads what was read with places before, so that a complaint concerns what was put in.
fn read<T: for<'de> Deserialize<'de>>(document: Value) -> Result<T, String> {
    serde_yaml::from_value(document).map_err(|e| span::complaint(&e))
}

fn complete_producer(
    section: ProducerSection,
    document: &Value,
    place: &Place<'_>,
) -> Result<ProducerSettings, String> {
    let (common, listed) = datasets("producer", document, |settings| place.dataset(settings))?;
    let mut security = section.security;
    join(&mut security.token_file, place.folder);
    Ok(ProducerSettings {
        monitoring: section.monitoring,
        listeners: section.listeners,
        security,
        listed,
        common,
    })
}

fn complete_consumer(
    section: ConsumerSection,
    document: &Value,
    place: &Place<'_>,
) -> Result<ConsumerSettings, String> {
    let one = |settings: &mut FollowSettings| {
        join(&mut settings.state_dir, place.folder);
        join(&mut settings.blob_cache.folder, place.folder);
        place.store(&mut settings.store);
        place.store(&mut settings.fallback_store);
        settings.push.complete(&place.push, place.folder);
    };
    let (common, listed) = datasets("consumer", document, one)?;
    let (mut security, mut listeners) = (section.security, section.listeners);
    join(&mut security.token_file, place.folder);
    join(&mut listeners.socket, place.folder);
    Ok(ConsumerSettings {
        id: section.id.0,
        monitoring: section.monitoring,
        listeners,
        limits: section.limits,
        security,
        listed,
        common,
    })
}

/// What a section says of each dataset, and its entries of `datasets`, completed.
fn datasets<T: for<'de> Deserialize<'de>>(
    section: &str,
    document: &Value,
    place: impl Fn(&mut T),
) -> Result<(T, Vec<T>), String> {
    let written = document.get(section).and_then(Value::as_mapping);
    let mut common = written.cloned().unwrap_or_default();
    let entries = common.get("datasets").cloned();
    for name in OF_THE_DAEMON {
        common.remove(name);
    }
    let one = |settings: Mapping| {
        let mut settings: T = read(Value::Mapping(settings))?;
        place(&mut settings);
        Ok::<_, String>(settings)
    };
    let entries = entries.as_ref().and_then(Value::as_sequence);
    let listed = entries.into_iter().flatten().map(|entry| {
        let mut whole = common.clone();
        lay_over(&mut whole, entry.as_mapping().unwrap_or(&Mapping::new()));
        one(whole)
    });
    let listed = listed.collect::<Result<_, _>>()?;
    Ok((one(common.clone())?, listed))
}

/// What `upper` says counts; what it does not say stays.
fn lay_over(lower: &mut Mapping, upper: &Mapping) {
    for (key, value) in upper {
        match (lower.get_mut(key), value) {
            (Some(Value::Mapping(lower)), Value::Mapping(upper)) => lay_over(lower, upper),
            _ => {
                lower.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Where a configuration is in force.
struct Place<'a> {
    /// The folder of its file, where relative paths start.
    folder: &'a Path,
    /// What lets its process into buckets.
    access: Access,
    /// What lets it into servers of announcements.
    push: grotto::push::Access,
}

impl Place<'_> {
    fn dataset(&self, settings: &mut DatasetSettings) {
        let default = || Some(StoreUrl::Local(PathBuf::from(DEFAULT_STORE)));
        settings.store = settings.store.take().or_else(default);
        self.store(&mut settings.store);
        join(&mut settings.schema, self.folder);
        join(&mut settings.sources.folder, self.folder);
        settings.wal.dir = self.folder.join(&settings.wal.dir);
        settings.push.complete(&self.push, self.folder);
        settings.dead_letter.dir = self.folder.join(&settings.dead_letter.dir);
    }

    fn store(&self, store: &mut Option<StoreUrl>) {
        *store = store.take().map(|url| match url {
            StoreUrl::Local(path) => StoreUrl::Local(self.folder.join(path)),
            other => other.with_access(&self.access),
        });
    }
}

fn join(path: &mut Option<PathBuf>, folder: &Path) {
    if let Some(path) = path {
        *path = folder.join(&*path);
    }
}
