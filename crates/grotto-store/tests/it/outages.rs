//! An outage is not damage: what could not be read is reported, never left out or gone around.

use std::sync::Arc;

use bytes::Bytes;
use grotto_store::{Dataset, ErrorKind, Result, StoreOptions, Writer, WriterOptions};

use crate::kit::{Fault, FaultStore, acquire, commit, damage, faulty, framed, named};

/// A log of a fence and versions 2 to `last`.
async fn log_to(last: u64) -> (Arc<FaultStore>, Dataset, Writer) {
    let (faults, dataset) = faulty();
    let writer = acquire(&dataset, "old").await;
    for _ in 2..=last {
        commit(&writer, "x").await.unwrap();
    }
    (faults, dataset, writer)
}

/// As many failures as a reader tries.
fn fail_gets(faults: &FaultStore, part: &'static str) {
    (0..3).for_each(|_| faults.script(Fault::GetFails, part));
}

/// The outage was met, and reported as one.
fn assert_outage<T: std::fmt::Debug>(faults: &FaultStore, answer: Result<T>) {
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(faults.script_is_used_up());
}

async fn prepare_past_damage(dataset: &Dataset) -> Result<Writer> {
    let options = WriterOptions {
        past_damage: true,
        ..named("new")
    };
    Ok(Writer::prepare(dataset.clone(), options).await?.0)
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_waits_no_longer_where_the_object_might_be_large() {
    let (faults, dataset, _) = log_to(2).await;
    let slots = dataset.wal_slots();
    slots
        .create(1, &Bytes::from_static(b"small"))
        .await
        .unwrap();
    faults.script(Fault::GetHangs, "wal/00000000000000000001");
    let before = tokio::time::Instant::now();
    let found = slots.read(1).await.unwrap();
    assert_eq!(found, Some(Bytes::from_static(b"small")));
    let (waited, deadline) = (before.elapsed(), StoreOptions::default().deadline);
    // Then it was asked for again.
    assert!(waited >= deadline && waited < 2 * deadline, "{waited:?}");
    assert!(faults.script_is_used_up());
}

#[tokio::test(start_paused = true)]
async fn a_new_start_is_not_made_past_entries_that_only_cannot_be_read_now() {
    let (faults, dataset, _) = log_to(4).await;
    damage(&faults, 4).await;
    // Below the damage: its state would be given up for an older one.
    fail_gets(&faults, "log/00000000000000000003");
    assert_outage(&faults, prepare_past_damage(&dataset).await);
    // Past it: nobody may say that there is nothing or that it is damaged.
    fail_gets(&faults, "log/00000000000000000005");
    assert_outage(&faults, prepare_past_damage(&dataset).await);
    let writer = prepare_past_damage(&dataset).await.unwrap();
    assert_eq!(writer.head().unwrap().version, 3);
    assert_eq!(writer.next_version(), 5);
}

#[tokio::test]
async fn a_new_start_goes_after_damaged_entries_that_no_listing_shows_yet() {
    let (faults, dataset, _) = log_to(4).await;
    for version in [3, 4] {
        damage(&faults, version).await;
    }
    faults.hide_from_listings("0000000004.json");
    let writer = prepare_past_damage(&dataset).await.unwrap();
    assert_eq!(writer.head().unwrap().version, 2);
    assert_eq!(writer.next_version(), 5);
}

#[tokio::test(start_paused = true)]
async fn no_entry_and_no_snapshot_is_left_out_for_an_outage() {
    let (faults, dataset, writer) = log_to(3).await;
    let blob = writer.upload_snapshot(2, framed("s")).await.unwrap();
    let announced = writer.announce_snapshot(2, blob).await.unwrap();
    fail_gets(&faults, "log/00000000000000000002");
    assert_outage(&faults, dataset.outlines(1..=9).await);
    for part in ["log/00000000000000000002", "snapshots/"] {
        fail_gets(&faults, part);
        assert_outage(&faults, dataset.snapshot_entry(2).await);
        fail_gets(&faults, part);
        assert_outage(&faults, dataset.snapshot_entries().await);
    }
    let entries = dataset.snapshot_entries().await.unwrap();
    assert_eq!(entries, [announced]);
}

#[tokio::test]
async fn a_snapshot_of_a_damaged_entry_is_asked_for_and_does_not_count() {
    let (faults, dataset, writer) = log_to(2).await;
    let blob = writer.upload_snapshot(2, framed("s")).await.unwrap();
    writer.announce_snapshot(2, blob).await.unwrap();
    damage(&faults, 2).await;
    assert_eq!(dataset.snapshot_entry(2).await.unwrap(), None);
}

#[tokio::test]
async fn to_find_that_a_dataset_was_never_written_takes_one_listing() {
    let (faults, dataset) = faulty();
    assert_eq!(dataset.head().await.unwrap(), None);
    assert_eq!(faults.lists(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_announcement_that_cannot_be_read_now_is_not_replaced() {
    let (faults, dataset, writer) = log_to(2).await;
    let blob = writer.upload_snapshot(2, framed("s")).await.unwrap();
    let announced = writer.announce_snapshot(2, blob).await.unwrap();
    let other = writer.upload_snapshot(2, framed("t")).await.unwrap();
    fail_gets(&faults, "snapshots/");
    assert_outage(&faults, writer.announce_snapshot(2, other).await);
    assert_eq!(dataset.announcement(2).await.unwrap(), Some(announced));
}
