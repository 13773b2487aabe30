//! A reader of changes: makes a copy of the dataset of updates alone.
//!
//! Owns: the copy, and what it must be after every update. Never: looks at a state for what an update should say.

use std::sync::Arc;
use std::time::Duration;

use grotto_consumer::{Consumer, ErrorKind, Position, Subscribe, Subscription, Update};
use grotto_state::{Record, State};

use super::Reader;
use crate::check::{Content, said};
use crate::dice::Dice;
use crate::sim::Sim;

/// A program that keeps a copy, and where it is with it.
pub(super) struct Subscriber {
    sim: Arc<Sim>,
    dice: Dice,
    copy: Content,
    /// Kept with the copy; `None` before the first update.
    position: Option<Position>,
    open: Option<Subscription>,
}

impl Reader {
    /// Has the subscriber read what changed, or lose what it read from.
    pub(super) async fn follow_changes(&mut self) {
        let who = self.name();
        match (&mut self.subscriber, &self.life) {
            (Some(subscriber), Some(life)) => subscriber.follow(&who, &life.consumer).await,
            (Some(subscriber), None) => subscriber.lose(),
            (None, _) => {}
        }
    }
}

impl Subscriber {
    pub(super) fn new(sim: &Arc<Sim>, dice: Dice) -> Self {
        Self {
            sim: Arc::clone(sim),
            dice,
            copy: Content::new(),
            position: None,
            open: None,
        }
    }

    /// The process that it reads from is gone. It may be gone with it, and its copy too.
    pub(super) fn lose(&mut self) {
        self.open = None;
        if self.dice.chance(200) {
            self.forget();
        }
    }

    fn forget(&mut self) {
        (self.copy, self.position) = (Content::new(), None);
    }

    /// Takes in what waits, or begins.
    pub(super) async fn follow(&mut self, who: &str, consumer: &Consumer) {
        if self.open.is_none() {
            self.begin(who, consumer).await;
        }
        // Slow at times: then several versions come as one.
        if self.dice.chance(500) {
            self.take_in(who);
        }
        if self.dice.chance(30) {
            // Goes on at its position another time.
            self.open = None;
        }
    }

    async fn begin(&mut self, who: &str, consumer: &Consumer) {
        let wanted = Subscribe::named("copy").capacity(self.dice.within(1..4) as usize);
        let wanted = match &self.position {
            Some(position) => wanted.after(position.clone()),
            None => wanted.from_beginning(),
        };
        match consumer.subscribe(wanted).await {
            Ok(open) => {
                self.sim.note(who, format_args!("subscribed: {open:?}"));
                self.open = Some(open);
            }
            Err(error) => {
                self.sim.note(who, format_args!("not subscribed: {error}"));
                match error.kind() {
                    // What it had is gone for good.
                    ErrorKind::Missing => self.forget(),
                    ErrorKind::Internal | ErrorKind::Invalid => {
                        self.sim
                            .violation(who, format!("a subscription is refused: {error}"));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Takes everything in that waits.
    pub(super) fn take_in(&mut self, who: &str) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        while let Some(update) = open.wait(Duration::ZERO) {
            self.sim.note(who, format_args!("takes in {update:?}"));
            if let Err(what) = self.apply(&update) {
                self.sim.violation(who, format!("{update:?}: {what}"));
            }
            self.position = Some(update.position().clone());
        }
        if self.position.is_some() {
            // Past versions in which nothing changed.
            self.position = Some(open.position().clone());
        }
        if !open.has_ended() {
            self.open = Some(open);
        }
    }

    fn apply(&mut self, update: &Update) -> Result<(), String> {
        self.compare("begins at", update.before())?;
        // A version may lack a type, or all of them.
        for (name, changes) in NAMES.map(|name| (name, update.changes_of(name))) {
            for change in changes.into_iter().flatten() {
                self.remove(name, change.before())?;
                self.add(name, change.after())?;
            }
        }
        self.compare("leads to", update.after())
    }

    /// The copy is what the model says of a version.
    fn compare(&self, what: &str, state: &State) -> Result<(), String> {
        let ledger = self.sim.ledger.lock();
        let committed = ledger.with_state(state.version(), state.checksum());
        let expected = committed.map(|committed| Arc::clone(&committed.content));
        drop(ledger);
        let expected = expected.unwrap_or_default();
        if *expected == self.copy {
            return Ok(());
        }
        let (found, version) = (self.copy.len(), state.version());
        let wanted = expected.len();
        Err(format!(
            "{what} version {version} with another copy: {found} records, expected {wanted}"
        ))
    }

    fn remove(&mut self, name: &'static str, record: Option<Record<'_>>) -> Result<(), String> {
        let Some((key, said)) = record.map(|record| said(name, &record)).transpose()? else {
            return Ok(());
        };
        match self.copy.remove(&key) {
            Some(known) if known == said => Ok(()),
            known => Err(format!(
                "says that {said:?} was at {key:?}, the copy has {known:?}"
            )),
        }
    }

    fn add(&mut self, name: &'static str, record: Option<Record<'_>>) -> Result<(), String> {
        let Some((key, said)) = record.map(|record| said(name, &record)).transpose()? else {
            return Ok(());
        };
        match self.copy.insert(key, said) {
            None => Ok(()),
            Some(known) => Err(format!("adds {key:?} again, the copy has {known:?}")),
        }
    }
}

const NAMES: [&str; 2] = ["City", "Road"];
