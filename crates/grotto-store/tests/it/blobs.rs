//! Damage in transit and at rest: found, named, never handed out.

use bytes::Bytes;
use grotto_store::{BlobKind, ErrorKind};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::kit::{Fault, FaultStore, acquire, commit, faulty};

async fn flip(store: &FaultStore, path: &str) {
    let path = Path::from(path);
    let mut bytes = store
        .get(&path)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap()
        .to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    store.put(&path, bytes.into()).await.unwrap();
}

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
    let blob = writer.upload(BlobKind::Delta, 2, bytes).await.unwrap();
    flip(&store, &format!("cities/{}", blob.name)).await;
    let before = store.gets("delta/");
    let error = dataset.fetch_blob(&blob).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let expected = format!(
        "blob {}: checksum expected {:016x}",
        blob.name, blob.checksum
    );
    assert!(error.message().starts_with(&expected), "{error}");
    assert_eq!(store.gets("delta/") - before, 2);
}

#[tokio::test]
async fn a_torn_blob_is_corrupt_whatever_is_left_of_it() {
    let (store, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    for length in [100_usize, (16 << 20) + 100] {
        let bytes = Bytes::from(vec![7; length]);
        let blob = writer
            .upload(BlobKind::Snapshot, 1, bytes.clone())
            .await
            .unwrap();
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
    let blob = writer
        .upload(BlobKind::Delta, 2, bytes.clone())
        .await
        .unwrap();
    store.script(Fault::GetFlipsABit, "delta/");
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
        let blob = writer
            .upload(BlobKind::Snapshot, version, bytes)
            .await
            .unwrap();
        writer.announce_snapshot(version, blob).await.unwrap();
    }
    flip(&store, "cities/snapshots/00000000000000000002.json").await;
    let entries = dataset.snapshot_entries().await.unwrap();
    assert_eq!(entries.iter().map(|e| e.version).collect::<Vec<_>>(), [3]);
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
