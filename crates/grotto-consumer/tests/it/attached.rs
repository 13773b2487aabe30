//! Attached readers of the same process. Other processes are in the simulation crate's tests.

use crate::kit::{DATASET, Kit, assert_same, newest_round, rounds};
use grotto_consumer::{Consumer, ErrorKind};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

async fn writer(kit: &Kit) -> Consumer {
    Consumer::builder(DATASET, kit.store.clone())
        .state_dir(kit.state_dir())
        .open()
        .await
        .unwrap()
}

#[tokio::test]
async fn an_attached_reader_sees_new_versions_without_the_store() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = writer(&kit).await;
    let attached = Consumer::attach(kit.state_dir()).unwrap();
    assert_eq!(attached.dataset(), DATASET);
    assert_same(&attached.state(), &consumer.state());
    for every in [3, 1, 100] {
        let before = attached.version();
        publisher.publish(every).await;
        consumer.refresh().await.unwrap().unwrap();
        let state = attached.wait_past(before, LONG).unwrap();
        assert_same(&state, &publisher.state());
    }
    attached.shutdown();
}

#[tokio::test]
async fn an_attached_reader_keeps_a_version_for_as_long_as_it_holds_it() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = writer(&kit).await;
    let attached = Consumer::attach(kit.state_dir()).unwrap();
    let held = attached.state();
    let before = rounds(&held);
    for _ in 0..10 {
        publisher.publish(1).await;
        consumer.refresh().await.unwrap();
    }
    consumer.shutdown().await;
    std::fs::remove_dir_all(kit.state_dir()).unwrap();
    drop(attached);
    assert_eq!(rounds(&held), before);
}

#[tokio::test]
async fn an_attached_reader_never_sees_a_mixture_and_ends_at_the_newest() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = writer(&kit).await;
    let attached = Consumer::attach(kit.state_dir()).unwrap();
    let last = publisher.state().version() + 40;
    let reads = std::thread::spawn(move || {
        let mut version = attached.version();
        while version < last {
            let state = attached.wait_past(version, LONG).unwrap();
            assert!(state.version() > version);
            version = state.version();
            assert_eq!(newest_round(&state), version as i64);
        }
    });
    for _ in 0..40 {
        publisher.publish(7).await;
        consumer.refresh().await.unwrap();
    }
    tokio::task::spawn_blocking(move || reads.join().unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn an_attached_reader_survives_its_writer_and_finds_the_next_one() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    writer(&kit).await.shutdown().await;
    let attached = Consumer::attach(kit.state_dir()).unwrap();
    let before = attached.version();
    publisher.publish(3).await;
    let consumer = writer(&kit).await;
    let state = attached.wait_past(before, LONG).unwrap();
    assert_same(&state, &consumer.state());
}

#[tokio::test]
async fn going_back_is_seen_by_attached_readers_too() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    let first = publisher.publish(1).await;
    publisher.publish(3).await;
    let consumer = writer(&kit).await;
    let attached = Consumer::attach(kit.state_dir()).unwrap();
    let before = attached.version();
    consumer.refresh_to(first.version).await.unwrap();
    let state = attached.wait_past(before, LONG).unwrap();
    assert_eq!(
        (state.version(), state.checksum()),
        (first.version, first.state_checksum)
    );
}

#[test]
fn attaching_to_nothing_is_a_clear_error() {
    let kit = Kit::new();
    let error = Consumer::attach(kit.state_dir()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("does not exist"), "{error}");
    std::fs::create_dir(kit.state_dir()).unwrap();
    let error = Consumer::attach(kit.state_dir()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("holds no state yet"), "{error}");
}

#[tokio::test]
async fn a_state_directory_keeps_its_hash_seed_and_all_who_read_it_use_that_one() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = writer(&kit).await;
    let seed = consumer.state().seed();
    publisher.publish(3).await;
    consumer.refresh().await.unwrap().unwrap();
    let attached = Consumer::attach(kit.state_dir()).unwrap();
    assert_eq!(
        [consumer.state().seed(), attached.state().seed()],
        [seed; 2]
    );
    assert_same(&attached.state(), &publisher.state());
    drop(attached);
    consumer.shutdown().await;
    let again = writer(&kit).await;
    assert_eq!(again.state().seed(), seed);
    // Others do not know it.
    let elsewhere = Consumer::builder(DATASET, kit.store.clone());
    let elsewhere = elsewhere.state_dir(kit.folder.path().join("elsewhere"));
    let elsewhere = elsewhere.open().await.unwrap();
    let on_heap = Consumer::builder(DATASET, kit.store.clone());
    let on_heap = on_heap.open().await.unwrap();
    let seeds = [elsewhere.state().seed(), on_heap.state().seed()];
    assert!(!seeds.contains(&seed) && seeds[0] != seeds[1]);
    assert_same(&elsewhere.state(), &on_heap.state());
}

#[tokio::test]
async fn an_attached_reader_waits_for_a_version_or_says_which_it_has() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    let first = publisher.publish(1).await.version;
    let consumer = writer(&kit).await;
    let attached = Consumer::attach(kit.state_dir()).unwrap();
    assert_eq!(attached.wait_for(first, LONG).unwrap().version(), first);
    let error = attached.wait_for(first + 1, Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let expected = format!(
        "expected version {} within 0ns, found version {first}",
        first + 1
    );
    assert!(error.message().ends_with(&expected), "{error}");
    publisher.publish(2).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_eq!(
        attached.wait_for(first + 1, LONG).unwrap().version(),
        first + 1
    );
    attached.shutdown();
    attached.shutdown();
}
