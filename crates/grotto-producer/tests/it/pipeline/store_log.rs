//! Tests of acknowledgements that live in the store: what is lost with a host, and who publishes it.

use super::{city, options, put, until, until_is};
use crate::kit::{SCHEMA, Trouble, TroubledStore, names};
use grotto_env::Env;
use grotto_format::Schema;
use grotto_producer::pipeline::{Batching, Condition, Durability};
use grotto_producer::wal::WalOptions;
use grotto_producer::{ErrorKind, Pipeline, PipelineBuilder, PipelineOptions, Producer};
use grotto_store::StandbyOptions;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(10);

fn in_store() -> PipelineOptions {
    PipelineOptions {
        durability: Durability::Store,
        heartbeat: Some(Duration::from_secs(2)),
        ..options(Path::new("unused"))
    }
}

fn builder(store: &Arc<TroubledStore>, host: u64, options: PipelineOptions) -> PipelineBuilder {
    let store = store.store().with_env(Env::simulated(host));
    Producer::builder("cities", store)
        .schema(Schema::parse(SCHEMA).unwrap())
        .writer_id(format!("host {host}"))
        .inline_blobs(0)
        .snapshot_every(0)
        .threads(1)
        .pipeline(options)
}

async fn start(store: &Arc<TroubledStore>, host: u64) -> Pipeline {
    let pipeline = builder(store, host, in_store()).start().await.unwrap();
    until_is(&pipeline, Condition::Running).await;
    pipeline
}

async fn stand_by(store: &Arc<TroubledStore>, host: u64) -> Pipeline {
    let standing = StandbyOptions {
        lease: LEASE,
        look_every: Duration::from_secs(1),
    };
    let waiting = builder(store, host, in_store()).stand_by(standing, |_, _| {});
    waiting.await.unwrap().start().await.unwrap()
}

/// A host acknowledges a city, cannot publish it, and is gone.
async fn die_before_publishing(store: &Arc<TroubledStore>) {
    let leader = start(store, 1).await;
    store.cause(Trouble::Fails, "/delta/");
    put(&leader, 1, "x").await;
    drop(leader);
    store.heal();
}

/// Submits a city under a key.
async fn put_once(pipeline: &Pipeline, id: i64, key: &str) -> grotto_producer::Ack {
    let mut batch = city(pipeline, id, "x");
    batch.set_key(key).unwrap();
    let mut ack = pipeline.submit(batch).await.unwrap();
    ack.durable().await.unwrap();
    ack
}

async fn published(store: &Arc<TroubledStore>) -> Vec<(i64, String)> {
    store.heal();
    let builder = Producer::builder("cities", store.store()).lazy_fence(true);
    names(&builder.open().await.unwrap().state())
}

fn of(ids: impl IntoIterator<Item = i64>) -> Vec<(i64, String)> {
    ids.into_iter().map(|id| (id, "x".to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_outlives_its_host() {
    let store = TroubledStore::new();
    let leader = start(&store, 1).await;
    put(&leader, 1, "x").await.published().await.unwrap();
    // From now on it can acknowledge, and not publish.
    store.cause(Trouble::Fails, "/delta/");
    for id in 2..=9 {
        put_once(&leader, id, &format!("key {id}")).await;
    }
    drop(leader);
    store.heal();
    let next = stand_by(&store, 2).await;
    let mut again = put_once(&next, 9, "key 9").await;
    assert!(
        again.is_repeated(),
        "the key was acknowledged by another host"
    );
    again.published().await.unwrap();
    next.flush().await.unwrap();
    assert_eq!(published(&store).await, of(1..=9));
}

#[tokio::test(start_paused = true)]
async fn what_is_published_is_not_published_again() {
    let store = TroubledStore::new();
    let leader = start(&store, 1).await;
    for id in 1..=3 {
        put(&leader, id, "x").await.published().await.unwrap();
    }
    let version = leader.flush().await.unwrap();
    // What comes from elsewhere meanwhile is newer than what the log has published.
    drop(leader);
    let other = store.producer(0).await;
    crate::kit::put(&other, 1, "newer").await.unwrap();
    drop(other);
    let next = start(&store, 2).await;
    assert_eq!(
        next.flush().await.unwrap(),
        version + 3,
        "two fences and a commit"
    );
    let mut expected = of(1..=3);
    expected[0].1 = "newer".to_owned();
    assert_eq!(published(&store).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_fenced_acknowledges_nothing() {
    let store = TroubledStore::new();
    let old = builder(
        &store,
        1,
        PipelineOptions {
            // It learns of it by what it acknowledges only.
            heartbeat: None,
            batching: Batching {
                batch_timeout: Duration::from_secs(3600),
                ..Batching::default()
            },
            ..in_store()
        },
    );
    let old = old.start().await.unwrap();
    put(&old, 1, "x").await;
    let new = start(&store, 2).await;
    new.flush().await.unwrap();
    let mut ack = old.submit(city(&old, 2, "lost")).await.unwrap();
    let error = ack.durable().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    until_is(&old, Condition::Failed).await;
    assert_eq!(old.failure().unwrap().kind(), ErrorKind::Fenced);
    put(&new, 3, "x").await.published().await.unwrap();
    assert_eq!(
        published(&store).await,
        of([1, 3]),
        "once, and not what was refused"
    );
}

/// It listed the log, slept, and finds the slot free that others have used and removed since.
#[tokio::test(start_paused = true)]
async fn whoever_slept_while_it_took_the_log_over_acknowledges_nothing() {
    let store = TroubledStore::new();
    let deaf = PipelineOptions {
        heartbeat: None,
        wal: WalOptions {
            kept_slots: 0,
            ..WalOptions::default()
        },
        ..in_store()
    };
    let old = builder(&store, 1, deaf.clone()).start().await.unwrap();
    put(&old, 1, "x").await.published().await.unwrap();
    let third = "wal/00000000000000000003";
    store.cause(Trouble::Waits, third);
    let sleeper = builder(&store, 2, deaf.clone()).start().await.unwrap();
    store.met.acquire().await.unwrap().forget();
    store.heal();
    // What was fenced in the log of versions acknowledges all the same; who comes next publishes that.
    for id in 2..=4 {
        put(&old, id, "x").await;
    }
    let next = builder(&store, 3, deaf).start().await.unwrap();
    next.flush().await.unwrap();
    put(&next, 5, "x").await.published().await.unwrap();
    let there = store.paths("cities/wal").await;
    assert!(!there.iter().any(|path| path.contains(third)), "{there:?}");
    store.go_on.add_permits(1);
    let mut late = sleeper.submit(city(&sleeper, 6, "lost")).await.unwrap();
    let told = late.durable().await;
    assert_eq!(told.unwrap_err().kind(), ErrorKind::Fenced);
    put(&next, 7, "x").await.published().await.unwrap();
    assert_eq!(published(&store).await, of([1, 2, 3, 4, 5, 7]));
}

#[tokio::test(start_paused = true)]
async fn whoever_has_the_log_has_fenced_the_others() {
    let store = TroubledStore::new();
    let leader = start(&store, 1).await;
    let first = put(&leader, 1, "x").await.published().await.unwrap();
    let store_of_next = store.store().with_env(Env::simulated(2));
    let next = Producer::builder("cities", store_of_next)
        .schema(Schema::parse(SCHEMA).unwrap())
        .writer_id("host 2")
        // As for a command that may have nothing to write.
        .lazy_fence(true)
        .pipeline(in_store());
    let next = next.start().await.unwrap();
    until_is(&next, Condition::Running).await;
    assert_eq!(next.status().version, Some(first + 1), "its fence");
    until_is(&leader, Condition::Failed).await;
}

#[tokio::test(start_paused = true)]
async fn submissions_wait_for_the_log_and_are_refused_while_the_store_is_down() {
    let store = TroubledStore::new();
    store.cause(Trouble::Waits, "/control/probe");
    let pipeline = builder(&store, 1, in_store()).start().await.unwrap();
    let mut early = pipeline.submit(city(&pipeline, 1, "x")).await.unwrap();
    // The store is tried first.
    store.met.acquire().await.unwrap().forget();
    store.heal();
    store.go_on.add_permits(1);
    assert_eq!(early.durable().await.unwrap(), 1, "it waited");
    drop(pipeline);

    store.cause(Trouble::Down, "cities");
    let pipeline = builder(&store, 2, in_store()).start().await.unwrap();
    until_is(&pipeline, Condition::Degraded).await;
    let mut refused = pipeline.submit(city(&pipeline, 2, "x")).await.unwrap();
    let error = refused.durable().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("opening the dataset"), "{error}");
    let status = pipeline.status();
    assert!(!status.takes_in, "{status:?}");
    store.heal();
    until(&pipeline, |status| status.takes_in).await;
    put(&pipeline, 3, "x").await.published().await.unwrap();
    assert_eq!(published(&store).await, of([1, 3]));
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_until_it_is_known_what_is_in_the_log() {
    let store = TroubledStore::new();
    die_before_publishing(&store).await;
    let next = builder(&store, 2, in_store()).start().await.unwrap();
    next.flush().await.unwrap();
    assert_eq!(published(&store).await, of([1]));
}

#[tokio::test(start_paused = true)]
async fn more_than_memory_holds_is_read_back_in_order() {
    let store = TroubledStore::new();
    let small = PipelineOptions {
        batching: Batching {
            max_batch_size: 3,
            max_pending_records: 5,
            memory_pressure_threshold: 4,
            ..in_store().batching
        },
        ..in_store()
    };
    let leader = builder(&store, 1, small.clone()).start().await.unwrap();
    put(&leader, 0, "x").await.published().await.unwrap();
    store.cause(Trouble::Fails, "/delta/");
    for id in 1..=40 {
        put(&leader, id % 7, &id.to_string()).await;
    }
    assert!(leader.status().spilled);
    store.heal();
    leader.flush().await.unwrap();
    let newest = |id: i64| (1..=40).rev().find(|put| put % 7 == id).unwrap();
    let expected: Vec<(i64, String)> = (0..7).map(|id| (id, newest(id).to_string())).collect();
    assert_eq!(published(&store).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_slot_is_told_of_and_asked_for_until_it_is_whole() {
    let store = TroubledStore::new();
    die_before_publishing(&store).await;
    let name = "cities/wal/00000000000000000002.log";
    let whole = store.bytes(name).await;
    store.plant(name, whole[1..].to_vec()).await;
    let next = builder(&store, 2, in_store()).start().await.unwrap();
    until_is(&next, Condition::Degraded).await;
    let reasons = next.status().reasons.join("; ");
    assert!(reasons.contains(name), "{reasons}");
    store.plant(name, whole).await;
    next.flush().await.unwrap();
    assert_eq!(published(&store).await, of([1]));
}

#[tokio::test(start_paused = true)]
async fn slots_of_what_is_published_go() {
    let store = TroubledStore::new();
    let wal = WalOptions {
        kept_slots: 2,
        ..WalOptions::default()
    };
    let options = PipelineOptions { wal, ..in_store() };
    let pipeline = builder(&store, 1, options).start().await.unwrap();
    for id in 1..=50 {
        put(&pipeline, id, "x").await.published().await.unwrap();
    }
    let left = store.paths("cities/wal").await.len();
    assert!(left <= 5, "{left} slots are left of 51");
    drop(pipeline);
    let next = start(&store, 2).await;
    put(&next, 51, "x").await.published().await.unwrap();
    assert_eq!(published(&store).await, of(1..=51));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_does_not_hold_up_the_end() {
    let store = TroubledStore::new();
    let pipeline = start(&store, 1).await;
    store.cause(Trouble::Hangs, "/wal/");
    let mut ack = pipeline.submit(city(&pipeline, 1, "x")).await.unwrap();
    tokio::task::yield_now().await;
    let began = tokio::time::Instant::now();
    pipeline.shutdown().await;
    let drain = in_store().drain_timeout;
    assert!(began.elapsed() <= drain + Duration::from_secs(1));
    assert_eq!(
        ack.durable().await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_fence_is_refused() {
    let store = TroubledStore::new();
    let unfenced = Producer::builder("cities", store.store())
        .schema(Schema::parse(SCHEMA).unwrap())
        .allow_unfenced(true)
        .pipeline(in_store());
    let error = unfenced.start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.message().contains("keeps a second writer out"),
        "{error}"
    );
}
