//! Tests of changes that no cycle takes: each becomes one dead letter, whatever happens around it, and takes
//! nothing else with it.

use super::{Bench, until, until_is};
use crate::kit::Trouble;
use grotto_format::schema::TypeId;
use grotto_producer::pipeline::Condition;
use grotto_producer::{Batch, Error, ErrorKind, Pipeline};
use std::time::Duration;

const NESTED: &str = "City @PrimaryKey(id) { long id; string name; Country country; }
    Country @PrimaryKey(code) { string code; }";

#[tokio::test(start_paused = true)]
async fn a_change_that_no_cycle_takes_becomes_a_dead_letter_and_the_others_are_published() {
    let bench = Bench::new();
    let pipeline = start(&bench).await;

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
    let mut alone = pipeline.submit(deletes(&pipeline, &[CH])).await.unwrap();
    mixed.published().await.unwrap();
    let error = alone.published().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let producer = pipeline.producer().unwrap();
    assert_eq!(producer.state().count(TypeId(0)), 41);
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
    let pipeline = start(&bench).await;
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
    assert_eq!(producer.state().count(TypeId(0)), 2);
}

/// A pipeline with Bern in CH and Lyon in FR.
async fn start(bench: &Bench) -> Pipeline {
    let pipeline = bench
        .builder(NESTED, bench.options())
        .start()
        .await
        .unwrap();
    let mut batch = pipeline.batch();
    for (id, name, code) in [(1, "Bern", "CH"), (100, "Lyon", "FR")] {
        let city = format!(r#"{{"id":{id},"name":"{name}","country":{{"code":"{code}"}}}}"#);
        batch.upsert_json("City", &city, 1).unwrap();
    }
    pipeline
        .submit(batch)
        .await
        .unwrap()
        .published()
        .await
        .unwrap();
    pipeline
}

fn deletes(pipeline: &Pipeline, keys: &[(&str, &str)]) -> Batch {
    let mut batch = pipeline.batch();
    for (position, (type_name, key)) in (1..).zip(keys) {
        let line = format!(r#"{{"op":"delete","type":"{type_name}","key":{key}}}"#);
        batch.add_line(line.as_bytes(), None, position).unwrap();
    }
    batch
}

fn letters(pipeline: &Pipeline) -> Vec<String> {
    let letters = pipeline.dead_letters().unwrap().list(0, 100).unwrap();
    letters.into_iter().map(|letter| letter.text).collect()
}

const CH: (&str, &str) = ("Country", r#""CH""#);
const FR: (&str, &str) = ("Country", r#""FR""#);

#[tokio::test(start_paused = true)]
async fn what_only_fits_with_a_later_change_is_not_taken_for_wrong() {
    let bench = Bench::new();
    let pipeline = start(&bench).await;
    let batch = deletes(&pipeline, &[CH, ("City", "1"), FR]);
    pipeline
        .submit(batch)
        .await
        .unwrap()
        .published()
        .await
        .unwrap();
    let letters = letters(&pipeline);
    assert!(
        letters.len() == 1 && letters[0].contains("FR"),
        "{letters:?}"
    );
    assert_eq!(pipeline.producer().unwrap().state().count(TypeId(0)), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_final_also_after_a_restart() {
    let bench = Bench::new();
    let pipeline = start(&bench).await;
    let mut ack = pipeline.submit(deletes(&pipeline, &[CH])).await.unwrap();
    assert_eq!(
        ack.published().await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    drop((pipeline, ack));
    let pipeline = loop {
        match bench.builder(NESTED, bench.options()).start().await {
            Err(error) if error.kind() == ErrorKind::Busy => tokio::task::yield_now().await,
            started => break started.unwrap(),
        }
    };
    let batch = deletes(&pipeline, &[("City", "1")]);
    pipeline
        .submit(batch)
        .await
        .unwrap()
        .published()
        .await
        .unwrap();
    assert_eq!(letters(&pipeline).len(), 1);
    assert_eq!(
        pipeline.producer().unwrap().state().count(TypeId(1)),
        2,
        "CH stays"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_written_once_and_final_however_often_its_version_is_tried() {
    let bench = Bench::new();
    let pipeline = start(&bench).await;
    // A commit that failed is tried again as it is; what could not be uploaded is encoded anew.
    bench.store.cause(Trouble::Fails, "/delta/");
    let mut good = pipeline.batch();
    let city = r#"{"id":2,"name":"Basel"}"#;
    good.upsert_json("City", city, 1).unwrap();
    pipeline.submit(good).await.unwrap();
    let mut refused = pipeline.submit(deletes(&pipeline, &[CH])).await.unwrap();
    until(&pipeline, |status| status.failures > 3).await;
    assert_eq!(letters(&pipeline).len(), 1);
    // Now it would be possible.
    let batch = deletes(&pipeline, &[("City", "1")]);
    let mut possible = pipeline.submit(batch).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    bench.store.heal();
    possible.published().await.unwrap();
    assert_eq!(
        refused.published().await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert_eq!(letters(&pipeline).len(), 1);
    assert_eq!(
        pipeline.producer().unwrap().state().count(TypeId(1)),
        2,
        "CH stays"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_also_when_its_version_was_settled_later() {
    let bench = Bench::new();
    let pipeline = start(&bench).await;
    bench.store.cause(Trouble::LandsThenDenied, "/log/");
    let mut refused = pipeline.submit(deletes(&pipeline, &[CH])).await.unwrap();
    until_is(&pipeline, Condition::Degraded).await;
    bench.store.heal();
    assert_eq!(
        refused.published().await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
}

#[tokio::test(start_paused = true)]
async fn refused_lines_are_written_once_also_when_the_log_is_full() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.wal.segment_bytes = 2_000;
    options.wal.max_bytes = 20_000;
    let pipeline = bench.builder(NESTED, options).start().await.unwrap();
    bench.store.cause(Trouble::Fails, "");
    until_is(&pipeline, Condition::Degraded).await;
    for id in 0..10_000 {
        let mut batch = pipeline.batch();
        let city = format!(r#"{{"id":{id},"name":"{}"}}"#, "x".repeat(100));
        batch.upsert_json("City", &city, 1).unwrap();
        batch.refuse(
            2,
            Some("City"),
            "not a record",
            Error::invalid("expected a record"),
        );
        let Ok(mut ack) = pipeline.try_submit(batch) else {
            break;
        };
        let durable = tokio::time::timeout(Duration::from_secs(1), ack.durable());
        if durable.await.is_err() {
            break;
        }
    }
    for _ in 0..5 {
        pipeline.adjust(Default::default());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let letters = pipeline.dead_letters().unwrap().list(0, 100_000).unwrap();
    let durable = pipeline.status().pending_entries as usize;
    assert!(
        letters.len() <= durable + 1,
        "{} letters of {durable} entries",
        letters.len()
    );
}

#[tokio::test(start_paused = true)]
async fn a_flush_does_not_mind_what_was_refused() {
    let bench = Bench::new();
    let pipeline = start(&bench).await;
    let mut refused = pipeline.submit(deletes(&pipeline, &[CH])).await.unwrap();
    refused.durable().await.unwrap();
    let version = pipeline.flush().await.unwrap();
    assert!(version > 1);
    assert_eq!(
        refused.published().await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
}
