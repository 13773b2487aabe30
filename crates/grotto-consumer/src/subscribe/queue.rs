//! What waits for each reader of changes.
//!
//! Owns: the bound, the order, who waits for what. Never: holds a lock while changes are found out.
//!
//! **Invariant**: a reader begins at the state that is served when it is added, and a refresh is told to those who were
//! added before, once its end is served. So what a reader is told first begins at its state or, if that refresh was
//! halfway through, is compared with it; one who is added later begins at the end of it or past that.

use super::pending::Pending;
use crate::error::{Error, Result};
use crate::metrics::ReaderGauges;
use crate::report::Refresh;
use crate::served::Identified;
use grotto_env::Clock;
use grotto_state::State;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// All readers of a consumer.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    readers: Mutex<Readers>,
    gauges: ReaderGauges,
}

#[derive(Debug, Default)]
struct Readers {
    queues: Vec<Arc<Queue>>,
    ended: bool,
}

/// What waits for one reader.
#[derive(Debug)]
pub(crate) struct Queue {
    name: String,
    capacity: usize,
    /// Served when the reader was added.
    first: Identified,
    inner: Mutex<Inner>,
    arrived: Notify,
    woken: Condvar,
    gauges: ReaderGauges,
}

#[derive(Debug)]
struct Inner {
    waiting: VecDeque<Pending>,
    /// Where the last of them ends.
    tail: Arc<State>,
    /// Identity of the dataset there.
    tail_id: Arc<str>,
    /// Nothing is told before a version past it is served.
    skip: bool,
    /// Version that the reader is behind.
    passed: u64,
    ended: bool,
}

/// What a reader gets.
#[derive(Debug)]
pub(crate) enum Taken {
    Pending(Pending),
    Nothing,
    /// Nothing will come any more.
    Ended,
}

impl Subscriptions {
    pub(crate) fn new(gauges: ReaderGauges) -> Self {
        Self {
            readers: Mutex::default(),
            gauges,
        }
    }

    pub(crate) fn add(
        &self,
        name: &str,
        capacity: usize,
        served: impl Fn() -> Identified,
    ) -> Result<Arc<Queue>> {
        let mut readers = self.readers.lock();
        if readers.queues.iter().any(|queue| queue.name == name) {
            return Err(Error::invalid(format!(
                "subscription {name}: expected a name of its own, found another subscription of this consumer with it"
            )));
        }
        let first = served();
        let inner = Inner {
            waiting: VecDeque::new(),
            tail: Arc::clone(&first.state),
            tail_id: Arc::clone(&first.dataset_id),
            skip: false,
            passed: first.state.version(),
            ended: readers.ended,
        };
        let queue = Arc::new(Queue {
            name: name.to_owned(),
            capacity,
            first,
            inner: Mutex::new(inner),
            arrived: Notify::new(),
            woken: Condvar::new(),
            gauges: self.gauges.clone(),
        });
        queue.note();
        readers.queues.push(Arc::clone(&queue));
        Ok(queue)
    }

    pub(crate) fn remove(&self, queue: &Arc<Queue>) {
        let mut readers = self.readers.lock();
        readers.queues.retain(|other| !Arc::ptr_eq(other, queue));
        self.gauges.remove(&queue.name);
    }

    /// Puts what a refresh changed where each reader finds it. May compose a million ordinals for a reader that is
    /// behind: not for a thread of the runtime, and not while those who come and go wait.
    pub(crate) fn tell(&self, refresh: &Refresh, dataset_id: &str) {
        let queues = self.readers.lock().queues.clone();
        for queue in &queues {
            queue.push(refresh, dataset_id);
        }
    }

    /// Whether nobody has to be told.
    pub(crate) fn is_empty(&self) -> bool {
        self.readers.lock().queues.is_empty()
    }

    /// Nothing will come any more.
    pub(crate) fn end(&self) {
        let mut readers = self.readers.lock();
        readers.ended = true;
        for queue in &readers.queues {
            queue.inner.lock().ended = true;
            queue.wake();
        }
    }
}

impl Queue {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn first(&self) -> &Arc<State> {
        &self.first.state
    }

    /// Identity of the dataset of the first state; empty for the empty state.
    pub(crate) fn dataset_id(&self) -> String {
        self.first.dataset_id.to_string()
    }

    pub(crate) fn len(&self) -> usize {
        self.inner.lock().waiting.len()
    }

    pub(crate) fn has_ended(&self) -> bool {
        let inner = self.inner.lock();
        inner.ended && inner.waiting.is_empty()
    }

    fn push(&self, refresh: &Refresh, dataset_id: &str) {
        let mut inner = self.inner.lock();
        // Added between the swap of the states and this.
        if Arc::ptr_eq(&inner.tail, refresh.after()) {
            return;
        }
        let reached = refresh.replaced || refresh.after().version() > inner.tail.version();
        if inner.skip && !reached {
            return;
        }
        inner.skip = false;
        let full = inner.waiting.len() >= self.capacity;
        match inner.waiting.back_mut().filter(|_| full) {
            Some(last) => last.extend(refresh, dataset_id),
            None => {
                let pending = Pending::of(refresh, dataset_id, &inner.tail);
                inner.waiting.push_back(pending);
            }
        }
        inner.tail = Arc::clone(refresh.after());
        if *inner.tail_id != *dataset_id {
            inner.tail_id = dataset_id.into();
        }
        drop(inner);
        self.note();
        self.wake();
    }

    /// Puts what comes before everything that waits.
    pub(crate) fn begin(&self, pending: Pending) {
        let mut inner = self.inner.lock();
        inner.passed = pending.before.version();
        inner.waiting.push_front(pending);
        drop(inner);
        self.note();
        self.wake();
    }

    /// Has the reader begin at a state past the one that was served when it was added: what was told on the way there
    /// is not for it.
    pub(crate) fn skip_to(&self, state: Arc<State>) {
        let mut inner = self.inner.lock();
        inner.passed = state.version();
        let overtaken = inner.tail.version() > state.version();
        inner.waiting.clear();
        if overtaken {
            let (tail, id) = (Arc::clone(&inner.tail), inner.tail_id.to_string());
            let pending = Pending::between(state, tail, id, None);
            inner.waiting.push_back(pending);
        } else {
            (inner.tail, inner.skip) = (state, true);
        }
        drop(inner);
        self.note();
        self.wake();
    }

    /// The next of what waits.
    pub(crate) fn take(&self) -> Taken {
        Self::next(&mut self.inner.lock())
    }

    fn next(inner: &mut Inner) -> Taken {
        match inner.waiting.pop_front() {
            Some(pending) => Taken::Pending(pending),
            None if inner.ended => Taken::Ended,
            None => Taken::Nothing,
        }
    }

    /// Waits for something to take.
    pub(crate) async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// The next of what waits, for a thread that may wait for it.
    pub(crate) fn wait(&self, timeout: Duration, clock: &dyn Clock) -> Taken {
        let until = clock.monotonic().saturating_add(timeout);
        let mut inner = self.inner.lock();
        loop {
            let taken = Self::next(&mut inner);
            let left = until.saturating_sub(clock.monotonic());
            if left.is_zero() || !matches!(taken, Taken::Nothing) {
                return taken;
            }
            self.woken.wait_for(&mut inner, left);
        }
    }

    /// The reader is behind a version.
    pub(crate) fn passed(&self, version: u64) {
        self.inner.lock().passed = version;
        self.note();
    }

    fn wake(&self) {
        // Kept for the reader if it is not waiting now.
        self.arrived.notify_one();
        self.woken.notify_all();
    }

    fn note(&self) {
        let inner = self.inner.lock();
        let behind = inner.tail.version().saturating_sub(inner.passed);
        self.gauges
            .set(&self.name, inner.waiting.len() as u64, behind);
    }
}

#[cfg(test)]
mod tests;
