//! Positions of sources and tags: committed with the records, kept, and moved without them.

use crate::kit::{TroubledStore, names, put};
use grotto_producer::{Producer, Published};
use grotto_store::{Dataset, EntryKind};
use std::collections::BTreeMap;

/// A cycle that only says how far a source was read.
async fn read_to(producer: &Producer, position: u64) -> Option<Published> {
    let moved = producer.run_incremental(move |cycle| {
        cycle.set_position("feed", position);
        Ok(())
    });
    moved.await.unwrap()
}

fn at(position: u64) -> BTreeMap<String, u64> {
    [("feed".to_owned(), position)].into()
}

#[tokio::test]
async fn positions_are_committed_with_records_and_found_again() {
    let store = TroubledStore::new();
    let producer = store.producer(0).await;
    let import = producer.run_cycle(|cycle| {
        cycle.set_position("feed", 7);
        cycle.set_tag("reason", "import");
        cycle.add_json("City", r#"{"id":1,"name":"one"}"#, 1)?;
        Ok(())
    });
    assert_eq!(import.await.unwrap().unwrap().version, 1);
    assert_eq!(producer.positions(), at(7));
    put(&producer, 2, "two").await.unwrap().unwrap();
    assert_eq!(producer.positions(), at(7), "kept by a cycle without any");
    drop(producer);
    let next = store.producer(0).await;
    assert_eq!(next.positions(), at(7), "and by the fence of the next one");
    let dataset = Dataset::open(store.store(), "cities").unwrap();
    assert_eq!(dataset.positions().await.unwrap(), at(7));
    let first = dataset.read_entry(1).await.unwrap().unwrap();
    assert_eq!(first.tags["reason"], "import");
}

#[tokio::test]
async fn a_position_that_moves_alone_is_a_version_without_blobs_or_snapshot() {
    let store = TroubledStore::new();
    let producer = store.producer(2).await;
    put(&producer, 1, "one").await.unwrap().unwrap();
    producer.finish().await.unwrap();
    let published = read_to(&producer, 9).await.unwrap();
    assert_eq!((published.version, published.delta_bytes), (2, 0));
    assert!(read_to(&producer, 9).await.is_none(), "it did not move");
    for position in 10..14 {
        let moved = read_to(&producer, position).await.unwrap();
        assert!(!moved.snapshot_started, "it is no new state");
    }
    let dataset = Dataset::open(store.store(), "cities").unwrap();
    let head = dataset.head().await.unwrap().unwrap();
    assert_eq!((head.version, head.kind), (6, EntryKind::Positions));
    assert_eq!((head.commits, head.state_version), (1, 1));
    let next = put(&producer, 2, "two").await.unwrap().unwrap();
    assert_eq!((next.version, next.snapshot_started), (7, false));
    let third = put(&producer, 3, "three").await.unwrap().unwrap();
    assert!(third.snapshot_started, "the second commit since the last");
    producer.finish().await.unwrap();
    drop(producer);
    let again = store.producer(0).await;
    assert_eq!(names(&again.state()).len(), 3);
    assert_eq!(again.positions(), at(13));
}
