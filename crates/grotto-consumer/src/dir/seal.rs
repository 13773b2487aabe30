//! Segments between being sealed and being published.
//!
//! Owns: writing them, and removing those that no state will use. Never: touches one that a root
//! names.

use super::StateDir;
use crate::dir::files;
use crate::dir::root::SegmentFile;
use crate::dir::sums::Sums;
use grotto_state::{HugeBuffer, Seal, Sealed, SegmentOptions, State};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

impl StateDir {
    /// How much was sealed since the last publication.
    pub(crate) fn mark(&self) -> usize {
        self.sealed.len()
    }

    /// Forgets what was sealed since the last publication, all but the first so many.
    pub(crate) fn roll_back(&mut self, mark: usize) {
        let kept = mark.min(self.sealed.len());
        let gone = self.sealed.split_off(kept);
        self.forget(gone);
    }

    /// Forgets what was sealed since the last publication and is not used by a state any more: a long
    /// way seals for each of its steps what the next ones replace.
    pub(crate) fn thin(&mut self, state: &State) {
        let used: BTreeSet<u64> = state.segments().map(|segment| segment.name()).collect();
        let sealed = std::mem::take(&mut self.sealed).into_iter();
        let (kept, gone) = sealed.partition(|name| used.contains(name));
        self.sealed = kept;
        self.forget(gone);
    }

    fn forget(&mut self, names: Vec<u64>) {
        for name in names {
            self.files.remove(&name);
            self.unlink(&self.paths.segment(name));
        }
    }

    /// Writes a segment file and maps it.
    pub(super) fn seal(&mut self, bytes: impl Into<HugeBuffer>) -> io::Result<Sealed> {
        let bytes = bytes.into();
        self.check_hold().map_err(io::Error::other)?;
        let name = self.next_segment;
        let path = self.paths.segment(name);
        let mapped = files::seal_whole(&*self.system, &path, &bytes);
        let mapped = mapped.map_err(|e| named(&path, &e))?;
        self.next_segment = name.saturating_add(1);
        let (length, sums) = (bytes.len() as u64, Sums::of(&bytes));
        drop(bytes);
        let segment = SegmentFile {
            name,
            length,
            sums,
            identity: mapped.mark.into(),
        };
        self.files.insert(name, segment);
        self.sealed.push(name);
        Ok(Sealed {
            name,
            bytes: mapped.bytes,
        })
    }
}

impl Seal for StateDir {
    fn seal(&mut self, bytes: HugeBuffer) -> io::Result<Sealed> {
        Self::seal(self, bytes)
    }

    fn options(&self) -> SegmentOptions {
        self.options
    }
}

/// The same kind of error with the file in its message.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
