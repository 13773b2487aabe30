//! What is in the folder, as far as it is known.
//!
//! Owns: which blob goes first. Never: touches a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A blob that is there.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) path: PathBuf,
    pub(super) length: u64,
    /// When it was used, in milliseconds since 1970.
    pub(super) used_ms: u64,
}

/// Blobs by name, and by when they were used last.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// Length, and when it was used.
    known: BTreeMap<PathBuf, (u64, u64)>,
    by_use: BTreeSet<(u64, PathBuf)>,
    bytes: u64,
    added: u32,
    /// What came and went since a look at the folder began; `None` while nobody looks.
    meanwhile: Option<Vec<Move>>,
}

#[derive(Debug)]
enum Move {
    Came(Known),
    Went(PathBuf),
}

impl Bounds {
    /// The folder is being looked at from now on; `false` if somebody is at it already.
    pub(super) fn begin(&mut self) -> bool {
        let begins = self.meanwhile.is_none();
        if begins {
            self.meanwhile = Some(Vec::new());
        }
        begins
    }

    /// The look showed nothing: what was known stays.
    pub(super) fn give_up(&mut self) {
        self.meanwhile = None;
    }

    /// What the look showed is there, but for what came and went since it began.
    pub(super) fn end(&mut self, found: Vec<Known>) {
        let meanwhile = self.meanwhile.take().unwrap_or_default();
        *self = Self::default();
        for blob in found {
            self.add(blob);
        }
        for change in meanwhile {
            match change {
                Move::Came(blob) => self.add(blob),
                Move::Went(path) => self.forget(&path),
            }
        }
        self.added = 0;
    }

    /// A blob is there.
    pub(super) fn add(&mut self, blob: Known) {
        self.take_out(&blob.path);
        self.note(|| Move::Came(blob.clone()));
        let Known {
            path,
            length,
            used_ms,
        } = blob;
        self.by_use.insert((used_ms, path.clone()));
        self.known.insert(path, (length, used_ms));
        self.bytes = self.bytes.saturating_add(length);
        self.added = self.added.saturating_add(1);
    }

    /// A blob is not there any more.
    pub(super) fn forget(&mut self, path: &Path) {
        self.take_out(path);
        self.note(|| Move::Went(path.to_owned()));
    }

    fn take_out(&mut self, path: &Path) {
        if let Some((length, used_ms)) = self.known.remove(path) {
            self.by_use.remove(&(used_ms, path.to_owned()));
            self.bytes = self.bytes.saturating_sub(length);
        }
    }

    fn note(&mut self, change: impl FnOnce() -> Move) {
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.push(change());
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

    /// Whether so many were added since all that is there was known: others may have added as many.
    pub(super) fn is_sweep_due(&self, every: u32) -> bool {
        self.added >= every
    }
}
