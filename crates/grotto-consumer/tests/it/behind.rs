//! Catching up from far behind.

use crate::faults::{Fault, FaultStore};
use crate::kit::{DATASET, Kit, Publisher, VirtualClock, assert_same};
use grotto_consumer::{Consumer, ConsumerBuilder, StepKind};
use grotto_store::Store;
use grotto_store::plan::PlanWeights;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The number of the newest root of a state directory: how often something was published in it.
fn root(kit: &Kit) -> u64 {
    let current = std::fs::read_to_string(kit.state_dir().join("CURRENT")).unwrap();
    let root = current.lines().find_map(|line| line.strip_prefix("root "));
    root.unwrap().parse().unwrap()
}

/// Segment files that exist.
fn segments(kit: &Kit) -> usize {
    let folder = kit.state_dir().join("segments");
    std::fs::read_dir(folder).unwrap().count()
}

/// A consumer with a state directory at the first version, so many versions behind.
async fn behind(kit: &Kit, versions: u64, builder: ConsumerBuilder) -> (Publisher, Consumer) {
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = builder.state_dir(kit.state_dir()).open().await.unwrap();
    publisher.publish_many(versions).await;
    (publisher, consumer)
}

#[tokio::test]
async fn what_lies_between_is_neither_told_nor_written() {
    let kit = Kit::new();
    let builder = Consumer::builder(DATASET, kit.store.clone());
    let (publisher, consumer) = behind(&kit, 100, builder).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    consumer.on_refresh(move |report| telling.lock().unwrap().push((report.from, report.to)));
    let (from, roots) = (consumer.version(), root(&kit));
    let report = consumer.refresh().await.unwrap().unwrap();
    assert_eq!(report.steps.len(), 100);
    assert_eq!(root(&kit), roots + 1);
    assert_eq!(*told.lock().unwrap(), [(from, from + 100)]);
    assert_same(&consumer.state(), &publisher.state());
    assert!(segments(&kit) <= 2 * consumer.state().segments().count() + 2);
}

#[tokio::test(start_paused = true)]
async fn a_way_that_breaks_off_is_gone_on_with_from_where_it_broke() {
    let kit = Kit::new();
    let faults = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, faults.store());
    let (publisher, consumer) = behind(&kit, 30, builder).await;
    let (from, roots) = (consumer.version(), root(&kit));
    faults.cause(Fault::Fails, &publisher.delta_of(from + 21));
    consumer.refresh().await.unwrap_err();
    assert_eq!((consumer.version(), root(&kit)), (from + 20, roots + 1));
    faults.heal();
    let report = consumer.refresh().await.unwrap().unwrap();
    assert_eq!((report.from, report.steps.len()), (from + 20, 10));
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test(start_paused = true)]
async fn steps_on_the_way_clear_up_behind_themselves() {
    let kit = Kit::new();
    let faults = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, faults.store());
    let (publisher, consumer) = behind(&kit, 100, builder).await;
    let from = consumer.version();
    faults.cause(Fault::Hangs, &publisher.delta_of(from + 91));
    let waited = tokio::time::timeout(Duration::from_secs(5), consumer.refresh()).await;
    assert!(waited.is_err(), "the refresh is to be under way");
    assert_eq!(consumer.version(), from);
    // Ninety steps were applied, and each wrote a segment.
    let segments = segments(&kit);
    assert!(segments < 45, "{segments} segments");
}

#[tokio::test]
async fn a_blob_that_does_not_fit_costs_its_own_step_alone() {
    let kit = Kit::new();
    let builder = Consumer::builder(DATASET, kit.store.clone());
    let (publisher, consumer) = behind(&kit, 30, builder).await;
    let (from, roots) = (consumer.version(), root(&kit));
    let [other, broken] = [20, 21].map(|step| kit.file(&publisher.delta_of(from + step)));
    let intact = std::fs::read(&broken).unwrap();
    std::fs::copy(&other, &broken).unwrap();
    let error = consumer.refresh().await.unwrap_err();
    assert!(
        error.message().contains("found a delta from version"),
        "{error}"
    );
    assert_eq!((consumer.version(), root(&kit)), (from + 20, roots + 1));
    std::fs::write(&broken, intact).unwrap();
    let report = consumer.refresh().await.unwrap().unwrap();
    assert_eq!((report.from, report.steps.len()), (from + 20, 10));
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_versions_take_three_seconds_where_a_request_takes_thirty_milliseconds() {
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let kit = Kit {
        folder: tempfile::tempdir().unwrap(),
        store: Store::from_object_store(Arc::clone(&objects)),
    };
    let far = FaultStore::around(objects, Duration::from_millis(30));
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let builder = Consumer::builder(DATASET, far.store().with_env(VirtualClock::env()));
    let consumer = builder.state_dir(kit.state_dir()).open().await.unwrap();
    for _ in 0..1_000 {
        publisher.publish(250).await;
    }
    publisher.writer.heartbeat().await;
    let roots = root(&kit);
    far.take_asked();
    let began = tokio::time::Instant::now();
    let report = consumer.refresh().await.unwrap().unwrap();
    let took = began.elapsed();
    assert_eq!(report.to, report.from + 1_000);
    assert_same(&consumer.state(), &publisher.state());
    let (blobs, all) = (far.asked("/delta/"), far.asked(""));
    println!(
        "{took:?}, {blobs} requests for deltas, {} for others",
        all - blobs
    );
    assert_eq!(blobs, 1_000);
    assert!(took <= Duration::from_secs(3), "{took:?}");
    assert_eq!(root(&kit), roots + 1);
}

#[tokio::test]
async fn a_way_is_weighed_as_the_builder_says() {
    let one_by_one = PlanWeights {
        width: 1,
        ..PlanWeights::default()
    };
    let by_bytes = (PlanWeights::default(), StepKind::Delta, 4);
    for (weights, kind, steps) in [by_bytes, (one_by_one, StepKind::Snapshot, 2)] {
        let kit = Kit::new();
        let builder = Consumer::builder(DATASET, kit.store.clone()).plan_weights(weights);
        let mut publisher = kit.publisher().await;
        publisher.publish(1).await;
        let consumer = builder.open().await.unwrap();
        for _ in 0..3 {
            publisher.publish(250).await;
        }
        publisher.snapshot().await;
        publisher.publish(250).await;
        let report = consumer.refresh().await.unwrap().unwrap();
        assert_eq!((report.steps[0].kind, report.steps.len()), (kind, steps));
        assert_same(&consumer.state(), &publisher.state());
    }
}
