//! What goes on behind a consumer: polls that panic, refreshes that hang, listeners that refresh, and
//! what attached readers can tell.

use crate::faults::{Fault, FaultStore};
use crate::kit::{DATASET, Kit, VirtualClock, assert_same};
use grotto_consumer::{Consumer, ConsumerBuilder};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn builder(kit: &Kit) -> (Arc<FaultStore>, ConsumerBuilder) {
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, store.store().with_env(VirtualClock::env()));
    (store, builder.state_dir(kit.state_dir()))
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_panics_is_followed_by_others() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let (store, builder) = builder(&kit);
    let consumer = builder.start().await.unwrap();
    store.cause(Fault::Panics, "/log/");
    tokio::time::sleep(10 * SECOND).await;
    assert!(consumer.staleness() > 8 * SECOND);
    store.heal();
    let version = publisher.publish(3).await.version;
    consumer.wait_for(version, 10 * SECOND).await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_up_a_refresh_that_hangs_and_frees_the_directory() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let (store, builder) = builder(&kit);
    let consumer = builder.shutdown_timeout(5 * SECOND).start().await.unwrap();
    store.cause(Fault::Hangs, "/log/");
    tokio::time::sleep(SECOND).await;
    let began = tokio::time::Instant::now();
    consumer.shutdown().await;
    assert!(began.elapsed() < 6 * SECOND, "{:?}", began.elapsed());
    let builder = Consumer::builder(DATASET, kit.store.clone());
    let consumer = builder.state_dir(kit.state_dir()).open().await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_may_wait_for_a_refresh() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer: Arc<OnceLock<Consumer>> = Arc::default();
    let (inside, told) = (Arc::clone(&consumer), Arc::new(AtomicU64::new(0)));
    let (runtime, heard) = (tokio::runtime::Handle::current(), Arc::clone(&told));
    let builder = Consumer::builder(DATASET, kit.store.clone()).on_refresh(move |report| {
        heard.fetch_max(report.to, Ordering::Relaxed);
        if let Some(consumer) = inside.get() {
            // On a thread of its own, as the one that calls may belong to the runtime.
            std::thread::scope(|scope| {
                scope.spawn(|| runtime.block_on(consumer.refresh()).unwrap());
            });
        }
    });
    consumer.set(builder.open().await.unwrap()).unwrap();
    let consumer = consumer.get().unwrap();
    publisher.publish(3).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_eq!(told.load(Ordering::Relaxed), publisher.state().version());
}

#[tokio::test]
async fn a_listener_may_add_a_listener() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let builder = Consumer::builder(DATASET, kit.store.clone());
    let consumer = Arc::new(builder.open().await.unwrap());
    let (inside, told) = (Arc::clone(&consumer), Arc::new(AtomicU64::new(0)));
    let heard = Arc::clone(&told);
    consumer.on_refresh(move |_| {
        let heard = Arc::clone(&heard);
        inside.on_refresh(move |report| heard.store(report.to, Ordering::Relaxed));
    });
    for every in [3, 2] {
        publisher.publish(every).await;
        consumer.refresh().await.unwrap().unwrap();
    }
    assert_eq!(told.load(Ordering::Relaxed), consumer.version());
}

#[tokio::test(start_paused = true)]
async fn attached_readers_and_restarts_know_how_stale_a_state_is() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let env = VirtualClock::env();
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, store.store().with_env(env.clone()));
    let builder = builder.max_backoff(SECOND / 10);
    let consumer = builder.state_dir(kit.state_dir()).start().await.unwrap();
    let attached = Consumer::attach_with(kit.state_dir(), env.clone()).unwrap();
    tokio::time::sleep(20 * SECOND).await;
    assert!(attached.staleness().unwrap() < 4 * SECOND);
    store.cause(Fault::Fails, "");
    tokio::time::sleep(20 * SECOND).await;
    let stale = attached.staleness().unwrap();
    assert!(stale > 19 * SECOND && stale < 24 * SECOND, "{stale:?}");
    consumer.shutdown().await;
    tokio::time::sleep(20 * SECOND).await;
    let builder = Consumer::builder(DATASET, store.store().with_env(env));
    let builder = builder.max_backoff(SECOND / 10);
    let consumer = builder.state_dir(kit.state_dir()).start().await.unwrap();
    assert!(consumer.staleness() > 39 * SECOND);
    store.heal();
    tokio::time::sleep(20 * SECOND).await;
    assert!(consumer.staleness() < SECOND);
    assert!(attached.staleness().unwrap() < 4 * SECOND);
}
