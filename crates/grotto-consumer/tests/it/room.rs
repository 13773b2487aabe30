//! What counts to the memory limit: on the heap all that is in memory, with a state directory each state by itself.

use crate::faults::FaultStore;
use crate::kit::{DATASET, Kit, Publisher, VirtualClock, assert_same};
use grotto_consumer::{Consumer, ConsumerBuilder, Error, ErrorKind};
use grotto_env::Env;
use std::time::Duration;

/// Sizes are the same each time, as what keys are hashed with decides how large an index is.
fn builder(kit: &Kit) -> ConsumerBuilder {
    let store = kit.store.clone().with_env(Env::deterministic(7));
    Consumer::builder(DATASET, store)
}

/// The same with a new state directory.
fn on_disk(kit: &Kit) -> ConsumerBuilder {
    // There is none before the first one.
    let _ = std::fs::remove_dir_all(kit.state_dir());
    builder(kit).state_dir(kit.state_dir())
}

/// What an error says that a state needs, in bytes.
#[track_caller]
fn needs(error: &Error) -> u64 {
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let (_, rest) = error.message().split_once("needs about ").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

async fn published(kit: &Kit, pairs: i64) -> Publisher {
    let mut publisher = kit.publisher().await;
    publisher.publish_exactly(pairs, 0).await;
    publisher
}

#[tokio::test]
async fn what_a_filter_leaves_out_does_not_count() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    let first = publisher.publish_exactly(300, 3_000).await.version;
    publisher.snapshot().await;
    let open = |limit| builder(&kit).types(["Right"]).memory_limit(limit).open();
    let consumer = open(200_000).await.unwrap();
    for pairs in [290, 280] {
        publisher.publish_exactly(pairs, 3_000).await;
        consumer.refresh().await.unwrap().unwrap();
    }
    let visited = consumer.state_at(first).await.unwrap();
    assert_eq!(visited.version(), first);
    // What is kept does.
    assert!(needs(&open(4_000).await.unwrap_err()) > 4_000);
}

#[tokio::test]
async fn what_readers_hold_of_a_state_directory_does_not_count() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 400).await;
    let one = on_disk(&kit).open().await.unwrap().status().mapped_bytes;
    let consumer = on_disk(&kit)
        .memory_limit(one * 3 / 2)
        .open()
        .await
        .unwrap();
    let held = consumer.state();
    // Only a snapshot leads there, which shares nothing with what is served.
    let version = publisher.publish_exactly(401, 0).await.version;
    publisher.snapshot().await;
    std::fs::remove_file(kit.file(&publisher.delta_of(version))).unwrap();
    consumer.refresh().await.unwrap().unwrap();
    assert_eq!((held.version(), consumer.version()), (version - 1, version));
    assert!(consumer.status().mapped_bytes > one * 3 / 2);
}

#[tokio::test]
async fn another_version_takes_only_what_is_not_in_the_files_of_what_is_served() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 400).await;
    let first = publisher.state().version();
    publisher.publish_change(&[3], &[]).await;
    let measured = on_disk(&kit).open().await.unwrap();
    let (all, _held) = (
        measured.status().mapped_bytes,
        measured.state_at(first).await.unwrap(),
    );
    drop(measured);
    let consumer = on_disk(&kit).memory_limit(all).open().await.unwrap();
    let visited = consumer.state_at(first).await.unwrap();
    assert_eq!(visited.version(), first);
}

#[tokio::test]
async fn another_version_is_refused_by_what_its_blob_tells_before_it_is_built() {
    for folder in [false, true] {
        let kit = Kit::new();
        let mut publisher = kit.publisher().await;
        publisher.publish(1).await;
        let large = publisher.publish_longer(&[1, 2, 3], 300_000).await.version;
        publisher.publish_longer(&[1, 2, 3], 0).await;
        publisher.snapshot().await;
        let visit = async |limit| {
            let builder = match folder {
                true => on_disk(&kit),
                false => builder(&kit),
            };
            let consumer = builder.memory_limit(limit).open().await.unwrap();
            needs(&consumer.state_at(large).await.err().unwrap())
        };
        let told = visit(800_000).await;
        let measured = visit(told).await;
        assert!(told < measured, "{folder}: {told} of {measured}");
    }
}

/// A state directory has the state that a delta leads to beside the one before, whose pages can be dropped.
#[tokio::test]
async fn a_delta_that_leaves_nothing_as_it_was_needs_no_room_for_both() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish_exactly(400, 1_000).await;
    let one = on_disk(&kit).open().await.unwrap().status().mapped_bytes;
    let consumer = on_disk(&kit)
        .memory_limit(one * 3 / 2)
        .open()
        .await
        .unwrap();
    let next = publisher.publish_exactly(400, 1_001).await.version;
    let refreshed = consumer.refresh().await.map(|_| consumer.version());
    assert_eq!(refreshed.unwrap(), next);
    drop(consumer);
    let afresh = on_disk(&kit)
        .memory_limit(one * 3 / 2)
        .open()
        .await
        .unwrap();
    assert_eq!(afresh.version(), next);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_fetched_again_once_readers_let_go_and_not_before() {
    let minute = Duration::from_secs(60);
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish_exactly(100, 2_000).await;
    let one = builder(&kit).open().await.unwrap().status().mapped_bytes;
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, store.store().with_env(VirtualClock::env()));
    let consumer = builder.memory_limit(2 * one).start().await.unwrap();
    let read = consumer.state();
    for longer in [0, 2_000] {
        publisher.publish_exactly(100, longer).await;
        tokio::time::sleep(minute).await;
    }
    let held = consumer.status().held.unwrap();
    assert_eq!((held.memory, held.version), (true, read.version() + 2));
    store.take_asked();
    tokio::time::sleep(2 * minute).await;
    let fetched = (store.asked("log/"), store.asked("delta/"));
    assert!(fetched.0 > 0 && fetched.1 == 0, "{fetched:?}");
    drop(read);
    tokio::time::sleep(minute).await;
    assert_same(&consumer.state(), &publisher.state());
    assert_eq!(consumer.status().held, None);
}
