//! What goes on after a commit holds up nobody.

use crate::kit::{SCHEMA, Trouble, TroubledStore, names, put};
use grotto_format::Schema;
use grotto_producer::Producer;
use grotto_store::{Dataset, Store, StoreUrl};
use std::time::{Duration, SystemTime};

#[tokio::test(start_paused = true)]
async fn a_commit_is_acknowledged_before_the_hint_is_written() {
    let store = TroubledStore::new();
    let producer = store.producer(0).await;
    store.cause(Trouble::Hangs, "control/leader.json");
    let began = tokio::time::Instant::now();
    put(&producer, 1, "one").await.unwrap().unwrap();
    put(&producer, 2, "two").await.unwrap().unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    producer.finish().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(names(&producer.state()).len(), 2);
}

#[tokio::test]
async fn the_hint_tells_the_last_version_once_a_producer_has_finished() {
    let store = TroubledStore::new();
    let producer = store.producer(0).await;
    for id in 0..5 {
        put(&producer, id, "city").await.unwrap().unwrap();
    }
    producer.finish().await.unwrap();
    let dataset = Dataset::open(store.store(), "cities").unwrap();
    let hint = dataset.leader_hint().await.unwrap().unwrap();
    assert_eq!(hint.version, producer.version());
}

#[tokio::test]
async fn what_crashed_writers_left_is_removed_after_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::Local(folder.path().to_owned());
    let store = Store::open_writable(&url).unwrap();
    let log = folder.path().join("cities/log");
    std::fs::create_dir_all(&log).unwrap();
    let (old, new) = (log.join("entry.json#1"), log.join("entry.json#2"));
    for path in [&old, &new] {
        std::fs::write(path, "torn").unwrap();
    }
    let file = std::fs::File::options().write(true).open(&old).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let builder = Producer::builder("cities", store).schema(Schema::parse(SCHEMA).unwrap());
    let producer = builder.open().await.unwrap();
    put(&producer, 1, "one").await.unwrap().unwrap();
    producer.finish().await.unwrap();
    assert!(!old.exists() && new.exists());
}
