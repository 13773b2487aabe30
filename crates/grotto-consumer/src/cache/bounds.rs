//! What is in the folder, as far as it is known.
//!
//! Owns: which blob goes first. Never: touches a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Blobs by name, and by when they were used last.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// Length, and when it was used, in milliseconds since 1970.
    known: BTreeMap<PathBuf, (u64, u64)>,
    by_use: BTreeSet<(u64, PathBuf)>,
    bytes: u64,
    added: u32,
}

impl Bounds {
    /// Forgets everything: the folder is looked at anew.
    pub(super) fn begin(&mut self) {
        *self = Self::default();
    }

    /// A blob is there and was used then.
    pub(super) fn add(&mut self, path: PathBuf, length: u64, used_ms: u64) {
        self.forget(&path);
        self.by_use.insert((used_ms, path.clone()));
        self.known.insert(path, (length, used_ms));
        self.bytes = self.bytes.saturating_add(length);
        self.added = self.added.saturating_add(1);
    }

    pub(super) fn forget(&mut self, path: &Path) {
        if let Some((length, used_ms)) = self.known.remove(path) {
            self.by_use.remove(&(used_ms, path.to_owned()));
            self.bytes = self.bytes.saturating_sub(length);
        }
    }

    /// One that is to go, which is forgotten: that which was not used for longest, if it was used before
    /// `oldest_ms` or all are more than `most` bytes.
    pub(super) fn surplus(&mut self, most: u64, oldest_ms: u64) -> Option<PathBuf> {
        let (used_ms, path) = self.by_use.first().cloned()?;
        let goes = self.bytes > most || used_ms < oldest_ms;
        goes.then(|| {
            self.forget(&path);
            path
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All that is there is known.
    pub(super) fn end(&mut self) {
        self.added = 0;
    }

    /// Whether so many were added since all that is there was known: others may have added as many.
    pub(super) fn is_sweep_due(&self, every: u32) -> bool {
        self.added >= every
    }
}
