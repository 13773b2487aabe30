//! Copies of damaged sources, and damaged copies.

use grotto_store::{BlobKind, CopyOptions, ErrorKind};

use crate::place::{Place, commit_to, copy, copy_with, snapshot};

/// The name of what a version has in a folder.
async fn name_of(place: &Place, folder: &str, version: u64) -> String {
    let start = format!("{folder}/{version:020}");
    let objects = place.objects().await;
    let mut found = objects.keys().filter(|name| name.starts_with(&start));
    found.next().unwrap().clone()
}

#[tokio::test]
async fn damage_ends_a_copy_before_it_or_begins_it_past_it() {
    for folder in ["delta", "reverse", "log"] {
        for lost in [false, true] {
            let a = Place::new();
            let writer = a.grown(20, &[5]).await;
            let name = name_of(&a, folder, 12).await;
            let kind = match lost {
                true => {
                    a.lose(&name).await;
                    ErrorKind::Missing
                }
                false => {
                    a.flip(&name).await;
                    ErrorKind::Corrupt
                }
            };
            let b = Place::new();
            let copied = copy(&a, &b).await.unwrap();
            assert_eq!((copied.first, copied.newest, copied.wanted), (1, 11, 20));
            let [fault] = copied.faults.as_slice() else {
                panic!("{:?}", copied.faults)
            };
            assert_eq!((fault.version, fault.kind), (12, kind), "{fault}");
            let part = name.rsplit('/').next().unwrap();
            assert!(fault.message.contains(part), "{fault}");
            b.assert_whole(11).await;
            snapshot(&writer, 16).await;
            let c = Place::new();
            for place in [&b, &c] {
                let copied = copy(&a, place).await.unwrap();
                assert_eq!((copied.first, copied.newest), (16, 20));
                assert_eq!(
                    copied.faults.len(),
                    1,
                    "it is told again: {:?}",
                    copied.faults
                );
                place.assert_whole(20).await;
            }
        }
    }
}

#[tokio::test]
async fn a_snapshot_that_is_lost_is_told_and_keeps_nothing_else_back() {
    let (a, b) = (Place::new(), Place::new());
    let writer = a.grown(20, &[5, 10]).await;
    let name = name_of(&a, "snapshot", 10).await;
    a.flip(&name).await;
    let copied = copy(&a, &b).await.unwrap();
    assert_eq!((copied.first, copied.newest), (1, 20));
    assert!(
        copied.faults.iter().all(|fault| fault.version == 10),
        "{:?}",
        copied.faults
    );
    assert!(!copied.faults.is_empty());
    assert_eq!(b.dataset().snapshot_versions().await.unwrap(), [5]);
    // An announcement that cannot be read.
    snapshot(&writer, 15).await;
    let name = name_of(&a, "snapshots", 15).await;
    a.flip(&name).await;
    let copied = copy(&a, &b).await.unwrap();
    assert_eq!(copied.newest, 20);
    assert_eq!(b.dataset().snapshot_versions().await.unwrap(), [5]);
}

#[tokio::test]
async fn a_source_without_anything_to_begin_from_is_refused() {
    let (a, b) = (Place::new(), Place::new());
    a.grown(10, &[]).await;
    let first = name_of(&a, "log", 1).await;
    a.lose(&first).await;
    let refused = copy(&a, &b).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Missing);
    assert!(
        refused.message().contains("no intact snapshot"),
        "{refused}"
    );
    assert!(b.objects().await.is_empty());
}

#[tokio::test]
async fn a_damaged_newest_entry_of_the_source_is_left_out_and_told() {
    let (a, b) = (Place::new(), Place::new());
    a.grown(10, &[5]).await;
    let newest = name_of(&a, "log", 10).await;
    a.flip(&newest).await;
    let copied = copy(&a, &b).await.unwrap();
    assert_eq!(
        (copied.newest, copied.faults.len()),
        (9, 1),
        "{:?}",
        copied.faults
    );
    assert_eq!(copied.faults[0].version, 10);
    b.assert_whole(9).await;
}

#[tokio::test]
async fn a_recheck_finds_every_flipped_byte_of_the_copy_and_mends_it() {
    let (a, b) = (Place::new(), Place::new());
    a.grown(10, &[4, 7]).await;
    copy(&a, &b).await.unwrap();
    let recheck = CopyOptions {
        recheck: true,
        ..CopyOptions::default()
    };
    let all = b.objects().await;
    assert_eq!(copy_with(&a, &b, &recheck).await.unwrap().mended, 0);
    for name in all.keys() {
        for lost in [false, true] {
            match lost {
                true => b.lose(name).await,
                false => b.flip(name).await,
            }
            let copied = copy_with(&a, &b, &recheck).await.unwrap();
            assert_eq!(copied.faults, [], "{name}");
            let written = copied.mended + copied.versions + copied.blobs;
            assert!(
                written > 0 || name.starts_with("snapshots/"),
                "{name}: {copied:?}"
            );
            assert_eq!(b.objects().await, all, "{name}, lost: {lost}");
        }
    }
}

#[tokio::test]
async fn what_both_have_damaged_is_told_by_a_recheck() {
    let (a, b) = (Place::new(), Place::new());
    a.grown(10, &[4]).await;
    copy(&a, &b).await.unwrap();
    let name = name_of(&a, "delta", 6).await;
    a.flip(&name).await;
    b.flip(&name).await;
    let recheck = CopyOptions {
        recheck: true,
        ..CopyOptions::default()
    };
    let copied = copy_with(&a, &b, &recheck).await.unwrap();
    assert_eq!(copied.faults.len(), 1, "{:?}", copied.faults);
    assert!(
        copied.faults[0].message.contains(&name),
        "{:?}",
        copied.faults
    );
    assert_eq!(copied.mended, 0);
}

#[tokio::test]
async fn a_copy_whose_newest_entry_is_damaged_needs_a_recheck() {
    let (a, b) = (Place::new(), Place::new());
    let writer = a.grown(10, &[4]).await;
    copy(&a, &b).await.unwrap();
    let newest = name_of(&b, "log", 10).await;
    b.flip(&newest).await;
    commit_to(&writer, 12).await;
    let refused = copy(&a, &b).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    assert!(refused.message().contains("recheck"), "{refused}");
    let recheck = CopyOptions {
        recheck: true,
        ..CopyOptions::default()
    };
    let copied = copy_with(&a, &b, &recheck).await.unwrap();
    assert_eq!((copied.mended, copied.newest), (1, 12));
    b.assert_whole(12).await;
}

#[tokio::test]
async fn a_blob_that_an_earlier_copy_left_broken_is_written_again() {
    let (a, b) = (Place::new(), Place::new());
    a.grown(10, &[4]).await;
    // All blobs, and no log entry.
    b.store.fail_writes_of("/log/");
    copy(&a, &b).await.unwrap_err();
    b.store.mend();
    for name in [
        name_of(&b, "delta", 5).await,
        name_of(&b, "snapshot", 4).await,
    ] {
        b.flip(&name).await;
    }
    copy(&a, &b).await.unwrap();
    b.assert_whole(10).await;
    assert_eq!(a.objects().await.len(), b.objects().await.len());
    let blob = a
        .dataset()
        .read_entry(5)
        .await
        .unwrap()
        .unwrap()
        .blob(BlobKind::Delta);
    b.dataset().fetch_blob(&blob.unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_copy_begins_with_no_version_whose_snapshot_is_damaged() {
    let (a, b) = (Place::new(), Place::new());
    a.grown(20, &[5, 10, 15]).await;
    let options = CopyOptions {
        from: Some(12),
        ..CopyOptions::default()
    };
    let name = name_of(&a, "snapshot", 10).await;
    a.flip(&name).await;
    let copied = copy_with(&a, &b, &options).await.unwrap();
    assert_eq!((copied.first, copied.newest), (15, 20));
    assert!(
        copied.faults.iter().all(|fault| fault.version == 10),
        "{:?}",
        copied.faults
    );
    b.assert_whole(20).await;
}

#[tokio::test]
async fn what_a_copy_lost_for_good_is_told_and_nothing_is_declared_gone_for_it() {
    let (a, b) = (Place::new(), Place::new());
    let writer = a.grown(10, &[7]).await;
    copy(&a, &b).await.unwrap();
    a.age();
    a.collect(1).await;
    let name = name_of(&b, "log", 3).await;
    b.lose(&name).await;
    commit_to(&writer, 11).await;
    let copied = copy(&a, &b).await.unwrap();
    assert_eq!(
        (copied.newest, copied.faults.len()),
        (11, 1),
        "{:?}",
        copied.faults
    );
    assert_eq!(copied.faults[0].version, 3);
    assert_eq!(b.dataset().collected().await.unwrap(), 0);
}
