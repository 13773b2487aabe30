//! How far ahead the threads of a load may be, and what they know of each other.
//!
//! Owns: the layouts of the type so far, and the wait for a chunk that others are behind. Without it
//! one slow chunk would have all others pile up behind it, each with layouts of its own, and a type
//! has room for only so many. Never builds a chunk.

use crate::layout::Layout;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

pub(super) struct Order {
    progress: Mutex<Progress>,
    moved: Condvar,
    /// Chunks that may be begun from the first one on that is not in the tables.
    ahead: usize,
}

struct Progress {
    /// Chunks before this one may be begun.
    open: usize,
    /// Layouts of the type so far, for the chunks to come.
    layouts: Arc<Vec<Layout>>,
}

/// Lets everybody go on when it is dropped: whoever held it ended, maybe too early, and must not be
/// waited for.
pub(super) struct Leaving<'a>(&'a Order);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.progress().open = usize::MAX;
        self.0.moved.notify_all();
    }
}

impl Order {
    pub(super) fn new(ahead: usize, layouts: &[Layout]) -> Self {
        let layouts = Arc::new(layouts.to_vec());
        Self {
            progress: Mutex::new(Progress {
                open: ahead,
                layouts,
            }),
            moved: Condvar::new(),
            ahead,
        }
    }

    /// To be held by everyone who takes part.
    pub(super) fn take_part(&self) -> Leaving<'_> {
        Leaving(self)
    }

    /// Waits until a chunk may be begun; gives the layouts of the type so far.
    pub(super) fn begin(&self, chunk: usize) -> Arc<Vec<Layout>> {
        let mut progress = self.progress();
        while chunk >= progress.open {
            let moved = self.moved.wait(progress);
            progress = moved.unwrap_or_else(PoisonError::into_inner);
        }
        Arc::clone(&progress.layouts)
    }

    /// Takes note that all chunks before `next` are in the tables, and of the layouts they brought.
    pub(super) fn passed(&self, next: usize, layouts: &[Layout]) {
        let mut progress = self.progress();
        if layouts.len() > progress.layouts.len() {
            progress.layouts = Arc::new(layouts.to_vec());
        }
        progress.open = progress.open.max(next + self.ahead);
        self.moved.notify_all();
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Nothing can go wrong while it is held, so what a panicking thread left behind is whole.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    /// Chunk numbers that a thread of its own has begun.
    fn begin_all<'s>(
        scope: &'s std::thread::Scope<'s, '_>,
        order: &'s Order,
    ) -> mpsc::Receiver<usize> {
        let (begun, seen) = mpsc::channel();
        scope.spawn(move || {
            for chunk in 0..8 {
                order.begin(chunk);
                let _ = begun.send(chunk);
            }
        });
        seen
    }

    #[test]
    fn no_chunk_is_begun_far_ahead_of_the_first_that_is_missing() {
        let order = Order::new(3, &[]);
        std::thread::scope(|scope| {
            let _part = order.take_part();
            let seen = begin_all(scope, &order);
            assert_eq!(seen.iter().take(3).collect::<Vec<_>>(), [0, 1, 2]);
            let early = seen.recv_timeout(Duration::from_millis(20));
            assert!(early.is_err(), "{early:?}");
            order.passed(2, &[]);
            assert_eq!(seen.iter().take(2).collect::<Vec<_>>(), [3, 4]);
            let early = seen.recv_timeout(Duration::from_millis(20));
            assert!(early.is_err(), "{early:?}");
        });
    }

    #[test]
    fn nobody_waits_for_who_left() {
        let order = Order::new(1, &[]);
        std::thread::scope(|scope| {
            let seen = begin_all(scope, &order);
            drop(order.take_part());
            assert_eq!(seen.iter().count(), 8);
        });
        order.passed(1, &[]);
        order.begin(100);
    }
}
