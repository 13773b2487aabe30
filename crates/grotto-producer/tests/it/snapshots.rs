//! When snapshots are written, and what happens to those that fail.

use crate::kit::{Trouble, TroubledStore, put};

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_fails_is_tried_again_after_the_next_version() {
    let store = TroubledStore::new();
    let producer = store.producer(10).await;
    store.cause(Trouble::Fails, "/snapshot/");
    assert!(
        put(&producer, 1, "one")
            .await
            .unwrap()
            .unwrap()
            .snapshot_started
    );
    assert!(producer.finish().await.is_err());
    store.heal();
    assert!(
        put(&producer, 2, "two")
            .await
            .unwrap()
            .unwrap()
            .snapshot_started,
        "the last one failed"
    );
    assert_eq!(producer.finish().await.unwrap().len(), 1);
    assert!(
        !put(&producer, 3, "three")
            .await
            .unwrap()
            .unwrap()
            .snapshot_started,
        "not due yet"
    );
}

#[tokio::test]
async fn a_version_does_not_wait_for_somebody_who_waits_for_a_snapshot() {
    let store = TroubledStore::new();
    let producer = store.producer(1).await;
    store.cause(Trouble::Hangs, "/snapshot/");
    put(&producer, 1, "one").await.unwrap().unwrap();
    let waiting = producer.finish();
    tokio::pin!(waiting);
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("expected the snapshot to be stuck"),
        published = put(&producer, 2, "two") => assert!(!published.unwrap().unwrap().snapshot_started),
    }
}
