//! A store with another one to read from: reads go on, nothing else does.

use std::sync::Arc;

use futures::TryStreamExt;
use grotto_store::{BlobKind, Dataset, ErrorKind, Store, StoreOptions, Writer};
use object_store::{ObjectStore, ObjectStoreExt};

use crate::kit::{Fault, FaultStore, acquire, commit, framed, named};

/// A store with versions 1 and 2, a copy of it, and the dataset read from both.
struct Two {
    first: Arc<FaultStore>,
    copy: Arc<FaultStore>,
    dataset: Dataset,
}

async fn two() -> Two {
    let (first, copy) = (Arc::new(FaultStore::new()), Arc::new(FaultStore::new()));
    let alone = Dataset::open(Store::from_object_store(first.clone()), "cities").unwrap();
    commit(&acquire(&alone, "a").await, "x").await.unwrap();
    let objects: Vec<_> = first.list(None).try_collect().await.unwrap();
    for object in objects {
        let got = first.get(&object.location).await.unwrap();
        let bytes = got.bytes().await.unwrap();
        copy.put(&object.location, bytes.into()).await.unwrap();
    }
    let unbroken = StoreOptions {
        breaker: None,
        ..StoreOptions::default()
    };
    let store = Store::from_object_store(first.clone()).with_options(unbroken);
    let store = store.with_fallback(&Store::from_object_store(copy.clone()));
    let dataset = Dataset::open(store, "cities").unwrap();
    Two {
        first,
        copy,
        dataset,
    }
}

/// The first store answers nothing for a long time.
fn down(store: &FaultStore) {
    for fault in [Fault::GetFails, Fault::ListFails, Fault::PutFails] {
        (0..100).for_each(|_| store.script(fault, "cities"));
    }
}

#[tokio::test(start_paused = true)]
async fn reads_go_on_from_the_fallback_while_the_store_is_down() {
    let two = two().await;
    down(&two.first);
    let head = two.dataset.head().await.unwrap().unwrap();
    assert_eq!(head.version, 2);
    let blob = head.blob(BlobKind::Delta).unwrap();
    assert_eq!(two.dataset.fetch_blob(&blob).await.unwrap(), framed("x"));
    assert_eq!(two.dataset.list_versions(1..=9).await.unwrap(), [1, 2]);
    assert_eq!(two.dataset.store().datasets().await.unwrap(), ["cities"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_is_believed_and_the_fallback_not_asked() {
    let two = two().await;
    let ahead = Dataset::open(Store::from_object_store(two.copy.clone()), "cities").unwrap();
    acquire(&ahead, "elsewhere").await;
    let before = (two.copy.gets(""), two.copy.lists());
    assert_eq!(two.dataset.read_entry(3).await.unwrap(), None);
    assert_eq!(two.dataset.head().await.unwrap().unwrap().version, 2);
    assert_eq!((two.copy.gets(""), two.copy.lists()), before);
}

#[tokio::test(start_paused = true)]
async fn a_writer_reads_nothing_from_the_fallback_and_writes_nothing_there() {
    let two = two().await;
    let puts = two.copy.puts("");
    let (writer, head) = Writer::acquire(two.dataset.clone(), named("b"))
        .await
        .unwrap();
    assert_eq!(head.unwrap().version, 2);
    commit(&writer, "y").await.unwrap();
    writer.heartbeat().await;
    assert_eq!(two.copy.puts(""), puts);
    down(&two.first);
    let error = Writer::prepare(two.dataset.clone(), named("c"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let error = Writer::acquire(two.dataset.clone(), named("c"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(two.copy.puts(""), puts);
}

#[tokio::test(start_paused = true)]
async fn without_either_store_the_read_fails() {
    let two = two().await;
    down(&two.first);
    down(&two.copy);
    let error = two.dataset.head().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}
