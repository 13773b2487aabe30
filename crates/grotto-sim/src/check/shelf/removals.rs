//! What of the dataset may be removed, and what must be.
//!
//! Owns: that nothing goes which the log names past the boundary, and that nothing stays which is of no use. Never:
//! removes anything.

use std::time::Duration;

use grotto_format::log::BlobKind;
use object_store::path::Path;

use super::{Shelf, object, pointer, version};

impl Shelf {
    /// Something is removed.
    ///
    /// # Errors
    /// When it must not be.
    pub(crate) fn removed(&mut self, path: &Path, now: Duration) -> Result<(), String> {
        let Some((folder, name)) = object(path) else {
            return Ok(());
        };
        if let Some(pointer) = pointer(folder, name) {
            self.points(&pointer, None, now);
        }
        let Some(version) = version(name) else {
            if folder == "consumers" {
                self.leases.remove(name.trim_end_matches(".json"));
            }
            return Ok(());
        };
        if folder == "collected" {
            // Lower rows say nothing.
            return match version < self.collected {
                true => Ok(()),
                false => Err(format!("the row of boundary {version} is removed")),
            };
        }
        let named = match folder {
            "delta" | "reverse" => self.names(version, name),
            "snapshot" => self.is_snapshot(version, name),
            "log" | "snapshots" => true,
            _ => return Ok(()),
        };
        if folder == "snapshots" {
            self.announced.remove(&version);
        }
        match named && version > self.collected {
            true => Err(format!(
                "{path} is removed, and collected is {}",
                self.collected
            )),
            false => Ok(()),
        }
    }

    /// Whether a blob is a snapshot that somebody may load.
    fn is_snapshot(&self, version: u64, name: &str) -> bool {
        let later = self.versions.range(self.collected + 1..);
        let named = later.filter_map(|(_, stored)| stored.entry.snapshot.as_ref());
        let mut named = named.map(|snapshot| &snapshot.blob.name);
        let announced = self.announced.get(&version);
        named.any(|blob| blob.ends_with(name)) || announced.is_some_and(|b| b.ends_with(name))
    }

    /// Whether the entry of a version names a blob.
    fn names(&self, version: u64, name: &str) -> bool {
        let entry = self.versions.get(&version).map(|stored| &stored.entry);
        let Some((entry, blobs)) = entry.and_then(|e| Some((e, e.blobs.as_ref()?))) else {
            return false;
        };
        let of = |kind| blobs.nonce().name(kind, version, entry.epoch);
        [BlobKind::Delta, BlobKind::Reverse]
            .into_iter()
            .any(|kind| of(kind).ends_with(name))
    }

    /// What of the objects in the store should not be there once everything up to `boundary` was collected.
    pub(crate) fn surplus(&self, objects: &[Path], boundary: u64) -> Vec<String> {
        let mut surplus = Vec::new();
        if self.collected < boundary {
            let collected = self.collected;
            surplus.push(format!(
                "collected is {collected}, expected {boundary} at least"
            ));
        }
        for path in objects {
            let Some((folder, name)) = object(path) else {
                continue;
            };
            let is_known = match (folder, version(name)) {
                ("collected" | "consumers" | "control/channels", _) => true,
                ("control", _) => !name.starts_with("probe-"),
                ("delta" | "reverse", Some(version)) => {
                    version > self.collected && self.names(version, name)
                }
                (_, Some(version)) => version > self.collected,
                (_, None) => false,
            };
            if !is_known {
                surplus.push(format!("{path} is of no use, and stays"));
            }
        }
        surplus
    }
}
