//! One process's way to the store: delays, faults, pauses, death.
//!
//! Owns: what happens to an operation between its caller and the objects. Never: decides whether an
//! object may be written; that is for [`Objects`](super::Objects).
//!
//! Whoever is dead gets no answer any more and has no effect, but for what was on its way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::Result;
use object_store::path::Path;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::connection::refusal;
use super::look::Look;
use super::weather::Kind;
use crate::check::{Pace, check_reach};
use crate::dice::Dice;
use crate::fault::Fault;
use crate::sim::{Sim, is_entry};

/// A process's connection to the store.
pub(crate) struct Client {
    pub(super) sim: Arc<Sim>,
    pub(super) name: String,
    pub(super) dice: Dice,
    status: Mutex<Status>,
    changed: Notify,
    observer: Mutex<Option<Observer>>,
    pub(super) look: Mutex<Look>,
    /// Of one that polls.
    pub(super) pace: Mutex<Option<Pace>>,
}

/// Called before every request.
type Observer = Arc<dyn Fn() + Send + Sync>;

/// How the process is doing.
#[derive(Debug, Default)]
struct Status {
    paused: bool,
    dead: bool,
    /// Operations until it dies.
    dies_in: Option<u64>,
    /// Operations until it dies, counted from when an entry of the log landed.
    dies_after_entry: Option<u64>,
    vanished: bool,
    /// Nothing gets to the store.
    cut_off: bool,
    /// Nothing is written any more, as a folder's sync failed.
    sync_failed: bool,
    /// What writes suffer until a time.
    refused: Option<(Fault, Duration)>,
    throttled_until: Duration,
    /// The one folder that is throttled, as stores do by prefix; all of them without.
    throttled: Option<String>,
}

impl Client {
    pub(crate) fn new(sim: &Arc<Sim>, name: &str, dice: Dice) -> Arc<Self> {
        Arc::new(Self {
            sim: Arc::clone(sim),
            name: name.to_owned(),
            dice,
            status: Mutex::default(),
            changed: Notify::new(),
            observer: Mutex::default(),
            look: Mutex::default(),
            pace: Mutex::default(),
        })
    }

    /// Has somebody look on before every request from now on.
    pub(crate) fn observe(&self, observer: impl Fn() + Send + Sync + 'static) {
        *self.observer.lock() = Some(Arc::new(observer));
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The process dies at its operation of this number from now, before or after its effect.
    pub(crate) fn die_in(&self, operations: u64) {
        self.status.lock().dies_in = Some(operations);
    }

    /// The process dies at its operation of this number after its next entry landed.
    pub(crate) fn die_after_entry(&self, operations: u64) {
        self.status.lock().dies_after_entry = Some(operations);
        self.sim.count(Fault::EarlyDeath);
    }

    pub(crate) fn die(&self) {
        self.status.lock().dead = true;
        *self.sim.left_probes.lock() += 1;
        self.changed.notify_waiters();
        if self.name.starts_with('w') {
            check_reach(&self.sim, "after a crash");
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.status.lock().dead
    }

    /// Whether the store takes writes of this process: as a folder does before a sync failed.
    pub(crate) fn can_write(&self) -> bool {
        !self.status.lock().sync_failed
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.status.lock().paused = paused;
        self.changed.notify_waiters();
    }

    /// Whether the store looks empty to this process.
    pub(crate) fn vanish(&self, vanished: bool) {
        self.status.lock().vanished = vanished;
    }

    /// Whether the process is cut off from the store.
    pub(crate) fn cut_off(&self, cut_off: bool) {
        self.status.lock().cut_off = cut_off;
    }

    /// Ends whatever goes on for a while.
    pub(crate) fn heal(&self) {
        let mut status = self.status.lock();
        (status.vanished, status.refused, status.cut_off) = (false, None, false);
        (status.dies_in, status.dies_after_entry) = (None, None);
        status.throttled_until = Duration::ZERO;
        drop(status);
        self.pause(false);
    }

    /// Whether the store looks empty to it.
    pub(super) fn is_blind(&self) -> bool {
        self.status.lock().vanished
    }

    /// Waits until the process is dead.
    pub(crate) async fn died(&self) {
        self.wait_while(|status| !status.dead).await;
    }

    async fn wait_while(&self, condition: impl Fn(&Status) -> bool) {
        loop {
            let changed = self.changed.notified();
            if !condition(&self.status.lock()) {
                return;
            }
            changed.await;
        }
    }

    /// Goes on unless the process is paused, and never if it is dead.
    pub(super) async fn step(&self, time: Duration) {
        tokio::time::sleep(time).await;
        self.wait_while(|status| status.paused && !status.dead)
            .await;
        if self.status.lock().dead {
            std::future::pending::<()>().await;
        }
    }

    /// The way to the store: what the operation suffers there and on the way back. `true` says that
    /// the process dies once it took effect.
    pub(super) async fn go(
        &self,
        kind: Kind,
        what: &str,
        path: &Path,
    ) -> Result<(Option<Fault>, bool)> {
        let observer = self.observer.lock().clone();
        observer.inspect(|look| look());
        self.request_begins(kind, path);
        self.step(self.dice.millis(1..15)).await;
        let dies = self.is_last_operation();
        if dies && self.dice.chance(500) {
            self.note(what, path, "dies before it");
            self.die();
            self.step(Duration::ZERO).await;
        }
        let fate = self.fate(kind, path);
        match fate {
            Some(
                fault @ (Fault::ErrorBefore | Fault::Throttle | Fault::Denied | Fault::ReadOnly),
            ) => {
                self.suffer(fault, what, path);
                self.step(self.dice.millis(1..15)).await;
                self.request_ends(false);
                Err(refusal(fault, path))
            }
            Some(Fault::Hang) => {
                self.suffer(Fault::Hang, what, path);
                std::future::pending().await
            }
            fate => Ok((fate, dies)),
        }
    }

    /// The way back.
    pub(super) async fn come_back(
        &self,
        fate: Option<Fault>,
        dies: bool,
        what: &str,
        path: &Path,
    ) -> Result<()> {
        if dies {
            self.note(what, path, "dies after it");
            self.die();
        }
        match fate {
            Some(fault @ Fault::ErrorAfter) => {
                self.suffer(fault, what, path);
                self.step(self.dice.millis(1..15)).await;
                self.request_ends(false);
                Err(refusal(fault, path))
            }
            Some(fault @ Fault::LostAnswer) => {
                self.suffer(fault, what, path);
                std::future::pending().await
            }
            Some(fault @ Fault::LateAnswer) => {
                self.suffer(fault, what, path);
                self.step(self.dice.millis(500..8_000)).await;
                self.request_ends(true);
                Ok(())
            }
            _ => {
                self.step(self.dice.millis(1..15)).await;
                self.request_ends(true);
                Ok(())
            }
        }
    }

    fn is_last_operation(&self) -> bool {
        let mut status = self.status.lock();
        if let Some(left) = &mut status.dies_in {
            *left = left.saturating_sub(1);
            return *left == 0;
        }
        false
    }

    /// What the weather, or something that goes on for a while, does to an operation.
    fn fate(&self, kind: Kind, path: &Path) -> Option<Fault> {
        let now = self.sim.now();
        let mut status = self.status.lock();
        let folder = path.parts().nth(1).map(|part| part.as_ref().to_owned());
        let here = status.throttled.is_none() || status.throttled == folder;
        if now < status.throttled_until && here {
            return Some(Fault::Throttle);
        }
        if status.cut_off || (kind == Kind::Write && status.vanished) {
            return Some(Fault::ErrorBefore);
        }
        if let Some((fault, until)) = status.refused
            && kind == Kind::Write
            && now < until
        {
            return Some(fault);
        }
        let fate = self.sim.weather.lock().fate(kind, &self.dice);
        // Stores that are no folders have nothing to sync.
        let fate = fate.filter(|fault| *fault != Fault::FailedSync || self.sim.is_folder);
        match fate {
            Some(fault @ (Fault::Denied | Fault::ReadOnly)) => {
                status.refused = Some((fault, now + self.dice.millis(200..15_000)));
            }
            Some(Fault::Throttle) => {
                status.throttled_until = now + self.dice.millis(100..6_000);
                status.throttled = folder.filter(|_| self.dice.chance(600));
            }
            _ => {}
        }
        fate
    }

    pub(super) fn suffer(&self, fault: Fault, what: &str, path: &Path) {
        self.sim.count(fault);
        self.note(what, path, fault.name());
    }

    pub(super) fn note(&self, what: &str, path: &Path, how: &str) {
        let args = format_args!("{what} {path}: {how}");
        self.sim.note(&self.name, args);
    }

    pub(super) fn land(&self, path: &Path, bytes: Bytes, create: bool) -> bool {
        let landed = self.sim.land(&self.name, path, bytes, create);
        if landed && is_entry(path) {
            let mut status = self.status.lock();
            if let Some(operations) = status.dies_after_entry.take() {
                status.dies_in = Some(operations);
            }
            drop(status);
            check_reach(&self.sim, "once its entry landed");
        }
        landed
    }

    /// As a folder does after a sync that failed: what it shows then may be in memory only.
    pub(super) fn check_syncs(&self, path: &Path) -> Result<()> {
        match self.status.lock().sync_failed {
            true => Err(refusal(Fault::FailedSync, path)),
            false => Ok(()),
        }
    }

    /// Syncs the folder of an object that can be seen already, if the store is one. `changed` says
    /// that this operation changed the object.
    pub(super) fn sync(
        &self,
        fate: Option<Fault>,
        dies: bool,
        path: &Path,
        changed: bool,
    ) -> Result<()> {
        if !self.sim.is_folder {
            return Ok(());
        }
        let unsynced = match fate {
            Some(Fault::FailedSync) => Some(Fault::FailedSync),
            _ => (dies && changed && self.dice.chance(500)).then_some(Fault::UnsyncedDeath),
        };
        let Some(fault) = unsynced else {
            let (folder, _) = path.as_ref().rsplit_once('/').unwrap_or_default();
            self.sim.objects.lock().sync(&format!("{folder}/"));
            return Ok(());
        };
        self.suffer(fault, "sync", path);
        if changed {
            self.sim.objects.lock().doubt(path);
            self.sim.doubted(path);
        }
        self.status.lock().sync_failed = true;
        match fault {
            Fault::FailedSync => Err(refusal(fault, path)),
            _ => Ok(()),
        }
    }

    /// The put takes effect some time after its caller gave it up.
    pub(super) fn land_later(&self, path: &Path, bytes: Bytes, create: bool) {
        self.suffer(Fault::LateEffect, "put", path);
        let (sim, name, path) = (Arc::clone(&self.sim), self.name.clone(), path.clone());
        let delay = self.dice.millis(100..60_000);
        *sim.under_way.lock() += 1;
        let generation = *sim.generation.lock();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let same = *sim.generation.lock() == generation;
            let landed = same && sim.land(&name, &path, bytes, create);
            *sim.left_probes.lock() += 1;
            if landed && is_entry(&path) {
                check_reach(&sim, "once its entry landed late");
            }
            sim.note(&name, format_args!("late put {path}: landed {landed}"));
            *sim.under_way.lock() -= 1;
        });
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.name)
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulated store of {}", self.name)
    }
}
