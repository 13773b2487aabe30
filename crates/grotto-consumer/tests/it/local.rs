//! State directories: restart, one writer, failures on this side.

use crate::kit::{DATASET, Kit, assert_same, flip, rounds};
use grotto_consumer::{Consumer, ConsumerBuilder, ErrorKind, State};
use grotto_store::BlobKind;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn builder(kit: &Kit) -> ConsumerBuilder {
    Consumer::builder(DATASET, kit.store.clone()).state_dir(kit.state_dir())
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn a_restart_serves_without_the_store() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    publisher.publish(3).await;
    builder(&kit).open().await.unwrap().shutdown().await;
    std::fs::rename(
        kit.folder.path().join("store"),
        kit.folder.path().join("away"),
    )
    .unwrap();
    let consumer = builder(&kit).start().await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
    consumer.shutdown().await;
    let consumer = builder(&kit).open().await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_restart_fetches_no_blob_that_it_does_not_need() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    publisher.publish(3).await;
    builder(&kit).open().await.unwrap().shutdown().await;
    for version in [2, 3] {
        std::fs::remove_file(kit.file(&publisher.delta_of(version))).unwrap();
    }
    publisher.publish(5).await;
    let consumer = builder(&kit).open().await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_damaged_local_state_is_loaded_afresh_and_no_blob_is_blamed() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    builder(&kit).open().await.unwrap().shutdown().await;
    // In the boot in which they were written nobody looks at the segments again.
    for file in std::fs::read_dir(kit.state_dir().join("segments")).unwrap() {
        let path = file.unwrap().path();
        let length = std::fs::read(&path).unwrap().len();
        std::fs::write(&path, vec![0; length]).unwrap();
    }
    publisher.publish(3).await;
    let consumer = builder(&kit).open().await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
    publisher.publish(2).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
    consumer.shutdown().await;
    let consumer = builder(&kit).open().await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_started_consumer_catches_up_in_the_background() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    builder(&kit).open().await.unwrap().shutdown().await;
    let newest = publisher.publish(3).await;
    let consumer = builder(&kit)
        .poll_interval(Duration::from_secs(3_600))
        .start()
        .await
        .unwrap();
    consumer.wait_for(newest.version, LONG).await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
    consumer.shutdown().await;
}

#[tokio::test]
async fn one_consumer_at_a_time_writes_and_shutdown_makes_room() {
    let kit = Kit::new();
    kit.publisher().await.publish(1).await;
    let consumer = builder(&kit).start().await.unwrap();
    let error = builder(&kit).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.message().contains("in use by process"), "{error}");
    consumer.shutdown().await;
    builder(&kit).open().await.unwrap();
}

#[tokio::test]
async fn a_dropped_consumer_ends_its_polling() {
    let kit = Kit::new();
    kit.publisher().await.publish(1).await;
    drop(
        builder(&kit)
            .poll_interval(Duration::from_secs(3_600))
            .start()
            .await
            .unwrap(),
    );
    // The lock goes with the last of the polling task, which ends at once, not after its interval.
    loop {
        if builder(&kit).open().await.is_ok() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn refreshing_by_directory_and_by_heap_agree() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let files = builder(&kit).open().await.unwrap();
    let heap = Consumer::builder(DATASET, kit.store.clone())
        .open()
        .await
        .unwrap();
    for every in 1..20 {
        publisher.publish(every).await;
        files.refresh().await.unwrap();
        heap.refresh().await.unwrap();
        assert_same(&files.state(), &heap.state());
    }
    assert!(count(&kit.state_dir().join("roots")) <= 2);
}

#[tokio::test]
async fn a_refresh_that_cannot_write_fails_and_the_next_one_succeeds() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = builder(&kit).open().await.unwrap();
    let before = consumer.state();
    publisher.publish(3).await;
    for folder in ["segments", "roots"] {
        let (here, away) = (kit.state_dir().join(folder), kit.state_dir().join("away"));
        std::fs::rename(&here, &away).unwrap();
        let error = consumer.refresh().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.message().contains(folder), "{error}");
        assert_same(&consumer.state(), &before);
        std::fs::rename(&away, &here).unwrap();
    }
    let segments = count(&kit.state_dir().join("segments"));
    assert_eq!(segments, before.segments().count());
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_failed_snapshot_leaves_no_files_behind() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = builder(&kit).open().await.unwrap();
    let before = (consumer.state(), count(&kit.state_dir().join("segments")));
    publisher.publish(3).await;
    let snapshot = publisher.snapshot().await;
    let delta = publisher
        .publish(5)
        .await
        .blob(BlobKind::Delta)
        .unwrap()
        .name;
    // The way: the delta to 3 is gone, the snapshot is fine, what follows it is not.
    std::fs::remove_file(kit.file(&publisher.delta_of(before.0.version() + 1))).unwrap();
    flip(&kit.file(&delta), 60);
    consumer.refresh().await.unwrap_err();
    assert!(kit.file(&snapshot).exists());
    assert_eq!(rounds(&consumer.state()).len(), rounds(&before.0).len());
    let used = consumer.state().segments().count() + before.0.segments().count();
    assert!(count(&kit.state_dir().join("segments")) <= used);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_a_clear_error() {
    let kit = Kit::new();
    let file = kit.folder.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let error = Consumer::builder(DATASET, kit.store.clone())
        .state_dir(file.join("state"))
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.message().contains("expected a folder, found a file"),
        "{error}"
    );
}

/// Makes the text of a record something else than text, in the file that is mapped.
fn damage_text(kit: &Kit, text: &str) {
    let mut found = 0;
    for file in std::fs::read_dir(kit.state_dir().join("segments")).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let mut places = bytes.windows(text.len());
        if let Some(at) = places.position(|window| window == text.as_bytes()) {
            let mut file = std::fs::File::options().write(true).open(&path).unwrap();
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            file.write_all(&[0xff]).unwrap();
            found += 1;
        }
    }
    assert_eq!(found, 1);
}

/// Reads the notes of all pairs, as a user would.
fn read_notes(state: &State) {
    let left = state.type_id("Left").unwrap();
    assert!(
        state
            .scan(left)
            .map(|record| record.text(2).len())
            .sum::<usize>()
            > 0
    );
}

#[tokio::test]
async fn a_state_whose_mapped_bytes_are_damaged_is_loaded_afresh_by_the_next_refresh() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    let version = publisher.publish(1).await.version;
    let consumer = builder(&kit).open().await.unwrap();
    damage_text(&kit, &format!("note {version} for pair 77"));
    let damaged = consumer.state();
    assert!(!damaged.is_damaged());
    read_notes(&damaged);
    assert!(damaged.is_damaged());
    let report = consumer.refresh().await.unwrap().unwrap();
    assert_eq!((report.from, report.to), (version, version));
    assert!(!consumer.state().is_damaged());
    assert_same(&consumer.state(), &publisher.state());
    // Also what the next one finds in the directory.
    consumer.shutdown().await;
    let consumer = builder(&kit).open().await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_damaged_state_is_loaded_afresh_on_the_way_to_news_and_where_it_is_pinned() {
    for pinned in [false, true] {
        let kit = Kit::new();
        let mut publisher = kit.publisher().await;
        let version = publisher.publish(1).await.version;
        let before = publisher.state();
        let consumer = builder(&kit).open_at(version).await.unwrap();
        if !pinned {
            consumer.follow().await.unwrap();
        }
        damage_text(&kit, &format!("note {version} for pair 77"));
        publisher.publish(100).await;
        read_notes(&consumer.state());
        consumer.refresh().await.unwrap().unwrap();
        let expected = if pinned { before } else { publisher.state() };
        assert!(!consumer.state().is_damaged());
        assert_same(&consumer.state(), &expected);
    }
}

/// Files below a folder that this process has mapped, removed ones included.
#[cfg(target_os = "linux")]
fn mapped_below(folder: &Path) -> usize {
    let folder = folder.to_str().unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let files = maps
        .lines()
        .filter_map(|line| line.find(folder).map(|at| &line[at..]));
    files.collect::<std::collections::BTreeSet<_>>().len()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_long_way_holds_no_more_than_a_few_of_the_versions_it_leads_over() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = builder(&kit).open().await.unwrap();
    publisher.publish_many(100).await;
    let (folder, most) = (kit.state_dir(), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    // Told when the last version is served and before the refresh ends.
    consumer.on_refresh(move |_| seen.store(mapped_below(&folder), Ordering::Relaxed));
    let report = consumer.refresh().await.unwrap().unwrap();
    assert_eq!(report.steps.len(), 100);
    assert!(most.load(Ordering::Relaxed) > 0);
    let (most, last) = (most.load(Ordering::Relaxed), mapped_below(&kit.state_dir()));
    // The first version and the last two; each step adds a segment, and folds make up for it.
    assert!(
        most <= last + 20,
        "{most} segments mapped, {last} of them by the newest version"
    );
}

#[tokio::test]
async fn shutting_down_twice_and_through_an_arc_frees_the_directory_once() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = Arc::new(builder(&kit).start().await.unwrap());
    let held = Arc::clone(&consumer);
    held.shutdown().await;
    // The handle is still there, and the directory is free all the same.
    let next = builder(&kit).start().await.unwrap();
    consumer.shutdown().await;
    let newest = publisher.publish(2).await.version;
    next.wait_for(newest, LONG).await.unwrap();
    for error in [
        consumer.refresh().await.unwrap_err(),
        consumer.wait_for(newest, LONG).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.message(), "the consumer was shut down");
    }
    assert_eq!(consumer.version(), newest - 1, "served on, as it was");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_does_not_come_in_time_is_an_error_that_says_what_is_served() {
    let kit = Kit::new();
    let version = kit.publisher().await.publish(1).await.version;
    let consumer = builder(&kit).open().await.unwrap();
    let state = consumer.wait_for(version, LONG).await.unwrap();
    assert_eq!(state.version(), version);
    let error = consumer.wait_for(version + 1, LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let expected = format!(
        "expected version {} within 60s, found version {version}",
        version + 1
    );
    assert!(error.message().ends_with(&expected), "{error}");
}
