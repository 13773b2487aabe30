//! Restoring asks for little, however long the log is and however many snapshots there are.

use crate::kit::{TroubledStore, names, put};

fn count(asked: &[String], part: &str) -> usize {
    asked.iter().filter(|path| path.contains(part)).count()
}

#[tokio::test]
async fn restoring_over_many_deltas_reads_few_entries_and_each_announcement_once() {
    let store = TroubledStore::new();
    let producer = store.producer(0).await;
    for id in 0..4 {
        put(&producer, id, "first").await.unwrap().unwrap();
        producer.snapshot().await.unwrap();
    }
    for id in 0..100 {
        put(&producer, id, "later").await.unwrap().unwrap();
    }
    let held = producer.state();
    drop(producer);
    store.take_asked();
    let restored = store.producer(0).await;
    assert_eq!(names(&restored.state()), names(&held));
    let asked = store.take_asked();
    let entries = count(&asked, "cities/log/0");
    assert!(entries <= 12, "{entries} entries were read");
    assert_eq!(count(&asked, "LIST cities/snapshots"), 1, "{asked:?}");
    let read = count(&asked, "cities/snapshots/0");
    assert!(read <= 2, "{read} announcements were read");
}

#[tokio::test]
async fn an_older_snapshot_leads_on_where_the_newest_are_gone() {
    let store = TroubledStore::new();
    let producer = store.producer(0).await;
    let mut snapshots = Vec::new();
    for id in 0..120 {
        put(&producer, id, "city").await.unwrap().unwrap();
        if id % 40 < 3 {
            snapshots.push(producer.snapshot().await.unwrap());
        }
    }
    let held = producer.state();
    drop(producer);
    for gone in snapshots.iter().skip(3) {
        store.remove(&format!("cities/{}", gone.blob.name)).await;
    }
    // The way from the beginning is cut, too.
    let first = store.paths("cities/delta/").await.remove(0);
    store.remove(&first).await;
    store.take_asked();
    let restored = store.producer(0).await;
    assert_eq!(names(&restored.state()), names(&held));
    assert_eq!(restored.state().checksum(), held.checksum());
}
