//! Where a consumer keeps its segments: a state directory, or the heap.
//!
//! Owns: the difference between the two. Never: knows how a state came about.

use crate::dir::{Soundness, StateDir};
use crate::error::Result;
use crate::shared::{Shared, blocking};
use crate::target::was_written;
use grotto_env::FileSystem;
use grotto_state::{HeapSeal, HugeBuffer, Seal, Sealed, SegmentOptions, State};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where segments go.
#[derive(Debug)]
pub(crate) enum Place {
    /// Memory of this process, gone when it ends.
    Heap(HeapSeal),
    /// Files that other processes map and the next start finds.
    Dir(Box<StateDir>),
}

impl Place {
    /// Gives the place up for others to take.
    pub(crate) fn leave(&mut self) {
        *self = Self::Heap(HeapSeal::default());
    }

    /// The folder that others map, and its file system; `None` on the heap.
    pub(crate) fn folder(&self) -> Option<(Arc<dyn FileSystem>, PathBuf)> {
        match self {
            Self::Heap(_) => None,
            Self::Dir(dir) => Some(dir.folder()),
        }
    }

    /// Makes a state the one that others see.
    pub(crate) fn publish(&mut self, state: &State, dataset_id: &str) -> Result<()> {
        match self {
            Self::Heap(_) => Ok(()),
            Self::Dir(dir) => dir.publish(state, dataset_id),
        }
    }

    /// Tells other processes that what is served is the newest, as of now.
    pub(crate) fn note_fresh(&mut self, now: Duration, wall_ms: u64) {
        if let Self::Dir(dir) = self {
            dir.note_fresh(now, wall_ms);
        }
    }

    /// Whether states are kept where others look for them.
    pub(crate) fn is_held(&self) -> Result<bool> {
        match self {
            Self::Heap(_) => Ok(true),
            Self::Dir(dir) => dir.is_held(),
        }
    }

    /// Makes sure that states are kept where others look for them; `false` if none is there any more.
    ///
    /// # Errors
    /// When another process has taken the place over.
    pub(crate) fn keep_hold(&mut self) -> Result<bool> {
        match self {
            Self::Heap(_) => Ok(true),
            Self::Dir(dir) => dir.keep_hold(),
        }
    }

    /// Whether the files of what others see are what they were when they were sealed.
    pub(crate) fn check_files(&mut self, served: &State) -> Result<Soundness> {
        match self {
            Self::Heap(_) => Ok(Soundness::Same),
            Self::Dir(dir) => dir.check_files(served),
        }
    }

    /// Drops what others see: it is damaged.
    pub(crate) fn discard(&mut self) {
        if let Self::Dir(dir) = self {
            dir.discard();
        }
    }

    /// Whether others find here what is served.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Dir(_))
    }

    /// Compares a part of a segment's bytes with what was sealed; tells how many bytes that were, none past
    /// its end.
    ///
    /// # Errors
    /// Says which bytes of which file are not what they were.
    pub(crate) fn check_part(
        &self,
        segment: u64,
        bytes: &[u8],
        part: usize,
    ) -> std::result::Result<Option<u64>, String> {
        match self {
            Self::Heap(_) => Ok(None),
            Self::Dir(dir) => dir.check_part(segment, bytes, part),
        }
    }

    /// Compares the bytes of a state with those that were sealed: files can be damaged under their
    /// maps, which nobody notices before the next boot.
    ///
    /// # Errors
    /// Names the segment that is not what it was.
    pub(crate) fn check(&self, state: &State) -> Result<()> {
        match self {
            Self::Heap(_) => Ok(()),
            Self::Dir(dir) => dir.check(state),
        }
    }

    /// How much was sealed since the last publication.
    pub(crate) fn mark(&self) -> usize {
        match self {
            Self::Heap(_) => 0,
            Self::Dir(dir) => dir.mark(),
        }
    }

    /// Forgets what was sealed since the last publication, all but the first so many.
    pub(crate) fn roll_back(&mut self, mark: usize) {
        if let Self::Dir(dir) = self {
            dir.roll_back(mark);
        }
    }

    /// Forgets what was sealed since the last publication and is not used by a state any more.
    pub(crate) fn thin(&mut self, state: &State) {
        if let Self::Dir(dir) = self {
            dir.thin(state);
        }
    }

    /// Makes room after a write failed.
    pub(crate) fn reclaim(&mut self) {
        if let Self::Dir(dir) = self {
            dir.reclaim();
        }
    }
}

impl Seal for Place {
    fn seal(&mut self, bytes: HugeBuffer) -> io::Result<Sealed> {
        match self {
            Self::Heap(heap) => heap.seal(bytes),
            Self::Dir(dir) => dir.seal(bytes),
        }
    }

    fn options(&self) -> SegmentOptions {
        match self {
            Self::Heap(heap) => heap.options(),
            Self::Dir(dir) => dir.options(),
        }
    }
}

impl Shared {
    /// Has the state loaded afresh into a state directory that was removed.
    pub(crate) async fn keep_place(self: &Arc<Self>) -> Result<()> {
        if self.keeper().place.is_held()? {
            return Ok(());
        }
        let shared = Arc::clone(self);
        let kept = blocking(&self.env, move || shared.keeper().place.keep_hold()).await??;
        if !kept && was_written(&self.served()) {
            self.distrust();
        }
        Ok(())
    }
}
