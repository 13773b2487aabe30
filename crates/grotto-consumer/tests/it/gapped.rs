//! Where the log or its blobs have gaps: versions that are held are judged all the same, told, and let go; a pin stays.

use crate::faults::FaultStore;
use crate::kit::{DATASET, Kit, Publisher, assert_same, flip};
use crate::limited::{accept, builder, tight};
use grotto_consumer::{Consumer, ErrorKind};
use grotto_state::Segment;
use std::sync::Arc;

/// A publisher of 100 pairs.
async fn published(kit: &Kit) -> Publisher {
    let mut publisher = kit.publisher().await;
    publisher.publish_exactly(100, 0).await;
    publisher
}

/// Has the log entry of the newest version be damaged.
fn damage_entry(kit: &Kit, publisher: &Publisher) {
    let version = publisher.state().version();
    flip(&kit.file(&format!("log/{version:020}.json")), 40);
}

fn held(consumer: &Consumer) -> Option<u64> {
    consumer.status().held.map(|held| held.version)
}

#[tokio::test]
async fn a_version_that_a_listing_does_not_show_yet_is_judged_all_the_same() {
    let kit = Kit::new();
    let mut publisher = published(&kit).await;
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, store.store()).guards(tight());
    let consumer = Arc::new(builder.open().await.unwrap());
    let before = consumer.state();
    let jump = publisher.publish_exactly(300, 0).await.version;
    publisher.snapshot().await;
    store.hide(&format!("log/{jump:020}"));
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_same(&consumer.state(), &before);
    assert_eq!(held(&consumer), Some(jump));
}

#[tokio::test]
async fn what_lies_behind_a_damaged_entry_is_gone_to_where_the_version_before_it_is_held() {
    for (pairs, accepted) in [(120, false), (400, true)] {
        let kit = Kit::new();
        let mut publisher = published(&kit).await;
        let consumer = builder(&kit).open().await.unwrap();
        publisher.publish_exactly(300, 0).await;
        publisher.publish_exactly(310, 0).await;
        damage_entry(&kit, &publisher);
        let last = publisher.publish_exactly(pairs, 0).await.version;
        publisher.snapshot().await;
        if accepted {
            consumer.refresh().await.unwrap_err();
            assert!(held(&consumer).is_some());
            accept(&kit, last).await;
        }
        consumer.refresh().await.unwrap().unwrap();
        assert_same(&consumer.state(), &publisher.state());
        assert_eq!(held(&consumer), None);
    }
}

#[tokio::test]
async fn a_jump_is_held_and_released_where_nothing_leads_to_the_version_before_it() {
    let kit = Kit::new();
    let mut publisher = published(&kit).await;
    publisher.reverse = false;
    let consumer = builder(&kit).open().await.unwrap();
    let before = consumer.state();
    let lost = publisher.publish_exactly(150, 0).await.version;
    let jump = publisher.publish_exactly(400, 0).await.version;
    publisher.snapshot().await;
    std::fs::remove_file(kit.file(&publisher.delta_of(lost))).unwrap();
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
    let told = format!("version {jump} is held");
    assert!(error.message().contains(&told), "{error}");
    assert_same(&consumer.state(), &before);
    assert_eq!(held(&consumer), Some(jump));
    accept(&kit, jump).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
    assert_eq!(held(&consumer), None);
}

#[tokio::test]
async fn an_accepted_version_that_nothing_leads_to_and_a_refused_one_past_it_are_gone_to_once() {
    let kit = Kit::new();
    let mut publisher = published(&kit).await;
    publisher.reverse = false;
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, store.store()).guards(tight());
    let consumer = builder.open().await.unwrap();
    let before = consumer.state();
    // Past the limits by its bytes alone, as the one behind it, which nobody accepted.
    let accepted = publisher.publish_exactly(100, 2_000).await.version;
    let newest = publisher.publish_exactly(101, 2_000).await.version;
    publisher.snapshot().await;
    accept(&kit, accepted).await;
    std::fs::remove_file(kit.file(&publisher.delta_of(accepted))).unwrap();
    store.take_asked();
    let error = consumer.refresh().await.unwrap_err();
    assert!(error.message().contains("its records take"), "{error}");
    assert_same(&consumer.state(), &before);
    assert_eq!(held(&consumer), Some(newest));
    assert!(store.take_asked().len() < 60, "it goes round in circles");
    accept(&kit, newest).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn who_is_told_where_to_be_is_there_or_where_it_was() {
    let kit = Kit::new();
    let mut publisher = published(&kit).await;
    for pairs in 101..106 {
        publisher.publish_exactly(pairs, 0).await;
    }
    let newest = publisher.state().version();
    let consumer = builder(&kit).open().await.unwrap();
    let pinned = newest - 3;
    consumer.refresh_to(pinned).await.unwrap().unwrap();
    let delta = kit.file(&publisher.delta_of(newest));
    let intact = std::fs::read(&delta).unwrap();
    std::fs::remove_file(&delta).unwrap();
    consumer.follow().await.unwrap_err();
    assert_eq!(consumer.version(), pinned);
    // The other way round.
    let reverse = kit.file(&publisher.reverse_of(newest - 4));
    std::fs::remove_file(&reverse).unwrap();
    let oldest = *publisher.entries.keys().next().unwrap();
    let first = kit.file(&publisher.delta_of(oldest));
    std::fs::remove_file(&first).unwrap();
    consumer.refresh_to(newest - 5).await.unwrap_err();
    assert_eq!(consumer.version(), pinned);
    std::fs::write(&delta, intact).unwrap();
    consumer.follow().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn what_follows_a_part_of_the_way_that_is_served_is_compared_with_it() {
    let kit = Kit::new();
    let mut publisher = published(&kit).await;
    publisher.reverse = false;
    let consumer = builder(&kit).open().await.unwrap();
    let part = publisher.publish_exactly(150, 0).await.version;
    // A tenth of the part, and more than that of what is served now.
    let last = publisher.publish_exactly(15, 0).await.version;
    publisher.snapshot().await;
    // Small enough to be preferred to the snapshot, until it is gone.
    std::fs::remove_file(kit.file(&publisher.delta_of(last))).unwrap();
    consumer.refresh().await.unwrap_err();
    assert_eq!(consumer.version(), part);
    assert_eq!(held(&consumer), Some(last));
}

#[tokio::test]
async fn what_lies_behind_a_damaged_entry_is_gone_to_where_the_version_before_it_takes_too_much() {
    let kit = Kit::new();
    let mut publisher = published(&kit).await;
    let consumer = Consumer::builder(DATASET, kit.store.clone()).memory_limit(200_000);
    let consumer = consumer.state_dir(kit.state_dir()).open().await.unwrap();
    publisher.publish_exactly(100, 4_000).await;
    publisher.publish_exactly(101, 4_000).await;
    damage_entry(&kit, &publisher);
    publisher.publish_exactly(102, 0).await;
    let newest = publisher.state().version();
    publisher.snapshot().await;
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
    let status = consumer.status();
    assert_eq!((status.held, status.newest), (None, newest));
}

#[tokio::test]
async fn a_pinned_consumer_that_may_not_follow_does_so_once_the_version_is_accepted() {
    let kit = Kit::new();
    let mut publisher = published(&kit).await;
    let consumer = builder(&kit).open().await.unwrap();
    let pinned = consumer.version();
    consumer.refresh_to(pinned).await.unwrap();
    // Past the limits by its bytes, which only the blob tells.
    let large = publisher.publish_exactly(100, 2_000).await.version;
    consumer.follow().await.unwrap_err();
    assert!(consumer.refresh().await.unwrap().is_none());
    assert_eq!((consumer.version(), held(&consumer)), (pinned, Some(large)));
    accept(&kit, large).await;
    consumer.follow().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
    assert_eq!(held(&consumer), None);
}

/// How many times the bytes of 100 pairs as many with notes that are so much longer take.
async fn times(pairs: i64, longer: usize) -> f64 {
    let kit = Kit::new();
    let mut publisher = published(&kit).await;
    let mut taken = Vec::new();
    for _ in 0..2 {
        let consumer = Consumer::builder(DATASET, kit.store.clone()).open().await;
        let state = consumer.unwrap().state();
        taken.push(state.segments().map(Segment::live).sum::<u64>() as f64);
        publisher.publish_exactly(pairs, longer).await;
        publisher.snapshot().await;
    }
    taken[1] / taken[0]
}

#[tokio::test]
async fn the_version_before_a_jump_is_judged_by_its_bytes_where_a_snapshot_leads_to_it() {
    let kit = Kit::new();
    let mut publisher = published(&kit).await;
    publisher.reverse = false;
    let consumer = builder(&kit).open().await.unwrap();
    let before = consumer.state();
    // More by half, of more than twice the bytes, and less than what a way of several steps may have.
    let mut longer = 5;
    while times(149, longer).await < 2.1 {
        longer += 5;
    }
    assert!(times(149, longer).await < 2.8);
    let large = publisher.publish_exactly(149, longer).await.version;
    publisher.snapshot().await;
    std::fs::remove_file(kit.file(&publisher.delta_of(large))).unwrap();
    publisher.publish_exactly(600, longer).await;
    let error = consumer.refresh().await.unwrap_err();
    assert!(error.message().contains("its records take"), "{error}");
    assert_same(&consumer.state(), &before);
}

#[tokio::test]
async fn a_version_behind_a_gap_that_is_refused_for_its_bytes_is_served_once_it_is_accepted() {
    let kit = Kit::new();
    let mut publisher = published(&kit).await;
    let consumer = builder(&kit).open().await.unwrap();
    publisher.publish_exactly(300, 0).await;
    publisher.publish_exactly(310, 0).await;
    damage_entry(&kit, &publisher);
    let last = publisher.publish_exactly(110, 2_000).await.version;
    publisher.snapshot().await;
    for _ in 0..2 {
        consumer.refresh().await.unwrap_err();
    }
    accept(&kit, last).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}
