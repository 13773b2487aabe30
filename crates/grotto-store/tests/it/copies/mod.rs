//! Copies of a dataset: whole at every moment, brought up to date, never led aside.

mod archives;
mod buckets;
mod collected;
mod damage;
mod stops;

use std::collections::BTreeSet;

use grotto_store::{Acceptance, CopyOptions, CopyStep, ErrorKind, Next};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parking_lot::Mutex;

use crate::kit::{acquire, commit, fields};
use crate::place::{Place, commit_to, copy, copy_with, snapshot};

#[tokio::test]
async fn a_copy_holds_what_the_source_holds_and_nothing_that_is_about_the_store() {
    let (a, b) = (Place::new(), Place::new());
    let writer = a.grown(12, &[4, 8]).await;
    let note = Acceptance {
        by: "ada".to_owned(),
        reason: "right".to_owned(),
    };
    a.dataset().accept(5, &note).await.unwrap();
    writer.heartbeat().await;
    drop(fields(&writer, "never committed").await.unwrap());
    let copied = copy(&a, &b).await.unwrap();
    assert_eq!((copied.before, copied.first, copied.newest), (0, 1, 12));
    assert_eq!(copied.versions, 12);
    assert_eq!(copied.blobs, 2 * 11 + 2);
    assert_eq!(copied.faults, []);
    let (ours, theirs) = (a.objects().await, b.objects().await);
    for (name, bytes) in &theirs {
        assert_eq!(ours.get(name), Some(bytes), "{name}");
    }
    let missing: BTreeSet<_> = ours
        .keys()
        .filter(|name| !theirs.contains_key(*name))
        .collect();
    let of_store =
        |name: &str| name.starts_with("control/leader") || name.contains("-00000000000000000013");
    assert!(
        missing
            .iter()
            .all(|name| of_store(name) || name.contains("00000000000000000013-")),
        "{missing:?}"
    );
    b.assert_whole(12).await;
    assert!(theirs.contains_key("control/accepted/00000000000000000005.json"));
    assert!(!theirs.contains_key("control/leader.json"));
}

#[tokio::test]
async fn the_next_copy_sends_only_what_is_new() {
    let (a, b) = (Place::new(), Place::new());
    let writer = a.grown(40, &[10, 20, 30]).await;
    copy(&a, &b).await.unwrap();
    let unchanged = copy(&a, &b).await.unwrap();
    assert_eq!(
        (unchanged.versions, unchanged.blobs, unchanged.bytes),
        (0, 0, 0)
    );
    commit_to(&writer, 42).await;
    // Announced late: its version is in the copy already.
    snapshot(&writer, 38).await;
    let (reads, writes) = (a.store.reads(), b.store.writes());
    let copied = copy(&a, &b).await.unwrap();
    assert_eq!((copied.before, copied.newest, copied.versions), (40, 42, 2));
    assert_eq!(copied.blobs, 5, "two deltas, two ways back, a snapshot");
    assert_eq!(b.store.writes() - writes, 2 + 5 + 1);
    let reads = a.store.reads() - reads;
    assert!(reads <= 30, "{reads} reads");
    b.assert_whole(42).await;
    assert!(b.dataset().snapshot_entry(38).await.unwrap().is_some());
}

#[tokio::test]
async fn a_writer_goes_on_while_it_is_copied_and_two_copy_at_a_time() {
    let (a, b) = (Place::new(), Place::new());
    let writer = a.grown(20, &[5, 15]).await;
    let write = async {
        for _ in 0..20 {
            commit_to(&writer, writer.next_version()).await;
        }
    };
    let (one, other, ()) = tokio::join!(copy(&a, &b), copy(&a, &b), write);
    let newest = one.unwrap().newest.max(other.unwrap().newest);
    b.assert_whole(newest).await;
    copy(&a, &b).await.unwrap();
    b.assert_whole(40).await;
}

#[tokio::test]
async fn a_copy_may_begin_at_a_snapshot_and_end_at_a_version() {
    let (a, b) = (Place::new(), Place::new());
    a.grown(20, &[5, 10, 15]).await;
    let options = CopyOptions {
        from: Some(13),
        up_to: Some(17),
        ..CopyOptions::default()
    };
    let copied = copy_with(&a, &b, &options).await.unwrap();
    assert_eq!((copied.first, copied.newest, copied.wanted), (10, 17, 17));
    assert_eq!(b.dataset().collected().await.unwrap(), 9);
    assert_eq!(
        b.dataset().next_entry(3).await.unwrap(),
        Next::Collected { boundary: 9 }
    );
    b.assert_whole(17).await;
    // It goes on from where it ended, whatever it began with.
    let options = CopyOptions {
        from: Some(20),
        ..CopyOptions::default()
    };
    let copied = copy_with(&a, &b, &options).await.unwrap();
    assert_eq!((copied.first, copied.newest, copied.versions), (10, 20, 3));
    b.assert_whole(20).await;
    let options = CopyOptions {
        up_to: Some(99),
        ..CopyOptions::default()
    };
    let refused = copy_with(&a, &b, &options).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(
        refused.message().contains("version 99 is not in the log"),
        "{refused}"
    );
}

#[tokio::test]
async fn nobody_begins_another_dataset_in_a_copy_that_is_not_there_yet() {
    let (a, b) = (Place::new(), Place::new());
    a.grown(20, &[5, 10, 15]).await;
    let options = CopyOptions {
        from: Some(13),
        ..CopyOptions::default()
    };
    // The row, and nothing of the log.
    b.store.fail_writes_of("/log/");
    copy_with(&a, &b, &options).await.unwrap_err();
    b.store.mend();
    let dataset = b.dataset();
    assert_eq!(dataset.head().await.unwrap(), None);
    let begun = grotto_store::Writer::acquire(dataset, crate::kit::named("b")).await;
    assert_eq!(begun.unwrap_err().kind(), ErrorKind::Unavailable);
    copy_with(&a, &b, &options).await.unwrap();
    b.assert_whole(20).await;
}

#[tokio::test]
async fn what_the_target_has_of_its_own_is_never_written_over() {
    let (a, b) = (Place::new(), Place::new());
    let writer = a.grown(10, &[5]).await;
    copy(&a, &b).await.unwrap();
    let into_copy = acquire(&b.dataset(), "b").await;
    let before = b.objects().await;
    let refused = copy(&a, &b).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(
        refused.message().contains("ahead: it holds version 11"),
        "{refused}"
    );
    commit(&writer, "to 11").await.unwrap();
    commit(&writer, "to 12").await.unwrap();
    let refused = copy(&a, &b).await.unwrap_err();
    assert!(
        refused.message().contains("history of its own"),
        "{refused}"
    );
    commit(&into_copy, "to 12").await.unwrap();
    commit(&into_copy, "to 13").await.unwrap();
    let refused = copy(&a, &b).await.unwrap_err();
    assert!(
        refused.message().contains("history of its own"),
        "{refused}"
    );
    for (name, bytes) in &before {
        assert_eq!(b.objects().await.get(name), Some(bytes), "{name}");
    }
    // Another dataset under the same name.
    let c = Place::new();
    c.grown(3, &[]).await;
    let before = c.objects().await;
    let refused = copy(&a, &c).await.unwrap_err();
    assert!(refused.message().contains("another dataset"), "{refused}");
    assert_eq!(c.objects().await, before);
    let (nothing, fresh) = (Place::new(), Place::new());
    let refused = copy(&nothing, &fresh).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NoDataset);
}

#[tokio::test]
async fn a_copy_that_the_source_left_behind_tells_by_what_it_counted() {
    let (a, b) = (Place::new(), Place::new());
    let writer = a.grown(10, &[5]).await;
    copy(&a, &b).await.unwrap();
    // Somebody writes into the copy, epoch after epoch, and the source collects what would tell.
    for name in ["b", "c", "d"] {
        acquire(&b.dataset(), name).await;
    }
    for version in 11..=30 {
        commit_to(&writer, version).await;
        if version == 25 {
            snapshot(&writer, 25).await;
        }
    }
    a.age();
    a.collect(1).await;
    let refused = copy(&a, &b).await.unwrap_err();
    assert!(
        refused.message().contains("history of its own"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_copy_with_an_identity_of_its_own_is_another_dataset_and_may_be_followed_up() {
    let (a, b) = (Place::new(), Place::new());
    let writer = a.grown(10, &[5]).await;
    let note = Acceptance {
        by: "ada".to_owned(),
        reason: String::new(),
    };
    a.dataset().accept(8, &note).await.unwrap();
    let options = CopyOptions {
        new_identity: true,
        ..CopyOptions::default()
    };
    let first = copy_with(&a, &b, &options).await.unwrap();
    let id = a.dataset().head().await.unwrap().unwrap().dataset_id;
    assert_ne!(first.identity, id);
    b.assert_whole(10).await;
    let accepted = b.dataset().accepted_within(1..=10).await.unwrap().unwrap();
    assert_eq!(accepted.0.dataset_id, first.identity);
    commit_to(&writer, 12).await;
    let refused = copy(&a, &b).await.unwrap_err();
    assert!(refused.message().contains("another dataset"), "{refused}");
    let second = copy_with(&a, &b, &options).await.unwrap();
    assert_eq!((second.versions, &second.identity), (2, &first.identity));
    b.assert_whole(12).await;
    acquire(&b.dataset(), "b").await;
    let refused = copy_with(&a, &b, &options).await.unwrap_err();
    assert!(refused.message().contains("ahead"), "{refused}");
}

#[tokio::test]
async fn large_blobs_come_in_ranges_and_go_in_parts() {
    let (mut a, mut b) = (Place::new(), Place::new());
    a.grown(10, &[5]).await;
    a.options.ranges.bytes = 7;
    b.options.parts.whole = 10;
    b.options.parts.bytes = 8;
    copy(&a, &b).await.unwrap();
    assert!(b.store.multiparts() >= 19, "{}", b.store.multiparts());
    b.assert_whole(10).await;
    let log = Path::from("cities/log/00000000000000000010.json");
    b.store.inner.delete(&log).await.unwrap();
    let sent = b.store.multiparts();
    let copied = copy(&a, &b).await.unwrap();
    assert_eq!(
        (copied.versions, copied.blobs),
        (1, 0),
        "what is there is looked for first"
    );
    assert_eq!(b.store.multiparts(), sent);
}

#[tokio::test]
async fn the_way_of_a_copy_is_told() {
    let (a, b) = (Place::new(), Place::new());
    a.grown(6, &[]).await;
    let told = Mutex::new(Vec::new());
    let watch = |step| told.lock().push(step);
    let options = CopyOptions::default();
    let copied = a
        .dataset()
        .copy_to(&b.dataset(), &options, &watch)
        .await
        .unwrap();
    let told = told.into_inner();
    assert_eq!(told[0], CopyStep::Versions(6));
    let versions = told
        .iter()
        .filter(|step| matches!(step, CopyStep::Version(_)));
    assert_eq!(versions.count(), 6);
    let bytes = told.iter().map(|step| match step {
        CopyStep::Bytes(bytes) => *bytes,
        _ => 0,
    });
    assert_eq!(bytes.sum::<u64>(), copied.bytes);
    let all: usize = b.objects().await.values().map(|bytes| bytes.len()).sum();
    assert_eq!(copied.bytes, all as u64);
}

#[tokio::test]
async fn a_copy_has_the_name_of_its_source() {
    let (a, b) = (Place::new(), Place::new());
    a.grown(3, &[]).await;
    let other = grotto_store::Dataset::open(b.dataset().store().clone(), "towns").unwrap();
    let refused = a
        .dataset()
        .copy_to(&other, &CopyOptions::default(), &|_| {})
        .await;
    assert!(refused.unwrap_err().message().contains("same name"));
}
