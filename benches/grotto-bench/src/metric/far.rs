//! Stores that are far away: 30 ms a request and 35 MB/s.
//!
//! Owns: the figures that decide what rides in a log entry, and those of a long absence. Time is wall time.

use super::Settings;
use crate::deploy::{DATASET, Deployment};
use crate::figure::{Report, ms};
use crate::workload::Workload;
use anyhow::{Result, ensure};
use bytes::Bytes;
use grotto::consumer::Consumer;
use grotto::store::follow::{Fetched, Journey, Traveller};
use grotto::store::plan::Step;
use grotto::store::{
    BlobKind, CommitFields, Dataset, Error, ErrorKind, Source, Store, Writer, WriterOptions,
};
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use object_store::{ObjectStore, ObjectStoreExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A way of a thousand versions.
pub(super) const BEHIND: &[&str] = &["catch_up_1000"];
/// One step as files of its own and inside its entry; `k` is the bytes of both blobs together.
pub(super) const INLINE: &[&str] = &[
    "step_put_file",
    "step_put_inline",
    "step_get_file",
    "step_get_inline",
    "steps_1000_file",
    "steps_1000_inline",
    "entry_bytes_inline",
];

/// Kilobytes of both blobs of a step together.
const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
const VERSIONS: u64 = 1_000;
/// Changed records of a version on the long way.
const SMALL_CHANGE: u64 = 10;

/// Puts `objects` far away.
fn far<T: ObjectStore>(objects: T) -> ThrottledStore<T> {
    let wait = Duration::from_millis(30);
    let config = ThrottleConfig {
        wait_get_per_call: wait,
        wait_get_per_byte: Duration::from_nanos(28),
        wait_put_per_call: wait,
        wait_list_per_call: wait,
        ..ThrottleConfig::default()
    };
    ThrottledStore::new(objects, config)
}

/// A consumer with what it needs on the heap, a thousand small versions behind.
pub(super) fn behind<W: Workload + 'static>(
    report: &Report,
    deploy: &mut Deployment<W>,
) -> Result<()> {
    let folder = deploy.place().join("store");
    let objects = Arc::new(InMemory::new());
    deploy.runtime().block_on(copy(&folder, &objects))?;
    let store = Store::from_object_store(Arc::new(far(Arc::clone(&objects))));
    let consumer = deploy
        .runtime()
        .block_on(Consumer::builder(DATASET, store).open())?;
    for _ in 0..VERSIONS {
        deploy.publish(SMALL_CHANGE)?;
    }
    deploy.runtime().block_on(copy(&folder, &objects))?;
    let (time, refreshed) = report.time(|| deploy.runtime().block_on(consumer.refresh()));
    let steps = refreshed?.map_or(0, |refreshed| refreshed.to - refreshed.from);
    ensure!(
        steps == VERSIONS,
        "expected a way of {VERSIONS} versions, found {steps}"
    );
    deploy.verify(&consumer.state())?;
    deploy.runtime().block_on(consumer.shutdown());
    report.print("catch_up_1000", SMALL_CHANGE, "ms", vec![ms(time)])
}

/// Puts what is in a folder into memory: files are nothing that [`ThrottledStore`] can slow down.
async fn copy(folder: &Path, objects: &InMemory) -> Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for found in std::fs::read_dir(next)? {
            let path = found?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
            let bytes = std::fs::read(&path)?;
            objects.put(&name.into(), bytes.into()).await?;
        }
    }
    Ok(())
}

/// What a step costs its writer and its readers, by size.
pub(super) fn inline(report: &Report, settings: &Settings) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    for kilobytes in SIZES {
        let bytes = kilobytes << 10;
        for (form, limit) in [("file", 0), ("inline", bytes)] {
            let steps = Steps::new(&runtime, limit)?;
            runtime.block_on(steps.measure(report, settings, bytes, form))?;
        }
    }
    Ok(())
}

/// A dataset of steps that hold nothing, near for what is prepared and far for what is measured.
struct Steps {
    near: Writer,
    far: Dataset,
}

impl Steps {
    fn new(runtime: &tokio::runtime::Runtime, inline_bytes: usize) -> Result<Self> {
        let objects = Arc::new(InMemory::new());
        let near = Store::from_object_store(Arc::clone(&objects) as Arc<dyn ObjectStore>);
        let far = Store::from_object_store(Arc::new(far(objects)));
        let options = WriterOptions {
            inline_bytes,
            ..WriterOptions::default()
        };
        let (near, _) =
            runtime.block_on(Writer::acquire(Dataset::open(near, DATASET)?, options))?;
        let far = Dataset::open(far, DATASET)?;
        Ok(Self { near, far })
    }

    async fn measure(
        &self,
        report: &Report,
        settings: &Settings,
        bytes: usize,
        form: &str,
    ) -> Result<()> {
        let first = commit(&self.near, bytes).await?;
        for _ in 0..VERSIONS {
            commit(&self.near, bytes).await?;
        }
        self.near.heartbeat().await;
        let k = bytes as u64;
        let mut gets = Vec::new();
        for version in (first..).take(settings.runs) {
            let (time, got) = timed(report, self.get(version)).await;
            got?;
            gets.push(ms(time));
        }
        report.print(&format!("step_get_{form}"), k, "ms", gets)?;
        let mut ways = Vec::new();
        for _ in 0..settings.runs {
            let (time, arrived) = timed(report, self.walk(first)).await;
            ensure!(arrived? == first + VERSIONS, "the way ended early");
            ways.push(ms(time));
        }
        report.print(&format!("steps_1000_{form}"), k, "ms", ways)?;
        if form == "inline" {
            let head = self.far.head().await?;
            let length = head.map_or(Ok(0), |head| head.encode().map(|bytes| bytes.len()))?;
            report.print("entry_bytes_inline", k, "bytes", vec![length as f64])?;
        }
        self.put(report, settings, bytes, form).await
    }

    /// What a consumer does about news: the entry, then its delta.
    async fn get(&self, version: u64) -> Result<()> {
        let entry = self.far.read_entry(version).await?;
        let delta = entry.and_then(|entry| Source::of(&entry, BlobKind::Delta));
        let delta = delta.ok_or_else(|| anyhow::anyhow!("version {version} has no delta"))?;
        self.far.fetch(&delta).await?;
        Ok(())
    }

    async fn walk(&self, from: u64) -> Result<u64> {
        let head = self.far.head().await?;
        let head = head.ok_or_else(|| anyhow::anyhow!("the log is empty"))?;
        let mut walker = Walker(from);
        Journey::new(&self.far, &head).travel(&mut walker).await?;
        Ok(walker.0)
    }

    /// A writer that is far away itself.
    async fn put(
        &self,
        report: &Report,
        settings: &Settings,
        bytes: usize,
        form: &str,
    ) -> Result<()> {
        let options = WriterOptions {
            inline_bytes: if form == "inline" { bytes } else { 0 },
            ..WriterOptions::default()
        };
        let (writer, _) = Writer::acquire(self.far.clone(), options).await?;
        let mut puts = Vec::new();
        for _ in 0..settings.runs {
            let (time, committed) = timed(report, commit(&writer, bytes)).await;
            committed?;
            puts.push(ms(time));
        }
        report.print(&format!("step_put_{form}"), bytes as u64, "ms", puts)
    }
}

async fn timed<T>(report: &Report, work: impl Future<Output = T>) -> (Duration, T) {
    use grotto::engine::env::Clock;
    let start = report.clock.monotonic();
    let done = work.await;
    (report.clock.monotonic() - start, done)
}

/// Commits a step of so many bytes, half of them the way back.
async fn commit(writer: &Writer, bytes: usize) -> Result<u64> {
    let version = writer.next_version();
    let (delta, reverse) = (framed(bytes / 2), framed(bytes / 2));
    let blobs = writer.upload_step(version, delta, Some(reverse)).await?;
    let fields = CommitFields {
        blobs: Some(blobs),
        state_checksum: version,
        ..CommitFields::default()
    };
    Ok(writer.commit(fields).await?.version)
}

/// So many bytes with the footer of a blob, which is all that a store looks at.
fn framed(length: usize) -> Bytes {
    let mut bytes = b"GROTTO\x1aB".to_vec();
    bytes.resize(length - 16, 7);
    bytes.extend_from_slice(&(length as u64).to_le_bytes());
    let checksum = grotto_format::checksum::of_bytes(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Bytes::from(bytes)
}

/// Takes every step without a look at its blob.
struct Walker(u64);

impl Traveller for Walker {
    type Error = Error;

    fn kind(error: &Error) -> ErrorKind {
        error.kind()
    }

    fn version(&self) -> u64 {
        self.0
    }

    fn start_from_nothing(&mut self) {
        self.0 = 0;
    }

    async fn apply(&mut self, step: &Step, _: Fetched, _last: bool) -> grotto::store::Result<()> {
        self.0 = step.to();
        Ok(())
    }

    async fn recover(&mut self, _: &Error, _blob: &str, _misfit: bool) -> bool {
        false
    }
}
