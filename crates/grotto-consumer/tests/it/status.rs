//! What a consumer tells of itself.

use crate::kit::{DATASET, Kit, rounds};
use grotto_consumer::{Consumer, Health};

#[tokio::test]
async fn the_status_says_what_is_served_and_what_it_takes() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    let entry = publisher.publish(1).await;
    let builder = Consumer::builder(DATASET, kit.store.clone()).state_dir(kit.state_dir());
    let consumer = builder.open().await.unwrap();
    assert!(!rounds(&consumer.state()).is_empty());
    let status = consumer.status();
    assert_eq!(status.dataset, DATASET);
    assert_eq!(
        (status.version, status.newest),
        (entry.version, entry.version)
    );
    assert_eq!(status.committed_ms, Some(entry.time_ms));
    assert_eq!(status.health, Health::Ready, "{:?}", status.reasons);
    assert!(status.reasons.is_empty() && status.held.is_none());
    assert_eq!(status.records, consumer.state().total());
    assert_eq!(status.refreshes, 1);
    let segments = std::fs::read_dir(kit.state_dir().join("segments")).unwrap();
    let files: u64 = segments
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert_eq!(status.mapped_bytes, files);
    let resident = status.resident_bytes.unwrap();
    assert!(resident > 0 && resident <= files, "{resident} of {files}");
    publisher.publish(3).await;
    let second = publisher.publish(2).await;
    consumer.refresh().await.unwrap().unwrap();
    let status = consumer.status();
    assert_eq!(status.committed_ms, Some(second.time_ms));
    assert_eq!((status.version, status.refreshes), (second.version, 2));
    assert_eq!(status.errors_per_minute, 0);
}

#[tokio::test]
async fn the_status_of_a_state_that_was_replaced_tells_nothing_of_the_next() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    let first = publisher.publish(1).await;
    let builder = Consumer::builder(DATASET, kit.store.clone());
    let consumer = builder.open().await.unwrap();
    let state = consumer.state();
    publisher.publish_change(&[], &[0]).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_ne!(consumer.state().total(), state.total());
    let status = consumer.status_of(&state);
    assert_eq!(
        (status.version, status.records, status.committed_ms),
        (first.version, state.total(), Some(first.time_ms))
    );
}

#[tokio::test]
async fn old_states_count_for_as_long_as_they_are_held() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = Consumer::builder(DATASET, kit.store.clone())
        .open()
        .await
        .unwrap();
    let (old, alone) = (consumer.state(), consumer.status().mapped_bytes);
    for _ in 0..3 {
        publisher.publish(1).await;
        consumer.refresh().await.unwrap().unwrap();
    }
    let both = consumer.status().mapped_bytes;
    drop(old);
    consumer.refresh().await.unwrap();
    let after = consumer.status().mapped_bytes;
    assert!(alone > 0 && both > after, "{alone}, {both}, {after}");
    assert_eq!(consumer.status().resident_bytes, Some(after));
}

#[tokio::test]
async fn attached_readers_are_counted_until_they_go() {
    let kit = Kit::new();
    kit.publisher().await.publish(1).await;
    let builder = || Consumer::builder(DATASET, kit.store.clone());
    let heap = builder().open().await.unwrap();
    assert_eq!(heap.status().attached_readers, None);
    let consumer = builder().state_dir(kit.state_dir()).open().await.unwrap();
    let readers = || consumer.status().attached_readers;
    assert_eq!(readers(), Some(0));
    let first = Consumer::attach(kit.state_dir()).unwrap();
    let second = Consumer::attach(kit.state_dir()).unwrap();
    assert_eq!(readers(), Some(2));
    drop(first);
    assert_eq!(readers(), Some(1));
    drop(second);
    assert_eq!(readers(), Some(0));
}

#[tokio::test]
async fn a_consumer_without_a_version_is_not_ready_and_one_that_ended_neither() {
    let kit = Kit::new();
    let builder = Consumer::builder(DATASET, kit.store.clone()).wait_for_dataset(true);
    let consumer = builder.open().await.unwrap();
    let status = consumer.status();
    assert_eq!((status.health, status.version), (Health::NotReady, 0));
    assert_eq!(status.reasons[0], "no version was loaded yet");
    kit.publisher().await.publish(1).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_eq!(consumer.status().health, Health::Ready);
    consumer.shutdown().await;
    let status = consumer.status();
    assert_eq!(status.health, Health::NotReady);
    assert_eq!(status.reasons, ["the consumer was shut down"]);
}

#[tokio::test]
async fn the_metrics_tell_what_the_status_tells() {
    let kit = Kit::new();
    kit.publisher().await.publish(1).await;
    let builder = Consumer::builder(DATASET, kit.store.clone()).state_dir(kit.state_dir());
    let consumer = builder.open().await.unwrap();
    let _reader = Consumer::attach(kit.state_dir()).unwrap();
    let (text, status) = (consumer.metrics_text(), consumer.status());
    let mapped = format!("mapped_bytes{{dataset=\"pairs\"}} {}", status.mapped_bytes);
    for line in [
        "health{dataset=\"pairs\"} 2",
        "breaker_state{dataset=\"pairs\"} 0",
        "attached_readers{dataset=\"pairs\"} 1",
        "fallback_reads_active{dataset=\"pairs\"} 0",
        "populated_records{dataset=\"pairs\",type=\"Left\"} 500",
        "refreshes_total{dataset=\"pairs\"} 1",
        "cache_hits_total{dataset=\"pairs\"} 0",
        "poll_wait_seconds{dataset=\"pairs\"} 0.0",
        &mapped,
    ] {
        assert!(
            text.contains(&format!("grotto_consumer_{line}\n")),
            "{line} in\n{text}"
        );
    }
    let heap = Consumer::builder(DATASET, kit.store.clone());
    let text = heap.open().await.unwrap().metrics_text();
    for line in [
        "fallback_reads_active{dataset=\"pairs\"} 1",
        "attached_readers{dataset=\"pairs\"} -1",
    ] {
        assert!(
            text.contains(&format!("grotto_consumer_{line}\n")),
            "{line} in\n{text}"
        );
    }
}
