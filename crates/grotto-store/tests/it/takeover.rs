//! Taking over while others do, and what a writer may do once it was overtaken.

use grotto_store::{ErrorKind, Writer, WriterOptions};
use object_store::ObjectStore as _;
use object_store::path::Path;

use crate::kit::{Fault, acquire, commit, faulty, fields, framed, named};

fn with_tries(takeover_tries: u32) -> WriterOptions {
    WriterOptions {
        takeover_tries,
        ..named("slow")
    }
}

#[tokio::test]
async fn a_writer_that_is_overtaken_tries_again_on_the_new_head() {
    let (faults, dataset) = faulty();
    faults.send_rivals(4);
    let (writer, head) = Writer::acquire(dataset.clone(), with_tries(5))
        .await
        .unwrap();
    assert_eq!(faults.rivals_left(), 0);
    let head = head.unwrap();
    assert_eq!((head.version, head.epoch), (4, 4));
    assert_eq!(head.writer, "rival");
    assert_eq!((writer.epoch(), writer.next_version()), (Some(5), 6));
    commit(&writer, "x").await.unwrap();
}

#[tokio::test]
async fn a_writer_that_is_overtaken_too_often_gives_up_and_tells_how_often() {
    for (tries, lost) in [(5, 5), (1, 1), (0, 1)] {
        let (faults, dataset) = faulty();
        faults.send_rivals(9);
        let error = Writer::acquire(dataset, with_tries(tries))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let wanted = format!("lost the race for dataset cities {lost} times");
        assert_eq!(error.message(), wanted);
        assert_eq!(9 - faults.rivals_left(), lost);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fence_that_fails_is_not_taken_for_a_lost_race() {
    let (faults, dataset) = faulty();
    // As often as a create is tried, and once more.
    for _ in 0..5 {
        faults.script(Fault::PutFails, "/log/");
    }
    let error = Writer::acquire(dataset, with_tries(5)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!error.message().contains("lost the race"), "{error}");
    assert!(!faults.script_is_used_up(), "it was tried again");
}

#[tokio::test]
async fn a_writer_that_was_overtaken_writes_nothing_more() {
    let (faults, dataset) = faulty();
    let old = acquire(&dataset, "old").await;
    let first = commit(&old, "x").await.unwrap();
    let snapshot = old.upload_snapshot(2, framed("s")).await.unwrap();
    let stale = fields(&old, "stale").await.unwrap();
    let new = acquire(&dataset, "new").await;
    new.heartbeat().await;
    assert_eq!(
        old.commit(stale).await.unwrap_err().kind(),
        ErrorKind::Fenced
    );
    let before = everything(&faults).await;
    let hint = dataset.leader_hint().await.unwrap();
    let step = old.upload_step(4, framed("y"), None);
    let upload = old.upload_snapshot(2, framed("z"));
    let announced = old.announce_snapshot(first.version, snapshot);
    for error in [
        step.await.unwrap_err(),
        upload.await.unwrap_err(),
        announced.await.unwrap_err(),
        old.fence().await.unwrap_err(),
        old.claim().await.unwrap_err(),
        old.settle_pending().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
        assert!(error.message().contains("by writer \"new\""), "{error}");
    }
    old.heartbeat().await;
    assert_eq!(everything(&faults).await, before);
    assert_eq!(dataset.leader_hint().await.unwrap(), hint);
}

/// The names of all objects.
async fn everything(faults: &crate::kit::FaultStore) -> Vec<String> {
    use futures::TryStreamExt as _;
    let listing = faults.list(Some(&Path::from("cities")));
    let names = listing.map_ok(|meta| meta.location.to_string());
    let mut names: Vec<String> = names.try_collect().await.unwrap();
    names.sort();
    names
}
