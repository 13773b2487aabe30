//! Tests of stores that fail, of records that no cycle takes, and of ends in the middle.

use super::{Bench, city, put, until, until_is};
use crate::kit::{SCHEMA, Trouble, put as put_by_hand};
use grotto_producer::pipeline::Condition;
use grotto_producer::{ErrorKind, MinimumCount, Producer};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn while_the_store_fails_submissions_are_acknowledged_and_published_later() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    bench.store.cause(Trouble::Fails, "");
    let mut acks = Vec::new();
    for id in 2..=50 {
        acks.push(put(&pipeline, id, "x").await);
    }
    until_is(&pipeline, Condition::Degraded).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = pipeline.status();
    assert!(
        status.failures > 1 && !status.reasons.is_empty(),
        "{status:?}"
    );
    assert_eq!((status.version, status.pending_records), (Some(1), 49));
    bench.store.heal();
    for ack in &mut acks {
        ack.published().await.unwrap();
    }
    until_is(&pipeline, Condition::Running).await;
    assert_eq!(pipeline.status().reasons, [""; 0]);
    assert_eq!(bench.published().await.len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_at_the_start_stops_nobody_from_submitting() {
    let bench = Bench::new();
    bench.store.cause(Trouble::Fails, "");
    let pipeline = bench.start(bench.options()).await;
    let mut ack = put(&pipeline, 1, "Bern").await;
    until_is(&pipeline, Condition::Degraded).await;
    assert_eq!(
        pipeline.snapshot().await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    bench.store.heal();
    assert_eq!(ack.published().await.unwrap(), 1);
}

/// What is acknowledged before a sudden end is published by the next start, once.
async fn check_sudden_end(trouble: Trouble, part: &'static str) {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    bench.store.cause(trouble, part);
    put(&pipeline, 1, "Berne").await;
    bench.store.met.acquire().await.unwrap().forget();
    put(&pipeline, 2, "Basel").await;
    drop(pipeline);
    bench.store.heal();
    let pipeline = bench.start_again().await;
    put(&pipeline, 3, "Chur").await.published().await.unwrap();
    let expected = [(1, "Berne".into()), (2, "Basel".into()), (3, "Chur".into())];
    assert_eq!(bench.published().await, expected, "{trouble:?} {part}");
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_before_a_sudden_end_is_published_once() {
    for part in ["/delta/", "/log/"] {
        for trouble in [Trouble::LandsAndHangs, Trouble::Hangs] {
            check_sudden_end(trouble, part).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_landed_without_an_answer_is_not_published_again() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    bench.store.cause(Trouble::LandsThenDenied, "/log/");
    let mut ack = put(&pipeline, 1, "Berne").await;
    until_is(&pipeline, Condition::Degraded).await;
    bench.store.heal();
    assert_eq!(ack.published().await.unwrap(), 2);
    assert_eq!(bench.store.paths("cities/log").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn another_producer_stops_the_pipeline_and_what_is_left_stays_in_the_log() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    let other = bench.store.producer(0).await;
    put_by_hand(&other, 9, "Chur").await.unwrap();
    let mut ack = put(&pipeline, 2, "Basel").await;
    assert_eq!(ack.published().await.unwrap_err().kind(), ErrorKind::Fenced);
    until_is(&pipeline, Condition::Failed).await;
    let error = pipeline.submit(city(&pipeline, 3, "x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(pipeline.shutdown().await.left, 1);
    assert_eq!(pipeline.status().condition, Condition::Failed);
}

const NESTED: &str = "City @PrimaryKey(id) { long id; string name; Country country; }
    Country @PrimaryKey(code) { string code; }";

#[tokio::test(start_paused = true)]
async fn a_change_that_no_cycle_takes_becomes_a_dead_letter_and_the_others_are_published() {
    let bench = Bench::new();
    let pipeline = bench
        .builder(NESTED, bench.options())
        .start()
        .await
        .unwrap();
    let mut batch = pipeline.batch();
    let bern = r#"{"id":1,"name":"Bern","country":{"code":"CH"}}"#;
    batch.upsert_json("City", bern, 1).unwrap();
    pipeline
        .submit(batch)
        .await
        .unwrap()
        .published()
        .await
        .unwrap();

    // Somebody refers to the country, so it cannot go.
    let mut batch = pipeline.batch();
    batch.set_source("changes.ndjson");
    for id in 2..=40 {
        let text = format!(r#"{{"id":{id},"name":"x","country":{{"code":"FR"}}}}"#);
        batch.upsert_json("City", &text, id).unwrap();
    }
    batch
        .add_line(br#"{"op":"delete","type":"Country","key":"CH"}"#, None, 41)
        .unwrap();
    let mut mixed = pipeline.submit(batch).await.unwrap();
    let mut alone = pipeline.batch();
    alone
        .add_line(br#"{"op":"delete","type":"Country","key":"CH"}"#, None, 1)
        .unwrap();
    let mut alone = pipeline.submit(alone).await.unwrap();
    mixed.published().await.unwrap();
    let error = alone.published().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let producer = pipeline.producer().unwrap();
    assert_eq!(producer.state().count(grotto_format::schema::TypeId(0)), 40);
    let letters = pipeline.dead_letters().unwrap().list(0, 10).unwrap();
    assert_eq!(letters.len(), 2);
    let letter = &letters[0];
    assert_eq!(
        (&*letter.source, letter.position),
        ("changes.ndjson", Some(41))
    );
    assert!(letter.reason.contains("CH"), "{letter:?}");
    assert_eq!(pipeline.status().condition, Condition::Running);
}

#[tokio::test(start_paused = true)]
async fn an_atomic_batch_is_published_whole_or_not_at_all() {
    let bench = Bench::new();
    let pipeline = bench
        .builder(NESTED, bench.options())
        .start()
        .await
        .unwrap();
    let mut batch = pipeline.batch();
    let bern = r#"{"id":1,"name":"Bern","country":{"code":"CH"}}"#;
    batch.upsert_json("City", bern, 1).unwrap();
    pipeline
        .submit(batch)
        .await
        .unwrap()
        .published()
        .await
        .unwrap();
    let mut batch = pipeline.batch();
    batch.set_atomic(true);
    batch
        .upsert_json("City", r#"{"id":2,"name":"Basel"}"#, 1)
        .unwrap();
    batch
        .add_line(br#"{"op":"delete","type":"Country","key":"CH"}"#, None, 2)
        .unwrap();
    let mut ack = pipeline.submit(batch).await.unwrap();
    assert_eq!(
        ack.published().await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert_eq!(
        pipeline.dead_letters().unwrap().list(0, 10).unwrap().len(),
        2
    );
    let producer = pipeline.producer().unwrap();
    assert_eq!(producer.state().count(grotto_format::schema::TypeId(0)), 1);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_a_validator_refuses_is_held_until_more_records_mend_it() {
    let bench = Bench::new();
    let store = bench.store.store().with_env(grotto_env::Env::simulated(1));
    let two = MinimumCount {
        type_name: "City".into(),
        minimum: 2,
    };
    let pipeline = Producer::builder("cities", store)
        .schema(grotto_format::Schema::parse(SCHEMA).unwrap())
        .validator(two)
        .pipeline(bench.options())
        .start()
        .await
        .unwrap();
    let mut first = put(&pipeline, 1, "Bern").await;
    until_is(&pipeline, Condition::Degraded).await;
    let reason = pipeline.status().reasons.concat();
    assert!(reason.contains("minimum count"), "{reason}");
    let mut second = put(&pipeline, 2, "Basel").await;
    assert_eq!(second.published().await.unwrap(), 1);
    assert_eq!(first.published().await.unwrap(), 1);
    until(&pipeline, |status| status.reasons.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_cannot_publish_leaves_the_rest_to_the_next_start() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    bench.store.cause(Trouble::Fails, "");
    put(&pipeline, 2, "Basel").await;
    let drained = pipeline.shutdown().await;
    assert_eq!((drained.left, drained.version), (1, Some(1)));
    bench.store.heal();
    drop(pipeline);
    let pipeline = bench.start_again().await;
    until(&pipeline, |status| {
        status.pending_entries == 0 && status.version == Some(3)
    })
    .await;
    assert_eq!(bench.published().await.len(), 2);
}
