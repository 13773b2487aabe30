//! Hosts with disks of their own, one of which may lead.
//!
//! Owns: what a test starts and sees of each. Never: asserts anything.

use super::{options, until_is};
use crate::kit::{SCHEMA, TroubledStore, names};
use grotto_env::{Env, SystemFiles};
use grotto_format::Schema;
use grotto_producer::pipeline::Condition;
use grotto_producer::{
    Pipeline, PipelineBuilder, PipelineOptions, Producer, ProducerBuilder, aside,
};
use grotto_store::StandbyOptions;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(super) const LEASE: Duration = Duration::from_secs(10);

pub(super) fn standing() -> StandbyOptions {
    StandbyOptions {
        lease: LEASE,
        look_every: Duration::from_secs(1),
    }
}

/// A host with a disk of its own.
pub(super) struct Host {
    name: &'static str,
    pub(super) store: Arc<TroubledStore>,
    folder: tempfile::TempDir,
    seed: u64,
}

impl Host {
    pub(super) fn new(store: &Arc<TroubledStore>, name: &'static str, seed: u64) -> Self {
        Self {
            name,
            store: Arc::clone(store),
            folder: tempfile::tempdir().unwrap(),
            seed,
        }
    }

    pub(super) fn options(&self) -> PipelineOptions {
        PipelineOptions {
            heartbeat: Some(Duration::from_secs(2)),
            ..options(self.folder.path())
        }
    }

    pub(super) fn producer(&self) -> ProducerBuilder {
        let store = self.store.store().with_env(Env::simulated(self.seed));
        Producer::builder("cities", store)
            .schema(Schema::parse(SCHEMA).unwrap())
            .writer_id(self.name)
            .snapshot_every(0)
            .threads(1)
    }

    pub(super) fn builder_with(&self, options: PipelineOptions) -> PipelineBuilder {
        self.producer().pipeline(options)
    }

    pub(super) fn builder(&self) -> PipelineBuilder {
        self.builder_with(self.options())
    }

    pub(super) async fn lead(&self) -> Pipeline {
        let pipeline = self.builder().start().await.unwrap();
        until_is(&pipeline, Condition::Running).await;
        pipeline
    }

    pub(super) async fn stand_by(&self) -> PipelineBuilder {
        let waited = self.builder().stand_by(standing(), |_, _| {}).await;
        waited.unwrap()
    }

    /// Lines that were set aside.
    pub(super) fn set_aside(&self) -> Vec<String> {
        let folder = aside::folder_of(&self.folder.path().join("wal"));
        let files = aside::list(&SystemFiles, &folder).unwrap();
        let text = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
        let all: String = files.iter().map(|file| text(&file.path)).collect();
        all.lines().map(str::to_owned).collect()
    }

    /// As a person does who has dealt with what was set aside.
    pub(super) fn finish(&self) {
        let folder = aside::folder_of(&self.folder.path().join("wal"));
        for file in aside::list(&SystemFiles, &folder).unwrap() {
            aside::finish(&SystemFiles, &file).unwrap();
        }
    }
}

/// Two hosts of one store.
pub(super) fn two_hosts() -> (Arc<TroubledStore>, Host, Host) {
    let store = TroubledStore::new();
    let (one, two) = (Host::new(&store, "one", 1), Host::new(&store, "two", 2));
    (store, one, two)
}

/// Ends a pipeline, after which its log is free.
pub(super) async fn end(pipeline: &Pipeline) {
    pipeline.shutdown().await;
    pipeline.closed().await;
}

pub(super) async fn published(store: &Arc<TroubledStore>) -> Vec<(i64, String)> {
    let builder = Producer::builder("cities", store.store()).lazy_fence(true);
    names(&builder.open().await.unwrap().state())
}

pub(super) fn of(pairs: &[(i64, &str)]) -> Vec<(i64, String)> {
    let pairs = pairs.iter();
    pairs.map(|(id, name)| (*id, (*name).to_owned())).collect()
}
