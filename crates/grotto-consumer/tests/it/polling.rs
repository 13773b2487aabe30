//! How often a consumer asks, and how it says that it is: in virtual time, against a store that counts.

use crate::faults::{Fault, FaultStore};
use crate::kit::{DATASET, Kit, Publisher, VirtualClock, assert_same};
use grotto_consumer::{BreakerState, Consumer, ConsumerBuilder, Health};
use grotto_env::{Env, SeededRandom};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(100);

/// Looks of an idle consumer in ten minutes at the default pace, by the randomness of these tests: one every 4.5 s on
/// average.
const IN_TEN_MINUTES: usize = 134;

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

fn builder(kit: &Kit) -> (Arc<FaultStore>, ConsumerBuilder) {
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let env = Env {
        random: Arc::new(SeededRandom::new(1)),
        ..VirtualClock::env()
    };
    let builder = Consumer::builder(DATASET, store.store().with_env(env));
    (store, builder)
}

async fn started(kit: &Kit) -> (Publisher, Arc<FaultStore>, Consumer) {
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let (store, builder) = builder(kit);
    (publisher, store, builder.start().await.unwrap())
}

fn entry(version: u64) -> String {
    format!("log/{version:020}.json")
}

#[tokio::test(start_paused = true)]
async fn an_idle_consumer_asks_as_often_as_its_longest_wait_says() {
    let kit = Kit::new();
    let (_publisher, store, consumer) = started(&kit).await;
    let active = {
        store.take_asked();
        pass(4 * SECOND).await;
        store.take_asked().len()
    };
    assert!((40..60).contains(&active), "{active} requests in 4 s");
    pass(60 * SECOND).await;
    store.take_asked();
    pass(600 * SECOND).await;
    let next = store.asked(&entry(consumer.version() + 1));
    let listings = store.asked("LIST ");
    let pins = store.asked("control/pin.json");
    let all = store.take_asked();
    // Every 4 to 5 s two requests, for a pin and for news, and nothing beside: every fourth lists what the others cannot
    // show.
    assert_eq!(
        (pins, next + listings),
        (IN_TEN_MINUTES, IN_TEN_MINUTES),
        "{all:?}"
    );
    assert_eq!(all.len(), 2 * IN_TEN_MINUTES, "{all:?}");
    // By which of the four the ten minutes begin.
    assert!(listings.abs_diff(IN_TEN_MINUTES / 4) <= 1, "{listings}");
    let wait = consumer.status().poll_wait;
    assert!(wait >= 4 * SECOND && wait <= 5 * SECOND, "{wait:?}");
}

#[tokio::test(start_paused = true)]
async fn an_active_dataset_is_served_within_the_interval() {
    let kit = Kit::new();
    let (mut publisher, _store, consumer) = started(&kit).await;
    for gap in [970, 1_310, 230, 4_440, 60, 2_020] {
        pass(Duration::from_millis(gap)).await;
        let version = publisher.publish(3).await.version;
        pass(INTERVAL).await;
        assert_eq!(consumer.version(), version, "after {gap} ms");
    }
    assert_same(&consumer.state(), &publisher.state());
    assert_eq!(consumer.status().poll_wait, INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn news_after_a_long_silence_is_served_within_the_longest_wait() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let (_store, builder) = builder(&kit);
    let consumer = builder.max_backoff(2 * SECOND).start().await.unwrap();
    for silence in [67, 100, 31] {
        pass(silence * SECOND).await;
        let version = publisher.publish(3).await.version;
        pass(2 * SECOND).await;
        assert_eq!(consumer.version(), version);
        assert_eq!(consumer.status().poll_wait, INTERVAL);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_heard_of_news_has_it_looked_for_at_once() {
    let kit = Kit::new();
    let (mut publisher, _store, consumer) = started(&kit).await;
    pass(100 * SECOND).await;
    let version = publisher.publish(3).await.version;
    assert_ne!(consumer.version(), version);
    consumer.look_now();
    let soon = Duration::from_millis(1);
    consumer.wait_for(version, soon).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_shows_in_the_status_and_recovery_too() {
    let kit = Kit::new();
    let (mut publisher, store, consumer) = started(&kit).await;
    pass(60 * SECOND).await;
    let status = consumer.status();
    assert_eq!(status.health, Health::Ready, "{:?}", status.reasons);
    assert_eq!(status.breaker, BreakerState::Closed);
    store.cause(Fault::Fails, "");
    pass(60 * SECOND).await;
    let status = consumer.status();
    assert_eq!(status.health, Health::Degraded);
    assert_ne!(status.breaker, BreakerState::Closed);
    assert!(status.errors_per_minute > 10, "{status:?}");
    assert!(status.staleness > 59 * SECOND, "{status:?}");
    let reasons = status.reasons.join("\n");
    for part in ["errors in the last minute", "scripted outage", "left alone"] {
        assert!(reasons.contains(part), "{part} in {reasons}");
    }
    // The breaker passes one probe in ten seconds.
    store.take_asked();
    pass(60 * SECOND).await;
    let asked = store.take_asked().len();
    assert!(
        (3..=8).contains(&asked),
        "{asked} requests to a store that is down"
    );
    store.heal();
    let version = publisher.publish(3).await.version;
    consumer.wait_for(version, 16 * SECOND).await.unwrap();
    pass(61 * SECOND).await;
    let status = consumer.status();
    assert_eq!(status.health, Health::Ready, "{:?}", status.reasons);
    assert_eq!(
        (status.errors_per_minute, status.breaker),
        (0, BreakerState::Closed)
    );
}

#[tokio::test(start_paused = true)]
async fn errors_up_to_the_limit_leave_a_consumer_ready() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    for (limit, health) in [(1, Health::Ready), (0, Health::Degraded)] {
        let (store, builder) = builder(&kit);
        let consumer = builder.max_errors_per_minute(limit).open().await.unwrap();
        store.cause(Fault::Fails, "log/");
        consumer.refresh().await.unwrap_err();
        store.heal();
        consumer.refresh().await.unwrap();
        let status = consumer.status();
        assert_eq!(
            (status.errors_per_minute, status.health),
            (1, health),
            "{:?}",
            status.reasons
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_dataset_that_vanishes_while_nothing_happens_is_never_no_news() {
    let kit = Kit::new();
    let (_publisher, _store, consumer) = started(&kit).await;
    pass(300 * SECOND).await;
    let state = consumer.state();
    std::fs::remove_dir_all(kit.file("")).unwrap();
    pass(40 * SECOND).await;
    let status = consumer.status();
    assert_eq!(status.health, Health::Degraded);
    let reasons = status.reasons.join("\n");
    assert!(reasons.contains("the store has no log of it"), "{reasons}");
    assert_same(&consumer.state(), &state);
    let stale = consumer.staleness();
    pass(100 * SECOND).await;
    assert!(consumer.staleness() >= stale + 100 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_dataset_that_is_created_anew_while_nothing_happens_is_noticed() {
    let kit = Kit::new();
    let (mut publisher, _store, consumer) = started(&kit).await;
    publisher.publish_many(5).await;
    pass(300 * SECOND).await;
    std::fs::remove_dir_all(kit.file("")).unwrap();
    let mut publisher = kit.publisher().await;
    publisher.publish(2).await;
    // Fewer versions than before: the next one, which it asks for, may never come.
    pass(40 * SECOND).await;
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_was_replaced_while_nothing_happens_is_noticed_by_a_listing() {
    let kit = Kit::new();
    let (publisher, store, consumer) = started(&kit).await;
    pass(300 * SECOND).await;
    // The same dataset again, with as many versions.
    let last = publisher.state().version();
    drop(publisher);
    std::fs::remove_dir_all(kit.file("")).unwrap();
    let mut publisher = kit.publisher().await;
    while publisher.state().version() < last {
        publisher.publish(2).await;
    }
    store.take_asked();
    pass(25 * SECOND).await;
    assert_same(&consumer.state(), &publisher.state());
    let listings = store.asked("LIST ");
    assert!((1..=3).contains(&listings), "{listings}");
}

#[tokio::test(start_paused = true)]
async fn a_version_behind_a_lost_one_is_found_by_a_listing() {
    let kit = Kit::new();
    let (mut publisher, _store, consumer) = started(&kit).await;
    pass(300 * SECOND).await;
    let lost = publisher.publish(3).await.version;
    std::fs::remove_file(kit.file(&entry(lost))).unwrap();
    publisher.publish(2).await;
    // Its writer's hint is gone, too.
    let hints: Vec<_> = std::fs::read_dir(kit.file("control")).unwrap().collect();
    for hint in hints {
        let path = hint.unwrap().path();
        if path.is_file() {
            std::fs::remove_file(path).unwrap();
        }
    }
    pass(25 * SECOND).await;
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test(start_paused = true)]
async fn the_entry_of_a_version_is_read_once_and_then_known_by_its_mark() {
    let kit = Kit::new();
    let (mut publisher, store, consumer) = started(&kit).await;
    publisher.publish(3).await;
    pass(SECOND).await;
    store.take_asked();
    pass(300 * SECOND).await;
    let own = entry(consumer.version());
    let asked = store.take_asked();
    let read = asked.iter().filter(|path| path.contains(&own)).count();
    // In the seconds of an active dataset small requests ask for it, each second another.
    assert!((1..=4).contains(&read), "{read} of {asked:?}");
    pass(300 * SECOND).await;
    assert_eq!(store.asked(&own), 0);
}
