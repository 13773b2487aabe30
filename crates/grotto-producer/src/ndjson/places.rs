//! Places for chunks between reading and taking.
//!
//! Owns: the bound on chunks under way. Never: the chunks.

use crossbeam_channel::{Receiver, Sender, bounded};

/// How many chunks may be read and not yet taken: one that takes long to decode must not have all
/// others pile up behind it.
pub(super) struct Places {
    taken: Sender<()>,
    given_back: Receiver<()>,
}

/// One of them, given back when it is dropped.
pub(super) struct Place(Receiver<()>);

impl Places {
    pub(super) fn new(count: usize) -> Self {
        let (taken, given_back) = bounded(count);
        Self { taken, given_back }
    }

    /// Waits for a place.
    pub(super) fn take(&self) -> Place {
        // Never closed: this is the other end, too.
        let _ = self.taken.send(());
        Place(self.given_back.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.0.try_recv();
    }
}
