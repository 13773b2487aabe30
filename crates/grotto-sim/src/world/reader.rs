//! A reader: starts, follows, is restarted, looks at old versions.
//!
//! Owns: what consumers are asked, and what is checked of what they serve. Never: writes.

mod attached;
mod rival;
mod room;
mod subscriber;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grotto_consumer::{Consumer, ConsumerBuilder, Error};
use grotto_env::FileSystem;
use grotto_state::SegmentOptions;
use grotto_store::ErrorKind;

use super::stage::Stage;
use crate::check::check_served;
use crate::dice::Dice;
use crate::disk::{Disk, Mount};
use crate::fault::Fault;
use crate::sim::DATASET;
use crate::store::Client;
use attached::Watcher;
use subscriber::Subscriber;

/// How long a store vanishes for a reader.
const VANISHED_FOR: Duration = Duration::from_secs(40);
/// A look at the store that succeeded this long before it vanished is not asked about.
const SLACK: Duration = Duration::from_secs(12);

/// Segments are merged and emptied in states of a few kilobytes too.
const TINY: SegmentOptions = SegmentOptions {
    seal_at: 4_096,
    move_at_least: 256,
    move_per_written: 3,
    dead_percent: 22,
    merge_at: 3,
    large_segments: 2_048,
};

/// One reader, in all its lives.
pub(crate) struct Reader {
    stage: Arc<Stage>,
    number: u64,
    lives: u64,
    dice: Dice,
    /// Looks for news by itself.
    polls: bool,
    /// Where the state is kept; on the heap without one.
    disk: Option<Arc<Disk>>,
    segments: SegmentOptions,
    life: Option<Life>,
    /// What was served last: how often the dataset had been created anew by then, and the version.
    seen: (u64, u64),
    /// The state directory was removed: the next start finds nothing.
    removed: bool,
    /// Times that the state directory may have begun anew, with an older version than before.
    beginnings: u64,
    /// Processes that are attached to the state directory.
    watchers: Vec<Watcher>,
    /// A program that reads changes, of some readers.
    subscriber: Option<Subscriber>,
}

struct Life {
    client: Arc<Client>,
    consumer: Consumer,
    mount: Option<Arc<Mount>>,
}

impl Reader {
    pub(crate) fn new(stage: &Arc<Stage>, number: u64, dice: Dice) -> Self {
        let disk = dice
            .chance(600)
            .then(|| Disk::new(&stage.sim, &format!("r{number}"), dice.split()));
        let attached = disk.as_ref().map_or(0, |_| dice.within(1..3));
        let subscribed = dice
            .chance(500)
            .then(|| Subscriber::new(&stage.sim, dice.split()));
        Self {
            stage: Arc::clone(stage),
            number,
            lives: 0,
            polls: dice.chance(500),
            disk,
            segments: *dice.pick(&[SegmentOptions::default(), TINY]),
            dice,
            life: None,
            seen: (0, 0),
            removed: false,
            beginnings: 0,
            watchers: (1..=attached).map(|n| Watcher::new(number, n)).collect(),
            subscriber: subscribed,
        }
    }

    /// Reads until faults end.
    pub(crate) async fn live(mut self) -> Self {
        while self.stage.is_raining() {
            tokio::time::sleep(self.dice.millis(20..3_000)).await;
            if self.life.is_none() {
                self.open().await;
            } else {
                self.act().await;
            }
            self.tend_attached();
            self.follow_changes().await;
            self.check();
            self.bury();
        }
        if let Some(disk) = &self.disk {
            disk.heal();
        }
        self.settle_attached().await;
        self
    }

    /// Looks for news; an error if that fails.
    pub(crate) async fn catch_up(&mut self) -> Result<u64, Error> {
        self.bury();
        match &self.life {
            None => {
                if let Some(error) = self.open().await {
                    return Err(error);
                }
            }
            Some(life) if !self.polls => _ = life.consumer.refresh().await?,
            Some(_) => {}
        }
        self.check();
        self.check_errors();
        Ok(self.life.as_ref().map_or(0, |life| life.consumer.version()))
    }

    pub(crate) fn name(&self) -> String {
        format!("r{}.{}", self.number, self.lives)
    }

    async fn open(&mut self) -> Option<Error> {
        self.lives += 1;
        let (client, mut builder) = self.builder(&self.name());
        let mount = self.disk.as_ref().map(|disk| disk.mount());
        if let Some(mount) = &mount {
            let system = Arc::clone(mount) as Arc<dyn FileSystem>;
            builder = builder.state_dir("/state").file_system(system);
            if self.stage.is_raining() && self.dice.chance(100) {
                mount.die_in(self.dice.within(1..40));
            }
        }
        builder = builder.wait_for_dataset(true);
        let opened = if self.polls {
            builder.start().await
        } else {
            builder.open().await
        };
        match opened {
            Ok(consumer) => {
                self.note("open", &format!("at {}", consumer.version()));
                if self.disk.is_none() || std::mem::take(&mut self.removed) {
                    self.beginnings += 1;
                    self.seen = (0, 0);
                }
                self.life = Some(Life {
                    client,
                    consumer,
                    mount,
                });
                None
            }
            Err(error) => {
                self.note("open", &error.to_string());
                self.judge(&error);
                client.die();
                mount.inspect(|mount| mount.die());
                Some(error)
            }
        }
    }

    /// A process that died in the middle of writing a file is gone.
    fn bury(&mut self) {
        let dead = |life: &mut Life| life.mount.as_ref().is_some_and(|mount| mount.is_dead());
        if let Some(life) = self.life.take_if(dead) {
            self.stage.sim.count(Fault::CrashedReader);
            life.client.die();
        }
    }

    fn builder(&self, name: &str) -> (Arc<Client>, ConsumerBuilder) {
        let (client, store) = self.stage.connect(name, &self.dice);
        let builder = Consumer::builder(DATASET, store)
            .poll_interval(Duration::from_millis(400))
            .scrub_interval(Duration::from_secs(5))
            .segments(self.segments);
        (client, builder)
    }

    async fn act(&mut self) {
        match self.dice.below(100) {
            0..3 => self.restart().await,
            3..5 => self.lose_sight().await,
            5..15 => self.look_back().await,
            15..20 => self.trouble_disk().await,
            20..22 => self.start_rival().await,
            _ if self.polls => {}
            _ => _ = self.refresh().await,
        }
    }

    async fn restart(&mut self) {
        self.check_errors();
        let Some(life) = self.life.take() else { return };
        if self.dice.chance(500) {
            self.note("shutdown", "");
            life.consumer.shutdown().await;
        } else {
            self.note("crash", "");
            self.stage.sim.count(Fault::CrashedReader);
        }
        life.client.die();
        life.mount.inspect(|mount| mount.die());
        if let Some(disk) = self.disk.as_ref().filter(|_| self.dice.chance(500)) {
            let disk = Arc::clone(disk);
            self.end_all_attached();
            disk.reboot();
            self.beginnings += 1;
            self.seen = (0, 0);
        }
    }

    async fn trouble_disk(&mut self) {
        let Some(disk) = self.disk.clone() else {
            return;
        };
        match self.dice.below(5) {
            0 => {
                disk.remove_all();
                // What is served stays, but the next start finds nothing.
                self.removed = true;
                self.beginnings += 1;
                if self.dice.chance(600) {
                    self.start_rival().await;
                }
            }
            1 => disk.fill(self.dice.millis(500..20_000)),
            2 => {
                disk.alter();
                // Once that is found out, the next start finds nothing.
                self.removed = true;
                self.beginnings += 1;
            }
            _ => {
                let mount = self.life.as_ref().and_then(|life| life.mount.as_ref());
                mount.inspect(|mount| mount.die_in(self.dice.within(1..30)));
            }
        }
    }

    async fn refresh(&mut self) -> Result<(), Error> {
        let Some(life) = &self.life else {
            return Ok(());
        };
        let before = (life.consumer.version(), self.files());
        let answer = life.consumer.refresh().await;
        let after = (life.consumer.version(), self.files());
        let alive = life.mount.as_ref().is_none_or(|mount| !mount.is_dead());
        if answer.is_err() && alive && before.0 == after.0 && !after.1.is_subset(&before.1) {
            let left: Vec<_> = after.1.difference(&before.1).collect();
            self.violation(&format!("a refresh that failed leaves {left:?}"));
        }
        match answer {
            Ok(report) => {
                if let Some(report) = report {
                    self.note("refresh", &format!("{} to {}", report.from, report.to));
                }
                Ok(())
            }
            Err(error) => {
                self.note("refresh", &error.to_string());
                self.judge(&error);
                Err(error)
            }
        }
    }

    fn files(&self) -> BTreeSet<PathBuf> {
        self.disk
            .as_ref()
            .map(|disk| disk.names())
            .unwrap_or_default()
    }

    /// The store looks empty for a while, as if it were not mounted: nothing that is served may count
    /// as the newest then.
    async fn lose_sight(&mut self) {
        let Some(life) = &self.life else { return };
        if life.consumer.version() == 0 || !self.stage.is_raining() {
            return;
        }
        let client = Arc::clone(&life.client);
        self.stage.sim.count(Fault::Vanished);
        self.note("vanished", "");
        client.vanish(true);
        tokio::time::sleep(VANISHED_FOR).await;
        if !self.stage.is_raining() {
            return;
        }
        if self.polls {
            let staleness = self.life.as_ref().map(|life| life.consumer.staleness());
            if staleness.is_some_and(|staleness| staleness < VANISHED_FOR - SLACK) {
                self.violation(&format!("counts as {staleness:?} old without a store"));
            }
            self.check_attached_stale(VANISHED_FOR - SLACK);
        } else if self.refresh().await.is_ok() && self.stage.is_raining() {
            self.violation("finds no fault with a store that is empty");
        }
        client.vanish(false);
        self.note("vanished", "is back");
    }

    /// A look at an older version needs that version and no newer one.
    async fn look_back(&mut self) {
        let intact = self.stage.sim.ledger.lock().intact();
        let Some(version) = intact.get(self.dice.below(intact.len() as u64) as usize) else {
            return;
        };
        if let Err(error) = self.read(*version).await {
            self.note("look back", &error.to_string());
        }
    }

    /// Opens one version and compares it.
    pub(crate) async fn read(&mut self, version: u64) -> Result<(), Error> {
        let (client, builder) = self.builder(&format!("r{}.old", self.number));
        let opened = builder.open_at(version).await;
        client.die();
        let consumer = opened.inspect_err(|error| self.judge(error))?;
        let state = consumer.state();
        if state.version() != version {
            let found = state.version();
            self.violation(&format!("opened version {version}, got {found}"));
        }
        check_served(&self.stage.sim, &self.name(), &state);
        Ok(())
    }

    /// What is served is compared with the model, and with what was served before.
    pub(crate) fn check(&mut self) {
        self.check_attached();
        let name = self.name();
        let Some(life) = &self.life else { return };
        let state = life.consumer.state();
        let era = check_served(&self.stage.sim, &name, &state);
        let (found, most) = (
            state.segments().count() as u64,
            self.segments.most_segments(state.shape().live_bytes),
        );
        if found > most {
            let what = format!("{found} segments, expected at most {most}");
            self.stage.sim.violation(&name, what);
        }
        let (before, version) = (self.seen, (era, state.version()));
        if version.1 > 0 {
            self.seen = version;
        }
        if self.seen < before || (version.1 == 0 && before.1 > 0) {
            let what = format!("went back from version {before:?} to {version:?}");
            self.stage.sim.violation(&name, what);
        }
    }

    /// One that polls tells nobody of its errors, but counts them.
    fn check_errors(&self) {
        let Some(life) = &self.life else { return };
        if life.consumer.metrics_text().contains("kind=\"internal\"") {
            self.violation("internal errors in the background");
        }
    }

    fn judge(&self, error: &Error) {
        if error.kind() == ErrorKind::Internal {
            self.violation(&format!("an internal error: {error}"));
        }
    }

    fn violation(&self, what: &str) {
        self.stage.sim.violation(&self.name(), what);
    }

    fn note(&self, what: &str, how: &str) {
        let sim = &self.stage.sim;
        sim.note(&self.name(), format_args!("{what}: {how}"));
    }
}
