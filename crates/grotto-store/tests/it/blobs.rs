//! Damage in transit and at rest: found, named, never handed out.

use bytes::Bytes;
use grotto_store::{BlobRef, Dataset, ErrorKind, Ranges, StoreOptions, Writer};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use std::sync::Arc;

use crate::kit::{Fault, FaultStore, acquire, commit, faulty, fields, flip};

#[tokio::test]
async fn a_flipped_byte_in_a_log_entry_is_corrupt_and_names_the_entry() {
    let (store, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    commit(&writer, "x").await.unwrap();
    flip(&store, "cities/log/00000000000000000002.json").await;
    let error = dataset.read_entry(2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.message().contains("log/00000000000000000002.json"),
        "{error}"
    );
}

#[tokio::test]
async fn a_flipped_byte_in_a_blob_is_corrupt_after_a_second_fetch() {
    let (store, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    let bytes = Bytes::from_static(b"a delta of some length");
    let blob = writer.upload_snapshot(2, bytes).await.unwrap();
    flip(&store, &format!("cities/{}", blob.name)).await;
    let before = store.gets("snapshot/");
    let error = dataset.fetch_blob(&blob).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let expected = format!(
        "blob {}: checksum expected {:016x}",
        blob.name, blob.checksum
    );
    assert!(error.message().starts_with(&expected), "{error}");
    assert_eq!(store.gets("snapshot/") - before, 2);
}

#[tokio::test]
async fn a_torn_blob_is_corrupt_whatever_is_left_of_it() {
    let (store, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    for length in [100_usize, (16 << 20) + 100] {
        let bytes = Bytes::from(vec![7; length]);
        let blob = writer.upload_snapshot(1, bytes.clone()).await.unwrap();
        let path = Path::from(format!("cities/{}", blob.name));
        for left in [0, 50, length - 1] {
            store.put(&path, bytes.slice(..left).into()).await.unwrap();
            let error = dataset.fetch_blob(&blob).await.unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::Corrupt,
                "{left} of {length}: {error}"
            );
            assert!(error.message().contains(&blob.name), "{error}");
        }
    }
}

#[tokio::test]
async fn damage_in_transit_heals_by_fetching_again() {
    let (store, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    let bytes = Bytes::from_static(b"a delta of some length");
    let blob = writer.upload_snapshot(2, bytes.clone()).await.unwrap();
    store.script(Fault::GetFlipsABit, "snapshot/");
    assert_eq!(dataset.fetch_blob(&blob).await.unwrap(), bytes);
    store.script(Fault::GetFlipsABit, "log/");
    assert!(dataset.read_entry(1).await.unwrap().is_some());
    assert!(store.script_is_used_up());
}

#[tokio::test]
async fn an_entry_of_another_dataset_or_slot_is_corrupt() {
    let (store, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    commit(&writer, "x").await.unwrap();
    let from = Path::from("cities/log/00000000000000000002.json");
    store
        .copy(&from, &Path::from("cities/log/00000000000000000003.json"))
        .await
        .unwrap();
    store
        .copy(&from, &Path::from("towns/log/00000000000000000002.json"))
        .await
        .unwrap();
    let error = dataset.read_entry(3).await.unwrap_err();
    assert!(
        error.message().contains("expected version 3, found 2"),
        "{error}"
    );
    let towns = grotto_store::Dataset::open(dataset.store().clone(), "towns").unwrap();
    let error = towns.read_entry(2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.message().contains("expected dataset towns"),
        "{error}"
    );
}

#[tokio::test]
async fn an_oversized_log_entry_is_refused_unread() {
    let (store, dataset) = faulty();
    let path = Path::from("cities/log/00000000000000000001.json");
    store
        .put(&path, vec![b' '; (1 << 20) + 1].into())
        .await
        .unwrap();
    let error = dataset.read_entry(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.message().contains("expected at most 1048576"),
        "{error}"
    );
}

#[tokio::test]
async fn a_damaged_snapshot_entry_is_left_out_and_the_others_stay() {
    let (store, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    for version in [2, 3] {
        commit(&writer, "x").await.unwrap();
        let bytes = Bytes::from_static(b"s");
        let blob = writer.upload_snapshot(version, bytes).await.unwrap();
        writer.announce_snapshot(version, blob).await.unwrap();
    }
    flip(&store, "cities/snapshots/00000000000000000002.json").await;
    let entries = dataset.snapshot_entries().await.unwrap();
    assert_eq!(entries.iter().map(|e| e.version).collect::<Vec<_>>(), [3]);
}

async fn upload(writer: &Writer, version: u64) -> BlobRef {
    let bytes = Bytes::from_static(b"s");
    let uploaded = writer.upload_snapshot(version, bytes).await;
    uploaded.unwrap()
}

/// Versions 2 and 3 are committed, a snapshot of 3 is announced, and the entry of 3 is lost.
async fn lost_end() -> (Arc<FaultStore>, Dataset, BlobRef) {
    let (store, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    for _ in [2, 3] {
        commit(&writer, "x").await.unwrap();
    }
    let blob = upload(&writer, 3).await;
    writer.announce_snapshot(3, blob.clone()).await.unwrap();
    let path = Path::from("cities/log/00000000000000000003.json");
    store.delete(&path).await.unwrap();
    (store, dataset, blob)
}

#[tokio::test]
async fn a_snapshot_counts_only_with_the_log_entry_of_its_version() {
    let (_store, dataset, blob) = lost_end().await;
    assert_eq!(dataset.snapshot_versions().await.unwrap(), [3]);
    assert_eq!(dataset.announcement(3).await.unwrap().unwrap().blob, blob);
    assert_eq!(dataset.snapshot_entry(3).await.unwrap(), None);
    assert_eq!(dataset.snapshot_entries().await.unwrap(), []);
    let writer = acquire(&dataset, "b").await;
    assert_eq!(
        dataset.snapshot_entry(3).await.unwrap(),
        None,
        "a fence of another state"
    );
    assert_eq!(commit(&writer, "y").await.unwrap().snapshot, None);
}

#[tokio::test]
async fn a_snapshot_of_a_damaged_log_entry_does_not_count() {
    let (store, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    commit(&writer, "x").await.unwrap();
    let announced = writer.announce_snapshot(2, upload(&writer, 2).await).await;
    assert_eq!(
        dataset.snapshot_entries().await.unwrap(),
        [announced.unwrap()]
    );
    flip(&store, "cities/log/00000000000000000002.json").await;
    assert_eq!(dataset.snapshot_entries().await.unwrap(), []);
}

#[tokio::test]
async fn an_announcement_that_does_not_count_or_is_damaged_is_replaced() {
    let (store, dataset, lost) = lost_end().await;
    let writer = acquire(&dataset, "b").await;
    let blob = upload(&writer, 3).await;
    let announced = writer.announce_snapshot(3, blob.clone()).await.unwrap();
    assert_eq!(announced.blob, blob);
    assert_ne!(blob, lost);
    assert_eq!(dataset.snapshot_entry(3).await.unwrap(), Some(announced));
    flip(&store, "cities/snapshots/00000000000000000003.json").await;
    let again = upload(&writer, 3).await;
    let announced = writer.announce_snapshot(3, again.clone()).await.unwrap();
    assert_eq!(announced.blob, again);
    let mut other = fields(&writer, "x").await.unwrap();
    other.snapshot = Some(upload(&writer, 4).await);
    let named = writer
        .commit(other.clone())
        .await
        .unwrap()
        .snapshot
        .unwrap();
    assert_eq!((named.version, Some(named.blob)), (4, other.snapshot));
    let next = commit(&writer, "y").await.unwrap();
    assert_eq!(next.snapshot.unwrap().version, 4, "the newest known");
}

#[tokio::test]
async fn a_snapshot_of_a_version_that_was_collected_cannot_be_announced() {
    let (store, dataset, blob) = lost_end().await;
    let writer = acquire(&dataset, "b").await;
    let gone = Path::from("cities/log/00000000000000000002.json");
    store.delete(&gone).await.unwrap();
    let error = writer.announce_snapshot(2, blob).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.message().contains("the log does not have it"),
        "{error}"
    );
}

#[tokio::test]
async fn files_that_are_no_entries_are_ignored_in_listings() {
    let (store, dataset) = faulty();
    acquire(&dataset, "a").await;
    let stray: &dyn ObjectStore = &*store;
    for name in ["readme.txt", "99.json", "old/00000000000000000009.txt"] {
        let path = Path::from(format!("cities/log/{name}"));
        stray.put(&path, "stray".into()).await.unwrap();
    }
    assert_eq!(dataset.head().await.unwrap().unwrap().version, 1);
}

#[tokio::test]
async fn an_entry_of_a_newer_format_asks_for_a_newer_build_and_is_not_damaged() {
    let (store, dataset) = faulty();
    let path = Path::from("cities/log/00000000000000000001.json");
    let sum = grotto_format::checksum::of_bytes(br#"{"format":999,"checksum":""}"#);
    let sealed = format!(r#"{{"format":999,"checksum":"{sum:016x}"}}"#);
    store.put(&path, sealed.into_bytes().into()).await.unwrap();
    let error = dataset.read_entry(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_range_that_fails_is_asked_for_again_alone() {
    let (faults, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    let version = writer.next_version();
    let bytes = Bytes::from_static(b"a blob that is cut into several ranges");
    let blob = writer.upload_snapshot(version, bytes).await.unwrap();
    let store = dataset.store().clone().with_options(StoreOptions {
        ranges: Ranges {
            bytes: blob.length.div_ceil(10),
            at_once: 3,
            ..Ranges::default()
        },
        ..StoreOptions::default()
    });
    let ranged = Dataset::open(store, "cities").unwrap();
    let whole = dataset.fetch_blob(&blob).await.unwrap();
    let before = faults.gets(&blob.name);
    assert_eq!(ranged.fetch_blob(&blob).await.unwrap(), whole);
    let parts = faults.gets(&blob.name) - before;
    // Its length is asked for first.
    let ranges = blob.length.div_ceil(blob.length.div_ceil(10)) as usize;
    assert_eq!(parts, ranges + 1);
    faults.script(Fault::GetFails, "snapshot/");
    let before = faults.gets(&blob.name);
    assert_eq!(ranged.fetch_blob(&blob).await.unwrap(), whole);
    assert_eq!(faults.gets(&blob.name) - before, parts + 1);
    assert!(faults.script_is_used_up());
}
