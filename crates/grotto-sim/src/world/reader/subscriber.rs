//! A reader of changes: makes a copy of the dataset of updates alone.
//!
//! Owns: the copy, and what it must be after every update. Never: looks at a state for what an update should say.

use std::sync::Arc;
use std::time::Duration;

use grotto_consumer::{Consumer, Error, ErrorKind, Position, Subscribe, Subscription, Update};
use grotto_state::{Record, State};

use super::Reader;
use crate::check::{Content, kept_of, said};
use crate::dice::Dice;
use crate::sim::Sim;
use crate::world::stage::Moving;

/// A program that keeps a copy, and where it is with it.
pub(super) struct Subscriber {
    sim: Arc<Sim>,
    dice: Dice,
    copy: Content,
    /// Kept with the copy; `None` before the first update.
    position: Option<Position>,
    open: Option<Subscription>,
    /// The reader keeps other types than when the copy was made.
    stranger: bool,
    /// The reader was told to go back while this read from it.
    goes_back: bool,
}

fn is_missing(error: &Error) -> bool {
    error.kind() == ErrorKind::Missing
}

/// How long it may take after faults ended until a copy is what is served.
const SOON: Duration = Duration::from_secs(20);

impl Reader {
    /// Has the subscriber read what changed, or lose what it read from.
    pub(super) async fn follow_changes(&mut self) {
        let who = self.name();
        self.move_copy();
        match (&mut self.subscriber, &self.life) {
            (Some(subscriber), Some(life)) => subscriber.follow(&who, &life.consumer).await,
            (Some(subscriber), None) => subscriber.lose(),
            (None, _) => {}
        }
    }

    /// The program goes to another reader, and one may come from there: what it took in last may be ahead of what is
    /// served here.
    fn move_copy(&mut self) {
        let Some(subscriber) = &mut self.subscriber else {
            return;
        };
        let mut moving = self.stage.moving.lock();
        let here = |(types, ..): &Moving| *types == self.types;
        if self.dice.chance(60)
            && let Some((copy, position)) = subscriber.leave()
        {
            moving.push((self.types, copy, position));
        } else if self.dice.chance(300)
            && let Some(found) = moving.iter().position(here)
        {
            let (_, copy, position) = moving.swap_remove(found);
            subscriber.arrive(copy, position);
        }
    }
}

impl Reader {
    /// After faults ended, the copy becomes what is served.
    pub(crate) async fn await_copy(&mut self) {
        // Another reader, which the copy was made at, may not have held a version back.
        if self.hold().is_some() {
            return;
        }
        let who = self.name();
        if let (Some(subscriber), Some(life)) = (&mut self.subscriber, &self.life) {
            subscriber.catch_up(&who, &life.consumer).await;
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
            stranger: false,
            goes_back: false,
        }
    }

    /// The reader is told to go back to some version.
    pub(super) fn expect_back(&mut self) {
        self.goes_back |= self.open.is_some();
    }

    /// The reader keeps other types from now on: a position is of no use then.
    pub(super) fn estrange(&mut self) {
        self.stranger = true;
    }

    /// Ends here, with its copy, if that can be gone on with.
    fn leave(&mut self) -> Option<(Content, Position)> {
        if self.stranger {
            return None;
        }
        let position = self.position.take()?;
        self.open = None;
        Some((std::mem::take(&mut self.copy), position))
    }

    /// Another copy takes the place of this one.
    fn arrive(&mut self, copy: Content, position: Position) {
        self.open = None;
        (self.copy, self.position, self.stranger) = (copy, Some(position), false);
    }

    /// The process that it reads from is gone. It may be gone with it, and its copy too.
    pub(super) fn lose(&mut self) {
        self.open = None;
        if self.dice.chance(200) {
            self.forget();
        }
    }

    fn forget(&mut self) {
        (self.copy, self.position, self.stranger) = (Content::new(), None, false);
    }

    /// Takes in what waits, or begins.
    pub(super) async fn follow(&mut self, who: &str, consumer: &Consumer) {
        if self.open.is_none() {
            self.begin(who, consumer, false).await;
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

    /// Nothing was ever lost or damaged, and no answer is wrong now: then every version is where it was.
    fn judge_missing(&self, who: &str, calm: bool, error: &Error) {
        if calm && !self.stranger && self.sim.ledger.lock().is_untouched() {
            let what = format!("cannot go on at a version that is there: {error}");
            self.sim.violation(who, what);
        }
    }

    /// Begins anew at its position, after faults ended, and takes in what there is.
    async fn catch_up(&mut self, who: &str, consumer: &Consumer) {
        if self.dice.chance(500) {
            self.open = None;
        }
        let until = self.sim.now() + SOON;
        loop {
            if self.open.is_none() {
                self.begin(who, consumer, true).await;
            }
            self.take_in(who);
            let state = consumer.state();
            // Of its own it has none before the first update.
            let open = self.open.as_ref().map(Subscription::position);
            let at = open.or(self.position.as_ref()).map(Position::version);
            if at == Some(state.version()) && self.compare("is at", &state).is_ok() {
                return;
            }
            if self.sim.now() >= until {
                let served = state.version();
                let what = format!("a copy is at version {at:?}, version {served} is served");
                return self.sim.violation(who, what);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// `calm` says that no fault is left.
    async fn begin(&mut self, who: &str, consumer: &Consumer, calm: bool) {
        let wanted = Subscribe::named("copy").capacity(self.dice.within(1..4) as usize);
        let wanted = match &self.position {
            Some(position) => wanted.after(position.clone()),
            None => wanted.from_beginning(),
        };
        match consumer.subscribe(wanted).await {
            Ok(open) => {
                self.sim.note(who, format_args!("subscribed: {open:?}"));
                self.goes_back = false;
                self.open = Some(open);
            }
            Err(error) => {
                self.sim.note(who, format_args!("not subscribed: {error}"));
                match error.kind() {
                    // A limit of memory keeps it from ever going on there.
                    _ if error.message().contains("needs about") => self.forget(),
                    // What it had is gone for good; of an entry that is damaged that is known after a while.
                    ErrorKind::Missing | ErrorKind::Corrupt if calm || is_missing(&error) => {
                        self.judge_missing(who, calm, &error);
                        self.forget();
                    }
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
        let at = self.position.as_ref().map_or(0, Position::version);
        if update.to() < at && !update.is_replaced() && !self.goes_back {
            return Err(format!("goes back from version {at}"));
        }
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
        let committed = ledger.known(state, (0, 0));
        let expected = committed.map(|committed| Arc::clone(&committed.content));
        drop(ledger);
        let expected = expected.unwrap_or_default();
        let expected = kept_of(&expected, state);
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
