//! Tests of more than there is room for: small limits, so that all of them are crossed.

use super::{Bench, city, put, until, until_is};
use crate::kit::Trouble;
use grotto_producer::pipeline::{
    Adjustments, Condition, RateLimit, Shedding, Waiting, retry_after,
};
use grotto_producer::{Ack, ErrorKind, Pipeline};
use std::num::NonZeroU32;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_burst_beyond_memory_is_spilled_and_published_in_order() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.batching.max_pending_records = 10;
    options.batching.memory_pressure_threshold = 8;
    options.batching.max_batch_size = 4;
    let pipeline = bench.start(options).await;
    put(&pipeline, 0, "start").await.published().await.unwrap();
    bench.store.cause(Trouble::Fails, "");
    let mut acks = Vec::new();
    for turn in 0..100 {
        acks.push(put(&pipeline, turn % 7, &format!("turn {turn}")).await);
    }
    let status = pipeline.status();
    assert!(status.spilled && status.pending_records <= 10, "{status:?}");
    assert_eq!(status.pending_entries, 100);
    bench.store.heal();
    let mut before = 0;
    for ack in &mut acks {
        let version = ack.published().await.unwrap();
        assert!(version >= before);
        before = version;
    }
    let status = pipeline.status();
    assert!(!status.spilled && status.pending_entries == 0, "{status:?}");
    let expected = (0..7).map(|id| {
        (
            id,
            format!("turn {}", if id < 2 { 98 + id } else { 91 + id }),
        )
    });
    assert_eq!(bench.published().await, expected.collect::<Vec<_>>());
}

/// Submits until nothing more is taken; the last one may wait for room.
async fn fill_log(pipeline: &Pipeline) -> Vec<Ack> {
    let mut acks = Vec::new();
    for id in 1..10_000 {
        match pipeline.try_submit(city(pipeline, id, "x")) {
            Ok(mut ack) => {
                _ = tokio::time::timeout(Duration::from_secs(1), ack.durable()).await;
                acks.push(ack);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Overloaded);
                return acks;
            }
        }
    }
    panic!("the budget is never reached");
}

fn refused(pipeline: &Pipeline, id: i64) -> Duration {
    let error = pipeline.try_submit(city(pipeline, id, "x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded, "{error}");
    retry_after(&error).unwrap()
}

#[tokio::test(start_paused = true)]
async fn beyond_the_disk_budget_submissions_wait_or_are_refused_and_none_is_lost() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.wal.segment_bytes = 2_000;
    options.wal.max_bytes = 20_000;
    let pipeline = bench.start(options).await;
    put(&pipeline, 0, "start").await.published().await.unwrap();
    bench.store.cause(Trouble::Fails, "");
    let mut acks = fill_log(&pipeline).await;
    assert!(acks.len() > 50, "{}", acks.len());
    assert!(refused(&pipeline, 1) > Duration::ZERO);
    let status = pipeline.status();
    assert!(
        !status.takes_in && status.reasons.concat().contains("log is full"),
        "{status:?}"
    );
    let more = city(&pipeline, 1_000_000, "late");
    let submitting = pipeline.clone();
    let waiting = tokio::spawn(async move { submitting.submit(more).await });
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(!waiting.is_finished());
    bench.store.heal();
    let mut late = waiting.await.unwrap().unwrap();
    for ack in &mut acks {
        ack.published().await.unwrap();
    }
    late.published().await.unwrap();
    assert_eq!(bench.published().await.len(), acks.len() + 2);
}

#[tokio::test(start_paused = true)]
async fn more_than_the_rate_is_refused_or_waits() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.rate = RateLimit {
        records_per_second: NonZeroU32::new(10),
        kib_per_second: None,
    };
    let pipeline = bench.start(options).await;
    let begin = tokio::time::Instant::now();
    for id in 0..30 {
        put(&pipeline, id, "x").await;
    }
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(1_900), "{took:?}");
    while pipeline.try_submit(city(&pipeline, 1, "x")).is_ok() {}
    assert!(refused(&pipeline, 1) <= Duration::from_secs(1));
}

/// Four submissions that come while the log is full, where two can wait: which of them are published.
async fn shed(shedding: Shedding, priorities: [u8; 4]) -> Vec<bool> {
    let bench = Bench::new();
    let mut options = bench.options();
    options.wal.segment_bytes = 2_000;
    options.wal.max_bytes = 20_000;
    let pipeline = bench.start(options.clone()).await;
    put(&pipeline, 0, "start").await.published().await.unwrap();
    bench.store.cause(Trouble::Fails, "");
    let _filling = fill_log(&pipeline).await;
    let waiting = Waiting {
        max_records: 2,
        shedding,
        ..options.waiting
    };
    pipeline.adjust(Adjustments {
        waiting: Some(waiting),
        ..Adjustments::default()
    });
    let mut acks = Vec::new();
    for (id, priority) in (1_000..).zip(priorities) {
        // Larger than the rest that the log has room for.
        let mut batch = city(&pipeline, id, &"x".repeat(200));
        batch.set_priority(priority);
        acks.push(pipeline.try_submit(batch).ok());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bench.store.heal();
    let mut outcomes = Vec::new();
    for ack in acks {
        outcomes.push(match ack {
            Some(mut ack) => ack.published().await.is_ok(),
            None => false,
        });
    }
    outcomes
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_follows_the_policy() {
    let (yes, no) = (true, false);
    assert_eq!(shed(Shedding::Reject, [0; 4]).await, [no; 4]);
    let oldest = shed(Shedding::DropOldestUnacknowledged, [0; 4]).await;
    assert_eq!(oldest, [no, no, yes, yes]);
    let lowest = shed(Shedding::ByPriority, [2, 1, 3, 1]).await;
    assert_eq!(lowest, [yes, no, yes, no]);
}

#[tokio::test(start_paused = true)]
async fn under_pressure_batches_do_not_wait_for_their_time() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.batching.batch_timeout = Duration::from_secs(3_600);
    options.batching.memory_pressure_threshold = 5;
    let pipeline = bench.start(options).await;
    for id in 0..4 {
        put(&pipeline, id, "x").await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(pipeline.status().version, None);
    put(&pipeline, 4, "x").await;
    until(&pipeline, |status| status.version == Some(1)).await;
    until_is(&pipeline, Condition::Running).await;
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_does_not_fill_the_log() {
    for segment_bytes in [64 << 20, 2_000] {
        let bench = Bench::new();
        let mut options = bench.options();
        options.wal.segment_bytes = segment_bytes;
        options.wal.max_bytes = 20_000;
        let pipeline = bench.start(options).await;
        for _ in 0..1_000 {
            put(&pipeline, 1, "Bern").await;
        }
        pipeline.flush().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_full_of_what_is_published_is_cut_at_the_start() {
    let bench = Bench::new();
    let pipeline = bench.start(bench.options()).await;
    for id in 0..100 {
        put(&pipeline, id, "x").await;
    }
    pipeline.flush().await.unwrap();
    pipeline.shutdown().await;
    drop(pipeline);
    let mut options = bench.options();
    // Less than it has.
    options.wal.segment_bytes = 1_000;
    options.wal.max_bytes = 4_000;
    let pipeline = bench.start(options).await;
    put(&pipeline, 1, "Bern").await.published().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_remembered_leave_room_for_entries() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.wal.segment_bytes = 16_000;
    options.wal.max_bytes = 64_000;
    let pipeline = bench.start(options).await;
    for id in 0..3_000 {
        let mut batch = city(&pipeline, id % 7, &format!("turn {id}"));
        batch.set_key(&format!("{id:036}")).unwrap();
        pipeline
            .submit(batch)
            .await
            .unwrap()
            .durable()
            .await
            .unwrap();
    }
    pipeline.flush().await.unwrap();
}
