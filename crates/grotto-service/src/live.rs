//! The configuration of a daemon that runs.
//!
//! Owns: where it comes from, what an operator changed since, and taking over a new one whole or not at all.
//! Never: acts on it itself.

use crate::config::{Change, Environment, Key, Settings, changes, read_text, variable};
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
    /// How often the file was read again.
    reloads: u64,
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
                reloads: 0,
            }),
        })
    }

    /// The settings in force.
    pub(crate) fn settings(&self) -> Settings {
        self.present.lock().settings.clone()
    }

    /// The keys of the section that this daemon obeys, as they are in force.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let mut keys = self.settings().keys();
        keys.retain(|key| key.path.split('.').next() == Some(self.section));
        keys
    }

    /// Reads the file again; what an operator changed since is forgotten. What changed, once `apply` has taken the new
    /// settings over. `prepare` reads whatever else they name. Waits for the disk.
    ///
    /// # Errors
    /// When the file is wrong, or keys changed that need a restart; nothing changes then.
    pub(crate) fn reload<T>(
        &self,
        mut prepare: impl FnMut(&Settings) -> Result<T>,
        apply: impl FnOnce(&Settings, T) -> Result<()>,
    ) -> Result<Vec<Change>> {
        loop {
            let reloads = self.present.lock().reloads;
            // Without the lock, for which every request waits that asks for a setting.
            let text = read_text(&self.origin.path, "configuration", MAX_BYTES)?;
            let settings = parse(&self.origin, &text, &self.origin.environment)?;
            let prepared = prepare(&settings)?;
            let mut present = self.present.lock();
            if present.reloads != reloads {
                // Another one came first, and may have read a newer file.
                continue;
            }
            let next = Present {
                settings,
                text,
                changed: Environment::new(),
                reloads: reloads + 1,
            };
            return present.give_way(self.section, next, |settings| apply(settings, prepared));
        }
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
            reloads: present.reloads,
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

    /// The file is a pipe, so that it is known when it is being read.
    #[cfg(unix)]
    #[test]
    fn settings_are_told_while_the_file_is_read_again() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        let text = "producer:\n  dataset: items\n";
        std::fs::write(&path, text).unwrap();
        let origin = Origin {
            path: path.clone(),
            environment: Environment::new(),
        };
        let live = Live::load("producer", origin).unwrap();
        std::fs::remove_file(&path).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let is_free = |_: &Settings| Ok(live.present.try_lock().is_some());
                live.reload(is_free, |_, was_free| {
                    assert!(was_free, "while the token is read");
                    Ok(())
                })
            });
            // Opens once the other side has.
            let file = std::fs::OpenOptions::new().write(true).open(&path);
            let was_free = live.present.try_lock().is_some();
            std::io::Write::write_all(&mut file.unwrap(), text.as_bytes()).unwrap();
            assert_eq!(reading.join().unwrap().unwrap(), []);
            assert!(was_free);
        });
    }

    #[test]
    fn a_reload_that_another_one_overtook_reads_the_file_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.yaml");
        let write = |size: u64| {
            let text = format!("producer:\n  dataset: a\n  batching: {{max_batch_size: {size}}}\n");
            std::fs::write(&path, text).unwrap();
        };
        write(1);
        let origin = Origin {
            path: path.clone(),
            environment: Environment::new(),
        };
        let live = Live::load("producer", origin).unwrap();
        write(2);
        let mut overtaken = false;
        let overtake = |_: &Settings| {
            if !std::mem::replace(&mut overtaken, true) {
                write(3);
                live.reload(|_| Ok(()), |_, ()| Ok(()))?;
            }
            Ok(())
        };
        live.reload(overtake, |_, ()| Ok(())).unwrap();
        assert_eq!(value(&live, "producer.batching.max_batch_size"), 3);
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
