//! Tests on real threads, where tasks meet that take turns elsewhere.

use super::{city, options};
use crate::kit::{SCHEMA, Trouble, TroubledStore, names};
use grotto_format::Schema;
use grotto_producer::{ErrorKind, Pipeline, PipelineOptions, Producer};
use std::sync::Arc;
use std::time::Duration;

async fn start(store: &Arc<TroubledStore>, options: PipelineOptions) -> Pipeline {
    let builder = Producer::builder("cities", store.store());
    let builder = builder.schema(Schema::parse(SCHEMA).unwrap()).threads(1);
    builder.pipeline(options).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_submitters_a_failing_store_and_sudden_ends_lose_nothing() {
    let (store, folder) = (TroubledStore::new(), tempfile::tempdir().unwrap());
    let mut options = options(folder.path());
    options.batching.batch_timeout = Duration::from_millis(1);
    options.batching.max_pending_records = 50;
    options.batching.memory_pressure_threshold = 40;
    options.wal.segment_bytes = 2_000;
    options.wal.max_bytes = 200_000;
    options.retry.first_delay = Duration::from_millis(1);
    options.retry.max_delay = Duration::from_millis(5);
    let mut acknowledged = Vec::new();
    for turn in 0..10 {
        let pipeline = start(&store, options.clone()).await;
        let trouble = Arc::clone(&store);
        let rain = tokio::spawn(async move {
            for _ in 0..20 {
                trouble.cause(Trouble::Fails, "/log/");
                tokio::time::sleep(Duration::from_millis(2)).await;
                trouble.heal();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        let submitters = (0..8).map(|submitter| {
            let pipeline = pipeline.clone();
            tokio::spawn(async move {
                let mut done = Vec::new();
                for number in 0..60 {
                    let id = turn * 1_000 + submitter * 100 + number;
                    let Ok(mut ack) = pipeline.submit(city(&pipeline, id, "x")).await else {
                        break;
                    };
                    if ack.durable().await.is_ok() {
                        done.push(id);
                    }
                }
                done
            })
        });
        let submitters: Vec<_> = submitters.collect();
        if turn % 2 == 1 {
            rain.abort();
            _ = rain.await;
            store.heal();
            pipeline.shutdown().await;
        }
        for submitter in submitters {
            acknowledged.extend(submitter.await.unwrap());
        }
        pipeline.shutdown().await;
        store.heal();
    }
    let pipeline = start(&store, options).await;
    pipeline.flush().await.unwrap();
    let published = names(&pipeline.producer().unwrap().state());
    let published: Vec<i64> = published.into_iter().map(|(id, _)| id).collect();
    acknowledged.sort_unstable();
    assert!(acknowledged.len() > 2_000, "{}", acknowledged.len());
    let lost = acknowledged
        .iter()
        .filter(|id| !published.contains(id))
        .count();
    assert_eq!(lost, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_log_is_free_when_a_shutdown_returns() {
    let (store, folder) = (TroubledStore::new(), tempfile::tempdir().unwrap());
    let mut kept = Vec::new();
    for id in 0..50 {
        let pipeline = start(&store, options(folder.path())).await;
        // Acknowledgements may outlive it.
        kept.push(pipeline.submit(city(&pipeline, id, "x")).await.unwrap());
        pipeline.shutdown().await;
        let error = pipeline.submit(city(&pipeline, id, "x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    for ack in &mut kept {
        ack.published().await.unwrap();
    }
}
