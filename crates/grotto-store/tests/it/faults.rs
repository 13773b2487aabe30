//! Faults at the moment of the commit: what the store says and what it did are two things.

use grotto_store::{EntryKind, ErrorKind, Writer};

use crate::kit::{Fault, acquire, commit, faulty, fields, framed, named};

const SLOT_2: &str = "log/00000000000000000002";

/// With `faults` on the slot of version 2, the first commit must succeed, once.
async fn commit_survives(faults: &[(Fault, &'static str)]) {
    let (store, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    let fields = fields(&writer, "x").await.unwrap();
    faults
        .iter()
        .for_each(|(fault, part)| store.script(*fault, part));
    let entry = writer.commit(fields).await.unwrap();
    assert!(store.script_is_used_up());
    assert_eq!(entry.version, 2);
    assert_eq!(dataset.head().await.unwrap().unwrap(), entry);
    let next = commit(&writer, "y").await.unwrap();
    assert_eq!(next.version, 3, "the writer goes on");
}

#[tokio::test(start_paused = true)]
async fn an_error_after_the_commit_is_read_back_as_success() {
    commit_survives(&[(Fault::PutLandsThenFails, SLOT_2)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_collision_with_our_own_first_attempt_is_success() {
    commit_survives(&[(Fault::PutLandsThenExists, SLOT_2)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_collision_with_nothing_is_tried_again() {
    commit_survives(&[(Fault::PutExistsOfNothing, SLOT_2)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_create_is_tried_again() {
    commit_survives(&[(Fault::PutFails, SLOT_2), (Fault::PutFails, SLOT_2)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_read_back_that_fails_is_tried_again() {
    commit_survives(&[
        (Fault::PutLandsThenFails, SLOT_2),
        (Fault::GetFails, SLOT_2),
        (Fault::GetFails, SLOT_2),
    ])
    .await;
}

/// Makes a commit of version 2 that lands, and whose outcome the writer cannot find out.
async fn undecided() -> (grotto_store::Dataset, Writer, grotto_store::CommitFields) {
    let (store, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    let fields = fields(&writer, "x").await.unwrap();
    store.script(Fault::PutLandsThenFails, SLOT_2);
    (0..12).for_each(|_| store.script(Fault::GetFails, SLOT_2));
    let error = writer.commit(fields.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(store.script_is_used_up(), "the outage is over");
    (dataset, writer, fields)
}

#[tokio::test(start_paused = true)]
async fn an_undecided_commit_is_settled_by_committing_the_same_again() {
    let (dataset, writer, fields) = undecided().await;
    let entry = writer.commit(fields).await.unwrap();
    assert_eq!(entry.version, 2);
    assert_eq!(dataset.list_versions(1..=9).await.unwrap(), [1, 2]);
    assert_eq!(commit(&writer, "y").await.unwrap().version, 3);
}

#[tokio::test(start_paused = true)]
async fn other_fields_are_refused_once_the_undecided_commit_has_landed() {
    let (dataset, writer, mut fields) = undecided().await;
    fields.state_checksum += 1;
    let error = writer.commit(fields).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("version 2"), "{error}");
    assert_eq!(writer.head(), dataset.head().await.unwrap());
    assert_eq!(commit(&writer, "y").await.unwrap().version, 3);
}

#[tokio::test(start_paused = true)]
async fn an_undecided_commit_can_be_settled_by_itself() {
    let (_dataset, writer, _fields) = undecided().await;
    assert_eq!(writer.settle_pending().await.unwrap().unwrap().version, 2);
    assert_eq!(writer.settle_pending().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_announced_while_a_commit_is_in_doubt_is_the_one_that_later_entries_name() {
    let (store, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    let mut start = fields(&writer, "x").await.unwrap();
    start.snapshot = Some(writer.upload_snapshot(2, framed("named")).await.unwrap());
    writer.commit(start).await.unwrap();
    let doubtful = fields(&writer, "y").await.unwrap();
    (0..4).for_each(|_| store.script(Fault::PutFails, "log/"));
    writer.commit(doubtful.clone()).await.unwrap_err();
    assert!(writer.is_undecided());
    let blob = writer.upload_snapshot(2, framed("announced")).await;
    let announced = writer.announce_snapshot(2, blob.unwrap()).await.unwrap();
    let settled = writer.commit(doubtful).await.unwrap();
    assert_ne!(settled.snapshot.unwrap().blob, announced.blob);
    let next = commit(&writer, "z").await.unwrap();
    assert_eq!(next.snapshot.unwrap().blob, announced.blob);
}

#[tokio::test(start_paused = true)]
async fn a_takeover_during_an_undecided_commit_is_found_out() {
    let (store, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    let fields = fields(&writer, "x").await.unwrap();
    (0..4).for_each(|_| store.script(Fault::PutFails, SLOT_2));
    let error = writer.commit(fields.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    acquire(&dataset, "b").await;
    let error = writer.commit(fields).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_boundary_leaves_the_commit_undecided_not_acknowledged() {
    let (store, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    let fields = fields(&writer, "x").await.unwrap();
    (0..3).for_each(|_| store.script(Fault::ListFails, "collected"));
    let error = writer.commit(fields.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(writer.next_version(), 2, "not acknowledged");
    assert_eq!(writer.commit(fields).await.unwrap().version, 2);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_nobody_waits_for_any_more_is_settled_later() {
    let (store, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    let fields = fields(&writer, "x").await.unwrap();
    store.script(Fault::PutLandsThenFails, SLOT_2);
    store.script(Fault::GetFails, SLOT_2);
    {
        let mut commit = Box::pin(writer.commit(fields.clone()));
        let polled = futures::poll!(commit.as_mut());
        assert!(polled.is_pending(), "landed, and waiting to read back");
    }
    assert!(store.script_is_used_up());
    let entry = writer.commit(fields).await.unwrap();
    assert_eq!(dataset.head().await.unwrap().unwrap(), entry);
    assert_eq!(dataset.list_versions(1..=9).await.unwrap(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_fence_survives_an_error_after_it_landed() {
    let (store, dataset) = faulty();
    store.script(Fault::PutLandsThenFails, "log/");
    let writer = acquire(&dataset, "a").await;
    assert_eq!(writer.epoch(), Some(1));
    assert_eq!(dataset.list_versions(1..=9).await.unwrap(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_unavailable_and_not_empty() {
    let (store, dataset) = faulty();
    acquire(&dataset, "a").await;
    (0..3).for_each(|_| store.script(Fault::GetFails, "log/"));
    let error = dataset.read_entry(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    (0..9).for_each(|_| store.script(Fault::PutFails, "probe"));
    (0..9).for_each(|_| store.script(Fault::PutFails, "probe"));
    let error = Writer::acquire(dataset, named("b")).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Unavailable,
        "an outage is no proof of lying"
    );
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_is_not_seen_by_readers() {
    let (store, dataset) = faulty();
    acquire(&dataset, "a").await;
    (0..2).for_each(|_| store.script(Fault::GetFails, "log/"));
    assert!(dataset.read_entry(1).await.unwrap().is_some());
}

#[tokio::test]
async fn no_news_costs_a_request_for_the_slot_and_one_for_the_boundary() {
    let (store, dataset) = faulty();
    acquire(&dataset, "a").await;
    let asked = || (store.gets(""), store.lists());
    let (gets, lists) = asked();
    dataset.next_entry(1).await.unwrap();
    assert_eq!(asked(), (gets + 1, lists + 1));
    dataset.read_entry(2).await.unwrap();
    assert_eq!(asked(), (gets + 2, lists + 1));
}

#[tokio::test(start_paused = true)]
async fn a_fence_in_doubt_is_driven_on_as_the_same_attempt() {
    let (store, dataset) = faulty();
    let prepared = Writer::prepare(dataset.clone(), named("a")).await.unwrap();
    let writer = prepared.0;
    store.script(Fault::PutLandsThenFails, "log/");
    (0..12).for_each(|_| store.script(Fault::GetFails, "log/"));
    let error = writer.fence().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(store.script_is_used_up() && writer.is_undecided());
    let fence = writer.fence().await.unwrap();
    assert_eq!(dataset.head().await.unwrap(), Some(fence));
    assert_eq!(commit(&writer, "x").await.unwrap().version, 2);
}

#[tokio::test(start_paused = true)]
async fn a_first_commit_in_doubt_is_settled_before_anything_is_fenced() {
    let (store, dataset) = faulty();
    let prepared = Writer::prepare(dataset.clone(), named("a")).await.unwrap();
    let writer = prepared.0;
    writer.claim().await.unwrap();
    let first = fields(&writer, "x").await.unwrap();
    store.script(Fault::PutLandsThenFails, "log/");
    (0..12).for_each(|_| store.script(Fault::GetFails, "log/"));
    writer.commit(first).await.unwrap_err();
    assert!(store.script_is_used_up() && writer.is_undecided());
    let landed = writer.fence().await.unwrap();
    assert_eq!((landed.version, landed.kind), (1, EntryKind::Commit));
    assert_eq!(dataset.head().await.unwrap(), Some(landed));
    assert_eq!(commit(&writer, "y").await.unwrap().version, 2);
}
