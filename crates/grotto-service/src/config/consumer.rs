//! Section `consumer`: keys of those who read a dataset.
//!
//! Owns: their names. Never: acts on one.

use super::section::{Key, Section, Shown};
use super::value;
use grotto::StoreUrl;
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Section `consumer`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsumerSection {
    /// Name of the dataset.
    #[serde(deserialize_with = "value::name")]
    pub dataset: Option<String>,
    /// Where its versions are.
    #[serde(deserialize_with = "value::store_url")]
    pub store: Option<StoreUrl>,
    /// Where its state is kept on this host.
    #[serde(deserialize_with = "value::some_path")]
    pub state_dir: Option<PathBuf>,
    /// Permission bits of its folders.
    #[serde(deserialize_with = "value::mode")]
    pub state_mode: Option<u32>,
    /// Group that may read it, by name or number.
    #[serde(deserialize_with = "value::name")]
    pub state_group: Option<String>,
    /// How often to look for a new version.
    #[serde(deserialize_with = "value::some_duration")]
    pub poll_interval: Option<Duration>,
}

impl Section for ConsumerSection {
    fn keys(&self, at: &str, keys: &mut Vec<Key>) {
        let mode = self.state_mode.map(|mode| format!("{mode:03o}"));
        let values: [(&str, Value); 6] = [
            ("dataset", self.dataset.shown()),
            ("store", self.store.shown()),
            ("state_dir", self.state_dir.shown()),
            ("state_mode", mode.shown()),
            ("state_group", self.state_group.shown()),
            ("poll_interval", self.poll_interval.shown()),
        ];
        keys.extend(values.map(|(name, value)| Key {
            path: format!("{at}.{name}"),
            value,
            live: false,
        }));
    }
}
