//! Who is told of refreshes, and the order in which they are.
//!
//! Owns: the listeners, and what waits to be told. Never: decides what is told; a refresh does. Never:
//! calls a listener under a lock, so that it may refresh, add listeners and remove them.
//!
//! **Invariants**: one listener is called at a time. Whoever listens when a refresh ends is told of it, in
//! the order of refreshes, unless it is removed before its turn.

use crate::error::Error;
use crate::report::Refresh;
use grotto_error::panic_text;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// What a program does about refreshes.
pub(crate) enum Listener {
    /// About those that led to another state.
    Refreshed(Box<dyn Fn(&Refresh) + Send + Sync>),
    /// About those that failed.
    Failed(Box<dyn Fn(&Error) + Send + Sync>),
}

/// What is told.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Refreshed(Refresh),
    Failed(Error),
}

impl Listener {
    fn wants(&self, event: &Event) -> bool {
        matches!(
            (self, event),
            (Self::Refreshed(_), Event::Refreshed(_)) | (Self::Failed(_), Event::Failed(_))
        )
    }

    fn call(&self, event: &Event) {
        match (self, event) {
            (Self::Refreshed(call), Event::Refreshed(refresh)) => call(refresh),
            (Self::Failed(call), Event::Failed(error)) => call(error),
            _ => {}
        }
    }

    /// The method by which it came.
    fn name(&self) -> &'static str {
        match self {
            Self::Refreshed(_) => "on_refresh",
            Self::Failed(_) => "on_error",
        }
    }
}

struct Entry {
    listener: Listener,
    removed: AtomicBool,
}

/// All listeners of a consumer.
#[derive(Default)]
pub(crate) struct Listeners {
    entries: Mutex<Vec<Arc<Entry>>>,
    telling: Mutex<Telling>,
}

/// Events on their way to the listeners.
#[derive(Default)]
struct Telling {
    waiting: VecDeque<(Event, Vec<Arc<Entry>>)>,
    /// Whether somebody calls the listeners now.
    busy: bool,
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} listeners", self.entries.lock().len())
    }
}

impl Listeners {
    pub(crate) fn add(self: &Arc<Self>, listener: Listener) -> ListenerHandle {
        let removed = AtomicBool::new(false);
        let entry = Arc::new(Entry { listener, removed });
        let handle = ListenerHandle {
            all: Arc::downgrade(self),
            entry: Arc::downgrade(&entry),
        };
        self.entries.lock().push(entry);
        handle
    }

    /// Has the listeners of now told by the next [`Self::tell`].
    pub(crate) fn enqueue(&self, event: Event) {
        let entries = self.entries.lock();
        let wanted = entries.iter().filter(|entry| entry.listener.wants(&event));
        let wanted: Vec<Arc<Entry>> = wanted.cloned().collect();
        drop(entries);
        if !wanted.is_empty() {
            self.telling.lock().waiting.push_back((event, wanted));
        }
    }

    pub(crate) fn has_news(&self) -> bool {
        !self.telling.lock().waiting.is_empty()
    }

    /// Calls the listeners with what waits, one after the other. Does nothing while somebody else does:
    /// a listener that waits for a refresh leaves what that one tells to whoever called the listener.
    pub(crate) fn tell(&self, dataset: &str) {
        while let Some((event, entries)) = self.begin() {
            let turn = Turn(&self.telling);
            for entry in entries {
                if !entry.removed.load(Ordering::Acquire) {
                    call(&entry.listener, &event, dataset);
                }
            }
            drop(turn);
        }
    }

    fn begin(&self) -> Option<(Event, Vec<Arc<Entry>>)> {
        let mut telling = self.telling.lock();
        if telling.busy {
            return None;
        }
        let next = telling.waiting.pop_front()?;
        telling.busy = true;
        Some(next)
    }

    /// Forgets all listeners, and with them what they hold: nothing will be told any more but what waits.
    pub(crate) fn close(&self) {
        // Dropped without the lock: what a listener holds may do anything when it goes.
        let entries = std::mem::take(&mut *self.entries.lock());
        drop(entries);
    }

    /// The same, and what waits is not told either.
    pub(crate) fn abandon(&self) {
        self.close();
        let waiting = std::mem::take(&mut self.telling.lock().waiting);
        drop(waiting);
    }
}

/// Whose turn it is to call the listeners. Ends by being dropped: what a listener holds may panic when it goes.
struct Turn<'a>(&'a Mutex<Telling>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().busy = false;
    }
}

/// Calls a listener. One that panics is a bug of its owner, not a reason to stop serving.
fn call(listener: &Listener, event: &Event, dataset: &str) {
    let called = catch_unwind(AssertUnwindSafe(|| listener.call(event)));
    if let Err(panic) = called {
        let (listener, reason) = (listener.name(), panic_text(&*panic));
        tracing::error!(
            dataset,
            listener,
            reason,
            "a listener of this program panicked: mend it"
        );
    }
}

/// A listener that was added to a consumer, by which it can be removed.
///
/// Dropping it changes nothing: the listener stays until it is removed or the consumer ends. It keeps neither
/// alive, so the listener's own closure may hold it.
#[derive(Clone)]
pub struct ListenerHandle {
    all: Weak<Listeners>,
    entry: Weak<Entry>,
}

impl fmt::Debug for ListenerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = self.entry.upgrade();
        f.write_str(entry.map_or("removed", |entry| entry.listener.name()))
    }
}

impl ListenerHandle {
    /// Removes the listener: it is not called again, not even for a refresh that ended already. Does not wait
    /// for a call that is under way on another thread. May be called by the listener itself, and more
    /// than once.
    pub fn remove(&self) {
        let (Some(all), Some(entry)) = (self.all.upgrade(), self.entry.upgrade()) else {
            return;
        };
        entry.removed.store(true, Ordering::Release);
        all.entries.lock().retain(|one| !Arc::ptr_eq(one, &entry));
        // `entry` goes last, without the lock: what a listener holds may do anything when it goes.
    }
}
