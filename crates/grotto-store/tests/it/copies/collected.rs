//! Copies of a source that is collected meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use grotto_store::{ConsumerId, CopyHold, CopyOptions, Next};

use crate::place::{Place, commit_to, copy, copy_with, snapshot};

fn holding() -> CopyOptions {
    CopyOptions {
        hold: Some(CopyHold {
            id: ConsumerId::parse("backup-1").unwrap(),
            host: "host".to_owned(),
            process: "1".to_owned(),
        }),
        ..CopyOptions::default()
    }
}

#[tokio::test]
async fn one_that_was_left_behind_goes_on_from_the_oldest_snapshot_there_is() {
    let (a, b) = (Place::new(), Place::new());
    let writer = a.grown(6, &[3]).await;
    copy(&a, &b).await.unwrap();
    for version in 7..=30 {
        commit_to(&writer, version).await;
        if version % 5 == 0 {
            snapshot(&writer, version).await;
        }
    }
    a.age();
    a.collect(2).await;
    let copied = copy(&a, &b).await.unwrap();
    assert_eq!((copied.before, copied.first, copied.newest), (6, 25, 30));
    assert_eq!(copied.faults, []);
    b.assert_whole(30).await;
    // Whoever follows the copy finds out.
    assert_eq!(
        b.dataset().next_entry(6).await.unwrap(),
        Next::Collected { boundary: 24 }
    );
}

#[tokio::test]
async fn a_source_whose_oldest_versions_no_snapshot_leads_to_is_copied_from_the_first_that_one_does()
 {
    let (a, b) = (Place::new(), Place::new());
    a.grown(20, &[8, 12]).await;
    a.dataset().raise_collected(5).await.unwrap();
    let copied = copy(&a, &b).await.unwrap();
    assert_eq!((copied.first, copied.newest), (8, 20));
    b.assert_whole(20).await;
}

/// Has the source collected before the read of each number in turn.
async fn collect_everywhere(options: &CopyOptions) -> (usize, usize) {
    let (mut jumped, mut held) = (0, 0);
    for number in 0.. {
        let (a, b) = (Arc::new(Place::new()), Place::new());
        a.grown(20, &[5, 10, 15]).await;
        a.age();
        let collected = Arc::new(AtomicBool::new(false));
        let (source, done) = (Arc::clone(&a), Arc::clone(&collected));
        let collect = move || -> futures::future::BoxFuture<'static, ()> {
            Box::pin(async move {
                done.store(true, Ordering::Relaxed);
                source.collect(1).await;
            })
        };
        a.store.before_read(number, Box::new(collect));
        let copied = copy_with(&a, &b, options).await.unwrap();
        assert_eq!(copied.faults, [], "collected before read {number}");
        assert_eq!(copied.newest, 20);
        b.assert_whole(20).await;
        if !collected.load(Ordering::Relaxed) {
            return (jumped, held);
        }
        match copied.first {
            1 => held += 1,
            15 => jumped += 1,
            other => panic!("begun at {other}"),
        }
    }
    (jumped, held)
}

#[tokio::test]
async fn a_collection_at_any_moment_costs_old_versions_only() {
    let (jumped, _) = collect_everywhere(&CopyOptions::default()).await;
    assert!(jumped > 40, "{jumped}");
}

#[tokio::test]
async fn a_copy_that_may_hold_its_source_off_loses_nothing() {
    let (jumped, held) = collect_everywhere(&holding()).await;
    // Before the lease was there.
    assert!(jumped < 12, "{jumped} of {held}");
    assert!(held > 60, "{held}");
}

#[tokio::test]
async fn the_lease_of_a_copy_is_there_while_it_runs_and_not_afterwards() {
    let (a, b) = (Arc::new(Place::new()), Place::new());
    a.grown(20, &[5, 10, 15]).await;
    let source = Arc::clone(&a);
    let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let found = Arc::clone(&seen);
    let look = move || -> futures::future::BoxFuture<'static, ()> {
        Box::pin(async move {
            let leases = source.dataset().leases().await.unwrap().found;
            *found.lock() = leases;
        })
    };
    b.store.before_write(10, Box::new(look));
    let mut options = holding();
    options.from = Some(12);
    copy_with(&a, &b, &options).await.unwrap();
    let seen = seen.lock().clone();
    let lease = seen[0].lease().unwrap();
    assert_eq!(lease.consumer, "backup-1");
    // What the copy begins with.
    assert_eq!((lease.version, lease.newest), (10, 20));
    assert!(a.dataset().leases().await.unwrap().found.is_empty());
    // One that fails takes it back as well.
    b.store.fail_writes_of("/log/");
    commit_to(&crate::kit::acquire(&a.dataset(), "b").await, 22).await;
    copy_with(&a, &b, &options).await.unwrap_err();
    assert!(a.dataset().leases().await.unwrap().found.is_empty());
}

#[tokio::test]
async fn a_source_that_takes_no_writes_is_copied_without_a_lease() {
    let (a, b) = (Place::new(), Place::new());
    a.grown(9, &[5]).await;
    a.store.fail_writes_of("/consumers/");
    copy_with(&a, &b, &holding()).await.unwrap();
    b.assert_whole(9).await;
}
