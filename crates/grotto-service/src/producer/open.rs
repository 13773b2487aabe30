//! From settings to a pipeline.
//!
//! Owns: which setting becomes which option of the library. Never: keeps a pipeline.

use crate::config::{DatasetSettings, Durability, Shedding, read_schema};
use crate::push::Pushes;
use grotto::producer::dead_letter::DeadLetterOptions;
use grotto::producer::pipeline::{
    self, Adjustments, Batching, Pipeline, PipelineBuilder, PipelineOptions, RateLimit, Waiting,
};
use grotto::producer::wal::WalOptions;
use grotto::producer::{MinimumCount, ProducerBuilder, RecordCountDrift};
use grotto::push::PushAnnouncer;
use grotto::store::{BreakerOptions, RetryPolicy, Standby, StandbyOptions, StoreOptions, Turn};
use grotto::{Error, Producer, Result, Store};
use std::num::NonZeroU32;
use std::time::Duration;

/// Longest wait between tries.
const MAX_DELAY: Duration = Duration::from_secs(30);
/// Longest time between the looks of a standby: how soon it follows somebody who hands over.
const MOST_BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// zstd level of blobs that are compressed.
const LEVEL: i32 = 3;

/// A dataset that was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) pipeline: Pipeline,
    /// Tells of its versions.
    pub(crate) announcer: Option<PushAnnouncer>,
}

/// Starts the pipeline of a dataset.
///
/// # Errors
/// `Invalid` when the settings name no dataset or schema, and those of the pipeline's start.
pub(crate) async fn open(
    settings: &DatasetSettings,
    writer: &str,
    pushes: &Pushes,
) -> Result<Opened> {
    let prepared = prepare(settings, writer, pushes)?;
    Ok(Opened {
        pipeline: prepared.builder.start().await?,
        announcer: prepared.announcer,
    })
}

/// Starts the pipeline of a dataset once nobody else publishes it; `on_look` is told what each look at the store came
/// to.
///
/// # Errors
/// As [`open`], and those of setting aside what another producer overtook.
pub(crate) async fn stand_by(
    settings: &DatasetSettings,
    writer: &str,
    pushes: &Pushes,
    on_look: impl FnMut(&Standby, &Result<Turn>),
) -> Result<Opened> {
    let leadership = &settings.leadership;
    let options = StandbyOptions {
        lease: leadership.lease,
        look_every: MOST_BETWEEN_LOOKS.min(leadership.heartbeat),
    };
    let prepared = prepare(settings, writer, pushes)?;
    let builder = prepared.builder.stand_by(options, on_look).await?;
    Ok(Opened {
        pipeline: builder.start().await?,
        announcer: prepared.announcer,
    })
}

/// A dataset that is about to be opened.
struct Prepared {
    builder: PipelineBuilder,
    announcer: Option<PushAnnouncer>,
}

fn prepare(settings: &DatasetSettings, writer: &str, pushes: &Pushes) -> Result<Prepared> {
    let name = name(settings)?;
    let missing = |key: &str| {
        Error::invalid(format!(
            "dataset {name}: expected a key `{key}`, found none"
        ))
    };
    let schema = read_schema(
        settings
            .schema
            .as_deref()
            .ok_or_else(|| missing("schema"))?,
    )?;
    let url = settings.store.as_ref().ok_or_else(|| missing("store"))?;
    let mut store = Store::open_writable(url)?.with_options(store_options(settings));
    if settings.wal.durability == Durability::Host {
        // The disk that it has anyway: a large snapshot would not fit in memory beside the state.
        store = store.with_spool(&settings.wal.dir);
    }
    let env = store.env().clone();
    let builder = Producer::builder(name, store)
        .schema(schema)
        .writer_id(writer);
    let letters = DeadLetterOptions {
        max_bytes: settings.dead_letter.max_size.0,
        ..DeadLetterOptions::default()
    };
    let announced = pushes.open(&settings.push, name, &env)?;
    let announcer = announced.map(|(push, channel)| push.announcer(&channel, name));
    let builder = match &announcer {
        Some(announcer) => builder.announcer(announcer.clone()),
        None => builder,
    };
    let builder = configure(builder, settings)
        .pipeline(options(settings, name))
        .dead_letters(settings.dead_letter.dir.join(name), letters);
    Ok(Prepared { builder, announcer })
}

/// The name of the dataset.
pub(crate) fn name(settings: &DatasetSettings) -> Result<&str> {
    settings
        .dataset
        .as_deref()
        .ok_or_else(|| Error::invalid("expected a key `producer.dataset`, found none"))
}

fn configure(mut builder: ProducerBuilder, settings: &DatasetSettings) -> ProducerBuilder {
    let performance = &settings.performance;
    builder = builder
        .snapshot_every(performance.snapshot_frequency)
        .compression(performance.enable_compression.then_some(LEVEL))
        .inline_blobs(count(performance.inline_blobs))
        .threads(count(performance.worker_pool_size))
        .shutdown_timeout(settings.reliability.shutdown_timeout);
    for (type_name, minimum) in &settings.validation.minimum_count {
        builder = builder.validator(MinimumCount {
            type_name: type_name.clone(),
            minimum: *minimum,
        });
    }
    for (type_name, percent) in &settings.validation.count_drift {
        builder = builder.validator(RecordCountDrift {
            type_name: Some(type_name.clone()),
            max_percent: *percent as f64,
        });
    }
    builder
}

fn store_options(settings: &DatasetSettings) -> StoreOptions {
    let reliability = &settings.reliability;
    let default = StoreOptions::default();
    let tries = number(reliability.max_retry_attempts).saturating_add(1);
    let retries = |policy: RetryPolicy| RetryPolicy {
        tries,
        first_delay: reliability.retry_backoff,
        max_delay: policy.max_delay.max(reliability.retry_backoff),
    };
    StoreOptions {
        deadline: settings.performance.write_timeout,
        reads: retries(default.reads),
        writes: retries(default.writes),
        breaker: Some(BreakerOptions {
            failures: number(reliability.circuit_breaker_threshold),
            open_for: reliability.circuit_breaker_reset,
            ..BreakerOptions::default()
        }),
        ..default
    }
}

fn options(settings: &DatasetSettings, name: &str) -> PipelineOptions {
    let wal = &settings.wal;
    PipelineOptions {
        durability: match wal.durability {
            Durability::Host => pipeline::Durability::Host(wal.dir.join(name)),
            Durability::Store => pipeline::Durability::Store,
            Durability::Published => pipeline::Durability::Published,
        },
        wal: WalOptions {
            segment_bytes: wal.segment_size.0,
            max_bytes: wal.max_size.0,
            sync: wal.fsync,
            ..WalOptions::default()
        },
        batching: batching(settings),
        waiting: waiting(settings),
        rate: rate(settings),
        retry: RetryPolicy {
            tries: number(settings.reliability.max_retry_attempts).saturating_add(1),
            first_delay: settings.reliability.retry_backoff,
            max_delay: MAX_DELAY.max(settings.reliability.retry_backoff),
        },
        drain_timeout: settings.reliability.shutdown_timeout,
        heartbeat: Some(settings.leadership.heartbeat),
    }
}

/// What may change while the pipeline runs.
pub(crate) fn adjustments(settings: &DatasetSettings) -> Adjustments {
    Adjustments {
        batching: Some(batching(settings)),
        waiting: Some(waiting(settings)),
        rate: Some(rate(settings)),
        snapshot_every: Some(settings.performance.snapshot_frequency),
        drain_timeout: Some(settings.reliability.shutdown_timeout),
        ..Adjustments::default()
    }
}

fn batching(settings: &DatasetSettings) -> Batching {
    let batching = &settings.batching;
    Batching {
        max_batch_size: count(batching.max_batch_size),
        max_batch_bytes: count(batching.max_batch_bytes.0),
        batch_timeout: batching.batch_timeout,
        max_pending_records: count(batching.max_pending_records),
        max_pending_bytes: count(batching.max_pending_bytes.0),
        memory_pressure_threshold: count(batching.memory_pressure_threshold),
    }
}

fn waiting(settings: &DatasetSettings) -> Waiting {
    let shedding = &settings.load_shedding;
    Waiting {
        max_records: count(shedding.max_waiting_records),
        max_bytes: count(shedding.max_waiting_bytes.0),
        shedding: match shedding.policy {
            Shedding::Reject => pipeline::Shedding::Reject,
            Shedding::DropOldestUnacknowledged => pipeline::Shedding::DropOldestUnacknowledged,
            Shedding::ByPriority => pipeline::Shedding::ByPriority,
        },
    }
}

fn rate(settings: &DatasetSettings) -> RateLimit {
    let limit = &settings.rate_limit;
    let kib = limit.bytes_per_second.map(|bytes| bytes.0 >> 10);
    RateLimit {
        records_per_second: limit.records_per_second.and_then(non_zero),
        kib_per_second: kib.and_then(non_zero),
    }
}

fn non_zero(value: u64) -> Option<NonZeroU32> {
    NonZeroU32::new(number(value))
}

fn number(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn count(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
