//! Versions that are held back: never served, told once, and let go.

use crate::faults::FaultStore;
use crate::kit::{DATASET, Kit, Publisher, VirtualClock, assert_same, flip};
use crate::limited::{accept, builder, tight};
use grotto_consumer::{Consumer, ConsumerBuilder, ErrorKind, Health};
use grotto_env::Env;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn counting(kit: &Kit) -> (Arc<FaultStore>, ConsumerBuilder) {
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, store.store().with_env(VirtualClock::env()));
    (store, builder.guards(tight()))
}

async fn published(kit: &Kit, pairs: i64) -> Publisher {
    let mut publisher = kit.publisher().await;
    publisher.publish_exactly(pairs, 0).await;
    publisher
}

fn count(consumer: &Consumer, metric: &str) -> u64 {
    let text = consumer.metrics_text();
    let start = format!("grotto_consumer_{metric}{{");
    let line = text.lines().find(|line| line.starts_with(&start));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_version_that_doubles_or_drops_to_a_tenth_is_held_with_the_figures() {
    for (pairs, told) in [
        (
            200,
            "200 records of Left instead of 100, 2.0 times as many where less than 2 are expected",
        ),
        (
            10,
            "10 records of Left instead of 100, a share of 0.100 where more than 0.1 is expected",
        ),
    ] {
        let kit = Kit::new();
        let mut publisher = published(&kit, 100).await;
        let consumer = builder(&kit).open().await.unwrap();
        let before = consumer.state();
        let version = publisher.publish_exactly(pairs, 0).await.version;
        for _ in 0..2 {
            let error = consumer.refresh().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.message().contains(told), "{error}");
            assert!(error.message().contains("grotto accept"), "{error}");
        }
        assert_same(&consumer.state(), &before);
        let status = consumer.status();
        let held = status.held.unwrap();
        assert_eq!((held.version, held.reason.as_str()), (version, told));
        assert_eq!((status.health, status.newest), (Health::Degraded, version));
        assert!(
            status.reasons.join("\n").contains(told),
            "{:?}",
            status.reasons
        );
        assert_eq!(count(&consumer, "held_version"), version);
        // The next one is within the limits of what is served.
        publisher.publish_exactly(110, 0).await;
        consumer.refresh().await.unwrap().unwrap();
        assert_same(&consumer.state(), &publisher.state());
        let status = consumer.status();
        assert_eq!((status.held, status.health), (None, Health::Ready));
        assert_eq!(count(&consumer, "held_version"), 0);
    }
}

#[tokio::test]
async fn a_change_below_the_limits_is_served_and_a_first_load_has_no_limits() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 100).await;
    let consumer = builder(&kit).open().await.unwrap();
    for pairs in [190, 30, 5, 40] {
        publisher.publish_exactly(pairs, 0).await;
        consumer.refresh().await.unwrap().unwrap();
        assert_same(&consumer.state(), &publisher.state());
    }
    publisher.publish_exactly(400, 0).await;
    let fresh = builder(&kit).open().await.unwrap();
    assert_same(&fresh.state(), &publisher.state());
}

#[tokio::test(start_paused = true)]
async fn a_held_version_is_told_once_and_costs_little() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 100).await;
    let (store, builder) = counting(&kit);
    let told = Arc::new(AtomicU64::new(0));
    let heard = Arc::clone(&told);
    let builder = builder.on_error(move |_| _ = heard.fetch_add(1, Ordering::Relaxed));
    let consumer = builder.start().await.unwrap();
    let version = publisher.publish_exactly(300, 0).await.version;
    tokio::time::sleep(120 * SECOND).await;
    store.take_asked();
    tokio::time::sleep(60 * SECOND).await;
    let asked = store.take_asked();
    assert!(asked.len() < 150, "{} requests in a minute", asked.len());
    // Its blob is not even fetched: the log says enough.
    assert!(
        !asked.iter().any(|path| path.contains("delta")),
        "{asked:?}"
    );
    assert_eq!(told.load(Ordering::Relaxed), 1);
    let status = consumer.status();
    assert_eq!((status.errors_per_minute, status.version), (0, version - 1));
    assert_eq!(status.held.map(|held| held.version), Some(version));
    assert!(status.staleness > 170 * SECOND, "{:?}", status.staleness);
    // Those that follow are held with it, and it stays the one to look at.
    for pairs in [310, 320, 330] {
        publisher.publish_exactly(pairs, 0).await;
        tokio::time::sleep(20 * SECOND).await;
    }
    assert_eq!(told.load(Ordering::Relaxed), 1);
    let status = consumer.status();
    assert_eq!((status.version, status.newest), (version - 1, version + 3));
    assert_eq!(status.held.map(|held| held.version), Some(version));
}

#[tokio::test(start_paused = true)]
async fn an_accepted_version_is_served_and_later_ones_are_compared_with_it() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 100).await;
    let (_store, builder) = counting(&kit);
    let consumer = builder.start().await.unwrap();
    let version = publisher.publish_exactly(300, 0).await.version;
    publisher.publish_exactly(310, 0).await;
    let large = publisher.publish_exactly(900, 0).await.version;
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(consumer.version(), version - 1);
    accept(&kit, version).await;
    tokio::time::sleep(10 * SECOND).await;
    // That step was accepted, and the one within the limits follows; the next is past them again.
    assert_eq!(consumer.version(), large - 1);
    let held = consumer.status().held.map(|held| held.version);
    assert_eq!(held, Some(large));
    accept(&kit, large).await;
    tokio::time::sleep(10 * SECOND).await;
    assert_same(&consumer.state(), &publisher.state());
    let status = consumer.status();
    assert_eq!(
        (status.held, status.health),
        (None, Health::Ready),
        "{:?}",
        status.reasons
    );
}

#[tokio::test]
async fn what_was_accepted_of_another_state_releases_nothing() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 100).await;
    let consumer = builder(&kit).open().await.unwrap();
    let version = publisher.publish_exactly(300, 0).await.version;
    accept(&kit, version).await;
    flip(
        &kit.file(&format!("control/accepted/{version:020}.json")),
        60,
    );
    let error = consumer.refresh().await.unwrap_err();
    assert!(error.message().contains("is held"), "{error}");
    assert_eq!(consumer.version(), version - 1);
}

#[tokio::test]
async fn a_dataset_that_grew_step_by_step_meanwhile_is_not_held() {
    for snapshot in [false, true] {
        let kit = Kit::new();
        let mut publisher = published(&kit, 100).await;
        let consumer = builder(&kit).open().await.unwrap();
        for pairs in [150, 225, 330, 490] {
            publisher.publish_exactly(pairs, 0).await;
        }
        if snapshot {
            publisher.snapshot().await;
            let delta = publisher.delta_of(publisher.state().version() - 1);
            std::fs::remove_file(kit.file(&delta)).unwrap();
        }
        consumer.refresh().await.unwrap().unwrap();
        assert_same(&consumer.state(), &publisher.state());
    }
}

#[tokio::test]
async fn the_version_before_a_jump_is_served_and_the_jump_is_held() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 100).await;
    let consumer = builder(&kit).open().await.unwrap();
    let before = publisher.publish_exactly(150, 0).await;
    let jump = publisher.publish_exactly(400, 0).await.version;
    publisher.publish_exactly(410, 0).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_eq!(consumer.version(), before.version);
    assert_eq!(consumer.state().checksum(), before.state_checksum);
    consumer.refresh().await.unwrap_err();
    assert_eq!(consumer.status().held.map(|held| held.version), Some(jump));
    accept(&kit, jump).await;
    for version in [jump, jump + 1] {
        consumer.refresh().await.unwrap().unwrap();
        assert_eq!(consumer.version(), version);
    }
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_jump_on_the_way_is_not_served_where_the_way_breaks_off() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 100).await;
    let consumer = builder(&kit)
        .state_dir(kit.state_dir())
        .open()
        .await
        .unwrap();
    let before = consumer.state();
    publisher.publish_exactly(400, 0).await;
    let last = publisher.publish_exactly(110, 0).await.version;
    let delta = kit.file(&publisher.delta_of(last));
    let intact = std::fs::read(&delta).unwrap();
    std::fs::remove_file(&delta).unwrap();
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
    assert_same(&consumer.state(), &before);
    std::fs::write(&delta, intact).unwrap();
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test(start_paused = true)]
async fn a_state_whose_bytes_double_is_held_and_fetched_once() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 100).await;
    let (store, builder) = counting(&kit);
    let consumer = builder.state_dir(kit.state_dir()).start().await.unwrap();
    let before = consumer.state();
    let files = || {
        std::fs::read_dir(kit.state_dir().join("segments"))
            .unwrap()
            .count()
    };
    let kept = files();
    let version = publisher.publish_exactly(100, 2_000).await.version;
    tokio::time::sleep(120 * SECOND).await;
    let held = consumer.status().held.unwrap();
    assert_eq!(held.version, version);
    assert!(held.reason.contains("its records take"), "{}", held.reason);
    assert_eq!(store.asked(&publisher.delta_of(version)), 1);
    assert_eq!(files(), kept, "a refresh that is refused leaves a file");
    assert_same(&consumer.state(), &before);
    accept(&kit, version).await;
    tokio::time::sleep(10 * SECOND).await;
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_version_that_is_asked_for_by_its_number_is_not_compared() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 100).await;
    let consumer = builder(&kit).open().await.unwrap();
    let version = publisher.publish_exactly(400, 5_000).await.version;
    consumer.refresh().await.unwrap_err();
    consumer.refresh_to(version).await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
    assert_eq!(consumer.status().held, None);
}

#[tokio::test]
async fn a_dataset_that_is_created_anew_is_compared_too() {
    let kit = Kit::new();
    published(&kit, 100).await.publish_exactly(101, 0).await;
    let consumer = builder(&kit).open().await.unwrap();
    let before = consumer.state();
    std::fs::remove_dir_all(kit.file("")).unwrap();
    let mut publisher = published(&kit, 5).await;
    let error = consumer.refresh().await.unwrap_err();
    assert!(
        error.message().contains("5 records of Left instead of 101"),
        "{error}"
    );
    assert_same(&consumer.state(), &before);
    let version = publisher.publish_exactly(6, 0).await.version;
    accept(&kit, version).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_state_past_the_memory_limit_is_refused_with_the_figures() {
    for folder in [false, true] {
        let kit = Kit::new();
        let mut publisher = published(&kit, 400).await;
        let open = |limit: u64| {
            let builder = Consumer::builder(DATASET, kit.store.clone()).memory_limit(limit);
            match folder {
                true => builder.state_dir(kit.state_dir()).open(),
                false => builder.open(),
            }
        };
        let error = open(1_000).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let told = "limit 1000 bytes, used now 0 bytes";
        assert!(error.message().contains(told), "{error}");
        let consumer = open(200_000).await.unwrap();
        let before = consumer.state();
        let used = consumer.status().mapped_bytes;
        let large = publisher.publish_exactly(400, 1_000).await.version;
        let error = consumer.refresh().await.unwrap_err();
        let told = format!("limit 200000 bytes, used now {used} bytes");
        assert!(error.message().contains(&told), "{folder}: {error}");
        assert!(error.message().contains("needs about "), "{error}");
        assert!(!error.message().contains("older versions"), "{error}");
        assert_same(&consumer.state(), &before);
        let held = consumer.status().held.unwrap();
        assert_eq!(held.version, large);
        // Nobody can accept what does not fit.
        accept(&kit, large).await;
        consumer.refresh().await.unwrap_err();
        assert_eq!(consumer.version(), large - 1);
        // Deltas lead over the one that does not fit, a snapshot does not.
        publisher.publish_exactly(390, 0).await;
        consumer.refresh().await.unwrap_err();
        publisher.snapshot().await;
        consumer.refresh().await.unwrap().unwrap();
        assert_same(&consumer.state(), &publisher.state());
        assert_eq!(consumer.status().held, None);
    }
}

/// On the heap all versions that are held count: whoever is told that one does not fit is told why.
#[tokio::test]
async fn a_version_that_does_not_fit_names_what_older_ones_take() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 400).await;
    let builder = Consumer::builder(DATASET, kit.store.clone()).memory_limit(600_000);
    let consumer = builder.open().await.unwrap();
    let older = "of it by older versions that somebody still reads";
    let read = consumer.state();
    publisher.publish_exactly(401, 0).await;
    consumer.refresh().await.unwrap().unwrap();
    publisher.publish_exactly(400, 4_000).await;
    let error = consumer.refresh().await.unwrap_err();
    assert!(error.message().contains(older), "{error}");
    let held = consumer.status().held.unwrap();
    assert!(held.memory && held.reason.contains(older), "{held:?}");
    drop(read);
}

/// What an error says that a state needs, in bytes.
fn needs(error: &grotto_consumer::Error) -> u64 {
    let (_, rest) = error.message().split_once("needs about ").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_a_blob_tells_is_refused_before_it_is_built_and_the_rest_is_measured() {
    let kit = Kit::new();
    published(&kit, 400).await;
    let open = |limit: u64| {
        // The same seed each time: what keys are hashed with decides how large an index is.
        let env = Env::deterministic(7);
        let builder = Consumer::builder(DATASET, kit.store.clone().with_env(env));
        builder.memory_limit(limit).open()
    };
    let takes = open(u64::MAX).await.unwrap().status().mapped_bytes;
    let told = needs(&open(1_000).await.unwrap_err());
    assert!(told > takes / 4 && told < takes, "{told} of {takes}");
    // By its blob it would fit: its index makes the difference.
    let measured = needs(&open(takes - 1).await.unwrap_err());
    assert_eq!(measured, takes);
    assert_eq!(open(takes).await.unwrap().version(), 2);
}
