//! What is served and what the log has since are of two histories: a consumer finds back to that of the log.

use crate::faults::FaultStore;
use crate::kit::{DATASET, Kit, Publisher, VirtualClock, assert_same};
use crate::limited;
use grotto_consumer::{Consumer, ConsumerBuilder, ErrorKind};
use std::fs;
use std::time::Duration;

/// A publisher of 40 pairs, with a snapshot.
async fn forty(kit: &Kit) -> Publisher {
    let mut publisher = kit.publisher().await;
    publisher.publish_exactly(40, 0).await;
    publisher.snapshot().await;
    publisher
}

/// The log is restored without the version that a consumer serves, and a fence takes its number. Gives who goes on.
async fn forked(kit: &Kit, builder: ConsumerBuilder) -> (Consumer, Publisher) {
    let mut lost = forty(kit).await;
    let restored = lost.state();
    let version = lost.publish_change(&[5], &[6]).await.version;
    let consumer = builder.open().await.unwrap();
    fs::remove_file(kit.file(&format!("log/{version:020}.json"))).unwrap();
    (consumer, kit.publisher_from(&restored).await)
}

#[tokio::test]
async fn a_base_that_deltas_do_not_fit_is_loaded_afresh_before_a_version_is_given_up() {
    for filtered in [false, true] {
        let kit = Kit::new();
        let mut builder = Consumer::builder(DATASET, kit.store.clone());
        if filtered {
            builder = builder.types(["Left"]);
        }
        let (consumer, mut publisher) = forked(&kit, builder).await;
        for pairs in [[6], [5]] {
            publisher.publish_change(&pairs, &[]).await;
        }
        consumer.refresh().await.unwrap().unwrap();
        let (found, expected) = (consumer.state(), publisher.state());
        assert_eq!(found.version(), expected.version());
        assert_eq!(found.summary()["Left"], expected.summary()["Left"]);
    }
}

#[tokio::test]
async fn a_base_that_the_log_contradicts_behind_steps_without_blobs_is_loaded_afresh() {
    let kit = Kit::new();
    let builder = Consumer::builder(DATASET, kit.store.clone());
    let (consumer, publisher) = forked(&kit, builder).await;
    // Another fence: there is nothing that could not fit.
    let newest = kit.publisher().await.state().version();
    consumer.refresh().await.unwrap().unwrap();
    let (found, expected) = (consumer.state(), publisher.state());
    assert_eq!(found.version(), newest);
    assert_eq!(found.summary(), expected.summary());
}

#[tokio::test]
async fn what_is_loaded_afresh_and_past_a_limit_is_held_as_ever() {
    let kit = Kit::new();
    let (consumer, mut publisher) = forked(&kit, limited::builder(&kit)).await;
    let held = publisher.publish_exactly(5_000, 0).await.version;
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(consumer.status().held.map(|held| held.version), Some(held));
}

#[tokio::test]
async fn what_is_loaded_afresh_and_does_not_fit_into_memory_is_held() {
    let kit = Kit::new();
    let mut lost = kit.publisher().await;
    lost.publish_exactly(40, 10_000).await;
    lost.snapshot().await;
    let restored = lost.state();
    let version = lost.publish_exactly(40, 0).await.version;
    lost.snapshot().await;
    let builder = Consumer::builder(DATASET, kit.store.clone()).memory_limit(200_000);
    let consumer = builder.open().await.unwrap();
    for folder in ["log", "snapshots"] {
        fs::remove_file(kit.file(&format!("{folder}/{version:020}.json"))).unwrap();
    }
    let mut publisher = kit.publisher_from(&restored).await;
    publisher.publish_change(&[5], &[]).await;
    consumer.refresh().await.unwrap_err();
    let held = consumer.status().held.unwrap();
    assert_eq!((held.version, held.memory), (restored.version(), true));
    assert_eq!(consumer.version(), version);
}

#[tokio::test(start_paused = true)]
async fn loading_afresh_for_a_delta_that_fits_nothing_is_tried_less_and_less() {
    let kit = Kit::new();
    let mut publisher = forty(&kit).await;
    publisher.publish_exactly(41, 0).await;
    let store = FaultStore::new(&kit.file(".."));
    let builder = Consumer::builder(DATASET, store.store().with_env(VirtualClock::env()));
    let wait = Duration::from_secs(10);
    let consumer = builder.check_interval(wait).open().await.unwrap();
    let before = consumer.state();
    let loaded = store.asked("snapshot/");
    publisher.publish_bytes(vec![7; 100], 7).await;
    // So often after so many waits.
    for (times, waits) in [(1, 0), (1, 0), (2, 1), (2, 1), (3, 1), (3, 3), (4, 1)] {
        tokio::time::advance(wait * waits).await;
        let error = consumer.refresh().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_same(&consumer.state(), &before);
        assert_eq!(store.asked("snapshot/"), loaded + times);
    }
}
