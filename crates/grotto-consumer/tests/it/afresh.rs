//! What is loaded afresh is judged like anything else: the log may have another state under the number of what is served.

use crate::damage::alter_with;
use crate::kit::{DATASET, Kit, Publisher, VirtualClock, assert_same};
use crate::limited::{self, accept};
use grotto_consumer::{Consumer, ConsumerBuilder, ErrorKind};
use std::fs;
use std::time::Duration;

/// With limits that small tests are past, and a state directory.
fn builder(kit: &Kit) -> ConsumerBuilder {
    limited::builder(kit).state_dir(kit.state_dir())
}

/// A publisher of versions of so many pairs.
async fn published(kit: &Kit, sizes: &[i64]) -> Publisher {
    let mut publisher = kit.publisher().await;
    for pairs in sizes {
        publisher.publish_exactly(*pairs, 0).await;
    }
    publisher
}

/// The log is restored without its last version, of 100 pairs, and a fence takes its number: it has the 5 pairs of the
/// version before.
async fn written_anew(kit: &Kit) -> (Consumer, u64) {
    let publisher = published(kit, &[5, 100]).await;
    let consumer = builder(kit).open().await.unwrap();
    let version = publisher.state().version();
    drop(publisher);
    fs::remove_file(kit.file(&format!("log/{version:020}.json"))).unwrap();
    let writer = kit.publisher().await.writer;
    assert_eq!(writer.next_version(), version + 1);
    (consumer, version)
}

#[tokio::test]
async fn another_state_under_the_served_number_is_held_though_nobody_can_tell_what_to_serve() {
    let kit = Kit::new();
    let (consumer, version) = written_anew(&kit).await;
    let before = consumer.state();
    fs::write(kit.file("control/pin.json"), b"{}").unwrap();
    // What is served has to be loaded afresh into it.
    fs::remove_dir_all(kit.state_dir()).unwrap();
    for _ in 0..2 {
        let error = consumer.refresh().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let told = "5 records of Left instead of 100";
        assert!(error.message().contains(told), "{error}");
        assert_same(&consumer.state(), &before);
    }
    let held = consumer.status().held.map(|held| held.version);
    assert_eq!(held, Some(version));
    accept(&kit, version).await;
    consumer.refresh().await.unwrap().unwrap();
    let state = consumer.state();
    let left = state.type_id("Left").unwrap();
    assert_eq!((state.version(), state.count(left)), (version, 5));
    assert_eq!(consumer.status().held, None);
}

#[tokio::test]
async fn another_state_under_the_served_number_is_served_once_it_is_accepted() {
    let kit = Kit::new();
    let (consumer, version) = written_anew(&kit).await;
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    accept(&kit, version).await;
    let refresh = consumer.refresh().await.unwrap().unwrap();
    assert_eq!((refresh.from, refresh.to), (version, version));
    assert_eq!(consumer.status().held, None);
}

#[tokio::test]
async fn who_starts_with_what_the_log_has_no_more_is_not_told_that_it_stays_served() {
    let kit = Kit::new();
    let (consumer, version) = written_anew(&kit).await;
    consumer.shutdown().await;
    let error = builder(&kit).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let told = format!("dataset {DATASET}: version {version} is held: 5 records");
    assert!(error.message().starts_with(&told), "{error}");
}

#[tokio::test]
async fn what_is_damaged_does_not_become_another_dataset_while_the_newest_of_that_is_held() {
    let kit = Kit::new();
    published(&kit, &[100]).await;
    let consumer = builder(&kit).open().await.unwrap();
    let before = consumer.state();
    fs::remove_dir_all(kit.file("")).unwrap();
    // As many records under the number that is served, and too few under the next.
    let mut publisher = published(&kit, &[100]).await;
    assert_eq!(publisher.state().version(), before.version());
    let held = publisher.publish_exactly(5, 0).await.version;
    alter_with(&kit.state_dir(), " for pair", b'_');
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let told = "5 records of Left instead of 100";
    assert!(error.message().contains(told), "{error}");
    assert_eq!(consumer.status().held.map(|held| held.version), Some(held));
    assert!(std::sync::Arc::ptr_eq(&consumer.state(), &before));
    assert_eq!(consumer.status().refreshes, 1);
}

#[tokio::test]
async fn bytes_of_what_deltas_build_from_nothing_are_compared_with_what_is_served() {
    let kit = Kit::new();
    published(&kit, &[100]).await;
    let consumer = builder(&kit).open().await.unwrap();
    let before = consumer.state();
    fs::remove_dir_all(kit.file("")).unwrap();
    let mut publisher = kit.publisher().await;
    // As many records: only its bytes differ.
    let large = publisher.publish_exactly(100, 2_000).await.version;
    let error = consumer.refresh().await.unwrap_err();
    assert!(error.message().contains("its records take"), "{error}");
    assert_same(&consumer.state(), &before);
    assert_eq!(consumer.status().held.map(|held| held.version), Some(large));
    accept(&kit, large).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn what_grew_step_by_step_is_not_held_where_deltas_build_it_from_nothing() {
    let kit = Kit::new();
    // From the first version on, which is past every limit as seen from what is served.
    let mut publisher = published(&kit, &[60, 1, 100]).await;
    let consumer = builder(&kit).open().await.unwrap();
    for pairs in [150, 225, 330] {
        publisher.publish_exactly(pairs, 0).await;
    }
    alter_with(&kit.state_dir(), " for pair", b'_');
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn what_the_log_has_as_what_is_damaged_is_not_tried_where_it_differs_too_much() {
    let kit = Kit::new();
    let (consumer, version) = written_anew(&kit).await;
    // As few as the one before: this is the one to be accepted.
    let newest = kit.publisher().await.state().version();
    assert_eq!(newest, version + 1);
    alter_with(&kit.state_dir(), " for pair", b'_');
    let error = consumer.refresh().await.unwrap_err();
    let told = "5 records of Left instead of 100";
    assert!(error.message().contains(told), "{error}");
    let held = consumer.status().held.map(|held| held.version);
    assert_eq!((held, consumer.version()), (Some(newest), version));
}

#[tokio::test]
async fn a_version_is_held_though_nothing_leads_to_what_is_damaged() {
    let kit = Kit::new();
    let mut publisher = published(&kit, &[100]).await;
    let version = publisher.state().version();
    let consumer = builder(&kit).open().await.unwrap();
    let jump = publisher.publish_exactly(400, 0).await.version;
    fs::remove_file(kit.file(&publisher.delta_of(version))).unwrap();
    alter_with(&kit.state_dir(), " for pair", b'_');
    let error = consumer.refresh().await.unwrap_err();
    for told in [
        "is gone from the store",
        "400 records of Left instead of 100",
    ] {
        assert!(error.message().contains(told), "{error}");
    }
    let held = consumer.status().held.map(|held| held.version);
    assert_eq!(held, Some(jump));
}

#[tokio::test]
async fn what_is_damaged_is_loaded_afresh_where_nothing_leads_to_the_version_before_one_that_is_held()
 {
    let kit = Kit::new();
    let mut publisher = published(&kit, &[100]).await;
    let first = publisher.state();
    let consumer = builder(&kit).open().await.unwrap();
    let lost = publisher.publish_exactly(110, 0).await.version;
    publisher.publish_exactly(400, 0).await;
    fs::remove_file(kit.file(&publisher.delta_of(lost))).unwrap();
    alter_with(&kit.state_dir(), " for pair", b'_');
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &first);
    let found = Consumer::attach(kit.state_dir()).unwrap().state();
    assert_same(&found, &first);
}

#[tokio::test(start_paused = true)]
async fn what_is_damaged_is_loaded_afresh_while_nobody_asks_and_a_newer_version_does_not_fit() {
    let minute = Duration::from_secs(60);
    let kit = Kit::new();
    let mut publisher = published(&kit, &[100]).await;
    let first = publisher.state();
    let store = kit.store.clone().with_env(VirtualClock::env());
    let builder = Consumer::builder(DATASET, store).state_dir(kit.state_dir());
    let consumer = builder.memory_limit(200_000).start().await.unwrap();
    publisher.publish_exactly(100, 4_000).await;
    tokio::time::sleep(minute).await;
    assert!(consumer.status().held.unwrap().memory);
    alter_with(&kit.state_dir(), " for pair", b'_');
    tokio::time::sleep(minute).await;
    assert_same(&consumer.state(), &first);
    let found = Consumer::attach(kit.state_dir()).unwrap().state();
    assert_same(&found, &first);
}

/// One of 100 pairs that is served and damaged, and a version after it that does not fit.
async fn damaged_below_one_that_does_not_fit(kit: &Kit) -> (Publisher, Consumer) {
    let mut publisher = published(kit, &[100]).await;
    let builder = Consumer::builder(DATASET, kit.store.clone()).memory_limit(200_000);
    let consumer = builder.state_dir(kit.state_dir()).open().await.unwrap();
    publisher.publish_exactly(100, 4_000).await;
    alter_with(&kit.state_dir(), " for pair", b'_');
    (publisher, consumer)
}

#[tokio::test]
async fn what_is_damaged_is_loaded_afresh_where_somebody_asks_and_a_newer_version_does_not_fit() {
    let kit = Kit::new();
    let (_publisher, consumer) = damaged_below_one_that_does_not_fit(&kit).await;
    consumer.refresh().await.unwrap().unwrap();
    let found = Consumer::attach(kit.state_dir()).unwrap().state();
    assert_same(&consumer.state(), &found);
    let error = consumer.refresh().await.unwrap_err();
    assert!(error.message().contains("needs about"), "{error}");
    assert!(consumer.status().held.unwrap().memory);
}

#[tokio::test]
async fn who_asks_for_a_version_that_does_not_fit_is_not_given_another_one_instead() {
    let kit = Kit::new();
    let (publisher, consumer) = damaged_below_one_that_does_not_fit(&kit).await;
    let large = publisher.state().version();
    let error = consumer.refresh_to(large).await.unwrap_err();
    assert!(error.message().contains("needs about"), "{error}");
}
