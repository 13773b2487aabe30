//! Going on after log entries that are damaged: what they said is lost, and nothing else may be.
//! Owns nothing.

use bytes::Bytes;
use grotto_store::{CommitFields, ErrorKind, Writer, WriterOptions};

use crate::kit::{Fault, acquire, commit, damage, faulty, fields, named};

#[tokio::test]
async fn past_damaged_entries_only_a_new_start_can_be_committed() {
    let (faults, dataset) = faulty();
    let old = acquire(&dataset, "old").await;
    for _ in 2..=4 {
        commit(&old, "x").await.unwrap();
    }
    for version in [3, 4] {
        damage(&faults, version).await;
    }
    let plain = Writer::prepare(dataset.clone(), named("a")).await;
    assert_eq!(plain.unwrap_err().kind(), ErrorKind::Corrupt);
    let options = WriterOptions {
        past_damage: true,
        ..named("a")
    };
    let (writer, head) = Writer::prepare(dataset.clone(), options).await.unwrap();
    assert_eq!((head.unwrap().version, writer.next_version()), (2, 5));
    assert!(writer.is_past_damage());
    assert_eq!(writer.fence().await.unwrap_err().kind(), ErrorKind::Invalid);
    writer.claim().await.unwrap();
    let delta = fields(&writer, "x").await.unwrap();
    assert_eq!(
        writer.commit(delta).await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    let blob = writer.upload_snapshot(5, Bytes::new()).await.unwrap();
    let start = CommitFields {
        snapshot: Some(blob),
        state_checksum: 5,
        ..CommitFields::default()
    };
    let entry = writer.commit(start).await.unwrap();
    assert_eq!((entry.version, entry.parent), (5, 4));
    assert_eq!(entry.epoch, 4, "above what the damaged ones may have had");
    assert_eq!(
        entry.dataset_id,
        dataset.read_entry(2).await.unwrap().unwrap().dataset_id
    );
    assert!(!writer.is_past_damage());
    assert_eq!(
        commit(&old, "late").await.unwrap_err().kind(),
        ErrorKind::Fenced
    );
    assert_eq!(commit(&writer, "x").await.unwrap().version, 6);
    let listed = dataset.outlines(1..=9).await.unwrap();
    let listed: Vec<u64> = listed.iter().map(|told| told.entry().version).collect();
    assert_eq!(listed, [1, 2, 5, 6]);
}

/// Going on without it would give the dataset another identity.
#[tokio::test]
async fn an_entry_that_is_listed_and_not_found_is_not_passed_as_damaged_ones_are() {
    let (faults, dataset) = faulty();
    let old = acquire(&dataset, "old").await;
    commit(&old, "x").await.unwrap();
    damage(&faults, 2).await;
    faults.script(Fault::GetFindsNothing, "log/00000000000000000001");
    let prepare = || {
        let options = WriterOptions {
            past_damage: true,
            ..named("a")
        };
        Writer::prepare(dataset.clone(), options)
    };
    let refused = prepare().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    let (_, head) = prepare().await.unwrap();
    assert_eq!(head.unwrap().version, 1);
    // What was collected since it was listed is rightly gone.
    dataset.raise_collected(1).await.unwrap();
    faults.script(Fault::GetFindsNothing, "log/00000000000000000001");
    let (_, head) = prepare().await.unwrap();
    assert_eq!(head, None);
}

#[tokio::test]
async fn a_new_start_past_damage_names_its_snapshot_and_brings_no_delta() {
    let (faults, dataset) = faulty();
    let old = acquire(&dataset, "old").await;
    commit(&old, "x").await.unwrap();
    damage(&faults, 2).await;
    let options = WriterOptions {
        past_damage: true,
        ..named("a")
    };
    let (writer, _) = Writer::prepare(dataset, options).await.unwrap();
    writer.claim().await.unwrap();
    let blob = writer.upload_snapshot(3, Bytes::new()).await.unwrap();
    let both = CommitFields {
        snapshot: Some(blob),
        ..fields(&writer, "x").await.unwrap()
    };
    for start in [CommitFields::default(), both] {
        let error = writer.commit(start).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.message().contains("expected a new start"), "{error}");
    }
    assert!(writer.is_past_damage() && !writer.is_undecided());
}

#[tokio::test]
async fn a_log_whose_only_entry_is_damaged_can_be_begun_anew() {
    let (faults, dataset) = faulty();
    acquire(&dataset, "old").await;
    damage(&faults, 1).await;
    let options = WriterOptions {
        past_damage: true,
        ..named("a")
    };
    let (writer, head) = Writer::prepare(dataset, options).await.unwrap();
    assert_eq!((head, writer.next_version()), (None, 2));
    writer.claim().await.unwrap();
    assert_eq!(writer.epoch(), Some(2));
}
