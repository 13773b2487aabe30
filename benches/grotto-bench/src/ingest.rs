//! How much a pipeline acknowledges and publishes, and how soon.
//!
//! Owns: the loads, and the records of them, which other engines get too. Never: a figure without its number of
//! runs.

use crate::figure::{Report, ms};
use crate::workload::Workload;
use crate::workload::flat::{Flat, Product};
use anyhow::{Context, Result};
use grotto::engine::env::{Clock, SystemClock};
use grotto::producer::pipeline::{Batching, Durability, PipelineOptions};
use grotto::store::{Store, StoreUrl};
use grotto::{Pipeline, Producer, Schema};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How much is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// Records of each load in batches.
    #[arg(long, default_value_t = 500_000)]
    pub n: u64,
    /// Records of each load one by one.
    #[arg(long, default_value_t = 50_000)]
    pub singles: u64,
    /// Submissions under way at a time.
    #[arg(long, default_value_t = 8)]
    pub senders: u64,
    /// Submissions under way at a time where each is one record.
    #[arg(long, default_value_t = 256)]
    pub single_senders: u64,
    /// Submissions whose way to a version is timed.
    #[arg(long, default_value_t = 500)]
    pub timed: u64,
    /// Runs of each load.
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// Print only these metrics, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Where store and log are made.
    #[arg(long)]
    pub folder: Option<PathBuf>,
}

/// One load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What its metrics are called.
    pub name: &'static str,
    /// Records in all.
    pub records: u64,
    /// Records of a submission.
    pub per_batch: u64,
    /// Submissions under way at a time.
    pub senders: u64,
    /// Whether an acknowledgement waits for the disk.
    pub sync: bool,
}

/// Submits records to a pipeline on a local folder; prints one JSON line per figure.
///
/// # Errors
/// When the folder cannot be written, or a record is refused.
pub fn run(arguments: &Settings) -> Result<()> {
    let report = Report {
        engine: "grotto".to_owned(),
        workload: Flat::NAME,
        n: arguments.n,
        only: arguments.only.clone(),
        clock: SystemClock::new(),
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let (n, singles) = (arguments.n, arguments.singles);
    for sync in [true, false] {
        let named = |synced, unsynced| if sync { synced } else { unsynced };
        let batches = Load {
            name: named("batches_of_1000", "batches_of_1000_unsynced"),
            records: n,
            per_batch: 1_000,
            senders: arguments.senders,
            sync,
        };
        let single = Load {
            name: named("singles", "singles_unsynced"),
            records: singles,
            per_batch: 1,
            senders: arguments.single_senders,
            sync,
        };
        for load in [batches, single] {
            runtime.block_on(measure_load(&report, arguments, load))?;
        }
    }
    runtime.block_on(measure_latency(&report, arguments))?;
    runtime.block_on(measure_versions(&report, arguments))
}

fn place(folder: Option<&Path>) -> Result<tempfile::TempDir> {
    let mut name = tempfile::Builder::new();
    name.prefix("grotto-ingest-");
    Ok(match folder {
        Some(folder) => name.tempdir_in(folder)?,
        None => name.tempdir()?,
    })
}

async fn start(place: &Path, sync: bool, batching: Batching) -> Result<Pipeline> {
    let url = StoreUrl::Local(place.join("store"));
    let mut options = PipelineOptions {
        durability: Durability::Host(place.join("wal")),
        batching,
        ..PipelineOptions::default()
    };
    options.wal.sync = sync;
    let builder = Producer::builder("bench", Store::open_writable(&url)?);
    let pipeline = builder
        .schema(Schema::parse(Flat::SCHEMA)?)
        .pipeline(options);
    Ok(pipeline.start().await?)
}

/// Records a second until all are acknowledged, and until all are published.
async fn measure_load(report: &Report, arguments: &Settings, load: Load) -> Result<()> {
    let metrics = ["durable", "published"].map(|what| format!("{}_{what}", load.name));
    if !metrics.iter().any(|metric| report.wants(metric)) {
        return Ok(());
    }
    let (mut durable, mut published) = (Vec::new(), Vec::new());
    for _ in 0..arguments.runs.max(1) {
        let [until_durable, until_published] =
            rates(&report.clock, arguments.folder.as_deref(), load).await?;
        durable.push(until_durable);
        published.push(until_published);
    }
    report.print(&metrics[0], load.per_batch, "records/s", durable)?;
    report.print(&metrics[1], load.per_batch, "records/s", published)
}

/// Records a second of a load, in a store and a log of its own: until all are acknowledged, and until all are
/// published.
///
/// # Errors
/// When the folder cannot be written, or a record is refused.
pub async fn rates(clock: &SystemClock, folder: Option<&Path>, load: Load) -> Result<[f64; 2]> {
    let place = place(folder)?;
    let pipeline = start(place.path(), load.sync, Batching::default()).await?;
    let begin = clock.monotonic();
    submit_all(&pipeline, load).await?;
    let acknowledged = clock.monotonic() - begin;
    pipeline.flush().await?;
    let done = clock.monotonic() - begin;
    pipeline.shutdown().await;
    let rate = |time: Duration| load.records as f64 / time.as_secs_f64();
    Ok([rate(acknowledged), rate(done)])
}

async fn submit_all(pipeline: &Pipeline, load: Load) -> Result<()> {
    let flat = Arc::new(Flat::new(load.records));
    let mut senders = JoinSet::new();
    for sender in 0..load.senders {
        let (pipeline, flat) = (pipeline.clone(), Arc::clone(&flat));
        senders.spawn(async move {
            let batches = load.records / load.per_batch;
            for number in (sender..batches).step_by(load.senders as usize) {
                let mut batch = pipeline.batch();
                for index in number * load.per_batch..(number + 1) * load.per_batch {
                    batch.upsert(&flat.record(index, 0))?;
                }
                pipeline.submit(batch).await?.durable().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = senders.join_next().await {
        done??;
    }
    Ok(())
}

/// Time from a submission of one record to its version, one after the other.
async fn measure_latency(report: &Report, arguments: &Settings) -> Result<()> {
    if !report.wants_any(&[
        "submission_to_durable",
        "submission_to_published_p50",
        "submission_to_published_p99",
    ]) {
        return Ok(());
    }
    let place = place(arguments.folder.as_deref())?;
    let batching = Batching {
        batch_timeout: Duration::from_millis(10),
        ..Batching::default()
    };
    let pipeline = start(place.path(), true, batching).await?;
    let flat = Flat::new(arguments.timed);
    let (mut durable, mut published) = (Vec::new(), Vec::new());
    for index in 0..arguments.timed {
        let record: Product = flat.record(index, 0);
        let begin = report.clock.monotonic();
        let mut batch = pipeline.batch();
        batch.upsert(&record)?;
        let mut ack = pipeline.submit(batch).await?;
        ack.durable().await?;
        durable.push(ms(report.clock.monotonic() - begin));
        ack.published().await?;
        published.push(ms(report.clock.monotonic() - begin));
    }
    pipeline.shutdown().await;
    published.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (published.len() as f64 * share) as usize;
        published.get(place.min(published.len() - 1)).copied()
    };
    report.print("submission_to_durable", 1, "ms", durable)?;
    for (name, share) in [
        ("submission_to_published_p50", 0.5),
        ("submission_to_published_p99", 0.99),
    ] {
        let value = at(share).context("nothing was timed")?;
        report.print(name, 1, "ms", vec![value])?;
    }
    Ok(())
}

/// Versions a second where each is of one small batch that waits for the one before.
async fn measure_versions(report: &Report, arguments: &Settings) -> Result<()> {
    if !report.wants("versions") {
        return Ok(());
    }
    let place = place(arguments.folder.as_deref())?;
    let batching = Batching {
        max_batch_size: 10,
        batch_timeout: Duration::from_millis(1),
        ..Batching::default()
    };
    let pipeline = start(place.path(), true, batching).await?;
    let (flat, mut rates) = (Flat::new(1_000), Vec::new());
    let (mut index, mut revision) = (0, 0);
    for _ in 0..arguments.runs.max(1) {
        let (begin, mut versions) = (report.clock.monotonic(), 0);
        while report.clock.monotonic() - begin < Duration::from_secs(5) {
            let mut batch = pipeline.batch();
            for _ in 0..10 {
                batch.upsert(&flat.record(index, revision))?;
                index = (index + 1) % 10_000;
                revision += u64::from(index == 0);
            }
            pipeline.submit(batch).await?.published().await?;
            versions += 1;
        }
        let took = report.clock.monotonic() - begin;
        rates.push(f64::from(versions) / took.as_secs_f64());
    }
    pipeline.shutdown().await;
    report.print("versions", 10, "versions/s", rates)
}
