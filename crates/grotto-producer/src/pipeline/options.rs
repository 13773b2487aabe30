//! Settings of a pipeline, their defaults and limits.
//!
//! Owns: what may be set, and which of it may change while the pipeline runs. Never reads the environment or a
//! file.

use crate::wal::WalOptions;
use grotto_store::RetryPolicy;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Settings of a pipeline.
#[derive(Clone, Debug)]
pub struct PipelineOptions {
    /// Where an acknowledgement lives.
    pub durability: Durability,
    /// The write-ahead log.
    pub wal: WalOptions,
    /// When a version is made of what was submitted.
    pub batching: Batching,
    /// What waits to become durable.
    pub waiting: Waiting,
    /// How much is taken in a second.
    pub rate: RateLimit,
    /// Waits after a failure of the store: doubling from the first to the longest. What is acknowledged must be
    /// published: tries are without end, whatever `tries` says.
    pub retry: RetryPolicy,
    /// Longest wait of a shutdown for what is acknowledged to be published.
    pub drain_timeout: Duration,
    /// How often a sign of life is given to those who stand by, and looked whether one of them took over. None unless
    /// set.
    pub heartbeat: Option<Duration>,
}

/// Where an acknowledgement lives: what has to be lost before what was acknowledged is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// In a write-ahead log on a disk of this host: a folder, one for each dataset. What the host had not published when
    /// another one takes over is set aside for a person.
    Host(PathBuf),
    /// In a write-ahead log in the store: whoever takes over publishes what is in it. An acknowledgement takes a request
    /// to the store, which many submissions share.
    Store,
    /// In a version: a submission is durable once it is published, and what was not published is lost with the process.
    #[default]
    Published,
}

impl Durability {
    /// The folder of a log on a disk.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Host(folder) => Some(folder),
            Self::Store | Self::Published => None,
        }
    }
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            wal: WalOptions::default(),
            batching: Batching::default(),
            waiting: Waiting::default(),
            rate: RateLimit::default(),
            retry: RetryPolicy {
                tries: 3,
                first_delay: Duration::from_secs(1),
                max_delay: Duration::from_secs(30),
            },
            drain_timeout: Duration::from_secs(30),
            heartbeat: None,
        }
    }
}

/// When a version is made of what was submitted: as soon as any of these says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Records of a batch. A submission is never cut, so a batch may be larger by one of them.
    pub max_batch_size: usize,
    /// Bytes of a batch.
    pub max_batch_bytes: usize,
    /// Longest wait of the first record of a batch.
    pub batch_timeout: Duration,
    /// Acknowledged records that are kept in memory. More of them stay in the write-ahead log only, and are read
    /// back when there is room; without a log, submissions wait.
    pub max_pending_records: usize,
    /// Bytes of acknowledged records that are kept in memory.
    pub max_pending_bytes: usize,
    /// Pending records at which batches no longer wait for their time, and grow up to this number.
    pub memory_pressure_threshold: usize,
}

impl Default for Batching {
    fn default() -> Self {
        Self {
            max_batch_size: 1_000,
            max_batch_bytes: 8 << 20,
            batch_timeout: Duration::from_secs(1),
            max_pending_records: 10_000,
            max_pending_bytes: 64 << 20,
            memory_pressure_threshold: 8_000,
        }
    }
}

/// What waits to become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Records that wait at most, in all submissions together.
    pub max_records: usize,
    /// Bytes that wait at most.
    pub max_bytes: usize,
    /// What is given up when there would be more.
    pub shedding: Shedding,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            max_records: 20_000,
            max_bytes: 64 << 20,
            shedding: Shedding::Reject,
        }
    }
}

/// Who is refused when too much waits. Nothing that was acknowledged is ever given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shedding {
    /// The newcomer.
    #[default]
    Reject,
    /// Those that wait longest.
    DropOldestUnacknowledged,
    /// Those of the lowest priority, and of these the ones that wait longest; the newcomer if none is lower.
    ByPriority,
}

/// How much is taken in a second; without a number as much as comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// Records a second, and as many at once.
    pub records_per_second: Option<NonZeroU32>,
    /// Kibibytes a second, and as many at once.
    pub kib_per_second: Option<NonZeroU32>,
}

/// What may change while a pipeline runs; `None` leaves a setting as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adjustments {
    /// When a version is made.
    pub batching: Option<Batching>,
    /// What waits to become durable.
    pub waiting: Option<Waiting>,
    /// How much is taken in a second.
    pub rate: Option<RateLimit>,
    /// Waits after a failure of the store.
    pub retry: Option<RetryPolicy>,
    /// Commits between snapshots.
    pub snapshot_every: Option<u64>,
    /// Longest wait of a shutdown.
    pub drain_timeout: Option<Duration>,
}
