//! Those who follow changes and wait for versions, on a runtime whose time passes when nothing else happens.

use super::asked;
use super::changes::subscribed;
use super::daemon::Daemon;
use super::followed::Followed;
use super::life::{assemble, end, followed};
use super::news::{SIGN_OF_LIFE, versions};
use super::reader::{Reader, Resumed};
use crate::config::{Environment, FollowSettings};
use crate::http::answer::Refusal;
use crate::live::{Live, Origin};
use crate::logs::LogControl;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{StatusCode, Uri};
use futures::FutureExt as _;
use grotto::consumer::{Interest, Position, Subscribe, Subscription};
use grotto::engine::env::Env;
use grotto::{Consumer, Producer, Schema, Store, StoreUrl};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A sidecar that nobody runs, with room for one reader at an older version, and what it would follow.
struct Bench {
    daemon: Arc<Daemon>,
    consumer: Consumer,
    producer: Producer,
    stop: watch::Sender<bool>,
    folder: tempfile::TempDir,
}

impl Bench {
    /// At the first version, of three items.
    async fn new() -> Self {
        let env = Env::simulated(7);
        let (folder, (stop, stopped)) = (tempfile::tempdir().unwrap(), watch::channel(false));
        let path = folder.path().join("s.yaml");
        let text = "consumer: {dataset: items, store: store, poll_interval: 5s, max_backoff: 5s, lease: false, \
                    limits: {max_resuming: 1}}\n";
        std::fs::write(&path, text).unwrap();
        let environment = Environment::new();
        let live = Live::load("consumer", Origin { path, environment }).unwrap();
        let all = live.settings();
        let settings = all.consumer.clone().unwrap();
        let datasets = followed(&env, &all, &settings).unwrap();
        let (id, log) = ("s".to_owned(), LogControl::none());
        let daemon = assemble(&env, live, &settings, datasets, id, stopped, log).unwrap();
        let url = StoreUrl::Local(folder.path().join("store"));
        let store = Store::open_writable(&url).unwrap().with_env(env);
        let schema = Schema::parse("Item @PrimaryKey(id) { long id; string name; }").unwrap();
        let producer = Producer::builder("items", store.clone()).schema(schema);
        let producer = producer.open().await.unwrap();
        publish(&producer, 1..4, "a").await;
        Self {
            daemon,
            consumer: Consumer::builder("items", store).open().await.unwrap(),
            producer,
            stop,
            folder,
        }
    }

    /// The dataset, which is opened.
    async fn open(&self) -> Arc<Followed> {
        let followed = Arc::clone(&self.daemon.datasets["items"]);
        let opening = Arc::clone(&followed);
        opening.open(Arc::default(), "s".to_owned(), None).await;
        followed
    }

    /// Has these items another name from the next version on, which is served; where a reader was before.
    async fn fall_behind(&self, ids: std::ops::Range<u64>, name: &str) -> Position {
        let reader = self.consumer.subscribe(Subscribe::named("before"));
        let position = reader.await.unwrap().position().clone();
        publish(&self.producer, ids, name).await;
        self.consumer.refresh().await.unwrap().unwrap();
        position
    }

    fn free(&self) -> usize {
        self.daemon.resuming.available_permits()
    }

    async fn resume(
        &self,
        served: u64,
        subscribe: Subscribe,
        position: &Position,
    ) -> Result<(Subscription, Option<Resumed>), Refusal> {
        let consumer = (&self.consumer, served);
        subscribed(&self.daemon, consumer, subscribe, Some(position.clone())).await
    }

    /// Who reads what is subscribed to.
    fn reader(&self, (subscription, resumed): (Subscription, Option<Resumed>)) -> Reader {
        Reader {
            daemon: Arc::clone(&self.daemon),
            subscription,
            types: Vec::new(),
            stopped: self.daemon.stopped.clone(),
            current: None,
            resumed,
            _place: self.daemon.wait().unwrap(),
            _number: self.daemon.numbers.take(),
        }
    }
}

async fn publish(producer: &Producer, ids: std::ops::Range<u64>, name: &str) {
    let lines: Vec<_> = ids
        .map(|id| format!("{{\"id\":{id},\"name\":\"{name}\"}}"))
        .collect();
    let published = producer.run_incremental(move |cycle| {
        for (line, position) in lines.iter().zip(0..) {
            cycle.upsert_json("Item", line, position)?;
        }
        Ok(())
    });
    published.await.unwrap().unwrap();
}

async fn next(reader: &mut Reader) -> String {
    let piece = reader.next().await.unwrap();
    String::from_utf8(piece.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_reader_keeps_its_place_until_all_of_the_update_is_told() {
    let bench = Bench::new().await;
    let position = bench.fall_behind(1..30, &"b".repeat(40_000)).await;
    let subscribed = bench.resume(1, Subscribe::named("a"), &position).await;
    let mut reader = bench.reader(subscribed.unwrap());
    let mut pieces = 0;
    while !next(&mut reader).await.contains("event: version") {
        assert_eq!(bench.free(), 0, "after {pieces} pieces");
        pieces += 1;
        assert!(pieces < 100, "the same again");
    }
    assert!(pieces > 1, "{pieces}");
    assert_eq!(bench.free(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reader_for_whom_there_is_nothing_gives_its_place_up_all_the_same() {
    let bench = Bench::new().await;
    let position = bench.fall_behind(1..3, "b").await;
    let only = Subscribe::named("a").to(Interest::of("Item").key(3));
    let subscribed = bench.resume(1, only, &position).await;
    let mut reader = bench.reader(subscribed.unwrap());
    assert_eq!(bench.free(), 0);
    assert_eq!(next(&mut reader).await, ":\n\n");
    assert_eq!(bench.free(), 1);
}

/// A sign of life comes while its first update is still being worked out, which needs the state that it goes on from.
#[test]
fn a_reader_keeps_its_place_while_its_first_update_is_found_out() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true);
    let runtime = runtime.max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let mut bench = Bench::new().await;
        let url = StoreUrl::Local(bench.folder.path().join("store"));
        let threads = Env {
            clock: Arc::clone(&bench.daemon.env.clock),
            ..Env::system()
        };
        let store = Store::open(&url).unwrap().with_env(threads.clone());
        bench.consumer = Consumer::builder("items", store).open().await.unwrap();
        let position = bench.fall_behind(1..3, "b").await;
        let subscribed = bench.resume(1, Subscribe::named("a"), &position).await;
        let mut reader = bench.reader(subscribed.unwrap());
        // The only thread that could find it out has something else to do.
        let (go_on, busy) = std::sync::mpsc::channel::<()>();
        let mut busy = Box::pin(threads.blocking(move || busy.recv()));
        assert!(busy.as_mut().now_or_never().is_none());
        let mut waits = Box::pin(reader.next());
        assert!(waits.as_mut().now_or_never().is_none());
        tokio::time::advance(SIGN_OF_LIFE).await;
        assert_eq!(waits.await.unwrap(), ":\n\n".as_bytes());
        assert_eq!(bench.free(), 0);
        go_on.send(()).unwrap();
        busy.await.unwrap().unwrap();
        assert!(next(&mut reader).await.contains("event: version"));
        assert_eq!(bench.free(), 1);
    });
}

#[tokio::test(start_paused = true)]
async fn a_version_that_comes_while_a_reader_subscribes_makes_its_position_an_older_one() {
    let bench = Bench::new().await;
    let position = bench.fall_behind(1..3, "b").await;
    // As if the first version had been served when it was looked.
    let moment = position.version();
    let first = bench.resume(moment, Subscribe::named("a"), &position).await;
    let (_subscription, resumed) = first.unwrap();
    assert_eq!((resumed.is_some(), bench.free()), (true, 0));
    let second = bench.resume(moment, Subscribe::named("b"), &position).await;
    assert_eq!(second.err().unwrap().code, "unavailable");
    // Its name is free again.
    drop(resumed);
    let third = bench.resume(moment, Subscribe::named("b"), &position).await;
    assert!(third.unwrap().1.is_some());
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_place_is_told_so_before_anything_is_looked_for() {
    let bench = Bench::new().await;
    let position = bench.fall_behind(1..3, "b").await;
    let text = position.to_string();
    let (_, id) = text.split_once('@').unwrap();
    let at = |place: &str| format!("{place}@{id}").parse::<Position>().unwrap();
    let never_was = at("1.00000000000000ff");
    let refused = async |position| {
        let asked = bench.resume(2, Subscribe::named("a"), position).await;
        asked.err().unwrap().code
    };
    assert_eq!(refused(&never_was).await, "version_gone");
    let _place = Arc::clone(&bench.daemon.resuming).try_acquire_owned();
    assert_eq!(refused(&never_was).await, "unavailable");
    assert_eq!(refused(&position).await, "unavailable");
    // There is nothing to be built before the first version, and at the one that is served.
    let served = bench.consumer.subscribe(Subscribe::named("now")).await;
    let served = served.unwrap().position().clone();
    for position in [at("0.0000000000000000"), served] {
        let subscribed = bench.resume(2, Subscribe::named("a"), &position).await;
        assert!(subscribed.unwrap().1.is_none(), "{position}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_changes_is_told_the_end() {
    let bench = Bench::new().await;
    let subscription = bench.consumer.subscribe(Subscribe::named("a")).await;
    let mut reader = bench.reader((subscription.unwrap(), None));
    assert_eq!(next(&mut reader).await, ":\n\n");
    bench.stop.send(true).unwrap();
    assert!(reader.next().await.is_none());
}

/// What a request for a version that is not there yet waits for.
async fn wait(bench: &Bench, query: &'static str) -> StatusCode {
    let query = Query::try_from_uri(&Uri::from_static(query)).map_err(|_| unreachable!());
    let daemon = Shared(Arc::clone(&bench.daemon));
    let told = versions(daemon, Ok(Path("items".to_owned())), query).await;
    told.unwrap().status()
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_version_is_answered_at_the_end() {
    let bench = Bench::new().await;
    bench.open().await;
    let mut waits = Box::pin(wait(&bench, "/?after=1&wait=60s"));
    let wanted = asked::Asked {
        version: Some(2),
        wait: Some("60s".to_owned()),
    };
    let mut early = Box::pin(asked::state(&bench.daemon, "items", &wanted));
    assert!(waits.as_mut().now_or_never().is_none());
    assert!(early.as_mut().now_or_never().is_none());
    bench.stop.send(true).unwrap();
    assert_eq!(waits.now_or_never(), Some(StatusCode::OK));
    let refused = early.now_or_never().unwrap().err().unwrap();
    assert_eq!(refused.code, "version_not_yet");
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_version_is_as_long_as_it_was_asked_to_be() {
    let bench = Bench::new().await;
    bench.open().await;
    let clock = Arc::clone(&bench.daemon.env.clock);
    for (query, seconds) in [("/?after=1&wait=7s", 7), ("/?after=1&wait=24h", 60)] {
        let begun = clock.monotonic();
        assert_eq!(wait(&bench, query).await, StatusCode::OK);
        let waited = clock.monotonic() - begun;
        assert_eq!(waited.as_secs(), seconds, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_version_is_told_of_once_it_is_served() {
    let bench = Bench::new().await;
    let followed = bench.open().await;
    let mut versions = followed.versions();
    assert_eq!(*versions.borrow(), 1);
    for (version, name) in [(2, "b"), (3, "c")] {
        publish(&bench.producer, 1..2, name).await;
        let looks = 2 * Duration::from_secs(5);
        let told = bench
            .daemon
            .env
            .within(looks, versions.wait_for(|told| *told == version));
        assert!(told.await.is_ok(), "version {version}");
        assert_eq!(followed.state().unwrap().version(), version);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_on_the_host_is_told_of_while_the_dataset_does_not_open() {
    let bench = Bench::new().await;
    let dir = bench.folder.path().join("state");
    let store = StoreUrl::Local(bench.folder.path().join("store"));
    let other = Consumer::builder("items", Store::open(&store).unwrap()).state_dir(&dir);
    let _other = other.open().await.unwrap();
    for (name, version) in [("items", 1), ("others", 0)] {
        let settings = FollowSettings {
            state_dir: Some(dir.clone()),
            ..FollowSettings::default()
        };
        let followed = Followed::new(name, &settings, store.clone(), Env::system());
        followed.make_do(|dir| Consumer::attach(dir)).await;
        assert_eq!(*followed.versions().borrow(), version, "{name}");
        let state = followed.state().map_or(0, |state| state.version());
        assert_eq!(state, version, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pace_that_changes_while_a_dataset_is_opened_is_kept() {
    let bench = Bench::new().await;
    let settings = FollowSettings {
        poll_interval: Duration::from_secs(3_600),
        ..FollowSettings::default()
    };
    let url = StoreUrl::Local(bench.folder.path().join("store"));
    let env = Env {
        clock: Arc::clone(&bench.daemon.env.clock),
        ..Env::system()
    };
    let followed = Arc::new(Followed::new("items", &settings, url, env));
    let opening = Arc::clone(&followed).open(Arc::default(), "s".to_owned(), None);
    let mut opening = Box::pin(opening);
    assert!(opening.as_mut().now_or_never().is_none());
    let often = Duration::from_secs(5);
    followed.set_pace(often, often);
    opening.await;
    // Whoever was opened looks at once, however often it looks after that.
    bench.daemon.env.sleep(often).await;
    publish(&bench.producer, 1..2, "b").await;
    let mut versions = followed.versions();
    let told = versions.wait_for(|told| *told == 2);
    assert!(bench.daemon.env.within(2 * often, told).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_second_request_to_end_is_obeyed_though_something_is_still_served() {
    let bench = Bench::new().await;
    let stuck = || {
        let mut served = JoinSet::new();
        served.spawn(std::future::pending());
        served
    };
    let (daemon, stop) = (&bench.daemon, &bench.stop);
    let first = end(daemon, std::future::pending(), stop, stuck());
    let long = Duration::from_secs(3_600);
    assert!(daemon.env.within(long, first).await.is_err());
    let second = end(daemon, std::future::ready(()), stop, stuck());
    assert!(daemon.env.within(long, second).await.is_ok());
}
