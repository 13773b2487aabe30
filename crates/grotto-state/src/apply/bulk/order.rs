//! How far ahead the threads of a load may be, and what they know of each other.
//!
//! Owns: the layouts of the type so far, the wait for a chunk that others are behind, and the memory that
//! they share. Without the wait one slow chunk would have all others pile up behind it, each with layouts
//! of its own, and a type has room for only so many. Never builds a chunk.
//!
//! **Invariant:** the first chunk that is not in the tables waits for nothing, so there is always one that
//! goes on; all others together hold no more than the memory there is.

use crate::layout::Layout;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

pub(super) struct Order {
    progress: Mutex<Progress>,
    moved: Condvar,
    /// Chunks that may be begun from the first one on that is not in the tables.
    ahead: usize,
    /// Bytes of memory that all chunks but the first one share.
    memory: u64,
}

struct Progress {
    /// Chunks before this one may be begun.
    open: usize,
    /// The first chunk that is not in the tables.
    first: usize,
    /// Bytes of memory that are taken.
    taken: u64,
    /// Layouts of the type so far, for the chunks to come.
    layouts: Arc<Vec<Layout>>,
}

/// Lets everybody go on when it is dropped: whoever held it ended too early, and must not be waited for.
pub(super) struct Leaving<'a> {
    order: &'a Order,
    done: bool,
}

impl Leaving<'_> {
    /// Leaves with nothing left to do: nobody waits for more than what was done.
    pub(super) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.order.progress().open = usize::MAX;
            self.order.moved.notify_all();
        }
    }
}

impl Order {
    pub(super) fn new(ahead: usize, memory: u64, layouts: &[Layout]) -> Self {
        let layouts = Arc::new(layouts.to_vec());
        Self {
            progress: Mutex::new(Progress {
                open: ahead,
                first: 0,
                taken: 0,
                layouts,
            }),
            moved: Condvar::new(),
            ahead,
            memory,
        }
    }

    /// To be held by everyone who takes part.
    pub(super) fn take_part(&self) -> Leaving<'_> {
        Leaving {
            order: self,
            done: false,
        }
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
        progress.first = next;
        self.moved.notify_all();
    }

    /// Waits until there is memory for a chunk that needs so many bytes in all and holds `held` of them.
    pub(super) fn reserve(&self, chunk: usize, held: &mut u64, needed: u64) {
        let more = needed.saturating_sub(*held);
        if more == 0 {
            return;
        }
        let mut progress = self.progress();
        while progress.taken.saturating_add(more) > self.memory
            && chunk > progress.first
            && progress.open != usize::MAX
        {
            let moved = self.moved.wait(progress);
            progress = moved.unwrap_or_else(PoisonError::into_inner);
        }
        progress.taken = progress.taken.saturating_add(more);
        *held += more;
    }

    /// Gives memory back, but for what is kept for the next chunk.
    pub(super) fn keep(&self, held: &mut u64, kept: u64) {
        let mut progress = self.progress();
        progress.taken = progress.taken.saturating_sub(*held).saturating_add(kept);
        *held = kept;
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
        let order = Order::new(3, 0, &[]);
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
        let order = Order::new(1, 0, &[]);
        std::thread::scope(|scope| {
            let seen = begin_all(scope, &order);
            drop(order.take_part());
            assert_eq!(seen.iter().count(), 8);
        });
        order.passed(1, &[]);
        order.begin(100);
    }

    #[test]
    fn a_chunk_waits_for_memory_unless_it_is_the_first() {
        let order = Order::new(9, 100, &[]);
        std::thread::scope(|scope| {
            let _part = order.take_part();
            let (done, seen) = mpsc::channel();
            let (mut first, mut second) = (0, 0);
            order.reserve(1, &mut second, 60);
            // More than there is, and in steps.
            order.reserve(0, &mut first, 90);
            order.reserve(0, &mut first, 900);
            assert_eq!((first, second), (900, 60));
            for chunk in [2, 1] {
                let (order, done) = (&order, done.clone());
                scope.spawn(move || {
                    let mut held = if chunk == 1 { 60 } else { 0 };
                    order.reserve(chunk, &mut held, 70);
                    let _ = done.send((chunk, held));
                });
            }
            let early = seen.recv_timeout(Duration::from_millis(20));
            assert!(early.is_err(), "{early:?}");
            // Now chunk 1 is the first.
            order.passed(1, &[]);
            assert_eq!(seen.recv(), Ok((1, 70)));
            let early = seen.recv_timeout(Duration::from_millis(20));
            assert!(early.is_err(), "{early:?}");
            order.keep(&mut first, 0);
            assert_eq!(
                seen.recv_timeout(Duration::from_millis(20)),
                Err(mpsc::RecvTimeoutError::Timeout)
            );
            order.keep(&mut second, 10);
            assert_eq!(seen.recv(), Ok((2, 70)));
        });
    }

    #[test]
    fn who_has_nothing_left_to_do_frees_no_memory_of_others() {
        let order = Order::new(9, 10, &[]);
        let mut held = 0;
        order.reserve(1, &mut held, 10);
        order.take_part().done();
        std::thread::scope(|scope| {
            let (done, seen) = mpsc::channel();
            let order = &order;
            scope.spawn(move || {
                order.reserve(2, &mut 0, 10);
                let _ = done.send(());
            });
            let early = seen.recv_timeout(Duration::from_millis(20));
            assert!(early.is_err(), "{early:?}");
            order.keep(&mut held, 0);
            assert_eq!(seen.recv(), Ok(()));
        });
    }

    #[test]
    fn nobody_waits_for_the_memory_of_who_left() {
        let order = Order::new(9, 10, &[]);
        std::thread::scope(|scope| {
            let part = order.take_part();
            let mut held = 0;
            order.reserve(1, &mut held, 10);
            let waiting = scope.spawn(|| order.reserve(2, &mut 0, 10));
            drop(part);
            assert!(waiting.join().is_ok());
        });
    }
}
