//! What keys are hashed with. Owns nothing.

use crate::kit::{TroubledStore, names, put};

#[tokio::test]
async fn every_producer_has_a_hash_seed_of_its_own_and_keeps_it() {
    let store = TroubledStore::new();
    let producer = store.producer(0).await;
    let first = producer.state().seed();
    put(&producer, 1, "one").await.unwrap().unwrap();
    put(&producer, 2, "two").await.unwrap().unwrap();
    let held = producer.state();
    assert_eq!(held.seed(), first);
    drop(producer);
    let restored = store.producer(0).await;
    assert_ne!(restored.state().seed(), first);
    assert_eq!(names(&restored.state()), names(&held));
    put(&restored, 2, "zwei").await.unwrap().unwrap();
    restored.state().check_invariants().unwrap();
}
