//! Blobs that are kept on disk: found again, verified, and never needed.

use crate::faults::FaultStore;
use crate::kit::{DATASET, Kit, assert_same, flip};
use grotto_consumer::{Consumer, ConsumerBuilder};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

fn folder(kit: &Kit) -> PathBuf {
    kit.folder.path().join("blobs")
}

fn builder(kit: &Kit) -> (Arc<FaultStore>, ConsumerBuilder) {
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, store.store());
    (store, builder.blob_cache(folder(kit), 10 << 20, DAY))
}

fn count(consumer: &Consumer, metric: &str) -> u64 {
    let text = consumer.metrics_text();
    let lines = text
        .lines()
        .filter(|line| line.starts_with(&format!("grotto_consumer_{metric}{{")));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

fn files(kit: &Kit) -> Vec<PathBuf> {
    let found = std::fs::read_dir(folder(kit)).unwrap();
    found.map(|file| file.unwrap().path()).collect()
}

#[tokio::test]
async fn what_was_fetched_once_is_not_fetched_by_the_next_consumer() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let snapshot = publisher.snapshot().await;
    publisher.publish_many(3).await;
    let (store, first) = builder(&kit);
    let first = first.open().await.unwrap();
    assert!(store.asked("snapshot/") + store.asked("delta/") > 0);
    assert_eq!(count(&first, "cache_hits_total"), 0);
    let kept = files(&kit).len() as u64;
    assert_eq!(count(&first, "cache_misses_total"), kept);
    let (store, second) = builder(&kit);
    let second = second.open().await.unwrap();
    assert_eq!(
        (store.asked("snapshot/"), store.asked("delta/")),
        (0, 0),
        "{snapshot}"
    );
    assert_eq!(count(&second, "cache_hits_total"), kept);
    assert_eq!(count(&second, "cache_misses_total"), 0);
    assert_same(&second.state(), &publisher.state());
}

#[tokio::test]
async fn a_damaged_blob_in_the_cache_is_fetched_and_counted() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    publisher.publish_many(2).await;
    builder(&kit).1.open().await.unwrap();
    let kept = files(&kit);
    assert!(!kept.is_empty());
    for file in &kept {
        flip(file, 60);
    }
    let (store, consumer) = builder(&kit);
    let consumer = consumer.open().await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
    assert_eq!(count(&consumer, "cache_failures_total"), kept.len() as u64);
    assert!(store.asked("delta/") > 0);
    // No error of the refresh, and right again in the cache.
    assert_eq!(consumer.status().errors_per_minute, 0);
    let (store, third) = builder(&kit);
    third.open().await.unwrap();
    assert_eq!(store.asked("delta/"), 0);
}

#[tokio::test]
async fn a_cache_that_goes_away_fails_no_refresh() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let (_store, consumer) = builder(&kit);
    let consumer = consumer.open().await.unwrap();
    std::fs::remove_dir_all(folder(&kit)).unwrap();
    for _ in 0..3 {
        publisher.publish(2).await;
        consumer.refresh().await.unwrap().unwrap();
        assert_same(&consumer.state(), &publisher.state());
    }
    assert!(count(&consumer, "cache_failures_total") > 0);
    assert_eq!(consumer.status().errors_per_minute, 0);
}

#[tokio::test]
async fn a_folder_that_others_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let kit = Kit::new();
    kit.publisher().await.publish(1).await;
    std::fs::create_dir(folder(&kit)).unwrap();
    std::fs::set_permissions(folder(&kit), PermissionsExt::from_mode(0o777)).unwrap();
    let error = builder(&kit).1.open().await.unwrap_err();
    assert!(error.to_string().contains("cache of blobs"), "{error}");
}

#[tokio::test]
async fn a_disk_without_space_for_blobs_fails_no_refresh() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let disk = crate::disk::Disk::new();
    let (_store, builder) = builder(&kit);
    let builder = builder.state_dir(kit.state_dir());
    let builder = builder.file_system(Arc::clone(&disk) as Arc<dyn grotto_env::FileSystem>);
    disk.fill(Some("blobs"));
    let consumer = builder.open().await.unwrap();
    for _ in 0..3 {
        publisher.publish(2).await;
        consumer.refresh().await.unwrap().unwrap();
        assert_same(&consumer.state(), &publisher.state());
    }
    assert_eq!(files(&kit), Vec::<PathBuf>::new());
    let failures = count(&consumer, "cache_failures_total");
    assert!(failures >= 3, "{failures}");
    let status = consumer.status();
    assert_eq!(status.errors_per_minute, 0);
    assert_eq!(status.health.name(), "ready", "{:?}", status.reasons);
    disk.fill(None);
    publisher.publish(2).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_eq!(files(&kit).len(), 1);
    assert_eq!(count(&consumer, "cache_failures_total"), failures);
}
