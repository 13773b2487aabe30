//! Processes that are attached to the state directory of a reader.
//!
//! Owns: when they start and end, and what they must serve: committed versions that rise, the directory's
//! newest soon after it is there, and how old it may be. Never: asks the store, as they have none.

use std::sync::Arc;
use std::time::Duration;

use grotto_consumer::{Attached, Consumer, Error};
use grotto_env::FileSystem;
use grotto_store::ErrorKind;

use super::Reader;
use super::rival::FOLDER;
use crate::check::check_served_since;
use crate::disk::Mount;
use crate::fault::Fault;

/// How long it may take until what a directory holds is served, when nothing fails: a change that nobody is
/// told of is seen when the reader looks by itself.
const SOON: Duration = Duration::from_secs(5);
/// What is served counts as the newest that long after its consumer last looked, at most: it notes a look
/// once a second, and has just looked.
const FRESH: Duration = Duration::from_secs(10);
/// In which time a consumer that polls looks at the log as a whole once.
const WHOLE_LOOK: Duration = Duration::from_secs(45);

/// One attached process, in all its lives.
#[derive(Default)]
pub(super) struct Watcher {
    name: String,
    life: Option<(Arc<Mount>, Attached)>,
    /// As for readers.
    seen: (u64, u64),
    /// Of the times that the directory may have gone back, those that were seen.
    gone_back: u64,
}

impl Watcher {
    pub(super) fn new(reader: u64, number: u64) -> Self {
        Self {
            name: format!("a{reader}.{number}"),
            ..Self::default()
        }
    }

    /// What is served must be committed, and no older than what was served before.
    fn check(&mut self, reader: &Reader) {
        let Some((_, attached)) = &self.life else {
            return;
        };
        let sim = &reader.stage.sim;
        if let Some(error) = attached.trouble() {
            judge(reader, &self.name, &error);
        }
        let state = attached.state();
        let era = check_served_since(sim, &self.name, &state, self.seen);
        let (before, found) = (self.seen, (era, state.version()));
        self.seen = found;
        if found >= before {
            return;
        }
        self.gone_back += 1;
        if self.gone_back > reader.beginnings {
            let what = format!("went back from version {before:?} to {found:?}");
            sim.violation(&self.name, what);
        }
    }
}

impl Reader {
    /// They start, and some end for no reason.
    pub(super) fn tend_attached(&mut self) {
        for at in 0..self.watchers.len() {
            let ends = self.dice.chance(30);
            match &self.watchers[at].life {
                Some((mount, _)) if ends || mount.is_dead() => self.end_attached(at),
                Some(_) => {}
                None if self.dice.chance(400) => _ = self.attach(at),
                None => {}
            }
        }
    }

    fn end_attached(&mut self, at: usize) {
        if let Some((mount, attached)) = self.watchers[at].life.take() {
            self.stage.sim.count(Fault::CrashedAttached);
            mount.die();
            drop(attached);
        }
    }

    /// The host goes down.
    pub(super) fn end_all_attached(&mut self) {
        (0..self.watchers.len()).for_each(|at| self.end_attached(at));
    }

    fn attach(&mut self, at: usize) -> Result<(), Arc<Error>> {
        let Some(disk) = &self.disk else {
            return Ok(());
        };
        let mount = disk.mount();
        if self.stage.is_raining() && self.dice.chance(100) {
            mount.die_in(self.dice.within(1..40));
        }
        let system = Arc::clone(&mount) as Arc<dyn FileSystem>;
        let env = self.stage.env(&self.dice);
        let name = self.watchers[at].name.clone();
        match Consumer::attach_in(FOLDER, system, env) {
            Ok(attached) => {
                let how = format_args!("attach: at {}", attached.version());
                self.stage.sim.note(&name, how);
                // One that the consumer does not hold is taken by it some time, with what it serves.
                let to_come = u64::from(!self.holds_folder());
                let watcher = &mut self.watchers[at];
                (watcher.seen, watcher.gone_back) =
                    ((0, 0), self.beginnings.saturating_sub(to_come));
                watcher.life = Some((mount, attached));
                Ok(())
            }
            Err(error) => {
                // Of several damaged segments any may be named, as threads look at them side by side.
                let how = format_args!("attach: {}", error.kind());
                self.stage.sim.note(&name, how);
                judge(self, &name, &error);
                mount.die();
                Err(Arc::new(error))
            }
        }
    }

    /// What they serve is compared with the model.
    pub(super) fn check_attached(&mut self) {
        let mut watchers = std::mem::take(&mut self.watchers);
        watchers.iter_mut().for_each(|watcher| watcher.check(self));
        self.watchers = watchers;
    }

    /// Nobody looked at the store for so long.
    pub(super) fn check_attached_stale(&self, least: Duration) {
        for watcher in &self.watchers {
            let staleness = watcher.life.as_ref().and_then(|(_, a)| a.staleness());
            if let Some(staleness) = staleness.filter(|staleness| *staleness < least) {
                let what = format!("counts as {staleness:?} old without a store");
                self.stage.sim.violation(&watcher.name, what);
            }
        }
    }

    /// Once nothing fails any more, those who are attached reach what the directory holds, although
    /// nothing new comes: what they could not read before is there to be read.
    pub(super) async fn settle_attached(&mut self) {
        if self.beginnings > 0 || !self.holds_folder() {
            return; // what is served may not be what the directory holds
        }
        let until = self.stage.sim.now() + SOON;
        while let Some((name, found, expected)) = self.behind() {
            if self.stage.sim.now() >= until {
                let what = format!("serves version {found}, and the directory holds {expected}");
                self.stage.sim.violation(&name, what);
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// An attached process that serves another version than the consumer.
    fn behind(&self) -> Option<(String, u64, u64)> {
        let expected = self.life.as_ref()?.consumer.version();
        self.watchers.iter().find_map(|watcher| {
            let (mount, attached) = watcher.life.as_ref()?;
            let behind = !mount.is_dead() && attached.version() != expected;
            behind.then(|| (watcher.name.clone(), attached.version(), expected))
        })
    }

    /// After faults ended, and once the reader has the newest version: all who are attached have it soon,
    /// and say that it is fresh.
    pub(crate) async fn await_attached(&mut self) {
        // What holds a version back does not serve the newest.
        if self.hold().is_some() {
            return;
        }
        // One that does not poll is only as fresh as its last look.
        if let Err(error) = self.catch_up().await {
            self.note("refresh", &error.to_string());
        }
        for at in 0..self.watchers.len() {
            let mut began = self.stage.sim.now();
            let mut serving = self.served_now();
            loop {
                let problem = self.problem_of(at).await;
                let Some((problem, soon)) = problem else {
                    break;
                };
                // What the reader goes to meanwhile has a time of its own to be seen.
                let now_serving = self.served_now();
                if now_serving != serving {
                    (serving, began) = (now_serving, self.stage.sim.now());
                }
                if self.stage.sim.now() >= began + soon {
                    let name = self.watchers[at].name.clone();
                    let what = format!("{problem}, long after faults ended");
                    self.stage.sim.violation(&name, what);
                    break;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        self.check_attached();
    }

    /// What the reader serves itself.
    fn served_now(&self) -> Option<(u64, u64)> {
        let state = self.life.as_ref()?.consumer.state();
        Some((state.version(), state.checksum()))
    }

    /// Why an attached process does not serve what it should, and how long that may be so.
    async fn problem_of(&mut self, at: usize) -> Option<(String, Duration)> {
        let dead = |(mount, _): &mut (Arc<Mount>, Attached)| mount.is_dead();
        self.watchers[at].life.take_if(dead);
        if self.watchers[at].life.is_none()
            && let Err(error) = self.attach(at)
        {
            return Some((format!("cannot attach: {error}"), SOON));
        }
        let (_, attached) = self.watchers[at].life.as_ref()?;
        let served = attached.state();
        let newest = self.life.as_ref().map(|life| life.consumer.state())?;
        let expected = (newest.version(), newest.checksum());
        if (served.version(), served.checksum()) != expected {
            let (found, trouble) = (served.version(), attached.trouble());
            let expected = expected.0;
            let what = format!("serves version {found} and not {expected}: {trouble:?}");
            return Some((what, SOON));
        }
        match attached.staleness() {
            Some(staleness) if staleness < FRESH => None,
            told => {
                let what = format!("says that the newest version is {told:?} old");
                Some((what, WHOLE_LOOK))
            }
        }
    }
}

/// No fault of the world is a reason for these.
fn judge(reader: &Reader, name: &str, error: &Error) {
    if error.kind() == ErrorKind::Internal {
        let what = format!("an internal error: {error}");
        reader.stage.sim.violation(name, what);
    }
}
