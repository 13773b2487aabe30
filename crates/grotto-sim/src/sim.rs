//! What everything in one simulation shares: the objects, the clock, the trace, the model, the tally.
//!
//! Owns: the moments at which the model hears of what happened. Never: decides what is right; that is
//! for `check`.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use grotto_env::{Clock, RuntimeClock};
use grotto_format::log::LogEntry;
use object_store::path::Path;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::check::{Ledger, Leftovers, Purpose, RELAY, Relay, SHELF, Shelf, check_lease};
use crate::fault::{Fault, Tally};
use crate::store::{Objects, Weather};
use crate::trace::Trace;

/// Name of the dataset.
pub(crate) const DATASET: &str = "places";

/// What wall clocks say when a simulation begins.
pub(crate) const BEGAN_MS: u64 = 1_700_000_000_000;

/// A put of a blob that has no answer yet: one that gets none counts as failed.
#[derive(Debug)]
pub(crate) struct Unanswered<'a> {
    sim: &'a Sim,
    purpose: Option<Purpose>,
}

impl Unanswered<'_> {
    /// It was done.
    pub(crate) fn done(mut self) {
        self.purpose = None;
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(purpose) = self.purpose.take() {
            self.sim.leftovers.lock().failed(purpose);
        }
    }
}

/// One simulation.
#[derive(Debug)]
pub(crate) struct Sim {
    /// The wall clock of all hosts.
    pub(crate) clock: Arc<dyn Clock>,
    started: tokio::time::Instant,
    /// Whether the store behaves as a folder does: writes are visible before they are synced.
    pub(crate) is_folder: bool,
    /// Told of log entries that a crash of the store's host would take away.
    pub(crate) doubt: Notify,
    pub(crate) objects: Mutex<Objects>,
    pub(crate) weather: Mutex<Weather>,
    pub(crate) ledger: Mutex<Ledger>,
    /// The dataset that several hosts lead.
    pub(crate) relay: Mutex<Relay>,
    /// The dataset that is collected.
    pub(crate) shelf: Mutex<Shelf>,
    /// Blobs, and what they were put for.
    pub(crate) leftovers: Mutex<Leftovers>,
    /// Identities of datasets, and versions of which an entry of the log ever was.
    committed: Mutex<BTreeSet<(String, u64)>>,
    /// Told of looks that find no next version.
    pub(crate) missed: Notify,
    /// Versions that were served, with the names of the readers.
    pub(crate) served: Mutex<BTreeSet<(String, u64)>>,
    /// Puts that have yet to land.
    pub(crate) under_way: Mutex<u64>,
    /// Looks at copies of the store that have yet to end.
    pub(crate) looks: Mutex<u64>,
    /// Goes up when the store is put back: puts from before do not land any more.
    pub(crate) generation: Mutex<u64>,
    /// Probes of which it is known why they were not removed.
    pub(crate) left_probes: Mutex<usize>,
    trace: Mutex<Trace>,
    tally: Mutex<Tally>,
    violations: Mutex<Vec<String>>,
}

impl Sim {
    /// A store with nothing in it. Within a runtime, whose time is its time.
    pub(crate) fn new(whole_trace: bool, is_folder: bool) -> Arc<Self> {
        Arc::new(Self {
            clock: Arc::new(RuntimeClock::new(BEGAN_MS)),
            started: tokio::time::Instant::now(),
            is_folder,
            doubt: Notify::new(),
            objects: Mutex::default(),
            weather: Mutex::new(Weather::calm()),
            ledger: Mutex::default(),
            relay: Mutex::default(),
            shelf: Mutex::default(),
            leftovers: Mutex::default(),
            committed: Mutex::default(),
            missed: Notify::new(),
            served: Mutex::default(),
            under_way: Mutex::default(),
            looks: Mutex::default(),
            generation: Mutex::default(),
            left_probes: Mutex::default(),
            trace: Mutex::new(Trace::new(whole_trace)),
            tally: Mutex::default(),
            violations: Mutex::default(),
        })
    }

    /// Time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn note(&self, who: &str, what: fmt::Arguments<'_>) {
        self.trace.lock().add(self.now(), who, what);
    }

    pub(crate) fn count(&self, fault: Fault) {
        self.tally.lock().count(fault);
    }

    /// Something happened that must not.
    pub(crate) fn violation(&self, who: &str, what: impl Into<String>) {
        let what = what.into();
        self.note(who, format_args!("VIOLATION: {what}"));
        self.violations.lock().push(format!("{who}: {what}"));
    }

    /// Somebody wants an object to be written; whether it ever is will be seen.
    pub(crate) fn asked_to_put(&self, who: &str, path: &Path, bytes: &Bytes) -> Unanswered<'_> {
        let purpose = self.leftovers.lock().put(&self.ledger.lock(), who, path);
        if is_entry(path)
            && let Err(reason) = self.ledger.lock().asked(who, bytes)
        {
            self.violation(who, reason);
        }
        if entry_of(RELAY, path).is_some()
            && let Err(reason) = self.relay.lock().asked(who, bytes)
        {
            self.violation(who, reason);
        }
        if entry_of(SHELF, path).is_some()
            && let Err(reason) = self.shelf.lock().asked(who, bytes)
        {
            self.violation(who, reason);
        }
        Unanswered { sim: self, purpose }
    }

    /// A put takes effect, unless the object is to be created and is there.
    pub(crate) fn land(&self, who: &str, path: &Path, bytes: Bytes, create: bool) -> bool {
        let entry = is_entry(path);
        let relayed = entry_of(RELAY, path).is_some();
        if (entry || relayed || entry_of(SHELF, path).is_some()) && !create {
            self.violation(who, format!("writes over {path}"));
        }
        let landed = self
            .objects
            .lock()
            .put(path, bytes.clone(), create, self.now());
        if landed {
            self.note_committed(path, &bytes);
        }
        if landed && is_lease(path) {
            check_lease(self, who, &bytes);
        }
        if is_acceptance(path)
            && landed
            && let Err(reason) = self.ledger.lock().accept(&bytes)
        {
            self.violation(who, reason);
        }
        let calm = self.weather.lock().is_calm();
        if entry
            && landed
            && let Err(reason) = self.ledger.lock().landed(path.as_ref(), &bytes, calm)
        {
            self.violation(who, reason);
        }
        if landed && let Err(reason) = self.shelf.lock().landed(who, path, &bytes, self.now()) {
            self.violation(who, reason);
        }
        if relayed
            && landed
            && let Err(reason) = self.relay.lock().landed(path.as_ref(), &bytes)
        {
            self.violation(who, reason);
        }
        landed
    }

    fn note_committed(&self, path: &Path, bytes: &Bytes) {
        if logged(path).is_some()
            && let Ok(entry) = LogEntry::decode(bytes)
        {
            let mut committed = self.committed.lock();
            committed.insert((entry.dataset_id, entry.version));
        }
    }

    /// Whether there ever was an entry of a version of a dataset in its log.
    pub(crate) fn was_committed(&self, dataset_id: &str, version: u64) -> bool {
        let committed = self.committed.lock();
        committed.contains(&(dataset_id.to_owned(), version))
    }

    /// Somebody removes an object.
    pub(crate) fn remove(&self, who: &str, path: &Path) {
        let there = self.objects.lock().remove(path);
        if there && let Err(reason) = self.shelf.lock().removed(path, self.now()) {
            self.violation(who, reason);
        }
    }

    /// An object can be seen that may get lost.
    pub(crate) fn doubted(&self, path: &Path) {
        if is_entry(path)
            || [RELAY, SHELF]
                .iter()
                .any(|name| entry_of(name, path).is_some())
        {
            self.doubt.notify_one();
        }
    }

    /// What is known in the end.
    pub(crate) fn results(&self) -> (Vec<String>, Tally, u64, Vec<String>) {
        let trace = self.trace.lock();
        (
            self.violations.lock().clone(),
            self.tally.lock().clone(),
            trace.hash(),
            trace.lines(),
        )
    }
}

/// Whether an object is the lease of a consumer.
pub(crate) fn is_lease(path: &Path) -> bool {
    path.as_ref().starts_with(&format!("{DATASET}/consumers/"))
}

/// Whether an object says that a version is accepted.
pub(crate) fn is_acceptance(path: &Path) -> bool {
    path.as_ref()
        .starts_with(&format!("{DATASET}/control/accepted/"))
}

/// Whether an object is an entry of the log.
pub(crate) fn is_entry(path: &Path) -> bool {
    path.as_ref().starts_with(&format!("{DATASET}/log/"))
}

/// The version of which an object is the entry in the log of whichever dataset.
pub(crate) fn logged(path: &Path) -> Option<u64> {
    let (dataset, _) = path.as_ref().split_once('/')?;
    entry_of(dataset, path)
}

/// The version of which an object is the entry in the log of a dataset.
pub(crate) fn entry_of(dataset: &str, path: &Path) -> Option<u64> {
    let name = path.as_ref().strip_prefix(dataset)?.strip_prefix("/log/")?;
    name.strip_suffix(".json")?.parse().ok()
}
