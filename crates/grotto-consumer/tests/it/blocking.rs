//! A consumer of programs without an async runtime, and one within.

use crate::kit::{DATASET, Kit, Publisher, assert_same};
use grotto_consumer::{Consumer, ConsumerBuilder, ErrorKind, blocking};
use grotto_store::{Store, StoreUrl};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::runtime::Runtime;

const LONG: Duration = Duration::from_secs(60);

/// Publishes from a runtime of its own.
struct Elsewhere {
    runtime: Runtime,
    publisher: Publisher,
}

impl Elsewhere {
    fn new(kit: &Kit) -> Self {
        let runtime = Runtime::new().unwrap();
        let publisher = runtime.block_on(kit.publisher());
        let mut this = Self { runtime, publisher };
        this.publish(1);
        this
    }

    fn publish(&mut self, every: i64) -> u64 {
        self.runtime.block_on(self.publisher.publish(every)).version
    }
}

fn builder(kit: &Kit) -> ConsumerBuilder {
    let url = StoreUrl::Local(kit.folder.path().join("store"));
    Consumer::builder(DATASET, Store::open(&url).unwrap())
}

#[test]
fn a_plain_thread_follows_and_travels() {
    let kit = Kit::new();
    let mut elsewhere = Elsewhere::new(&kit);
    let builder = builder(&kit).poll_interval(Duration::from_millis(1));
    let consumer = builder.state_dir(kit.state_dir()).start_blocking().unwrap();
    let first = consumer.version();
    let second = elsewhere.publish(2);
    let state = consumer.wait_for(second, LONG).unwrap();
    assert_same(&state, &elsewhere.publisher.state());
    let back = consumer.refresh_to(first).unwrap().unwrap();
    assert_eq!((back.from, back.to), (second, first));
    assert!(consumer.refresh().unwrap().is_none());
    assert_eq!(consumer.follow().unwrap().unwrap().to, second);
    let error = consumer.wait_for(77, Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(consumer.staleness() < LONG);
    let line = format!("grotto_consumer_current_version{{dataset=\"pairs\"}} {second}");
    assert!(consumer.metrics_text().contains(&line));
    consumer.shutdown();
    consumer.refresh().unwrap_err();
    assert_eq!(consumer.state().version(), second);
    let next = self::builder(&kit).state_dir(kit.state_dir());
    let next = next.open_at_blocking(first).unwrap();
    assert_eq!((next.version(), next.dataset()), (first, DATASET));
}

#[test]
fn what_fails_at_the_start_is_told() {
    let kit = Kit::new();
    let error = builder(&kit).start_blocking().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoDataset);
}

#[test]
fn stores_are_opened_without_a_runtime() {
    let folder = tempfile::tempdir().unwrap();
    for url in [
        StoreUrl::Memory,
        StoreUrl::Local(folder.path().join("store")),
    ] {
        Store::open_writable(&url).unwrap();
        Store::open(&url).unwrap();
    }
}

#[test]
fn listeners_may_call_the_consumer_that_calls_them() {
    let kit = Kit::new();
    let mut elsewhere = Elsewhere::new(&kit);
    let consumer: Arc<OnceLock<blocking::Consumer>> = Arc::default();
    let (inside, told) = (Arc::downgrade(&consumer), Arc::new(AtomicU64::new(0)));
    let heard = Arc::clone(&told);
    let builder = builder(&kit).on_refresh(move |refresh| {
        heard.fetch_max(refresh.to, Ordering::Relaxed);
        let consumer = inside.upgrade();
        if let Some(consumer) = consumer.as_ref().and_then(|slot| slot.get()) {
            consumer.refresh().unwrap();
        }
    });
    consumer.set(builder.open_blocking().unwrap()).unwrap();
    let version = elsewhere.publish(2);
    consumer.get().unwrap().refresh().unwrap().unwrap();
    assert_eq!(told.load(Ordering::Relaxed), version);
}

#[test]
fn a_listener_may_drop_it() {
    let kit = Kit::new();
    let mut elsewhere = Elsewhere::new(&kit);
    let slot: Arc<Mutex<Option<blocking::Consumer>>> = Arc::default();
    let inside = Arc::downgrade(&slot);
    let (sender, dropped) = std::sync::mpsc::channel();
    let builder = builder(&kit).poll_interval(Duration::from_millis(1));
    let consumer = builder.state_dir(kit.state_dir()).start_blocking().unwrap();
    consumer.on_refresh(move |_| {
        let consumer = inside.upgrade().and_then(|it| it.lock().unwrap().take());
        drop(consumer);
        sender.send(()).unwrap();
    });
    *slot.lock().unwrap() = Some(consumer);
    elsewhere.publish(2);
    dropped.recv().unwrap();
    let next = self::builder(&kit).state_dir(kit.state_dir());
    let next = next.open_blocking().unwrap();
    assert_same(&next.state(), &elsewhere.publisher.state());
}

async fn use_within(kit: &Kit) {
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let start = || builder(kit).state_dir(kit.state_dir()).start_blocking();
    let consumer = start().unwrap();
    let version = publisher.publish(2).await.version;
    consumer.refresh().unwrap();
    let state = consumer.wait_for(version, LONG).unwrap();
    assert_same(&state, &publisher.state());
    drop(consumer);
    // The directory is free at once.
    let again = start().unwrap();
    again.shutdown();
}

#[tokio::test]
async fn it_works_within_a_runtime_of_one_thread() {
    use_within(&Kit::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_within_a_runtime_of_several_threads() {
    use_within(&Kit::new()).await;
}
