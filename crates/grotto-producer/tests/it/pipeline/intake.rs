//! Tests of what a pipeline takes in, and what it says to those who submit.

use super::{Bench, city, put};
use grotto_producer::pipeline::Durability;
use grotto_producer::{ErrorKind, Pipeline};

fn refused_line(pipeline: &Pipeline, line: &[u8]) -> String {
    let mut batch = pipeline.batch();
    let error = batch.add_line(line, Some("City"), 7).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(batch.is_empty());
    error.to_string()
}

#[tokio::test(start_paused = true)]
async fn lines_are_records_or_changes_and_what_is_neither_is_refused() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    let mut batch = pipeline.batch();
    for line in [
        r#"{"id":1,"name":"Bern"}"#,
        r#"{"op":"upsert","type":"City","record":{"id":2,"name":"Basel"}}"#,
        r#"{"op":"delete","key":1}"#,
        "  ",
    ] {
        batch.add_line(line.as_bytes(), Some("City"), 1).unwrap();
    }
    assert_eq!(batch.len(), 3);
    pipeline
        .submit(batch)
        .await
        .unwrap()
        .published()
        .await
        .unwrap();
    assert_eq!(bench.published().await, [(2, "Basel".into())]);

    let said = refused_line(&pipeline, br#"{"id":"one"}"#);
    assert!(
        said.contains("City.id") && said.contains("expected long"),
        "{said}"
    );
    let said = refused_line(&pipeline, br#"{"op":"delete","key":"x"}"#);
    assert!(said.contains("expected"), "{said}");
    refused_line(&pipeline, b"\xff\xfe");
}

#[tokio::test(start_paused = true)]
async fn the_same_key_again_is_the_same_submission() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    let keyed = |id, name, key: &str| {
        let mut batch = city(&pipeline, id, name);
        batch.set_key(key).unwrap();
        batch
    };
    // Within one group, and later.
    let mut first = pipeline.submit(keyed(1, "Bern", "k")).await.unwrap();
    let mut second = pipeline.submit(keyed(1, "Basel", "k")).await.unwrap();
    assert_eq!(
        first.durable().await.unwrap(),
        second.durable().await.unwrap()
    );
    first.published().await.unwrap();
    let mut third = pipeline.submit(keyed(1, "Chur", "k")).await.unwrap();
    assert_eq!(third.durable().await.unwrap(), 1);
    assert!(third.is_repeated() && second.is_repeated() && !first.is_repeated());
    assert_eq!(third.published().await.unwrap(), 1);
    drop(pipeline);
    let pipeline = bench.start_again().await;
    let mut batch = city(&pipeline, 1, "Genf");
    batch.set_key("k").unwrap();
    assert_eq!(
        pipeline
            .submit(batch)
            .await
            .unwrap()
            .durable()
            .await
            .unwrap(),
        1
    );
    put(&pipeline, 2, "Sion").await.published().await.unwrap();
    assert_eq!(
        bench.published().await,
        [(1, "Bern".into()), (2, "Sion".into())]
    );
}

#[tokio::test(start_paused = true)]
async fn empty_batches_and_bad_keys_are_refused() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    let error = pipeline.submit(pipeline.batch()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let mut batch = city(&pipeline, 1, "Bern");
    assert!(batch.set_key("").is_err() && batch.set_key(&"k".repeat(256)).is_err());
    batch.set_key(&"k".repeat(255)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn positions_of_sources_are_committed_with_their_records() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    let mut batch = city(&pipeline, 1, "Bern");
    batch.set_position("file:a", 42);
    pipeline
        .submit(batch)
        .await
        .unwrap()
        .published()
        .await
        .unwrap();
    // Also where no record changes.
    let mut batch = city(&pipeline, 1, "Bern");
    batch.set_position("file:a", 99);
    pipeline
        .submit(batch)
        .await
        .unwrap()
        .published()
        .await
        .unwrap();
    let positions = pipeline.producer().unwrap().positions();
    assert_eq!(positions.get("file:a"), Some(&99));
    assert!(
        positions
            .iter()
            .any(|(name, entry)| name.starts_with("wal:") && *entry == 2)
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_shutdown_nothing_is_taken_in() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    let mut last = pipeline.submit(city(&pipeline, 1, "Bern")).await.unwrap();
    let drained = pipeline.shutdown().await;
    assert_eq!((drained.left, drained.version), (0, Some(1)));
    assert_eq!(
        last.published().await.unwrap(),
        1,
        "what was on its way is published"
    );
    let error = pipeline
        .submit(city(&pipeline, 2, "Basel"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        pipeline
            .try_submit(city(&pipeline, 2, "x"))
            .unwrap_err()
            .kind(),
        ErrorKind::Unavailable
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_log_a_submission_is_durable_when_it_is_published() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.durability = Durability::Published;
    options.batching.max_pending_records = 2;
    options.waiting.max_records = 2;
    let pipeline = bench.start(options).await;
    let mut acks = Vec::new();
    for id in 1..=20 {
        acks.push(pipeline.submit(city(&pipeline, id, "x")).await.unwrap());
    }
    for ack in &mut acks {
        ack.durable().await.unwrap();
    }
    assert_eq!(bench.published().await.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn what_the_log_could_never_take_is_refused_and_harms_nobody_else() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.wal.max_bytes = 20_000;
    let pipeline = bench.start(options).await;
    let large = city(&pipeline, 1, &"x".repeat(15_000));
    assert_eq!(
        pipeline.submit(large).await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    let mut named = city(&pipeline, 1, "x");
    named.set_source(&"s".repeat(5_000));
    assert_eq!(
        pipeline.try_submit(named).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    put(&pipeline, 2, "Basel").await.published().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_rate_is_told_of_the_end() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.rate.records_per_second = std::num::NonZeroU32::new(1);
    let pipeline = bench.start(options).await;
    put(&pipeline, 1, "Bern").await;
    let (late, batch) = (pipeline.clone(), city(&pipeline, 2, "Basel"));
    let late = tokio::spawn(async move { late.submit(batch).await });
    tokio::task::yield_now().await;
    pipeline.shutdown().await;
    assert_eq!(
        late.await.unwrap().unwrap_err().kind(),
        ErrorKind::Unavailable
    );
}

#[tokio::test(start_paused = true)]
async fn a_position_before_the_first_record_is_not_lost() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    let mut nothing = pipeline.batch();
    nothing.delete_from("City", 1_i64).unwrap();
    nothing.set_position("file:a", 42);
    pipeline
        .submit(nothing)
        .await
        .unwrap()
        .published()
        .await
        .unwrap();
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
    let positions = pipeline.producer().unwrap().positions();
    assert_eq!(positions.get("file:a"), Some(&42));
}

#[tokio::test(start_paused = true)]
async fn a_key_of_which_nothing_was_taken_may_be_used_again() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    let mut nothing = pipeline.batch();
    nothing.set_key("k").unwrap();
    nothing.refuse(
        1,
        Some("City"),
        "{",
        grotto_producer::Error::invalid("expected a record"),
    );
    pipeline
        .submit(nothing)
        .await
        .unwrap()
        .durable()
        .await
        .unwrap();
    let mut mended = city(&pipeline, 1, "Bern");
    mended.set_key("k").unwrap();
    let mut ack = pipeline.submit(mended).await.unwrap();
    ack.published().await.unwrap();
    assert!(!ack.is_repeated());
    assert_eq!(bench.published().await.len(), 1);
    let letters = pipeline.dead_letters().unwrap().list(0, 9).unwrap();
    assert_eq!(letters[0].type_name.as_deref(), Some("City"));
}

#[tokio::test(start_paused = true)]
async fn keys_are_remembered_without_a_log_too() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.durability = Durability::Published;
    let pipeline = bench.start(options).await;
    for name in ["Bern", "Basel"] {
        let mut batch = city(&pipeline, 1, name);
        batch.set_key("k").unwrap();
        batch.refuse(
            2,
            None,
            "{",
            grotto_producer::Error::invalid("expected a record"),
        );
        pipeline
            .submit(batch)
            .await
            .unwrap()
            .durable()
            .await
            .unwrap();
    }
    assert_eq!(bench.published().await, [(1, "Bern".into())]);
    let letters = pipeline.dead_letters().unwrap().list(0, 9).unwrap();
    assert_eq!(letters.len(), 1, "a repeated submission writes no letters");
}

#[tokio::test(start_paused = true)]
async fn a_position_before_the_first_record_is_part_of_a_full_state_that_comes_first() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    let mut nothing = pipeline.batch();
    nothing.delete_from("City", 1_i64).unwrap();
    nothing.set_position("file:a", 42);
    let mut ack = pipeline.submit(nothing).await.unwrap();
    ack.published().await.unwrap();
    let full = |cycle: &mut grotto_producer::FullCycle| {
        Ok(cycle.add_json("City", r#"{"id":1,"name":"Bern"}"#, 1)?)
    };
    pipeline.run_full(full).await.unwrap().unwrap();
    let positions = pipeline.producer().unwrap().positions();
    assert_eq!(positions.get("file:a"), Some(&42));
}
