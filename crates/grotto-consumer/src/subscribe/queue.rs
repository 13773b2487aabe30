//! What waits for each reader of changes.
//!
//! Owns: the bound, the order, who waits for what. Never: holds a lock while changes are found out.
//!
//! **Invariant**: a reader is added under the lock under which it is told, and begins at the state that is served
//! then. So what it is told first begins there or, if that refresh was halfway through, is compared with it.

use super::pending::Pending;
use crate::error::{Error, Result};
use crate::metrics::ReaderGauges;
use crate::report::Refresh;
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
    first: Arc<State>,
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
        served: impl Fn() -> Arc<State>,
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
            tail: Arc::clone(&first),
            skip: false,
            passed: first.version(),
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

    /// Puts what a refresh changed where each reader finds it.
    pub(crate) fn tell(&self, refresh: &Refresh, dataset_id: &str) {
        for queue in &self.readers.lock().queues {
            queue.push(refresh, dataset_id);
        }
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
        &self.first
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
    pub(crate) fn skip_to(&self, state: Arc<State>, dataset_id: String) {
        let mut inner = self.inner.lock();
        inner.passed = state.version();
        let overtaken = inner.tail.version() > state.version();
        inner.waiting.clear();
        if overtaken {
            let pending = Pending::between(state, Arc::clone(&inner.tail), dataset_id, None);
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
mod tests {
    use super::*;
    use crate::report::RefreshReport;
    use grotto_state::HashSeed;

    fn state(version: u64) -> Arc<State> {
        Arc::new(State::empty(HashSeed::new([1, 2])).at_version(version))
    }

    fn refresh(before: &Arc<State>, after: &Arc<State>) -> Refresh {
        let report = RefreshReport::default();
        Refresh::new(Arc::clone(before), Arc::clone(after), report)
    }

    fn taken(queue: &Queue) -> Vec<(u64, u64)> {
        let next = || match queue.take() {
            Taken::Pending(pending) => Some((pending.before.version(), pending.after.version())),
            Taken::Nothing | Taken::Ended => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_reader_who_comes_in_the_middle_of_a_refresh_begins_at_what_was_served_then() {
        let all = Subscriptions::default();
        let states: Vec<_> = (1..=4).map(state).collect();
        // Served between the two ends of the refresh, as a part of the way is.
        let middle = all.add("middle", 4, || Arc::clone(&states[1])).unwrap();
        // Served already, and not told yet.
        let end = all.add("end", 4, || Arc::clone(&states[2])).unwrap();
        all.tell(&refresh(&states[0], &states[2]), "id");
        assert_eq!(taken(&middle), [(2, 3)]);
        assert_eq!(taken(&end), []);
        all.tell(&refresh(&states[2], &states[3]), "id");
        assert_eq!(taken(&middle), [(3, 4)]);
        assert_eq!(taken(&end), [(3, 4)]);
    }

    #[test]
    fn a_reader_who_comes_after_the_end_gets_nothing_and_knows() {
        let all = Subscriptions::default();
        all.end();
        let late = all.add("late", 4, || state(1)).unwrap();
        assert!(matches!(late.take(), Taken::Ended));
        assert!(late.has_ended());
    }
}
