//! Finding the head of an old log whose hint is lost.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use grotto_store::{Dataset, LogEntry, Store};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::cost::FarStore;
use crate::kit::acquire;

/// A log whose versions below `newest` are there if `is_there` says so. Nobody reads them.
async fn log_of(newest: u64, is_there: impl Fn(u64) -> bool) -> (Arc<FarStore>, Dataset) {
    let inner = Arc::new(InMemory::new());
    let near = Store::from_object_store(Arc::clone(&inner) as Arc<dyn ObjectStore>);
    let near = Dataset::open(near, "cities").unwrap();
    let fence = acquire(&near, "a").await.head().unwrap();
    let path = |version| Path::from(format!("cities/log/{version:020}.json"));
    inner.delete(&path(1)).await.unwrap();
    for version in (1..newest).filter(|version| is_there(*version)) {
        inner.put(&path(version), "x".into()).await.unwrap();
    }
    let head = LogEntry {
        version: newest,
        parent: newest - 1,
        ..fence
    };
    let bytes = head.encode().unwrap();
    inner.put(&path(newest), bytes.into()).await.unwrap();
    let far = Arc::new(FarStore::new(inner));
    let store = Store::from_object_store(Arc::clone(&far) as Arc<dyn ObjectStore>);
    (far, Dataset::open(store, "cities").unwrap())
}

/// Requests for the head of such a log.
async fn requests_for(newest: u64, is_there: impl Fn(u64) -> bool) -> usize {
    let (far, dataset) = log_of(newest, is_there).await;
    let head = dataset.head().await.unwrap().unwrap();
    assert_eq!(head.version, newest);
    far.requests.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn the_head_of_a_long_log_without_a_hint_is_found_in_few_requests() {
    // The hint, one listing, the head, and the next one, which is not there.
    assert_eq!(requests_for(999, |_| true).await, 4);
    // And a look further ahead, and a second listing.
    assert_eq!(requests_for(1_001, |_| true).await, 4 + 8 + 1);
    // All of it would be named by a hundred and five hundred answers.
    assert_eq!(requests_for(100_000, |_| true).await, 29);
    assert_eq!(requests_for(499_999, |_| true).await, 45);
}

#[tokio::test(start_paused = true)]
async fn versions_that_are_lost_hide_no_later_one() {
    let newest = 40_000;
    requests_for(newest, |version| version % 3 == 1).await;
    requests_for(newest, |version| version > 30_000).await;
    requests_for(newest, |version| !(2_000..39_990).contains(&version)).await;
    requests_for(newest, |version| version * 2_654_435_761 % 97 > 60).await;
    requests_for(newest, |_| false).await;
}

/// Other objects in the folder of the log that sort right after the entry of a version.
async fn litter(far: &FarStore, after: u64) {
    for number in 0..1_500 {
        let path = Path::from(format!("cities/log/{after:020}.json.{number:06}"));
        far.inner.put(&path, "x".into()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn other_things_in_the_folder_of_the_log_hide_nothing() {
    for (newest, after) in [(2_500, 0), (1_500, 1_500), (2_500, 1_200)] {
        let (far, dataset) = log_of(newest, |_| true).await;
        litter(&far, after).await;
        let head = dataset.head().await.unwrap().unwrap();
        assert_eq!(head.version, newest, "after {after}");
    }
}
