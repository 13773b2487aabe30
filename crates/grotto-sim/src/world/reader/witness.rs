//! Whoever sees everything that a reader serves, and knows its limits.
//!
//! Owns: which version may follow which, and which may be held back. Never: lets a version pass unseen: it looks at
//! every request of the reader, between which nothing else is served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use grotto_consumer::{Consumer, ConsumerBuilder, Guards, HeldVersion, Refresh};
use grotto_state::{Segment, State};
use parking_lot::Mutex;

use super::Reader;
use crate::check::{Content, Limits, ServedAt, counts, keeps};
use crate::dice::Dice;
use crate::fault::Fault;
use crate::sim::Sim;

/// Bytes of a state below which it is let in by every limit of memory that is drawn here.
const FITS: u64 = 6_000;

/// What a reader is told to hold back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caution {
    limits: Limits,
    /// Least bytes that are compared, and least growth by bytes; none without.
    bytes: Option<u64>,
    memory: Option<u64>,
}

impl Caution {
    pub(super) fn draw(dice: &Dice) -> Self {
        let limits = Limits {
            growth: *dice.pick(&[1.4, 2.0]),
            shrink: *dice.pick(&[0.6, 0.3, 0.1]),
            least: dice.within(1..8),
            least_growth: dice.within(0..10),
        };
        Self {
            limits,
            bytes: dice.chance(200).then(|| dice.within(100..1_000)),
            memory: dice.chance(250).then(|| dice.within(FITS..60_000)),
        }
    }

    fn guards(&self) -> Guards {
        let by_records = self.limits.guards();
        self.bytes.map_or(by_records, |bytes| Guards {
            min_bytes: bytes,
            min_growth_bytes: bytes,
            ..by_records
        })
    }

    /// Whether records alone decide.
    fn is_by_records(&self) -> bool {
        self.bytes.is_none() && self.memory.is_none()
    }
}

/// Sees what one reader serves, over all its lives.
pub(super) struct Witness {
    sim: Arc<Sim>,
    caution: Option<Caution>,
    number: u64,
    name: Mutex<String>,
    /// Nothing that is served is compared.
    looks_away: AtomicBool,
    /// What is served last was built from an older version than was served before.
    afresh: AtomicBool,
    /// The reader is starting: what it found is told only once something followed.
    starts: AtomicBool,
    /// The version that the reader was told to stay at: whatever has its number is not compared, also where the log
    /// was written anew.
    pinned: Mutex<Option<u64>>,
    /// What was served last, and the bytes that it takes; `None` before the first version.
    last: Mutex<Option<(ServedAt, u64)>>,
}

impl Witness {
    pub(super) fn new(sim: &Arc<Sim>, number: u64, caution: Option<Caution>) -> Arc<Self> {
        Arc::new(Self {
            sim: Arc::clone(sim),
            caution,
            number,
            name: Mutex::default(),
            looks_away: AtomicBool::new(false),
            afresh: AtomicBool::new(false),
            starts: AtomicBool::new(false),
            pinned: Mutex::default(),
            last: Mutex::default(),
        })
    }

    pub(super) fn caution(&self) -> Option<Caution> {
        self.caution
    }

    /// Has a consumer hold back what it should.
    pub(super) fn instruct(&self, builder: ConsumerBuilder) -> ConsumerBuilder {
        let Some(caution) = self.caution else {
            return builder;
        };
        let builder = builder.guards(caution.guards());
        match caution.memory {
            Some(limit) => builder.memory_limit(limit),
            None => builder,
        }
    }

    /// A life begins; `anew` where it finds nothing of what was served before.
    pub(super) fn begin(&self, name: &str, anew: bool) {
        name.clone_into(&mut self.name.lock());
        self.starts.store(true, Ordering::Relaxed);
        self.pin(None);
        if anew {
            *self.last.lock() = None;
        }
    }

    /// Whatever is served now may be.
    pub(super) fn look_away(&self, looks_away: bool) {
        self.looks_away.store(looks_away, Ordering::Relaxed);
    }

    /// What is served from now on is compared with this.
    pub(super) fn begin_at(&self, state: &State) {
        *self.last.lock() = None;
        self.see(state);
    }

    /// The reader stays at a version, or follows the log.
    pub(super) fn pin(&self, version: Option<u64>) {
        *self.pinned.lock() = version;
    }

    /// From now on every request is looked at.
    pub(super) fn started(&self) {
        self.starts.store(false, Ordering::Relaxed);
    }

    pub(super) fn hear(&self, refresh: &Refresh) {
        if self.starts.load(Ordering::Relaxed) {
            self.see(refresh.before());
        }
        // Built from an older version: blocks are filled another way, and take other bytes.
        let afresh = refresh.steps.iter().any(|step| step.to <= refresh.from);
        self.afresh.store(afresh, Ordering::Relaxed);
        self.see(refresh.after());
    }

    /// A state is served.
    pub(super) fn see(&self, state: &State) {
        let (version, checksum) = (state.version(), state.checksum());
        let before = self.last.lock().clone();
        let known =
            |(served, _): &(ServedAt, u64)| (served.at.1, served.checksum) == (version, checksum);
        let live = state.segments().map(Segment::live).sum();
        if before.as_ref().is_some_and(known) {
            // It may have been loaded afresh.
            self.last.lock().iter_mut().for_each(|last| last.1 = live);
            return;
        }
        if state.schema().types().is_empty() {
            return;
        }
        let since = before.as_ref().map_or((0, 0), |(before, _)| before.at);
        // An older version looks like the one of a later beginning where both have the same records of what is kept: only
        // somebody who pins it has a reader go back.
        let seen = match *self.pinned.lock() == Some(version) {
            true => (since.0, 0),
            false => since,
        };
        let Some(now) = self.served_at(state, seen) else {
            return; // told by whoever compares it with the model
        };
        let told = (format!("r{}", self.number), version);
        self.sim.served.lock().insert(told);
        if self.looks_away.load(Ordering::Relaxed) {
            return;
        }
        *self.last.lock() = Some((now.clone(), live));
        self.check_memory(state);
        let Some((before, bytes)) = before else {
            return;
        };
        if now.at < before.at {
            let (from, to) = (before.at, now.at);
            self.violation(format!("goes back from version {from:?} to {to:?}"));
        }
        if *self.pinned.lock() == Some(version) {
            return;
        }
        self.check_limits(state, &before, &now);
        if !self.afresh.load(Ordering::Relaxed) {
            self.check_bytes((&before, bytes), (&now, live));
        }
    }

    fn served_at(&self, state: &State, seen: (u64, u64)) -> Option<ServedAt> {
        let ledger = self.sim.ledger.lock();
        let committed = ledger.known(state, seen)?;
        Some(ServedAt {
            at: (committed.era, state.version()),
            checksum: state.checksum(),
            counts: counts(&committed.content, |name| keeps(state, name)),
        })
    }

    fn check_memory(&self, state: &State) {
        let Some(limit) = self.caution.and_then(|caution| caution.memory) else {
            return;
        };
        let takes: usize = state.segments().map(|segment| segment.bytes().len()).sum();
        if takes as u64 > limit {
            let version = state.version();
            self.violation(format!(
                "serves version {version} of {takes} bytes, limit {limit}"
            ));
        }
    }

    /// What is served was within the limits of what was served before, or accepted, or reached step by step.
    fn check_limits(&self, state: &State, before: &ServedAt, now: &ServedAt) {
        let Some(caution) = self.caution else { return };
        let ledger = self.sim.ledger.lock();
        let Some(to) = ledger.known(state, now.at) else {
            return;
        };
        let keeps = |name: &str| keeps(state, name);
        if ledger.is_reached(&caution.limits, before, to, keeps) {
            return;
        }
        drop(ledger);
        let (from, to) = (before.at, now.at);
        let (had, has, limits) = (&before.counts, &now.counts, caution.limits);
        self.violation(format!(
            "serves version {to:?} with {has:?} after version {from:?} with {had:?}, which nobody accepted: {limits:?}"
        ));
    }

    /// The same by bytes, where one version follows the other: nobody knows what those in between took.
    fn check_bytes(&self, (before, had): (&ServedAt, u64), (now, has): (&ServedAt, u64)) {
        let limits = self.caution.and_then(|caution| {
            let bytes = caution.bytes?;
            Some(Limits {
                least: bytes,
                least_growth: bytes,
                ..caution.limits
            })
        });
        let Some(limits) = limits.filter(|limits| limits.is_past(had, has)) else {
            return;
        };
        let ledger = self.sim.ledger.lock();
        let mut all = ledger.all_of(now.at.1);
        if now.at == (before.at.0, before.at.1 + 1) && !all.any(|to| ledger.is_accepted(&to.entry))
        {
            drop(all);
            drop(ledger);
            let (from, to) = (before.at, now.at);
            self.violation(format!(
                "serves version {to:?} of {has} bytes after version {from:?} of {had}, which nobody accepted: {limits:?}"
            ));
        }
    }

    /// A version is held back: one that may be.
    fn judge_held(&self, state: &State, held: &HeldVersion) {
        let (version, reason) = (held.version, &held.reason);
        let Some(caution) = self.caution else {
            return self.violation(format!("holds version {version} without limits: {reason}"));
        };
        if reason.starts_with("needs about") && caution.memory.is_some()
            || reason.starts_with("its records take") && caution.bytes.is_some()
        {
            return;
        }
        let last = self.last.lock().clone();
        let served = last.map(|(served, _)| served.counts).unwrap_or_default();
        let ledger = self.sim.ledger.lock();
        let keeps = |name: &str| keeps(state, name);
        if !ledger.is_jump(&caution.limits, &served, version, keeps) {
            drop(ledger);
            self.violation(format!(
                "holds version {version}, which is within its limits: {reason}"
            ));
        }
    }

    fn violation(&self, what: String) {
        let name = self.name.lock().clone();
        self.sim.violation(&name, what);
    }
}

/// Why a reader does not serve the newest version after faults ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It is past limits by records or bytes: somebody has to accept it.
    Limits,
    /// It takes too much.
    Memory,
}

impl Hold {
    /// By what is told of it.
    pub(super) fn of(reason: &str) -> Self {
        match reason.contains("needs about") {
            true => Self::Memory,
            false => Self::Limits,
        }
    }
}

impl Reader {
    /// Has the witness look at every request from now on.
    pub(super) fn watch_requests(&self, consumer: &Arc<Consumer>, client: &crate::store::Client) {
        let (witness, consumer) = (Arc::clone(&self.witness), Arc::downgrade(consumer));
        client.observe(move || {
            if let Some(consumer) = consumer.upgrade() {
                witness.see(&consumer.state());
            }
        });
        self.witness.started();
    }

    /// What is held back now is told to whoever may accept it.
    pub(super) fn check_held(&mut self) {
        let Some(life) = &self.life else { return };
        let state = life.consumer.state();
        self.witness.see(&state);
        let held = life.consumer.status().held;
        if let Some(held) = &held {
            self.witness.judge_held(&state, held);
        }
        let version = held.map(|held| held.version);
        if version.is_some() && version != self.held {
            self.stage.sim.count(Fault::Held);
            self.note("holds", &format!("{version:?}"));
        }
        self.held = version;
        self.stage.holds(self.number, version);
    }

    /// Why the newest version is held back; `None` if it is not.
    pub(crate) fn hold(&self) -> Option<Hold> {
        let life = self.life.as_ref();
        let held = life.and_then(|life| life.consumer.status().held);
        let held = held.map(|held| Hold::of(&held.reason));
        held.or_else(|| self.kept_back.clone())
    }

    /// Whether it knows of a version.
    pub(crate) fn has_seen(&self, version: u64) -> bool {
        let life = self.life.as_ref();
        life.is_some_and(|life| life.consumer.status().newest >= version)
    }

    /// By the model, all that the version that it serves has.
    pub(crate) fn content(&self) -> Option<Arc<Content>> {
        let state = self.life.as_ref()?.consumer.state();
        let ledger = self.stage.sim.ledger.lock();
        let known = ledger.known(&state, self.seen)?;
        Some(Arc::clone(&known.content))
    }

    /// What it is told to hold back.
    fn caution(&self) -> Option<Caution> {
        self.witness.caution()
    }

    /// Whether a version must not be held back: it differs little from what is served.
    pub(crate) fn must_let_in(&self, version: u64) -> bool {
        let Some(caution) = self.caution() else {
            return true;
        };
        let Some(life) = &self.life else {
            return self.kept_back.is_none();
        };
        let last = self.witness.last.lock().clone();
        let ledger = self.stage.sim.ledger.lock();
        let (Some((served, _)), Some(to)) = (last, ledger.at(version)) else {
            return true;
        };
        let state = life.consumer.state();
        let after = counts(&to.content, |name| keeps(&state, name));
        caution.is_by_records() && !caution.limits.are_past(&served.counts, &after)
    }
}
