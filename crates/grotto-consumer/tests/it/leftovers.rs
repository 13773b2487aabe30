//! Refreshes that fail halfway leave nothing in the state directory, however often they are tried.

use crate::faults::{Fault, FaultStore};
use crate::kit::{DATASET, Kit, Publisher, assert_same, flip};
use grotto_consumer::{Consumer, ErrorKind};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Files below the state directory.
fn files(kit: &Kit) -> BTreeSet<PathBuf> {
    let folders = ["segments", "roots"].map(|folder| kit.state_dir().join(folder));
    let entries = folders
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap());
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// What happens to the delta behind the snapshot.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Gone,
    Damaged,
    NoAnswer,
}

/// Creates the dataset anew: whoever served it has to load a snapshot that it cannot serve yet, and then
/// a delta. Returns the names of the delta and of the snapshot.
async fn behind_a_snapshot(kit: &Kit) -> (Publisher, String, String) {
    std::fs::remove_dir_all(kit.file("")).unwrap();
    let mut publisher = kit.publisher().await;
    let first = publisher.publish(1).await.version;
    std::fs::remove_file(kit.file(&publisher.delta_of(first))).unwrap();
    let snapshot = publisher.snapshot().await;
    let last = publisher.publish(3).await.version;
    let delta = publisher.delta_of(last);
    (publisher, delta, snapshot)
}

/// The delta behind the snapshot does not come.
async fn fails_behind_a_snapshot(trouble: Trouble) {
    let kit = Kit::new();
    let store = FaultStore::new(&kit.folder.path().join("store"));
    kit.publisher().await.publish(1).await;
    let builder = Consumer::builder(DATASET, store.store()).state_dir(kit.state_dir());
    let consumer = builder.open().await.unwrap();
    let before = (consumer.state(), files(&kit));
    let (publisher, delta, snapshot) = behind_a_snapshot(&kit).await;
    let intact = std::fs::read(kit.file(&delta)).unwrap();
    match trouble {
        Trouble::Gone => std::fs::remove_file(kit.file(&delta)).unwrap(),
        Trouble::Damaged => flip(&kit.file(&delta), 60),
        Trouble::NoAnswer => store.cause(Fault::Fails, &delta),
    }
    store.take_asked();
    for turn in 0..5 {
        let error = consumer.refresh().await.unwrap_err();
        assert!(error.message().contains(&delta), "{trouble:?}: {error}");
        assert_eq!(files(&kit), before.1, "{trouble:?}, try {turn}");
        assert_same(&consumer.state(), &before.0);
    }
    assert_eq!(store.asked(&snapshot), 1, "{trouble:?}");
    store.heal();
    std::fs::write(kit.file(&delta), intact).unwrap();
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_cannot_fetch_leaves_no_files_and_loads_its_snapshot_once() {
    for trouble in [Trouble::Gone, Trouble::Damaged, Trouble::NoAnswer] {
        fails_behind_a_snapshot(trouble).await;
    }
}

#[tokio::test]
async fn a_fetch_that_panics_is_an_error_that_leaves_no_files() {
    let kit = Kit::new();
    let store = FaultStore::new(&kit.folder.path().join("store"));
    kit.publisher().await.publish(1).await;
    let builder = Consumer::builder(DATASET, store.store()).state_dir(kit.state_dir());
    let consumer = builder.open().await.unwrap();
    let delta = behind_a_snapshot(&kit).await.1;
    store.cause(Fault::Panics, &delta);
    let before = files(&kit);
    for _ in 0..3 {
        let error = consumer.refresh().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
        assert_eq!(files(&kit), before);
    }
    store.heal();
    consumer.refresh().await.unwrap().unwrap();
}
