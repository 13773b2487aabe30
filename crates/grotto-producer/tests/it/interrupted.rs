//! Commits without an answer, because the caller stopped waiting or the store refused: whatever landed,
//! the chain goes on from it.

use crate::kit::{Trouble, TroubledStore, names, put};
use std::sync::Arc;

/// Starts a cycle and drops it once the put to `part` is stuck.
async fn interrupt(store: &Arc<TroubledStore>, trouble: Trouble, part: &'static str) {
    let producer = store.producer(0).await;
    put(&producer, 1, "one").await.unwrap().unwrap();
    store.cause(trouble, part);
    {
        let cycle = put(&producer, 2, "two");
        tokio::pin!(cycle);
        tokio::select! {
            _ = &mut cycle => panic!("expected the cycle to be stuck"),
            met = store.met.acquire() => met.unwrap().forget(),
        }
    }
    store.heal();
    put(&producer, 3, "three").await.unwrap().unwrap();
    put(&producer, 1, "uno").await.unwrap().unwrap();
    let held = producer.state();
    drop(producer);
    // Takes every delta from the first on.
    let restored = store.producer(0).await;
    assert_eq!(names(&restored.state()), names(&held));
    assert_eq!(restored.state().checksum(), held.checksum());
    let all = names(&held);
    assert!(
        all.contains(&(1, "uno".into())) && all.contains(&(3, "three".into())),
        "{all:?}"
    );
}

#[tokio::test]
async fn a_cycle_dropped_while_its_entry_lands_is_part_of_the_chain() {
    let store = TroubledStore::new();
    interrupt(&store, Trouble::LandsAndHangs, "/log/").await;
    let producer = store.producer(0).await;
    assert!(names(&producer.state()).contains(&(2, "two".into())));
}

#[tokio::test]
async fn a_cycle_dropped_before_its_entry_lands_does_not_break_the_chain() {
    interrupt(&TroubledStore::new(), Trouble::Hangs, "/log/").await;
}

#[tokio::test]
async fn a_cycle_dropped_while_uploading_leaves_no_trace() {
    let store = TroubledStore::new();
    interrupt(&store, Trouble::LandsAndHangs, "/delta/").await;
    let producer = store.producer(0).await;
    assert!(!names(&producer.state()).iter().any(|(id, _)| *id == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cycle_dropped_while_it_is_filled_runs_to_its_end_and_publishes_nothing() {
    let store = TroubledStore::new();
    let producer = Arc::new(store.producer(0).await);
    let first = put(&producer, 1, "one").await.unwrap().unwrap().version;
    let (filling, begun) = tokio::sync::oneshot::channel();
    let (go_on, told) = std::sync::mpsc::channel::<()>();
    let cycle = producer.run_incremental(move |cycle| {
        cycle.upsert_json("City", r#"{"id":2,"name":"two"}"#, 1)?;
        let _ = filling.send(());
        told.recv().unwrap();
        cycle.upsert_json("City", r#"{"id":3,"name":"three"}"#, 2)?;
        Ok(())
    });
    tokio::select! {
        _ = cycle => panic!("expected the cycle to wait"),
        begun = begun => begun.unwrap(),
    }
    // The next one waits for what is still being filled.
    let other = Arc::clone(&producer);
    let next = tokio::spawn(async move { put(&other, 4, "four").await });
    go_on.send(()).unwrap();
    let next = next.await.unwrap().unwrap().unwrap();
    assert_eq!(next.version, first + 1);
    let ids: Vec<i64> = names(&producer.state()).iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [1, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_gets_no_answer_is_settled_by_the_next_cycle() {
    let store = TroubledStore::new();
    let producer = store.producer(0).await;
    put(&producer, 1, "one").await.unwrap().unwrap();
    store.cause(Trouble::Fails, "/log/");
    let error = put(&producer, 2, "two").await.unwrap_err();
    assert_eq!(
        error.kind(),
        grotto_producer::ErrorKind::Unavailable,
        "{error}"
    );
    let before = producer.version();
    store.heal();
    put(&producer, 3, "three").await.unwrap().unwrap();
    assert_eq!(
        producer.version(),
        before + 2,
        "the unanswered version, then the new one"
    );
    assert_eq!(names(&producer.state()).len(), 3);
    let held = producer.state().checksum();
    drop(producer);
    assert_eq!(store.producer(0).await.state().checksum(), held);
}

/// A commit that meets `trouble` is undecided: the cycle after the trouble settles it, and both are in
/// the chain.
async fn undecided(trouble: Trouble) {
    let store = TroubledStore::new();
    let producer = store.producer(0).await;
    let first = put(&producer, 1, "one").await.unwrap().unwrap().version;
    store.cause(trouble, "/log/");
    for _ in 0..2 {
        let error = put(&producer, 2, "two").await.unwrap_err();
        assert!(error.message().contains("may or may not"), "{error}");
        assert_eq!(producer.version(), first, "{trouble:?}");
    }
    store.heal();
    let next = put(&producer, 3, "three").await.unwrap().unwrap();
    assert_eq!(next.version, first + 2, "{trouble:?}");
    let settled: Vec<u64> = next.settled.iter().map(|earlier| earlier.version).collect();
    assert_eq!(settled, [first + 1], "{trouble:?}");
    put(&producer, 1, "uno").await.unwrap().unwrap();
    let held = producer.state();
    drop(producer);
    let restored = store.producer(0).await.state();
    assert_eq!(names(&restored), names(&held), "{trouble:?}");
    assert_eq!(names(&held).len(), 3, "{trouble:?}");
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_refused_stays_pending_until_it_is_settled() {
    for trouble in [
        Trouble::Fails,
        Trouble::Denied,
        Trouble::ReadOnly,
        Trouble::Throttled,
        Trouble::LandsThenDenied,
    ] {
        undecided(trouble).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_had_landed_is_returned_as_published_by_the_cycle_that_repeats_it() {
    let store = TroubledStore::new();
    let producer = store.producer(0).await;
    let first = put(&producer, 1, "one").await.unwrap().unwrap().version;
    store.cause(Trouble::LandsThenDenied, "/log/");
    put(&producer, 2, "two").await.unwrap_err();
    store.heal();
    let again = put(&producer, 2, "two").await.unwrap();
    let again = again.expect("the version is published, not unchanged");
    assert_eq!((again.version, again.counts[0].live), (first + 1, 2));
    assert_eq!(producer.version(), first + 1);
    assert!(put(&producer, 2, "two").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_settled_version_is_told_of_even_if_the_cycle_that_settled_it_fails() {
    let store = TroubledStore::new();
    let producer = store.producer(0).await;
    let first = put(&producer, 1, "one").await.unwrap().unwrap().version;
    store.cause(Trouble::LandsThenDenied, "/log/");
    put(&producer, 2, "two").await.unwrap_err();
    store.heal();
    let refused = producer.run_incremental(|cycle| Ok(cycle.upsert_json("City", "{", 1)?));
    refused.await.unwrap_err();
    let told = put(&producer, 2, "two").await.unwrap().unwrap();
    assert_eq!(told.version, first + 1);
}
