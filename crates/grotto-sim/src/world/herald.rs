//! A server of announcements as bad as one can be: it loses, doubles and delays what it is told, its connections break,
//! and whoever likes announces what never was.
//!
//! Owns: who is told what, and when. Never: stands between a reader and the store: what is served, and which requests
//! that takes, is checked by those who check it without announcements.

mod forger;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use grotto_store::{Announcement, Announcements, Announcer, Feed, announcements};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::dice::Dice;
use crate::fault::Fault;
use crate::sim::Sim;

/// Sets the chance of announcements apart: where there are none, nothing changes for anybody.
const OURS: u64 = 0x6865_7261_6c64;

/// How bad it is in one seed: each kind so many times in a thousand.
#[derive(Clone, Copy, Debug)]
struct Manner {
    lost: u64,
    doubled: u64,
    late: u64,
    /// Connections break, and come back.
    breaks: bool,
    /// Nobody is ever connected.
    is_away: bool,
    /// Milliseconds between two forgeries, at most; none without.
    forges: Option<u64>,
    /// A forgery follows one of so many looks that found nothing; none without.
    lies_in_wait: Option<u64>,
}

impl Manner {
    fn draw(dice: &Dice) -> Self {
        Self {
            lost: *dice.pick(&[0, 0, 200, 600, 1_000]),
            doubled: *dice.pick(&[0, 150, 500]),
            late: *dice.pick(&[0, 150, 500]),
            breaks: dice.chance(500),
            is_away: dice.chance(80),
            forges: dice.chance(600).then(|| *dice.pick(&[20, 150, 900, 5_000])),
            lies_in_wait: dice.chance(350).then(|| dice.within(1..4)),
        }
    }

    /// Everything that is told is heard at once.
    fn good() -> Self {
        Self {
            lost: 0,
            doubled: 0,
            late: 0,
            breaks: false,
            is_away: false,
            forges: None,
            lies_in_wait: None,
        }
    }
}

/// The server.
#[derive(Debug)]
pub(crate) struct Herald {
    sim: Arc<Sim>,
    dice: Dice,
    manner: Mutex<Manner>,
    mended: Notify,
    /// All datasets are announced on one channel.
    lines: Mutex<Vec<Line>>,
    /// What was announced last, by dataset.
    last: Mutex<BTreeMap<String, Announcement>>,
}

/// Somebody who listens.
#[derive(Clone, Debug)]
struct Line {
    name: String,
    feed: Feed,
    is_up: bool,
}

impl Herald {
    /// The server of a seed, in three of ten.
    pub(crate) fn begin(sim: &Arc<Sim>, seed: u64) -> Option<Arc<Self>> {
        let dice = Dice::new(seed ^ OURS);
        if !dice.chance(300) {
            return None;
        }
        let manner = Manner::draw(&dice);
        sim.note("herald", format_args!("{manner:?}"));
        let herald = Arc::new(Self {
            sim: Arc::clone(sim),
            dice: dice.split(),
            manner: Mutex::new(manner),
            mended: Notify::new(),
            lines: Mutex::default(),
            last: Mutex::default(),
        });
        forger::begin(&herald, &dice);
        Some(herald)
    }

    /// What a process hears of a dataset, unless it is not set up for that.
    pub(crate) fn listen(self: &Arc<Self>, name: &str, dataset: &str) -> Option<Announcements> {
        if !self.dice.chance(800) {
            return None;
        }
        let (feed, heard) = announcements(dataset);
        self.note(name, "listens");
        let mut lines = self.lines.lock();
        lines.retain(|line| !line.feed.is_closed());
        lines.push(Line {
            name: name.to_owned(),
            feed: feed.clone(),
            is_up: false,
        });
        drop(lines);
        tokio::spawn(Arc::clone(self).connect(feed, name.to_owned()));
        Some(heard)
    }

    /// Connects a listener again and again, until it has gone.
    async fn connect(self: Arc<Self>, feed: Feed, name: String) {
        while !feed.is_closed() {
            let manner = *self.manner.lock();
            self.pause(self.dice.millis(0..4_000)).await;
            if manner.is_away {
                feed.down("the server is not there");
                continue;
            }
            self.set(&name, true);
            feed.up();
            if !manner.breaks {
                return;
            }
            self.pause(self.dice.millis(500..30_000)).await;
            if self.manner.lock().breaks && !feed.is_closed() {
                self.count(Fault::CutHerald, &name);
                self.set(&name, false);
                feed.down("the connection broke");
            }
        }
    }

    /// Waits, but not longer than until all is well.
    async fn pause(&self, time: Duration) {
        tokio::select! {
            biased;
            () = self.mended.notified() => {}
            () = tokio::time::sleep(time) => {}
        }
    }

    fn set(&self, name: &str, is_up: bool) {
        let mut lines = self.lines.lock();
        let named = lines.iter_mut().filter(|line| line.name == name);
        named.for_each(|line| line.is_up = is_up);
    }

    /// Faults end: in every other seed connections hold from now on, and carry nothing. Whoever relied on them has to
    /// find by itself what comes.
    pub(crate) fn settle_down(&self) {
        if self.dice.chance(500) {
            self.note("everybody", "connected, and told of nothing");
            let lost = 1_000;
            *self.manner.lock() = Manner {
                lost,
                ..Manner::good()
            };
            self.mended.notify_waiters();
        }
    }

    /// All that is announced from now on is heard at once, by everybody who listens.
    pub(crate) fn mend(&self) {
        *self.manner.lock() = Manner::good();
        self.mended.notify_waiters();
    }

    /// Whether a process hears what is announced.
    pub(crate) fn reaches(&self, name: &str) -> bool {
        let lines = self.lines.lock();
        lines.iter().any(|line| line.name == name && line.is_up)
    }

    /// Somebody announces something that is so.
    fn announce(self: &Arc<Self>, told: &Announcement) {
        let mut last = self.last.lock();
        last.insert(told.dataset.clone(), told.clone());
        drop(last);
        let Ok(bytes) = told.encode() else {
            let what = format!("announces what is no announcement: {told:?}");
            return self.sim.violation("herald", what);
        };
        let bytes = Bytes::from(bytes);
        let lines = self.lines.lock().clone();
        for line in &lines {
            self.carry(line, &bytes);
        }
    }

    /// A message goes to one who listens, or does not.
    fn carry(self: &Arc<Self>, line: &Line, bytes: &Bytes) {
        let manner = *self.manner.lock();
        if self.dice.chance(manner.lost) {
            return self.count(Fault::LostAnnouncement, &line.name);
        }
        let copies = 1 + u64::from(self.dice.chance(manner.doubled));
        for copy in 0..copies {
            if copy > 0 {
                self.count(Fault::DoubledAnnouncement, &line.name);
            }
            if copy == 0 && !self.dice.chance(manner.late) {
                self.deliver(&line.name, bytes);
                continue;
            }
            // Later ones overtake it.
            self.count(Fault::LateAnnouncement, &line.name);
            let delay = self.dice.millis(1..15_000);
            let (herald, name, bytes) = (Arc::clone(self), line.name.clone(), bytes.clone());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                herald.deliver(&name, &bytes);
            });
        }
    }

    /// A message comes to one who listens, unless the connection is broken.
    fn deliver(&self, name: &str, bytes: &[u8]) {
        let lines = self.lines.lock();
        let named = lines.iter().filter(|line| line.name == name && line.is_up);
        named.for_each(|line| line.feed.message(bytes));
    }

    /// A message comes to everybody.
    fn deliver_to_all(&self, bytes: &[u8]) {
        let lines = self.lines.lock();
        let connected = lines.iter().filter(|line| line.is_up);
        connected.for_each(|line| line.feed.message(bytes));
    }

    fn count(&self, fault: Fault, name: &str) {
        self.sim.count(fault);
        self.note(name, fault.name());
    }

    fn note(&self, name: &str, what: &str) {
        self.sim.note("herald", format_args!("{name}: {what}"));
    }
}

/// Announces what a process commits.
#[derive(Debug)]
pub(crate) struct Voice {
    pub(crate) sim: Arc<Sim>,
    pub(crate) herald: Option<Arc<Herald>>,
    pub(crate) name: String,
}

impl Announcer for Voice {
    /// What is announced has been committed before.
    fn announce(&self, told: &Announcement) {
        if !self.sim.was_committed(&told.dataset_id, told.version) {
            let (dataset, version) = (&told.dataset, told.version);
            let what = format!("announces version {version} of {dataset}, which was not committed");
            self.sim.violation(&self.name, what);
        }
        if let Some(herald) = &self.herald {
            herald.announce(told);
        }
    }
}
