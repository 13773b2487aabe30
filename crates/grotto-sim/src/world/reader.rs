//! A reader: starts, follows, is restarted, looks at old versions.
//!
//! Owns: what consumers are asked, and what is checked of what they serve. Never: writes.

mod announced;
mod attached;
mod lease;
mod past;
mod pins;
mod rival;
mod room;
mod subscriber;
mod trouble;
mod witness;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grotto_consumer::{Consumer, ConsumerBuilder, Error};
use grotto_env::FileSystem;
use grotto_state::SegmentOptions;
use grotto_store::ErrorKind;

use super::stage::Stage;
use crate::check::check_served_since;
use crate::dice::Dice;
use crate::disk::{Disk, Mount};
use crate::fault::Fault;
use crate::sim::DATASET;
use crate::store::Client;
use attached::Watcher;
use subscriber::Subscriber;
use witness::{Caution, Witness};

pub(crate) use announced::prove as prove_announcements;
pub(crate) use witness::Hold;

/// Segments are merged and emptied in states of a few kilobytes too.
const TINY: SegmentOptions = SegmentOptions {
    seal_at: 4_096,
    move_at_least: 256,
    move_per_written: 3,
    dead_percent: 22,
    merge_at: 3,
    large_segments: 2_048,
};

/// Time between two looks where versions come.
const INTERVAL: Duration = Duration::from_millis(400);

/// Types that readers keep who do not keep all.
const FILTERS: [&[&str]; 3] = [&["City"], &["Road"], &["City", "Road"]];

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
    /// The types that it keeps, of some readers.
    types: Option<&'static [&'static str]>,
    /// Sees all that is served.
    witness: Arc<Witness>,
    /// The version that it was told to stay at.
    pinned: Option<u64>,
    /// Why it stays there though it was told to follow the log again.
    kept_back: Option<Hold>,
    /// Keeps a lease.
    leased: bool,
    /// The version that it holds back.
    held: Option<u64>,
    life: Option<Life>,
    /// What was served last: how often the dataset had been created anew by then, and the version.
    seen: (u64, u64),
    /// The state directory was removed: the next start finds nothing.
    removed: bool,
    /// Times that the state directory may have begun anew, with an older version than before.
    beginnings: u64,
    /// Of these, those before the present life.
    begun: u64,
    /// Processes that are attached to the state directory.
    watchers: Vec<Watcher>,
    /// A program that reads changes, of some readers.
    subscriber: Option<Subscriber>,
}

struct Life {
    client: Arc<Client>,
    consumer: Arc<Consumer>,
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
        let caution = dice.chance(500).then(|| Caution::draw(&dice));
        let types = dice.chance(350).then(|| *dice.pick(&FILTERS));
        let polls = dice.chance(500);
        Self {
            stage: Arc::clone(stage),
            number,
            lives: 0,
            pinned: None,
            kept_back: None,
            leased: polls && dice.chance(600),
            types,
            witness: Witness::new(&stage.sim, number, caution),
            held: None,
            polls,
            disk,
            segments: *dice.pick(&[SegmentOptions::default(), TINY]),
            dice,
            life: None,
            seen: (0, 0),
            removed: false,
            beginnings: 0,
            begun: 0,
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
        if self.pinned.is_some() {
            self.follow().await;
        }
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
        builder = self.begin_life(builder);
        if self.leased {
            let name = format!("r{}", self.number);
            builder = builder.lease(name).lease_interval(lease::INTERVAL);
        }
        let opened = if self.polls {
            let stage = &self.stage;
            let builder = stage.listening(builder, &client, DATASET, INTERVAL);
            builder.start().await
        } else {
            builder.open().await
        };
        match opened {
            Ok(consumer) => {
                self.note("open", &format!("at {}", consumer.version()));
                let consumer = Arc::new(consumer);
                self.watch_requests(&consumer, &client);
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
                // What is found in its directory may be of no use to serve, and still be compared with.
                let held = error.message().contains("is held");
                self.kept_back = held.then(|| Hold::of(error.message()));
                self.judge(&error);
                client.die();
                mount.inspect(|mount| mount.die());
                Some(error)
            }
        }
    }

    /// The witness sees the state that is found, and those that follow it.
    fn begin_life(&mut self, builder: ConsumerBuilder) -> ConsumerBuilder {
        let anew = self.disk.is_none() || self.removed || self.begun != self.beginnings;
        self.begun = self.beginnings;
        (self.pinned, self.kept_back) = (None, None);
        self.witness.begin(&self.name(), anew);
        let witness = Arc::clone(&self.witness);
        builder.on_refresh(move |refresh| witness.hear(refresh))
    }

    /// A process that died in the middle of writing a file is gone.
    fn bury(&mut self) {
        let dead = |life: &mut Life| life.mount.as_ref().is_some_and(|mount| mount.is_dead());
        if let Some(life) = self.life.take_if(dead) {
            self.stage.sim.count(Fault::CrashedReader);
            life.client.die();
        }
    }

    /// As this reader is set up.
    fn builder(&self, name: &str) -> (Arc<Client>, ConsumerBuilder) {
        let (client, builder) = self.builder_of(name, self.types);
        (client, self.witness.instruct(builder))
    }

    /// One without limits, that keeps some types.
    fn builder_of(&self, name: &str, types: Option<&[&str]>) -> (Arc<Client>, ConsumerBuilder) {
        let (client, store) = self.stage.connect(name, &self.dice);
        let builder = Consumer::builder(DATASET, store)
            .poll_interval(INTERVAL)
            .scrub_interval(Duration::from_secs(5))
            .segments(self.segments);
        match types {
            Some(types) => (client, builder.types(types.iter().copied())),
            None => (client, builder),
        }
    }

    async fn act(&mut self) {
        match self.dice.below(100) {
            0..3 => self.restart().await,
            3..5 => self.lose_sight().await,
            5..15 => self.look_back().await,
            15..20 => self.trouble_disk().await,
            20..22 => self.start_rival().await,
            22..24 => self.pin_or_follow().await,
            24..28 if self.pinned.is_some() => self.pin_or_follow().await,
            // Soon again: what a pin keeps from being served is what the rest is about.
            28..40 if self.pinned.is_some() => self.follow().await,
            _ if self.polls => {}
            _ => _ = self.refresh().await,
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

    /// What is served is compared with the model, and with what was served before.
    pub(crate) fn check(&mut self) {
        self.check_attached();
        let name = self.name();
        let Some(life) = &self.life else { return };
        let state = life.consumer.state();
        let era = check_served_since(&self.stage.sim, &name, &state, self.seen);
        let kept = state.filter().map(|filter| filter.names());
        let as_asked = match (kept, self.types) {
            (Some(kept), Some(types)) => kept == types,
            (kept, types) => kept.is_none() && types.is_none(),
        };
        if !as_asked {
            let what = format!("keeps {kept:?}, expected {:?}", self.types);
            self.stage.sim.violation(&name, what);
        }
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
        self.check_pin();
        self.check_held();
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
