//! The configuration of a daemon that runs.
//!
//! Owns: where it comes from, what an operator changed since, and taking over a new one whole or not at all.
//! Never: acts on it itself.

use crate::config::{Change, Environment, Settings, changes, read_text, variable};
use grotto::{Error, Result};
use parking_lot::Mutex;
use serde_json::Value;
use std::path::PathBuf;

/// Longest configuration file in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) path: PathBuf,
    pub(crate) environment: Environment,
}

/// The configuration in force.
#[derive(Debug)]
pub(crate) struct Live {
    /// The section that this daemon obeys.
    section: &'static str,
    origin: Origin,
    present: Mutex<Present>,
}

#[derive(Debug)]
struct Present {
    settings: Settings,
    /// Text that the settings were read from: what an operator changes is laid over it.
    text: String,
    /// Keys that an operator changed since, as variables.
    changed: Environment,
}

impl Live {
    /// Reads the configuration.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub(crate) fn load(section: &'static str, origin: Origin) -> Result<Self> {
        let text = read_text(&origin.path, "configuration", MAX_BYTES)?;
        let settings = parse(&origin, &text, &origin.environment)?;
        Ok(Self {
            section,
            origin,
            present: Mutex::new(Present {
                settings,
                text,
                changed: Environment::new(),
            }),
        })
    }

    /// The settings in force.
    pub(crate) fn settings(&self) -> Settings {
        self.present.lock().settings.clone()
    }

    /// Reads the file again; what an operator changed since is forgotten. What changed, once `apply` has taken the new
    /// settings over.
    ///
    /// # Errors
    /// When the file is wrong, or keys changed that need a restart; nothing changes then.
    pub(crate) fn reload(
        &self,
        apply: impl FnOnce(&Settings) -> Result<()>,
    ) -> Result<Vec<Change>> {
        let mut present = self.present.lock();
        let text = read_text(&self.origin.path, "configuration", MAX_BYTES)?;
        let settings = parse(&self.origin, &text, &self.origin.environment)?;
        let next = Present {
            settings,
            text,
            changed: Environment::new(),
        };
        present.give_way(self.section, next, apply)
    }

    /// Changes keys, such as `producer.batching.max_batch_size`, until the next reload.
    ///
    /// # Errors
    /// When a key is unknown, a value is wrong, or a key needs a restart; nothing changes then.
    pub(crate) fn change(
        &self,
        keys: &serde_json::Map<String, Value>,
        apply: impl FnOnce(&Settings) -> Result<()>,
    ) -> Result<Vec<Change>> {
        // Two changes at once: the second one goes on from the first.
        let mut present = self.present.lock();
        let (text, mut changed) = (present.text.clone(), present.changed.clone());
        for (path, value) in keys {
            let variable = variable(path).ok_or_else(|| {
                Error::invalid(format!(
                    "{path}: expected the path of a setting, such as producer.batching.max_batch_size"
                ))
            })?;
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            changed.insert(variable, text);
        }
        let mut environment = self.origin.environment.clone();
        environment.extend(changed.clone());
        let settings = parse(&self.origin, &text, &environment)?;
        let next = Present {
            settings,
            text,
            changed,
        };
        present.give_way(self.section, next, apply)
    }
}

impl Present {
    /// Takes over what comes next, if nothing of it needs a restart and `apply` takes it.
    fn give_way(
        &mut self,
        section: &str,
        next: Self,
        apply: impl FnOnce(&Settings) -> Result<()>,
    ) -> Result<Vec<Change>> {
        let changes = changes(section, &self.settings, &next.settings)?;
        apply(&next.settings)?;
        *self = next;
        Ok(changes)
    }
}

fn parse(origin: &Origin, text: &str, environment: &Environment) -> Result<Settings> {
    let folder = origin.path.parent().unwrap_or(std::path::Path::new(""));
    Settings::parse(text, folder, environment)
        .map_err(|complaint| Error::invalid(format!("{}: {complaint}", origin.path.display())))
}

/// Logs what changed.
pub(crate) fn tell_changes(changes: &[Change]) {
    for Change { path, from, to } in changes {
        tracing::info!(key = path, %from, %to, "setting changed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(live: &Live, key: &str, value: u64) {
        let keys = json!({ key: value });
        live.change(keys.as_object().unwrap(), |_| Ok(())).unwrap();
    }

    fn value(live: &Live, path: &str) -> Value {
        let keys = live.settings().keys();
        let key = keys.into_iter().find(|key| key.path == path);
        key.unwrap().value
    }

    #[test]
    fn changes_that_come_at_once_lose_nothing_of_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        std::fs::write(&path, "producer:\n  dataset: items\n").unwrap();
        let environment = Environment::new();
        let live = Live::load("producer", Origin { path, environment }).unwrap();
        let all = [
            "producer.batching.max_batch_size",
            "producer.batching.memory_pressure_threshold",
        ];
        std::thread::scope(|scope| {
            for key in all {
                let live = &live;
                scope.spawn(move || {
                    for size in 1..300 {
                        change(live, key, size);
                        assert_eq!(value(live, key), size, "{key}");
                    }
                });
            }
        });
    }
}
