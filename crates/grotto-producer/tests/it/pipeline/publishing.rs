//! Tests of what a pipeline publishes, and when.

use super::{Bench, city, put, until};
use crate::kit::{Trouble, names};
use grotto_producer::pipeline::{Batching, Condition};
use grotto_producer::{AnyError, Candidate, Validator};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

#[tokio::test(start_paused = true)]
async fn what_is_submitted_is_published_and_the_next_start_goes_on_behind_it() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    let mut ack = put(&pipeline, 1, "Bern").await;
    assert_eq!(ack.durable().await.unwrap(), 1);
    assert_eq!(ack.published().await.unwrap(), 1);
    let drained = pipeline.shutdown().await;
    assert_eq!((drained.left, drained.version), (0, Some(1)));

    let pipeline = bench.start(bench.options()).await;
    let mut ack = put(&pipeline, 2, "Basel").await;
    assert_eq!(ack.durable().await.unwrap(), 2, "numbers go on");
    // Version 2 is the fence.
    assert_eq!(ack.published().await.unwrap(), 3);
    let state = pipeline.producer().unwrap().state();
    assert_eq!(names(&state), [(1, "Bern".into()), (2, "Basel".into())]);
}

#[tokio::test(start_paused = true)]
async fn changes_of_one_batch_become_one_version_with_the_last_change_of_each_key() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    let mut acks = Vec::new();
    for name in ["a", "b", "c"] {
        acks.push(pipeline.submit(city(&pipeline, 1, name)).await.unwrap());
    }
    for mut ack in acks {
        assert_eq!(ack.published().await.unwrap(), 1);
    }
    assert_eq!(bench.published().await, [(1, "c".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_its_time_unless_it_is_flushed() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.batching.batch_timeout = Duration::from_secs(3_600);
    let pipeline = bench.start(options).await;
    put(&pipeline, 1, "Bern").await;
    tokio::time::sleep(Duration::from_secs(3_000)).await;
    let status = pipeline.status();
    assert_eq!((status.version, status.pending_records), (None, 1));
    assert!(status.lag_ms >= 3_000_000, "{status:?}");
    assert_eq!(pipeline.flush().await.unwrap(), 1);
    put(&pipeline, 2, "Basel").await;
    tokio::time::sleep(Duration::from_secs(3_601)).await;
    until(&pipeline, |status| status.version == Some(2)).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_changes_nothing_is_no_version() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    let version = put(&pipeline, 1, "Bern").await.published().await.unwrap();
    assert_eq!(version, 1, "the version that has it already");
    assert_eq!(
        put(&pipeline, 1, "Berne").await.published().await.unwrap(),
        2
    );
}

/// Says when it is asked.
struct Witness(mpsc::UnboundedSender<u64>);

impl Validator for Witness {
    fn name(&self) -> &str {
        "witness"
    }

    fn validate(&self, candidate: &Candidate<'_>) -> Result<(), AnyError> {
        _ = self.0.send(candidate.after.version());
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_batch_is_encoded_while_the_last_one_is_uploaded() {
    let bench = Bench::new();
    let (seen, mut encoded) = mpsc::unbounded_channel();
    let store = bench.store.store().with_env(grotto_env::Env::simulated(1));
    let pipeline = grotto_producer::Producer::builder("cities", store)
        .schema(grotto_format::Schema::parse(crate::kit::SCHEMA).unwrap())
        .inline_blobs(0)
        .validator(Witness(seen))
        .pipeline(bench.options())
        .start()
        .await
        .unwrap();
    bench.store.cause(Trouble::Waits, "/delta/");
    put(&pipeline, 1, "Bern").await;
    assert_eq!(encoded.recv().await, Some(1));
    bench.store.met.acquire().await.unwrap().forget();
    let mut second = put(&pipeline, 2, "Basel").await;
    // The upload of version 1 still waits.
    assert_eq!(encoded.recv().await, Some(2));
    assert_eq!(pipeline.status().version, None);
    bench.store.heal();
    bench.store.go_on.add_permits(1);
    assert_eq!(second.published().await.unwrap(), 2);
    assert_eq!(encoded.try_recv().ok(), None, "nothing was encoded twice");
    assert_eq!(bench.published().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_encoded_ahead_is_encoded_again_when_the_version_before_it_fails() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    bench.store.cause(Trouble::Waits, "/delta/");
    put(&pipeline, 1, "Berne").await;
    bench.store.met.acquire().await.unwrap().forget();
    put(&pipeline, 2, "Basel").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The upload that waits goes on, the entry does not get anywhere.
    bench.store.cause(Trouble::Fails, "/log/");
    bench.store.go_on.add_permits(1);
    until(&pipeline, |status| status.failures > 0).await;
    let mut third = put(&pipeline, 3, "Chur").await;
    bench.store.heal();
    third.published().await.unwrap();
    let expected = [(1, "Berne".into()), (2, "Basel".into()), (3, "Chur".into())];
    assert_eq!(bench.published().await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_full_cycle_comes_after_what_is_acknowledged() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.batching.batch_timeout = Duration::from_secs(3_600);
    let pipeline = bench.start(options).await;
    put(&pipeline, 1, "Bern").await;
    let full =
        pipeline.run_full(|cycle| Ok(cycle.add_json("City", r#"{"id":9,"name":"Chur"}"#, 1)?));
    assert_eq!(full.await.unwrap().unwrap().version, 2);
    drop(pipeline);
    let pipeline = bench.start_again().await;
    until(&pipeline, |status| status.condition == Condition::Running).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(
        bench.published().await,
        [(9, "Chur".into())],
        "nothing is replayed over it"
    );
}

#[tokio::test(start_paused = true)]
async fn records_of_a_full_cycle_that_are_refused_do_not_stop_the_pipeline() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    let early = pipeline.run_full(|_| Ok(())).await.unwrap_err();
    assert_eq!(early.kind(), grotto_producer::ErrorKind::Unavailable);
    until(&pipeline, |status| status.condition == Condition::Running).await;
    let error = pipeline
        .run_full(|_| Err("no records today".into()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), grotto_producer::ErrorKind::UserError);
    assert_eq!(
        put(&pipeline, 1, "Bern").await.published().await.unwrap(),
        1
    );
    assert_eq!(pipeline.status().condition, Condition::Running);
}

#[tokio::test(start_paused = true)]
async fn settings_change_while_it_runs() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.batching.batch_timeout = Duration::from_secs(3_600);
    let pipeline = bench.start(options.clone()).await;
    let mut ack = put(&pipeline, 1, "Bern").await;
    pipeline.adjust(grotto_producer::pipeline::Adjustments {
        batching: Some(Batching {
            batch_timeout: Duration::from_secs(1),
            ..options.batching
        }),
        ..Default::default()
    });
    assert_eq!(ack.published().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn versions_are_told_to_subscribers() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    let mut versions = pipeline.subscribe();
    put(&pipeline, 1, "Bern").await;
    let published: Arc<_> = versions.recv().await.unwrap();
    assert_eq!((published.version, published.records), (1, 1));
}

/// Refuses a version once.
struct Moody(std::sync::atomic::AtomicU64);

impl Validator for Moody {
    fn name(&self) -> &str {
        "moody"
    }

    fn validate(&self, candidate: &Candidate<'_>) -> Result<(), AnyError> {
        let once = self.0.swap(0, std::sync::atomic::Ordering::Relaxed);
        match candidate.after.version() == once {
            true => Err("not yet".into()),
            false => {
                self.0.store(once, std::sync::atomic::Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_while_the_last_batch_was_uploaded_is_not_passed_over() {
    let bench = Bench::new();
    let store = bench.store.store().with_env(grotto_env::Env::simulated(1));
    let builder = grotto_producer::Producer::builder("cities", store)
        .schema(grotto_format::Schema::parse(crate::kit::SCHEMA).unwrap())
        .inline_blobs(0)
        .validator(Moody(2.into()));
    let pipeline = builder.pipeline(bench.options()).start().await.unwrap();
    bench.store.cause(Trouble::Waits, "/delta/");
    put(&pipeline, 1, "Bern").await;
    bench.store.met.acquire().await.unwrap().forget();
    let mut second = put(&pipeline, 2, "Basel").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.store.heal();
    bench.store.go_on.add_permits(1);
    put(&pipeline, 3, "Chur").await.published().await.unwrap();
    second.published().await.unwrap();
    assert_eq!(bench.published().await.len(), 3);
}
