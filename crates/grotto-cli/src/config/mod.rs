//! Configuration files.
//!
//! Owns: their keys, and reading them. Never: guesses. A key that this build does not act on is an
//! unknown key, so that nobody believes in a setting without effect.

mod span;
#[cfg(test)]
mod tests;
mod unique;
mod value;

use crate::failure::{Failure, Outcome};
use grotto::store::StoreUrl;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use unique::Unique;
pub(crate) use value::duration;

/// Longest configuration file in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// For commands that publish.
    pub(crate) producer: Option<ProducerSettings>,
    /// For commands that read.
    pub(crate) consumer: Option<ConsumerSettings>,
    /// Where the file lies: relative paths in it start there.
    #[serde(skip)]
    folder: PathBuf,
}

/// Section `producer`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProducerSettings {
    pub(crate) dataset: Option<String>,
    pub(crate) schema: Option<PathBuf>,
    #[serde(default, deserialize_with = "value::store_url")]
    pub(crate) store: Option<StoreUrl>,
    #[serde(default)]
    pub(crate) performance: Performance,
}

/// Section `producer.performance`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Performance {
    /// Versions between snapshots.
    pub(crate) snapshot_frequency: Option<u64>,
    pub(crate) enable_compression: Option<bool>,
    /// Bytes of a delta and its way back that still ride in the log entry.
    #[serde(default, deserialize_with = "value::inline_blobs")]
    pub(crate) inline_blobs: Option<u64>,
    /// Threads that decode and encode.
    #[serde(default, deserialize_with = "value::threads")]
    pub(crate) worker_pool_size: Option<usize>,
}

/// Section `consumer`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsumerSettings {
    pub(crate) dataset: Option<String>,
    #[serde(default, deserialize_with = "value::store_url")]
    pub(crate) store: Option<StoreUrl>,
    pub(crate) state_dir: Option<PathBuf>,
    /// Permission bits of its folders.
    #[serde(default, deserialize_with = "value::mode")]
    pub(crate) state_mode: Option<u32>,
    /// Group that may read it, by name or number.
    #[serde(default, deserialize_with = "value::name_or_number")]
    pub(crate) state_group: Option<String>,
    /// How often to look for a new version.
    #[serde(default, deserialize_with = "value::interval")]
    pub(crate) poll_interval: Option<Duration>,
}

/// What a command does, which decides whose section counts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Publishes: only section `producer` counts.
    Writer,
    /// Reads: section `consumer`, else `producer`.
    Reader,
}

impl Settings {
    /// Reads a file; every complaint names the file and the line.
    pub(crate) fn load(path: &Path) -> Outcome<Self> {
        let text = read_text(path, "configuration", MAX_BYTES)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(&text, folder)
            .map_err(|complaint| Failure::invalid(format!("{}: {complaint}", path.display())))
    }

    fn parse(text: &str, folder: PathBuf) -> Result<Self, String> {
        let _: Option<Unique> = serde_yaml::from_str(text).map_err(|e| span::complaint(&e))?;
        // A file with nothing but comments is a configuration without settings.
        let settings: Option<Self> = serde_yaml::from_str(text).map_err(|e| span::complaint(&e))?;
        Ok(Self {
            folder,
            ..settings.unwrap_or_default()
        })
    }

    /// The store for a role. A relative folder starts where the file lies.
    pub(crate) fn store(&self, role: Role) -> Option<StoreUrl> {
        let own = self.producer.as_ref().and_then(|p| p.store.clone());
        let url = match role {
            Role::Writer => own,
            Role::Reader => self.consumer.as_ref().and_then(|c| c.store.clone()).or(own),
        };
        url.map(|url| match url {
            StoreUrl::Local(path) => StoreUrl::Local(self.folder.join(path)),
            other => other,
        })
    }

    /// The dataset for a role.
    pub(crate) fn dataset(&self, role: Role) -> Option<String> {
        let own = self.producer.as_ref().and_then(|p| p.dataset.clone());
        match role {
            Role::Writer => own,
            Role::Reader => self
                .consumer
                .as_ref()
                .and_then(|c| c.dataset.clone())
                .or(own),
        }
    }

    /// The schema file.
    pub(crate) fn schema(&self) -> Option<PathBuf> {
        let schema = self.producer.as_ref()?.schema.as_ref()?;
        Some(self.folder.join(schema))
    }

    /// The state directory.
    pub(crate) fn state_dir(&self) -> Option<PathBuf> {
        let dir = self.consumer.as_ref()?.state_dir.as_ref()?;
        Some(self.folder.join(dir))
    }

    /// Permission bits of the state directory's folders.
    pub(crate) fn state_mode(&self) -> Option<u32> {
        self.consumer.as_ref()?.state_mode
    }

    /// Group that may read the state directory.
    pub(crate) fn state_group(&self) -> Option<String> {
        self.consumer.as_ref()?.state_group.clone()
    }

    /// How often to look for a new version.
    pub(crate) fn poll_interval(&self) -> Option<Duration> {
        self.consumer.as_ref()?.poll_interval
    }

    /// Section `producer.performance`.
    pub(crate) fn performance(&self) -> Option<&Performance> {
        self.producer.as_ref().map(|producer| &producer.performance)
    }
}

/// Reads a small text file.
pub(crate) fn read_text(path: &Path, what: &str, limit: u64) -> Outcome<String> {
    let action = format!("read {what} {}", path.display());
    let refused = |e: std::io::Error| Failure::io(&action, &e);
    // A device or a pipe has no length to be asked for, and may have no end.
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(refused)?;
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(refused)?;
    if bytes.len() as u64 > limit {
        let message = format!("cannot {action}: expected at most {limit} bytes, found more");
        return Err(Failure::invalid(message));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        Failure::invalid(format!(
            "cannot {action}: line {line}: expected utf-8 text, found other bytes"
        ))
    })
}
