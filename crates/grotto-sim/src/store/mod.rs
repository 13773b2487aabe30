//! A simulated object store: create-if-absent, overwrite, get, list, delete, in virtual time.
//!
//! Owns: the objects, and what of them is damaged for good. Never: knows what an object means; that
//! is for `check`. What an operation suffers on its way is drawn in `weather`, and done in `client`.

mod client;
mod connection;
mod frozen;
mod look;
mod view;
mod weather;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;

pub(crate) use client::Client;
pub(crate) use connection::Connection;
pub(crate) use frozen::Frozen;
pub(crate) use look::Looked;
pub(crate) use weather::Weather;

use crate::dice::Dice;
use crate::sim::BEGAN_MS;

/// How long after a change a stale read or listing may not show it.
const STALE_FOR: Duration = Duration::from_secs(10);

/// One object.
#[derive(Clone, Debug)]
struct Object {
    bytes: Bytes,
    changed_at: Duration,
    /// What it was before the change; `None` if it was not there.
    before: Option<Bytes>,
    /// Whether a crash of the store's host leaves it.
    synced: bool,
}

/// The objects of the store.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    all: BTreeMap<Path, Object>,
}

impl Objects {
    pub(crate) fn get(&self, path: &Path) -> Option<Bytes> {
        self.all.get(path).map(|object| object.bytes.clone())
    }

    /// The object as somebody sees it who does not see the last changes.
    fn get_stale(&self, path: &Path, now: Duration) -> Option<Bytes> {
        let object = self.all.get(path)?;
        if is_recent(object, now) {
            return object.before.clone();
        }
        Some(object.bytes.clone())
    }

    /// When an object was changed last, by the time of the store.
    fn changed_ms(&self, path: &Path) -> u64 {
        let changed = self.all.get(path).map(|object| object.changed_at);
        changed.map_or(0, |at| BEGAN_MS + at.as_millis() as u64)
    }

    fn is_recent(&self, path: &Path, now: Duration) -> bool {
        self.all
            .get(path)
            .is_some_and(|object| is_recent(object, now))
    }

    /// Writes an object; `false` if it was to be created and is there.
    pub(crate) fn put(&mut self, path: &Path, bytes: Bytes, create: bool, now: Duration) -> bool {
        let before = self.get(path);
        if create && before.is_some() {
            return false;
        }
        let object = Object {
            bytes,
            changed_at: now,
            before,
            synced: true,
        };
        self.all.insert(path.clone(), object);
        true
    }

    pub(crate) fn remove(&mut self, path: &Path) -> bool {
        self.all.remove(path).is_some()
    }

    /// Removes all objects whose paths begin with `prefix`.
    pub(crate) fn clear(&mut self, prefix: &str) {
        self.all
            .retain(|path, _| !path.as_ref().starts_with(prefix));
    }

    /// Flips a bit for good.
    pub(crate) fn damage(&mut self, path: &Path, at: u64) {
        if let Some(object) = self.all.get_mut(path) {
            object.bytes = flipped(&object.bytes, at);
        }
    }

    /// The change of an object can be seen, and a crash of the host undoes it.
    fn doubt(&mut self, path: &Path) {
        if let Some(object) = self.all.get_mut(path) {
            object.synced = false;
        }
    }

    /// What can be seen in a folder survives a crash from now on.
    fn sync(&mut self, folder: &str) {
        let all = self.all.iter_mut();
        let here = all.filter(|(path, _)| path.as_ref().starts_with(folder));
        here.for_each(|(_, object)| object.synced = true);
    }

    /// The host goes down: changes that were not synced are undone, unless they got to the disk by
    /// themselves. Returns the paths of those undone.
    pub(crate) fn crash(&mut self, dice: &Dice) -> Vec<Path> {
        let doubtful = self.all.iter_mut().filter(|(_, object)| !object.synced);
        let mut undone = Vec::new();
        for (path, object) in doubtful {
            object.synced = true;
            if dice.chance(800) {
                undone.push((path.clone(), object.before.clone()));
            }
        }
        for (path, before) in &undone {
            match (before, self.all.get_mut(path)) {
                (Some(before), Some(object)) => object.bytes = before.clone(),
                _ => _ = self.all.remove(path),
            }
        }
        undone.into_iter().map(|(path, _)| path).collect()
    }

    /// The paths below a prefix, in order, with their lengths.
    pub(crate) fn list(&self, prefix: &str) -> Vec<(Path, u64)> {
        let first = Path::from(prefix);
        // In order of their text, as paths are compared: those with the prefix are neighbours.
        let below = self.all.range(first..);
        below
            .skip_while(|(path, _)| !path.as_ref().starts_with(prefix))
            .take_while(|(path, _)| path.as_ref().starts_with(prefix))
            .map(|(path, object)| (path.clone(), object.bytes.len() as u64))
            .collect()
    }
}

fn is_recent(object: &Object, now: Duration) -> bool {
    now.saturating_sub(object.changed_at) < STALE_FOR
}

/// The bytes with one bit changed.
pub(crate) fn flipped(bytes: &Bytes, at: u64) -> Bytes {
    let mut bytes = bytes.to_vec();
    if !bytes.is_empty() {
        let at = (at % (bytes.len() as u64 * 8)) as usize;
        bytes[at / 8] ^= 1 << (at % 8);
    }
    bytes.into()
}
