//! What counts as a sign of life of a writer, look by look.

use std::sync::Arc;
use std::time::Duration;

use grotto_env::Env;
use grotto_store::{Dataset, RetryPolicy, Standby, StandbyOptions, Store, StoreOptions, Turn};
use object_store::ObjectStore;

use crate::kit::{Fault, FaultStore, acquire, commit};

const LEASE: Duration = Duration::from_secs(10);

/// A dataset in virtual time whose reads are tried once.
fn watched() -> (Arc<FaultStore>, Dataset) {
    let faults = Arc::new(FaultStore::new());
    let default = StoreOptions::default();
    let options = StoreOptions {
        reads: RetryPolicy {
            tries: 1,
            ..default.reads
        },
        ..default
    };
    let store = Store::from_object_store(Arc::clone(&faults) as Arc<dyn ObjectStore>);
    let store = store.with_env(Env::simulated(1)).with_options(options);
    (faults, Dataset::open(store, "cities").unwrap())
}

fn standby(dataset: &Dataset, own: &str) -> Standby {
    let options = StandbyOptions {
        lease: LEASE,
        look_every: LEASE / 10,
    };
    Standby::new(dataset.clone(), own, options)
}

/// Looks so much later; whether it is worth trying to take over.
async fn later(standby: &mut Standby, seconds: f64) -> bool {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    standby.look().await.unwrap() != Turn::Theirs
}

#[tokio::test(start_paused = true)]
async fn a_writer_counts_as_gone_after_a_whole_lease_without_a_sign_of_life() {
    let (_, dataset) = watched();
    let writer = acquire(&dataset, "one").await;
    let mut standby = standby(&dataset, "two");
    for _ in 0..3 {
        assert!(!later(&mut standby, 4.0).await);
    }
    // A version, and no hint of it.
    commit(&writer, "x").await.unwrap();
    for _ in 0..3 {
        assert!(!later(&mut standby, 4.0).await);
    }
    assert!(later(&mut standby, 2.0).await);
    writer.heartbeat().await;
    assert!(!later(&mut standby, 0.0).await);
    assert_eq!(standby.leader(), Some("one"));
}

#[tokio::test(start_paused = true)]
async fn a_time_in_which_the_store_did_not_answer_does_not_count() {
    let (faults, dataset) = watched();
    acquire(&dataset, "one").await;
    let mut standby = standby(&dataset, "two");
    for _ in 0..3 {
        assert!(!later(&mut standby, 4.0).await);
    }
    faults.script(Fault::GetFails, "leader");
    assert!(standby.look().await.is_err());
    assert!(faults.script_is_used_up());
    for _ in 0..3 {
        assert!(
            !later(&mut standby, 4.0).await,
            "a whole lease from then on"
        );
    }
    assert!(later(&mut standby, 4.0).await);
}

#[tokio::test(start_paused = true)]
async fn a_time_in_which_the_standby_did_not_run_does_not_count() {
    let (_, dataset) = watched();
    acquire(&dataset, "one").await;
    let mut standby = standby(&dataset, "two");
    assert!(!later(&mut standby, 0.0).await);
    assert!(!later(&mut standby, 1_000.0).await);
    assert!(!later(&mut standby, 4.0).await);
    assert!(!later(&mut standby, 4.0).await);
    assert!(later(&mut standby, 2.0).await);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_resigned_is_followed_at_once_but_not_by_itself() {
    let (_, dataset) = watched();
    let writer = acquire(&dataset, "one").await;
    writer.resign().await.unwrap();
    let (mut itself, mut other) = (standby(&dataset, "one"), standby(&dataset, "two"));
    assert!(!later(&mut itself, 0.0).await);
    assert!(later(&mut other, 0.0).await);
    // Whoever has taken over since is no one who resigned.
    acquire(&dataset, "three").await;
    let mut other = standby(&dataset, "two");
    assert!(!later(&mut other, 0.0).await);
}
