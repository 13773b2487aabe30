//! What may change while a daemon runs.
//!
//! Owns: comparing two configurations. Never: changes anything.

use super::Settings;
use super::section::Key;
use grotto::{Error, Result};
use serde_json::Value;
use std::collections::BTreeMap;

/// A key whose value is another one than before.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The key.
    pub path: String,
    /// What it was; null for nothing.
    pub from: Value,
    /// What it is to be; null for nothing.
    pub to: Value,
}

/// What changes in a section from one configuration to another. Other sections are not this daemon's.
///
/// # Errors
/// `Invalid` when keys change that need a restart: all of them are named.
pub fn changes(section: &str, old: &Settings, new: &Settings) -> Result<Vec<Change>> {
    let (old, new) = (keys(section, old), keys(section, new));
    let (mut changes, mut refused) = (Vec::new(), Vec::new());
    let paths: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for path in paths {
        let (before, after) = (old.get(path), new.get(path));
        let value = |key: Option<&Key>| key.map_or(Value::Null, |key| key.value.clone());
        let (from, to) = (value(before), value(after));
        if from == to {
            continue;
        }
        if !before.or(after).is_some_and(|key| key.live) {
            refused.push(format!("{path} (from {from} to {to})"));
        }
        changes.push(Change {
            path: path.clone(),
            from,
            to,
        });
    }
    if refused.is_empty() {
        return Ok(changes);
    }
    Err(Error::invalid(format!(
        "nothing was changed: a restart is needed to change {}",
        refused.join(", ")
    )))
}

fn keys(section: &str, settings: &Settings) -> BTreeMap<String, Key> {
    let keys = settings.keys().into_iter();
    let keys = keys.filter(|key| key.path.split('.').next() == Some(section));
    keys.map(|key| (key.path.clone(), key)).collect()
}
