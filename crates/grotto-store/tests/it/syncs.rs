//! Syncs of a folder that fail: what was not synced is not acknowledged, by nobody and never.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use grotto_store::{Confirm, Dataset, ErrorKind, FolderSync, Store, StoreUrl, Writer};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _};
use parking_lot::Mutex;

use crate::kit::{acquire, commit, fields, named};

/// Remembers what was synced, and fails where it is told to.
#[derive(Debug, Default)]
struct Syncs {
    files: Mutex<Vec<PathBuf>>,
    folders: Mutex<Vec<PathBuf>>,
    /// Syncs of folders whose path ends like this fail, so many times.
    broken: Mutex<Option<(&'static str, usize)>>,
}

impl Syncs {
    fn fail(&self, end: &'static str, times: usize) {
        *self.broken.lock() = Some((end, times));
    }

    fn of_folder(&self, path: &Path) -> usize {
        self.folders.lock().iter().filter(|p| *p == path).count()
    }
}

impl FolderSync for Syncs {
    fn sync_file(&self, _file: &File, path: &Path) -> io::Result<()> {
        self.files.lock().push(path.to_owned());
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        if let Some((end, times)) = &mut *self.broken.lock()
            && path.ends_with(*end)
            && *times > 0
        {
            *times -= 1;
            return Err(io::Error::other("the disk failed"));
        }
        self.folders.lock().push(path.to_owned());
        Ok(())
    }
}

fn open(folder: &Path, syncs: &Arc<Syncs>) -> Dataset {
    let url = StoreUrl::Local(folder.to_owned());
    let sync = Arc::clone(syncs) as Arc<dyn FolderSync>;
    let store = Store::open_writable_with(&url, sync).unwrap();
    Dataset::open(store, "cities").unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_sync_failed_is_not_proven_by_reading_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let syncs = Arc::new(Syncs::default());
    let dataset = open(folder.path(), &syncs);
    let writer = acquire(&dataset, "a").await;
    let fields = fields(&writer, "x").await.unwrap();
    // Once is enough: what a later sync of the same folder answers says nothing of what was lost.
    syncs.fail("cities/log", 1);
    for _ in 0..3 {
        let error = writer.commit(fields.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(writer.is_undecided());
        assert_eq!(writer.next_version(), 2, "not acknowledged");
    }
    let there = dataset.read_entry(2).await.unwrap();
    assert!(
        there.is_some(),
        "the page cache has it: that proves nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_sync_the_store_takes_nothing_until_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let syncs = Arc::new(Syncs::default());
    let dataset = open(folder.path(), &syncs);
    let writer = acquire(&dataset, "a").await;
    let undecided = fields(&writer, "x").await.unwrap();
    syncs.fail("cities/log", 1);
    writer.commit(undecided).await.unwrap_err();
    let error = fields(&writer, "y").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("opened again"), "{cause}");
    let again = open(folder.path(), &syncs);
    let synced = syncs.of_folder(&folder.path().canonicalize().unwrap().join("cities/log"));
    let (next, head) = Writer::prepare(again, named("b")).await.unwrap();
    assert_eq!(head.unwrap().version, 2);
    let after = syncs.of_folder(&folder.path().canonicalize().unwrap().join("cities/log"));
    assert!(after > synced, "what is built on is synced first");
    next.fence().await.unwrap();
    assert_eq!(commit(&next, "z").await.unwrap().version, 4);
}

#[tokio::test(start_paused = true)]
async fn a_writer_does_not_build_on_an_entry_that_cannot_be_synced() {
    let folder = tempfile::tempdir().unwrap();
    let syncs = Arc::new(Syncs::default());
    acquire(&open(folder.path(), &syncs), "a").await;
    syncs.fail("cities/log", usize::MAX);
    let opened = Writer::prepare(open(folder.path(), &syncs), named("b")).await;
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::Unavailable);
}

/// A server whose host goes down when something is to be confirmed: what was not on its disk is gone.
#[derive(Debug)]
struct Crashing(Arc<InMemory>);

#[async_trait::async_trait]
impl Confirm for Crashing {
    async fn confirm(&self, location: &object_store::path::Path) -> object_store::Result<()> {
        self.0.delete(location).await?;
        self.0.head(location).await.map(|_| ())
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_does_not_build_on_an_entry_that_the_store_lost_after_it_was_read() {
    let objects = Arc::new(InMemory::new());
    let store = Store::from_object_store(Arc::clone(&objects) as Arc<dyn ObjectStore>);
    let dataset = Dataset::open(store.clone(), "cities").unwrap();
    let writer = acquire(&dataset, "a").await;
    commit(&writer, "x").await.unwrap();
    let crashing = store.with_confirm(Arc::new(Crashing(objects)));
    let late = Dataset::open(crashing, "cities").unwrap();
    let error = Writer::prepare(late, named("b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let versions = dataset.list_versions(1..=9).await.unwrap();
    assert_eq!(versions, [1], "nothing follows the gap");
}

#[tokio::test]
async fn what_could_be_read_and_is_gone_is_not_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = open(folder.path(), &Arc::default());
    let slots = dataset.wal_slots();
    slots.create(1, &Bytes::from_static(b"x")).await.unwrap();
    slots.confirm(1).await.unwrap();
    slots.remove(1).await.unwrap();
    let error = slots.confirm(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test(start_paused = true)]
async fn that_a_slot_is_taken_is_answered_only_after_its_folder_was_synced() {
    let folder = tempfile::tempdir().unwrap();
    let syncs = Arc::new(Syncs::default());
    let late = Writer::prepare(open(folder.path(), &syncs), named("late"));
    let (late, _) = late.await.unwrap();
    acquire(&open(folder.path(), &Arc::default()), "a").await;
    syncs.fail("cities/log", usize::MAX);
    let error = late.fence().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_new_store_its_parents_and_the_folders_in_it_are_synced() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().canonicalize().unwrap();
    let syncs = Arc::new(Syncs::default());
    let dataset = open(&top.join("a/b"), &syncs);
    commit(&acquire(&dataset, "a").await, "x").await.unwrap();
    for part in [
        "",
        "a",
        "a/b",
        "a/b/cities",
        "a/b/cities/log",
        "a/b/cities/delta",
    ] {
        let path = top.join(part);
        let path = if part.is_empty() { top.clone() } else { path };
        assert!(syncs.of_folder(&path) > 0, "{}", path.display());
    }
    let staged = |part: &str| {
        let files = syncs.files.lock();
        files
            .iter()
            .filter(|p| p.to_string_lossy().contains(part))
            .count()
    };
    assert_eq!(
        (staged("/log/"), staged("/delta/"), staged("/reverse/")),
        (2, 1, 1)
    );
}

#[tokio::test]
async fn folders_that_a_writer_left_unsynced_are_synced_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().canonicalize().unwrap();
    std::fs::create_dir_all(top.join("store/cities/log")).unwrap();
    let syncs = Arc::new(Syncs::default());
    acquire(&open(&top.join("store"), &syncs), "a").await;
    for part in ["store/cities/log", "store/cities", "store"] {
        assert!(syncs.of_folder(&top.join(part)) > 0, "{part}");
    }
    assert!(syncs.of_folder(&top) > 0, "the folder that holds the store");
}

#[test]
fn a_store_whose_folder_cannot_be_synced_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let syncs = Arc::new(Syncs::default());
    let name = folder
        .path()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    syncs.fail(name.leak(), 1);
    let url = StoreUrl::Local(folder.path().join("store"));
    let error = Store::open_writable_with(&url, syncs).unwrap_err();
    assert!(
        error.message().contains("cannot create store folder"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_whose_sync_failed_is_written_to_again_when_it_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let syncs = Arc::new(Syncs::default());
    let dataset = open(folder.path(), &syncs);
    let writer = acquire(&dataset, "w").await;
    commit(&writer, "one").await.unwrap();
    syncs.fail("log", 1);
    commit(&writer, "two").await.unwrap_err();
    let same = Dataset::open(dataset.store().clone(), "cities").unwrap();
    let error = Writer::acquire(same, named("w")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let renewed = dataset.store().renewed().unwrap();
    let renewed = Dataset::open(renewed, "cities").unwrap();
    let writer = acquire(&renewed, "w").await;
    commit(&writer, "three").await.unwrap();
}
