//! A sidecar that is killed while it refreshes, again and again, under readers in another process.

use super::child::{Plan, Reader};
use super::editions::Publisher;
use super::kit::{Host, pause, reach, served_after, status, well};
use super::{number, tell};
use crate::daemon::kit::Daemon;
use crate::sidecar::kit::start;
use grotto::engine::env::Env;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

const ITEMS: i64 = 4_000;

/// At which points of a refresh it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// Right after the version is there, most likely before it was looked for.
    Published,
    /// At any time from then until it is most likely over.
    Meanwhile,
    /// While a file of the state directory has its temporary name.
    Writing,
    /// Once a new segment has its name.
    Sealed,
    /// Once there is a new root.
    Rooted,
    /// Once the directory says that the version is the newest.
    Told,
}

const POINTS: [Point; 6] = [
    Point::Published,
    Point::Meanwhile,
    Point::Writing,
    Point::Sealed,
    Point::Rooted,
    Point::Told,
];

/// Names of a folder.
fn names(folder: &Path) -> Vec<OsString> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    names
}

impl Point {
    /// What is looked at until it is another one.
    fn look(self, state_dir: &Path) -> Vec<OsString> {
        match self {
            Self::Published | Self::Meanwhile => Vec::new(),
            Self::Writing => {
                let folders = ["segments", "roots", ""].map(|name| names(&state_dir.join(name)));
                let all = folders.into_iter().flatten();
                all.filter(|name| name.to_string_lossy().ends_with(".tmp"))
                    .collect()
            }
            Self::Sealed => names(&state_dir.join("segments")),
            Self::Rooted => names(&state_dir.join("roots")),
            Self::Told => {
                let text = std::fs::read_to_string(state_dir.join("CURRENT"));
                vec![text.unwrap_or_default().into()]
            }
        }
    }

    /// Waits until it is reached, or the refresh is over; whether it was.
    fn await_in(
        self,
        state_dir: &Path,
        before: &[OsString],
        sidecar: &Daemon,
        version: u64,
    ) -> bool {
        // Asking takes longer than a look.
        for look in 1_u64.. {
            if self.look(state_dir) != before {
                return true;
            }
            if look % 256 == 0 && status(sidecar)["version"] == version {
                return false;
            }
        }
        false
    }
}

/// Publishes a version that takes its time to be written: many more items, or without those.
fn large(publisher: &mut Publisher) -> u64 {
    let is_small = publisher.items() == ITEMS;
    publisher.resize(if is_small { 10 * ITEMS } else { ITEMS })
}

/// A sidecar under readers, that is killed.
struct Victim {
    host: Host,
    sidecar: Option<Daemon>,
    served: u64,
    /// How long it takes from a large publication until its version is served.
    usual: Duration,
    /// Kills at each point that was met.
    met: [u64; POINTS.len()],
    /// Kills that left a file with a temporary name.
    unfinished: u64,
}

impl Victim {
    fn new() -> Self {
        let mut host = Host::new(ITEMS, "  guards: {hold: false}\n");
        let (sidecar, _) = host.serving();
        let clock = Env::system().clock;
        let begun = clock.monotonic();
        let served = large(&mut host.publisher);
        reach(&sidecar, served);
        Self {
            host,
            sidecar: Some(sidecar),
            served,
            usual: clock.monotonic() - begun,
            met: [0; POINTS.len()],
            unfinished: 0,
        }
    }

    /// Kills it at a point of the next refresh.
    fn kill(&mut self, round: u32) {
        let at = round as usize % POINTS.len();
        let running = self.sidecar.take().unwrap();
        let state_dir = self.host.state_dir();
        let before = POINTS[at].look(&state_dir);
        let publisher = &mut self.host.publisher;
        let version = match POINTS[at] {
            Point::Meanwhile | Point::Writing => large(publisher),
            _ => publisher.publish(),
        };
        let is_met = match POINTS[at] {
            Point::Published => true,
            Point::Meanwhile => {
                pause(self.usual * (round * 7 % 10) / 10);
                true
            }
            point => point.await_in(&state_dir, &before, &running, version),
        };
        running.kill();
        self.met[at] += u64::from(is_met);
        self.unfinished += u64::from(!Point::Writing.look(&state_dir).is_empty());
    }

    /// Starts it again, without the store if so asked: nothing but the state directory can be served at once then.
    fn restart(&mut self, without_store: bool) {
        let (store, away) = (self.host.store(), self.host.bench.path("away"));
        if without_store {
            std::fs::rename(&store, &away).unwrap();
        }
        let sidecar = start(&self.host.bench);
        let now = served_after(&sidecar, 0);
        assert!(
            now >= self.served,
            "never back: {now} after {}",
            self.served
        );
        if without_store {
            std::fs::rename(&away, &store).unwrap();
        }
        self.served = self.host.publisher.version();
        reach(&sidecar, self.served);
        self.sidecar = Some(sidecar);
    }
}

#[test]
fn a_sidecar_that_is_killed_again_and_again_serves_on_from_where_it_was() {
    let rounds = u32::try_from(number("KILLS", 8)).unwrap();
    let mut victim = Victim::new();
    let plan = Plan::attach(victim.host.state_dir(), 50, ITEMS);
    let mut readers = Reader::start(&plan);
    for round in 0..rounds {
        victim.kill(round);
        victim.restart(round % 2 == 1);
        readers.reaches(victim.host.publisher.edition());
    }
    well(victim.sidecar.as_ref().unwrap(), victim.served);
    let figures = readers.figures();
    for (point, times) in POINTS.iter().zip(victim.met) {
        tell(format_args!("killed at {point:?}: {times} times"));
    }
    let unfinished = victim.unfinished;
    tell(format_args!(
        "{unfinished} of {rounds} kills left an unfinished file; readers: {figures}"
    ));
    assert!(
        victim.met.iter().sum::<u64>() * 2 > u64::from(rounds),
        "{:?}",
        victim.met
    );
    assert!(figures["trouble"].is_null(), "{figures}");
    readers.end();
}
