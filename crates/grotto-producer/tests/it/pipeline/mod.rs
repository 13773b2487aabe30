//! The pipeline through its public face: what is acknowledged gets published, once and in order, whatever
//! happens in between.

mod behind;
mod failures;
mod hosts;
mod intake;
mod overtaken;
mod pressure;
mod publishing;
mod refusals;
mod standby;
mod store_log;
mod threads;

use crate::kit::{SCHEMA, TroubledStore, names};
use grotto_env::Env;
use grotto_format::Schema;
use grotto_producer::pipeline::{Batching, Condition, Durability, PipelineStatus};
use grotto_producer::{ErrorKind, Pipeline, PipelineBuilder, PipelineOptions, Producer};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A store, the folder of a log, and how often they were started.
pub(crate) struct Bench {
    pub(crate) store: Arc<TroubledStore>,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) fn options(folder: &Path) -> PipelineOptions {
    PipelineOptions {
        durability: Durability::Host(folder.join("wal")),
        batching: Batching {
            batch_timeout: Duration::from_millis(10),
            ..Batching::default()
        },
        ..PipelineOptions::default()
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            store: TroubledStore::new(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn options(&self) -> PipelineOptions {
        options(self.folder.path())
    }

    /// In virtual time, on this thread, with blobs in objects of their own.
    pub(crate) fn builder(&self, schema: &str, options: PipelineOptions) -> PipelineBuilder {
        let store = self.store.store().with_env(Env::simulated(1));
        Producer::builder("cities", store)
            .schema(Schema::parse(schema).unwrap())
            .inline_blobs(0)
            .snapshot_every(0)
            .threads(1)
            .pipeline(options)
            .dead_letters(self.folder.path().join("dead"), Default::default())
    }

    pub(crate) async fn start(&self, options: PipelineOptions) -> Pipeline {
        self.builder(SCHEMA, options).start().await.unwrap()
    }

    /// Starts again after the last one was dropped, which ends a little later.
    pub(crate) async fn start_again(&self) -> Pipeline {
        for _ in 0..1_000 {
            match self.builder(SCHEMA, self.options()).start().await {
                Err(error) if error.kind() == ErrorKind::Busy => tokio::task::yield_now().await,
                started => return started.unwrap(),
            }
        }
        panic!("the log stays in use");
    }

    /// The records of the newest version, by another producer.
    pub(crate) async fn published(&self) -> Vec<(i64, String)> {
        self.store.heal();
        let builder = Producer::builder("cities", self.store.store()).lazy_fence(true);
        names(&builder.open().await.unwrap().state())
    }
}

pub(crate) fn city(pipeline: &Pipeline, id: i64, name: &str) -> grotto_producer::Batch {
    let mut batch = pipeline.batch();
    let text = format!(r#"{{"id":{id},"name":"{name}"}}"#);
    batch.upsert_json("City", &text, 1).unwrap();
    batch
}

/// Submits a city; its entry is durable when this returns.
pub(crate) async fn put(pipeline: &Pipeline, id: i64, name: &str) -> grotto_producer::Ack {
    let mut ack = pipeline.submit(city(pipeline, id, name)).await.unwrap();
    ack.durable().await.unwrap();
    ack
}

/// Waits until the pipeline is as wanted.
pub(crate) async fn until(pipeline: &Pipeline, wanted: impl Fn(&PipelineStatus) -> bool) {
    for _ in 0..100_000 {
        if wanted(&pipeline.status()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("expected otherwise: {:?}", pipeline.status());
}

pub(crate) async fn until_is(pipeline: &Pipeline, condition: Condition) {
    until(pipeline, |status| status.condition == condition).await;
}
