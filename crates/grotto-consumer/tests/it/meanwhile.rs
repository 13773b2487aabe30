//! Files that are altered while a refresh is under way.

use crate::damage::{alter_with, count};
use crate::faults::FaultStore;
use crate::kit::{DATASET, Kit, Publisher, VirtualClock, assert_same};
use grotto_consumer::{Consumer, State};
use object_store::local::LocalFileSystem;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A consumer, and a store that has the version after its own.
async fn behind() -> (Kit, Publisher, Arc<FaultStore>, Consumer) {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, store.store());
    let consumer = builder.state_dir(kit.state_dir()).open().await.unwrap();
    publisher.publish(3).await;
    (kit, publisher, store, consumer)
}

/// Reads the notes of all pairs, as a user would.
fn read_notes(state: &State) {
    let left = state.type_id("Left").unwrap();
    let length: usize = state.scan(left).map(|record| record.text(2).len()).sum();
    assert!(length > 0);
}

/// Has a refresh fail that has nothing left to load what is damaged from, and a later one succeed.
async fn check_dropped(kit: &Kit, publisher: &Publisher, consumer: &Consumer) {
    let oldest = *publisher.entries.keys().next().unwrap();
    let (first, away) = (
        kit.file(&publisher.delta_of(oldest)),
        kit.folder.path().join("away"),
    );
    std::fs::rename(&first, &away).unwrap();
    consumer.refresh().await.unwrap_err();
    assert_eq!(count(consumer, "damage_found_total"), 1);
    let error = Consumer::attach(kit.state_dir()).unwrap_err();
    assert!(error.message().contains("holds no state"), "{error}");
    consumer.refresh().await.unwrap_err();
    std::fs::rename(&away, &first).unwrap();
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
    let attached = Consumer::attach(kit.state_dir()).unwrap();
    assert_same(&attached.state(), &publisher.state());
    assert_eq!(count(consumer, "damage_found_total"), 1);
}

#[tokio::test]
async fn damage_that_a_blob_shows_by_not_fitting_is_dropped_from_the_directory() {
    let (kit, publisher, store, consumer) = behind().await;
    let state_dir = kit.state_dir();
    store.upon(
        &publisher.delta_of(publisher.state().version()),
        move || alter_with(&state_dir, " for pair", b'_'),
    );
    check_dropped(&kit, &publisher, &consumer).await;
}

#[tokio::test]
async fn damage_that_a_read_meets_is_dropped_from_the_directory() {
    let (kit, publisher, store, consumer) = behind().await;
    let (state_dir, state) = (kit.state_dir(), consumer.state());
    store.upon("/log/", move || {
        alter_with(&state_dir, " for pair", 0xff);
        read_notes(&state);
        assert!(state.is_damaged());
    });
    check_dropped(&kit, &publisher, &consumer).await;
}

#[tokio::test(start_paused = true)]
async fn a_check_in_the_background_takes_no_files_from_a_refresh_under_way() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let folder = LocalFileSystem::new_with_prefix(kit.folder.path().join("store")).unwrap();
    let slow = FaultStore::around(Arc::new(folder), 5 * SECOND);
    let builder = Consumer::builder(DATASET, slow.store().with_env(VirtualClock::env()));
    let scrubbing = builder.state_dir(kit.state_dir()).scrub_interval(SECOND);
    // Nothing else looks at the files meanwhile.
    let long = 100_000 * SECOND;
    let quiet = scrubbing.poll_interval(long).check_interval(long);
    let consumer = Arc::new(quiet.start().await.unwrap());
    tokio::time::sleep(100 * SECOND).await;
    publisher.publish(3).await;
    let refreshing = Arc::clone(&consumer);
    let refresh = tokio::spawn(async move { refreshing.refresh().await });
    let delta = publisher.delta_of(publisher.state().version());
    while slow.asked(&delta) == 0 {
        tokio::time::sleep(SECOND / 10).await;
    }
    // Found in the background while the delta is on its way, which then does not fit.
    alter_with(&kit.state_dir(), " for pair", b'_');
    let refresh = refresh.await.unwrap().unwrap().unwrap();
    assert!(
        refresh.recovered[0].contains("altered"),
        "{:?}",
        refresh.recovered
    );
    assert_same(&consumer.state(), &publisher.state());
    tokio::time::sleep(3 * SECOND).await;
    assert_eq!(count(&consumer, "damage_found_total"), 1);
    let attached = Consumer::attach(kit.state_dir()).unwrap();
    assert_same(&attached.state(), &publisher.state());
    consumer.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_pinned_consumer_looks_at_files_as_rarely_as_one_that_follows() {
    for pinned in [false, true] {
        let kit = Kit::new();
        let mut publisher = kit.publisher().await;
        let version = publisher.publish(1).await.version;
        let store = kit.store.clone().with_env(VirtualClock::env());
        let builder = Consumer::builder(DATASET, store).state_dir(kit.state_dir());
        let polling = builder
            .poll_interval(SECOND / 100)
            .max_backoff(SECOND / 100);
        let consumer = polling.start().await.unwrap();
        if pinned {
            consumer.refresh_to(version).await.unwrap();
        }
        // Between the looks at something else than the next entry, one a second.
        tokio::time::sleep(SECOND * 3 / 2).await;
        alter_with(&kit.state_dir(), " for pair", b'_');
        tokio::time::sleep(SECOND / 4).await;
        assert_eq!(count(&consumer, "damage_found_total"), 0, "{pinned}");
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(count(&consumer, "damage_found_total"), 1, "{pinned}");
        assert_same(&consumer.state(), &publisher.state());
        consumer.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_took_long_to_arrive_is_as_old_as_the_look_for_it() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let folder = LocalFileSystem::new_with_prefix(kit.folder.path().join("store")).unwrap();
    let slow = FaultStore::around(Arc::new(folder), 5 * SECOND);
    let builder = Consumer::builder(DATASET, slow.store().with_env(VirtualClock::env()));
    let consumer = builder.state_dir(kit.state_dir()).open().await.unwrap();
    publisher.publish(1).await;
    tokio::time::sleep(60 * SECOND).await;
    // For a look that brings a version, and for one that finds nothing newer.
    for news in [true, false] {
        let before = tokio::time::Instant::now();
        assert_eq!(consumer.refresh().await.unwrap().is_some(), news);
        let took = before.elapsed();
        assert!(took >= 5 * SECOND, "{took:?}");
        assert_eq!(consumer.staleness(), took);
        assert_same(&consumer.state(), &publisher.state());
    }
    consumer.shutdown().await;
}
