//! The breaker around a store: what opens it, and what never counts.

use std::sync::Arc;
use std::time::Duration;

use grotto_env::Env;
use grotto_store::{
    BreakerOptions, BreakerState, Dataset, ErrorKind, Store, StoreOptions, WriterOptions,
};
use object_store::ObjectStore;

use crate::kit::{Fault, FaultStore};

const OPEN_FOR: Duration = Duration::from_secs(20);

fn guarded() -> (Arc<FaultStore>, Dataset) {
    let faults = Arc::new(FaultStore::new());
    let breaker = BreakerOptions {
        failures: 3,
        open_for: OPEN_FOR,
        probes: 1,
    };
    let store = Store::from_object_store(Arc::clone(&faults) as Arc<dyn ObjectStore>)
        .with_env(Env::simulated(1))
        .with_options(StoreOptions {
            breaker: Some(breaker),
            ..StoreOptions::default()
        });
    (faults, Dataset::open(store, "cities").unwrap())
}

fn fail(faults: &FaultStore, times: usize) {
    (0..times).for_each(|_| faults.script(Fault::GetFails, "log/"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_left_alone_for_a_while_and_then_asked_again() {
    let (faults, dataset) = guarded();
    fail(&faults, 3);
    assert!(dataset.read_entry(1).await.is_err());
    assert_eq!(dataset.store().breaker(), BreakerState::Open);
    let asked = faults.gets("log/");
    let error = dataset.read_entry(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("left alone"), "{error}");
    assert!(error.message().contains("scripted outage"), "{error}");
    assert_eq!(
        faults.gets("log/"),
        asked,
        "asked while it was to be left alone"
    );
    dataset.store().env().sleep(OPEN_FOR).await;
    assert_eq!(dataset.read_entry(1).await.unwrap(), None);
    assert_eq!(dataset.store().breaker(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_is_absent_or_exists_is_an_answer_and_no_failure() {
    let (faults, dataset) = guarded();
    for _ in 0..5 {
        fail(&faults, 2);
        assert_eq!(dataset.read_entry(1).await.unwrap(), None);
    }
    // The proof that the store fences consists of refused creates.
    grotto_store::Writer::acquire(dataset.clone(), WriterOptions::default())
        .await
        .unwrap();
    assert!(faults.script_is_used_up());
    assert_eq!(dataset.store().breaker(), BreakerState::Closed);
}
