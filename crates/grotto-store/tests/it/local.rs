//! What only a local folder has: paths, leftovers of crashes, and a disk that can go away.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grotto_env::{Env, ManualClock, SystemRandom};
use grotto_store::{BlobKind, Dataset, ErrorKind, Store, StoreUrl};

use crate::kit::{acquire, commit, framed};

fn open(folder: &std::path::Path) -> Dataset {
    let url = StoreUrl::Local(folder.to_owned());
    Dataset::open(Store::open_writable(&url).unwrap(), "cities").unwrap()
}

#[test]
fn a_missing_folder_is_an_error_for_readers_and_is_not_created() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("typo");
    let error = Store::open(&StoreUrl::Local(missing.clone())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("typo does not exist"), "{error}");
    assert!(!missing.exists());
}

#[test]
fn a_file_is_no_store() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let url = StoreUrl::Local(file.path().to_owned());
    let error = Store::open(&url).unwrap_err();
    assert!(error.message().contains("expected a folder"), "{error}");
    assert!(Store::open_writable(&url).is_err());
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let entry = {
        let dataset = open(folder.path());
        commit(&acquire(&dataset, "a").await, "x").await.unwrap()
    };
    let dataset = open(folder.path());
    assert_eq!(dataset.head().await.unwrap().unwrap(), entry);
    let blob = entry.blob(BlobKind::Delta).unwrap();
    assert_eq!(dataset.fetch_blob(&blob).await.unwrap(), framed("x"));
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_goes_away_is_unavailable_and_not_without_news() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let dataset = open(&store);
    acquire(&dataset, "a").await;
    assert_eq!(dataset.read_entry(2).await.unwrap(), None);
    std::fs::rename(&store, folder.path().join("unmounted")).unwrap();
    let error = dataset.read_entry(2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn the_sweep_removes_old_staged_files_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::Local(folder.path().to_owned());
    let clock = Arc::new(ManualClock::new(0));
    let env = Env {
        clock: clock.clone(),
        random: Arc::new(SystemRandom::new()),
        ..Env::system()
    };
    let store = Store::open_writable(&url).unwrap().with_env(env);
    let dataset = Dataset::open(store, "cities").unwrap();
    commit(&acquire(&dataset, "a").await, "x").await.unwrap();
    let place = |name: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "left").unwrap();
        path
    };
    let staged = place("cities/delta/00000000000000000009-1-ab.delta#1");
    let kept = [
        place("cities/delta/odd#name"),
        place("cities/delta/odd#"),
        place("towns/delta/x.delta#1"),
    ];
    let entry = place("cities/log/00000000000000000009.json#12");
    let found = dataset.leftovers().await.unwrap();
    let found = found.iter().map(|left| (left.name.display(), left.bytes));
    let found: Vec<String> = found
        .map(|(name, bytes)| format!("{name} {bytes}"))
        .collect();
    let expected = [
        "delta/00000000000000000009-1-ab.delta#1 4",
        "log/00000000000000000009.json#12 4",
    ];
    assert_eq!(found, expected);
    std::fs::remove_file(entry).unwrap();
    let modified = std::fs::metadata(&staged).unwrap().modified().unwrap();
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
    let hour = Duration::from_secs(3600);
    clock.set_wall_ms(u64::try_from((since + hour / 2).as_millis()).unwrap());
    assert!(
        dataset.sweep_leftovers(hour).await.unwrap().is_empty(),
        "in its grace"
    );
    clock.set_wall_ms(u64::try_from((since + hour * 2).as_millis()).unwrap());
    let removed = dataset.sweep_leftovers(hour).await.unwrap();
    assert_eq!(removed.len(), 1);
    assert!(!staged.exists());
    assert!(kept.iter().all(|path| path.exists()));
    assert_eq!(dataset.list_versions(1..=9).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn sweeping_a_store_in_memory_does_nothing() {
    let dataset = crate::kit::memory();
    let removed = dataset.sweep_leftovers(Duration::ZERO).await.unwrap();
    assert!(removed.is_empty());
    assert!(dataset.leftovers().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_store_whose_folder_is_gone_has_no_empty_lists() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let url = StoreUrl::Local(folder.clone());
    let store = Store::open_writable(&url).unwrap();
    let dataset = Dataset::open(store.clone(), "cities").unwrap();
    assert!(store.datasets().await.unwrap().is_empty());
    assert!(dataset.list_versions(1..=9).await.unwrap().is_empty());
    std::fs::remove_dir(&folder).unwrap();
    for error in [
        store.datasets().await.unwrap_err(),
        dataset.list_versions(1..=9).await.unwrap_err(),
        dataset.snapshot_entries().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let expected = format!("store folder {} is gone or not readable", folder.display());
        assert_eq!(error.message(), expected);
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_not_begun_anew_by_its_writer() {
    let above = tempfile::tempdir().unwrap();
    let (there, away) = (above.path().join("store"), above.path().join("away"));
    let writer = acquire(&open(&there), "w").await;
    commit(&writer, "one").await.unwrap();
    std::fs::rename(&there, &away).unwrap();
    let blob = writer.upload_snapshot(1, framed("x")).await;
    assert_eq!(blob.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(!there.exists());
    // What a mount leaves when it goes.
    std::fs::create_dir(&there).unwrap();
    let blob = writer.upload_snapshot(1, framed("x")).await;
    let error = blob.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        format!("{error:?}").contains("another one than"),
        "{error:?}"
    );
    assert_eq!(std::fs::read_dir(&there).unwrap().count(), 0);
    std::fs::remove_dir(&there).unwrap();
    std::fs::rename(&away, &there).unwrap();
    commit(&writer, "two").await.unwrap();
}
