//! From the commit of a version until it is served: told of it through Redis, through NATS, and polling, all three of the
//! same versions.
//!
//! Owns: the figures. Never: asserts a time.

use super::{number, tell};
use crate::kit::Bench;
use crate::push_servers::{Kind, PushServer};
use grotto::consumer::PushLink;
use grotto::engine::env::{Clock, Env};
use grotto::push::{Channel, Push, PushOptions, PushUrl};
use grotto::store::{Announcement, Announcer};
use grotto::{Consumer, Producer, Schema, Store, StoreUrl};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const DATASET: &str = "items";
const PATIENCE: Duration = Duration::from_secs(120);

/// When something happened to each version.
#[derive(Clone)]
struct Times {
    clock: Arc<dyn Clock>,
    at: Arc<Mutex<BTreeMap<u64, Duration>>>,
}

impl Times {
    /// By a clock that all figures share.
    fn by(clock: &Arc<dyn Clock>) -> Self {
        Self {
            clock: Arc::clone(clock),
            at: Arc::default(),
        }
    }

    fn note(&self, version: u64) {
        let now = self.clock.monotonic();
        self.at.lock().unwrap().entry(version).or_insert(now);
    }

    fn of(&self, version: u64) -> Duration {
        self.at.lock().unwrap()[&version]
    }
}

impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Times")
    }
}

/// Told first, right after a commit: its time.
impl Announcer for Times {
    fn announce(&self, announcement: &Announcement) {
        self.note(announcement.version);
    }
}

/// One that follows the dataset, in its own way.
struct Follower {
    how: &'static str,
    consumer: Consumer,
    served: Times,
    took: Vec<Duration>,
}

impl Follower {
    async fn new(how: &'static str, store: &StoreUrl, push: Option<&Push>, like: &Times) -> Self {
        let builder = Consumer::builder(DATASET, Store::open(store).unwrap());
        let builder = match push {
            Some(push) => builder.push(push.listen(&channel(), DATASET)),
            None => builder,
        };
        let served = Times::by(&like.clock);
        let times = served.clone();
        let noted = builder.on_refresh(move |refresh| times.note(refresh.to));
        Self {
            how,
            consumer: noted.start().await.unwrap(),
            served,
            took: Vec::new(),
        }
    }

    async fn hears(&self) {
        while self.consumer.status().push.unwrap().link != PushLink::Up {
            Env::system().sleep(Duration::from_millis(5)).await;
        }
    }

    fn tell(&mut self, what: &str) {
        self.took.sort_unstable();
        let ms = |share: usize| {
            let at = (self.took.len() * share).div_ceil(100).max(1) - 1;
            self.took[at].as_secs_f64() * 1e3
        };
        let (count, how) = (self.took.len(), self.how);
        tell(format_args!(
            "{what}, {how}: {count} versions served within {:.2} ms (median), {:.2} ms (p99), {:.2} ms (most)",
            ms(50),
            ms(99),
            ms(100)
        ));
        self.took.clear();
    }
}

fn channel() -> Channel {
    Channel::of(DATASET).unwrap()
}

/// A producer, and consumers of each kind.
struct Race {
    producer: Producer,
    committed: Times,
    followers: Vec<Follower>,
    items: u64,
}

impl Race {
    async fn new(folder: PathBuf, servers: &[PushServer]) -> Self {
        let store = StoreUrl::Local(folder);
        let committed = Times::by(&Env::system().clock);
        let push = |server: &PushServer| {
            let url = PushUrl::parse(&server.url()).unwrap();
            Push::new(url, PushOptions::default(), Env::system()).unwrap()
        };
        let pushes: Vec<Push> = servers.iter().map(push).collect();
        let schema = "Item @PrimaryKey(id) { long id; long edition; string text; }";
        let mut builder = Producer::builder(DATASET, Store::open_writable(&store).unwrap())
            .schema(Schema::parse(schema).unwrap())
            .announcer(committed.clone());
        for push in &pushes {
            builder = builder.announcer(push.announcer(&channel(), DATASET));
        }
        let producer = builder.open().await.unwrap();
        let mut race = Self {
            producer,
            committed,
            followers: Vec::new(),
            items: number("ITEMS", 500),
        };
        race.publish(0, race.items).await;
        let polling = Follower::new("polling", &store, None, &race.committed).await;
        race.followers.push(polling);
        for (how, push) in ["Redis", "NATS"].into_iter().zip(&pushes) {
            let follower = Follower::new(how, &store, Some(push), &race.committed).await;
            follower.hears().await;
            race.followers.push(follower);
        }
        race
    }

    /// Commits so many records, all of them changed.
    async fn publish(&mut self, edition: u64, records: u64) -> u64 {
        let mut cycle = self.producer.begin_incremental().await.unwrap();
        for id in 0..records {
            let line = format!("{{\"id\":{id},\"edition\":{edition},\"text\":\"item {id}\"}}");
            cycle.upsert_json("Item", &line, 1).unwrap();
        }
        cycle.commit().await.unwrap().unwrap().version
    }

    /// Commits versions so far apart, and has all followers serve each.
    async fn run(&mut self, versions: u64, apart: Duration) {
        for round in 1..=versions {
            // Not in step with whoever polls.
            let share = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let apart = apart.mul_f64(0.5 + share as f64 / f64::from(u32::MAX));
            Env::system().sleep(apart).await;
            let edition = self.producer.version() + 1;
            let version = self.publish(edition, 10).await;
            let began = self.committed.of(version);
            for follower in &mut self.followers {
                let served = follower.consumer.wait_for(version, PATIENCE).await;
                assert_eq!(served.unwrap().version(), version, "{}", follower.how);
            }
            for follower in &mut self.followers {
                while !follower.served.at.lock().unwrap().contains_key(&version) {
                    Env::system().sleep(Duration::from_millis(1)).await;
                }
                follower.took.push(follower.served.of(version) - began);
            }
        }
    }

    fn tell(&mut self, what: &str) {
        for follower in &mut self.followers {
            follower.tell(what);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_commit_to_served() {
    let start = |kind| PushServer::start(kind, &[]);
    let servers: Vec<PushServer> = Kind::ALL.into_iter().filter_map(start).collect();
    if servers.len() < Kind::ALL.len() {
        return;
    }
    let bench = Bench::new();
    let mut race = Race::new(bench.path("store"), &servers).await;
    let apart = Duration::from_millis(number("INTERVAL_MS", 40));
    let rare = Duration::from_millis(number("RARE_MS", 200));
    race.run(number("VERSIONS", 10), apart).await;
    race.tell("versions often");
    race.run(number("RARE_VERSIONS", 2), rare).await;
    race.tell("versions rarely");
    for follower in &race.followers[1..] {
        let push = follower.consumer.status().push.unwrap();
        assert_eq!(push.link, PushLink::Up, "{}", follower.how);
        // No more than are announced, and none that nobody announced.
        assert!(push.is_relied_on, "{}: {push:?}", follower.how);
    }
}
