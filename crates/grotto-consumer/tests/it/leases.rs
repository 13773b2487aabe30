//! What a consumer tells of itself in the store, when, and what it does where the store takes nothing.

use crate::faults::{Fault, FaultStore};
use crate::kit::{DATASET, Kit, VirtualClock, assert_same};
use grotto_consumer::{BreakerState, Consumer, ConsumerBuilder, ErrorKind};
use grotto_store::{Dataset, Lease, LeaseObserver, Leases};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A store, and the settings of a consumer of it that is seen.
fn seen(kit: &Kit) -> (Arc<FaultStore>, ConsumerBuilder) {
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, store.store().with_env(VirtualClock::env()));
    (store, builder.lease("web-1"))
}

async fn leases(kit: &Kit) -> Leases {
    let dataset = Dataset::open(kit.store.clone(), DATASET).unwrap();
    dataset.leases().await.unwrap()
}

/// The only lease, if there is one.
async fn lease(kit: &Kit) -> Option<Lease> {
    let mut found = leases(kit).await.found;
    assert!(found.len() <= 1, "{found:?}");
    found.pop().map(|found| found.lease().unwrap().clone())
}

fn writes(store: &FaultStore) -> usize {
    store.asked("PUT ")
}

#[tokio::test(start_paused = true)]
async fn a_lease_says_what_is_served_and_is_renewed_at_intervals() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    let first = publisher.publish(1).await;
    let (store, builder) = seen(&kit);
    let consumer = builder.start().await.unwrap();
    tokio::time::sleep(SECOND).await;
    let told = lease(&kit).await.unwrap();
    assert_eq!((told.version, told.newest), (first.version, first.version));
    assert_eq!(told.held, None);
    assert_eq!(told.dataset_id, first.dataset_id);
    assert_eq!((told.health.as_str(), told.pinned), ("ready", None));
    assert_eq!(told.process, std::process::id().to_string());
    assert!(!told.host.is_empty() && told.reasons.is_empty());
    assert_eq!(told.expires_after_s, 30);
    assert_eq!(writes(&store), 1);

    tokio::time::sleep(100 * SECOND).await;
    // Each wait is between eight and ten seconds.
    let written = writes(&store) - 1;
    assert!((10..=12).contains(&written), "{written}");
    let told = lease(&kit).await.unwrap();
    assert!((90_000..=101_000).contains(&told.running_ms), "{told:?}");
    assert_eq!(told.running_ms, told.health_ms);
    drop(consumer);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_degraded_says_why_and_since_when() {
    let kit = Kit::new();
    kit.publisher().await.publish(1).await;
    let (store, builder) = seen(&kit);
    let consumer = builder.start().await.unwrap();
    tokio::time::sleep(30 * SECOND).await;
    store.cause(Fault::Fails, "pairs/log");
    tokio::time::sleep(60 * SECOND).await;
    let told = lease(&kit).await.unwrap();
    assert_eq!(told.health, "degraded");
    assert!(
        told.reasons
            .iter()
            .any(|why| why.contains("the last refresh failed") && why.contains("pairs/log")),
        "{told:?}"
    );
    assert!((30_000..=60_000).contains(&told.health_ms), "{told:?}");
    assert!((40_000..=100_000).contains(&told.staleness_ms), "{told:?}");
    assert!(told.running_ms >= 80_000, "{told:?}");
    store.heal();
    tokio::time::sleep(40 * SECOND).await;
    let told = lease(&kit).await.unwrap();
    assert_eq!((told.health.as_str(), told.reasons.len()), ("ready", 0));
    assert!(told.health_ms < 40_000, "{told:?}");
    drop(consumer);
}

#[tokio::test(start_paused = true)]
async fn a_version_is_told_soon_and_many_of_them_once_a_second() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let (store, builder) = seen(&kit);
    let consumer = builder
        .lease_interval(1_000 * SECOND)
        .start()
        .await
        .unwrap();
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(writes(&store), 1);
    let version = publisher.publish(3).await.version;
    consumer.wait_for(version, 10 * SECOND).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(lease(&kit).await.unwrap().version, version);
    assert_eq!(writes(&store), 2);

    for _ in 0..50 {
        publisher.publish(7).await;
        tokio::time::sleep(SECOND / 10).await;
    }
    let written = writes(&store) - 2;
    assert!((2..=5).contains(&written), "{written} in five seconds");
    tokio::time::sleep(10 * SECOND).await;
    let told = lease(&kit).await.unwrap();
    assert_eq!(told.version, publisher.state().version());
    assert_eq!(told.expires_after_s, 3_000);
}

#[tokio::test(start_paused = true)]
async fn who_was_not_told_to_keep_a_lease_writes_nothing() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let builder = || Consumer::builder(DATASET, store.store().with_env(VirtualClock::env()));
    let consumer = builder().start().await.unwrap();
    // It ends soon, and nobody would renew its lease.
    let short = builder().lease("short").open().await.unwrap();
    tokio::time::sleep(60 * SECOND).await;
    consumer.shutdown().await;
    short.shutdown().await;
    assert_eq!((writes(&store), store.asked("DELETE ")), (0, 0));
}

#[tokio::test]
async fn a_name_that_could_leave_its_folder_is_refused() {
    let kit = Kit::new();
    kit.publisher().await.publish(1).await;
    for name in ["", "../log/1", "a/b", ".hidden", "a b", &"x".repeat(101)] {
        let builder = Consumer::builder(DATASET, kit.store.clone()).lease(name);
        let error = builder.start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.message().starts_with("consumer name"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dataset_that_nobody_wrote_gets_no_lease() {
    let kit = Kit::new();
    let (store, builder) = seen(&kit);
    let consumer = builder.wait_for_dataset(true).start().await.unwrap();
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(writes(&store), 0);
    let version = kit.publisher().await.publish(1).await.version;
    consumer.wait_for(version, 10 * SECOND).await.unwrap();
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(lease(&kit).await.unwrap().version, version);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_ends_takes_its_lease_with_it() {
    let kit = Kit::new();
    kit.publisher().await.publish(1).await;
    let (_, builder) = seen(&kit);
    let consumer = builder.start().await.unwrap();
    // Written within a second of the start.
    tokio::time::sleep(2 * SECOND).await;
    assert!(lease(&kit).await.is_some());
    consumer.shutdown().await;
    assert_eq!(lease(&kit).await, None);

    let (_, builder) = seen(&kit);
    let consumer = builder.start().await.unwrap();
    // Written within a second of the start.
    tokio::time::sleep(2 * SECOND).await;
    assert!(lease(&kit).await.is_some());
    drop(consumer);
    tokio::time::sleep(SECOND).await;
    assert_eq!(lease(&kit).await, None);
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_one_that_died_expires_and_is_taken_over_by_the_next() {
    let kit = Kit::new();
    kit.publisher().await.publish(1).await;
    die_with_a_lease(&kit).await;
    let clock = VirtualClock::env().clock;
    let mut observer = LeaseObserver::default();
    for (wait, expired) in [(0, false), (29, false), (3, true)] {
        tokio::time::sleep(wait * SECOND).await;
        let mut leases = leases(&kit).await;
        observer.observe(&mut leases, clock.monotonic());
        assert_eq!(leases.found[0].is_expired(), expired, "{wait} s later");
    }
    let (_, builder) = seen(&kit);
    let consumer = builder.start().await.unwrap();
    tokio::time::sleep(SECOND).await;
    let mut leases = leases(&kit).await;
    observer.observe(&mut leases, clock.monotonic());
    assert!(!leases.found[0].is_expired());
    consumer.shutdown().await;
}

/// Runs a consumer until it is seen, in a runtime that ends under it.
async fn die_with_a_lease(kit: &Kit) {
    let (store, folder) = (kit.store.clone(), kit.file("consumers"));
    let life = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.unwrap();
        runtime.block_on(async {
            let consumer = Consumer::builder(DATASET, store)
                .lease("web-1")
                .start()
                .await
                .unwrap();
            while !folder.join("web-1.json").exists() {
                tokio::task::yield_now().await;
            }
            std::mem::forget(consumer);
        });
    });
    life.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_no_writes_makes_no_consumer_less_ready() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let (store, builder) = seen(&kit);
    store.cause(Fault::Fails, "/consumers/");
    let consumer = builder.start().await.unwrap();
    tokio::time::sleep(60 * SECOND).await;
    let version = publisher.publish(3).await.version;
    consumer.wait_for(version, 10 * SECOND).await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
    assert!(consumer.staleness() < 10 * SECOND);
    let status = consumer.status();
    assert_eq!(
        (status.health.name(), status.errors_per_minute),
        ("ready", 0)
    );
    assert_eq!(lease(&kit).await, None);
    let failures = counted(&consumer, "failed");
    assert!(failures >= 6, "{failures}");
    assert_eq!(
        (counted(&consumer, "renewed"), writes(&store)),
        (0, failures)
    );

    store.heal();
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(lease(&kit).await.unwrap().version, version);
    let renewed = counted(&consumer, "renewed");
    assert!((1..=2).contains(&renewed), "{renewed}");
    consumer.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn writes_that_fail_in_a_row_do_not_have_the_store_left_alone() {
    let kit = Kit::new();
    kit.publisher().await.publish(1).await;
    let (store, builder) = seen(&kit);
    store.cause(Fault::Fails, "/consumers/");
    // So many of them between two looks that the breaker of the consumer would open.
    let builder = builder
        .poll_interval(300 * SECOND)
        .max_backoff(300 * SECOND);
    let builder = builder.lease_interval(SECOND);
    let consumer = builder.start().await.unwrap();
    tokio::time::sleep(200 * SECOND).await;
    assert!(writes(&store) >= 150);
    assert_eq!(consumer.status().breaker, BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_delays_neither_refreshes_nor_the_end() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let (store, builder) = seen(&kit);
    store.cause(Fault::Hangs, "/consumers/");
    let consumer = builder.start().await.unwrap();
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(writes(&store), 1, "one write is under way");
    let version = publisher.publish(3).await.version;
    consumer.wait_for(version, 10 * SECOND).await.unwrap();
    let began = tokio::time::Instant::now();
    consumer.shutdown().await;
    assert!(began.elapsed() <= 6 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_lease_outlives_two_renewals_that_the_store_does_not_answer() {
    for interval in [2, 10, 60] {
        let kit = Kit::new();
        kit.publisher().await.publish(1).await;
        let (store, builder) = seen(&kit);
        let consumer = builder.lease_interval(interval * SECOND);
        let consumer = consumer.start().await.unwrap();
        tokio::time::sleep(SECOND).await;
        let before = lease(&kit).await.unwrap();
        store.take_asked();
        store.cause(Fault::Hangs, "/consumers/");
        while writes(&store) < 2 {
            tokio::time::sleep(SECOND / 10).await;
        }
        // The second is under way for longer than its answer is waited for.
        while counted(&consumer, "failed") < 2 {
            tokio::time::sleep(SECOND / 10).await;
        }
        store.heal();
        while writes(&store) < 3 {
            tokio::time::sleep(SECOND / 10).await;
        }
        tokio::time::sleep(SECOND / 10).await;
        let after = lease(&kit).await.unwrap();
        let lasted = after.running_ms - before.running_ms;
        let expiry = before.expires_after_s * 1_000;
        assert!(lasted < expiry, "{lasted} of {expiry} ms");
        consumer.shutdown().await;
    }
}

/// How many renewals ended like this.
fn counted(consumer: &Consumer, outcome: &str) -> usize {
    let text = consumer.metrics_text();
    let of = |line: &&str| {
        line.starts_with("grotto_consumer_lease_renewals_total{")
            && line.contains(&format!("outcome=\"{outcome}\""))
    };
    let line = text.lines().find(of);
    line.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}
