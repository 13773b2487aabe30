//! A store in a folder, a producer that publishes to it, and consumers that follow.
//!
//! Owns: the folder and what is in it; it goes with the deployment. Never: prints.

use crate::workload::{Change, Model, Workload};
use anyhow::{Context, Result, ensure};
use grotto::consumer::Consumer;
use grotto::producer::{Error, Producer};
use grotto::store::{Store, StoreUrl};
use grotto::{RecordType, Schema, State};
use grotto_format::flat::FlatBuilder;
use grotto_state::SegmentOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Name of the dataset.
pub const DATASET: &str = "bench";

/// The store below the folder of a deployment.
///
/// # Errors
/// When it cannot be opened.
pub fn store_of(place: &Path) -> Result<Store> {
    let url = StoreUrl::Local(place.join("store"));
    Ok(Store::open(&url)?)
}

/// The state directory below the folder of a deployment.
#[must_use]
pub fn state_dir_of(place: &Path) -> PathBuf {
    place.join("state")
}

/// A dataset as a user has it.
#[derive(Debug)]
pub struct Deployment<W: Workload> {
    place: TempDir,
    runtime: Runtime,
    segments: SegmentOptions,
    producer: Arc<Producer>,
    model: Arc<Model<W>>,
}

impl<W: Workload + 'static> Deployment<W> {
    /// Publishes the model, with a snapshot.
    ///
    /// # Errors
    /// When the folder cannot be written or the engine refuses a record.
    pub fn new(folder: Option<&Path>, model: Model<W>) -> Result<Self> {
        // Snapshots come when a measurement needs one, not while another one runs.
        Self::with_snapshots(folder, model, 0, SegmentOptions::default())
    }

    /// As [`new`](Self::new), with a snapshot in the background every so many versions, and segments
    /// kept in some way by everybody.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_snapshots(
        folder: Option<&Path>,
        model: Model<W>,
        every: u64,
        segments: SegmentOptions,
    ) -> Result<Self> {
        let mut name = tempfile::Builder::new();
        name.prefix("grotto-bench-");
        let place = match folder {
            Some(folder) => name.tempdir_in(folder)?,
            None => name.tempdir()?,
        };
        let runtime = Runtime::new()?;
        let url = StoreUrl::Local(place.path().join("store"));
        std::fs::create_dir_all(place.path().join("store"))?;
        let builder = Producer::builder(DATASET, Store::open_writable(&url)?);
        let builder = builder
            .schema(Schema::parse(W::SCHEMA)?)
            .snapshot_every(every)
            .segments(segments);
        let producer = runtime.block_on(builder.open())?;
        let model = Arc::new(model);
        let records = Arc::clone(&model);
        let published = producer.run_cycle(move |cycle| {
            let id = cycle.schema().find(W::Typed::TYPE);
            let id = id.ok_or_else(|| Error::invalid("the schema lacks its own type"))?;
            let mut flat = FlatBuilder::new();
            for (position, record) in records.records().iter().enumerate() {
                flat.clear();
                records.workload().write(record, &mut flat);
                cycle.add_flat(id, flat.bytes(), position as u64)?;
            }
            Ok(())
        });
        runtime
            .block_on(published)?
            .context("a first cycle without records")?;
        runtime.block_on(producer.snapshot())?;
        Ok(Self {
            place,
            runtime,
            segments,
            producer: Arc::new(producer),
            model,
        })
    }

    /// What should be there.
    #[must_use]
    pub fn model(&self) -> &Model<W> {
        &self.model
    }

    /// Its folder.
    #[must_use]
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// What its asynchronous parts run on.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// A consumer of the newest version that does not poll: on the heap, or with a state directory.
    ///
    /// # Errors
    /// When it cannot load.
    pub fn consumer(&self, state_dir: Option<&Path>) -> Result<Consumer> {
        let builder = Consumer::builder(DATASET, store_of(self.place())?);
        let mut builder = builder.segments(self.segments);
        if let Some(dir) = state_dir {
            builder = builder.state_dir(dir);
        }
        Ok(self.runtime.block_on(builder.open())?)
    }

    /// Has the producer write a snapshot in the background.
    #[must_use]
    pub fn start_snapshot(&self) -> JoinHandle<grotto::producer::Result<()>> {
        let producer = Arc::clone(&self.producer);
        self.runtime
            .spawn(async move { producer.snapshot().await.map(drop) })
    }

    /// Takes a change step of `k` and publishes it.
    ///
    /// # Errors
    /// When the engine refuses a change, or finds none.
    pub fn publish(&mut self, k: u64) -> Result<()> {
        self.publish_step(|model| model.step(k))
    }

    /// Takes a change step and publishes it.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_step(&mut self, step: impl FnOnce(&mut Model<W>) -> Vec<Change>) -> Result<()> {
        let model = Arc::get_mut(&mut self.model).context("a cycle still holds the records")?;
        let changes = step(model);
        let records = Arc::clone(&self.model);
        let published = self.producer.run_incremental(move |cycle| {
            let id = cycle.schema().find(W::Typed::TYPE);
            let id = id.ok_or_else(|| Error::invalid("the schema lacks its own type"))?;
            let mut flat = FlatBuilder::new();
            for (line, change) in changes.into_iter().enumerate() {
                match change {
                    Change::Delete(key) => drop(cycle.delete::<W::Typed>(key)?),
                    Change::Put(position) => {
                        flat.clear();
                        records
                            .workload()
                            .write(&records.records()[position], &mut flat);
                        cycle.upsert_flat(id, flat.bytes(), line as u64)?;
                    }
                }
            }
            Ok(())
        });
        self.runtime
            .block_on(published)?
            .context("a cycle with changes found none")?;
        Ok(())
    }

    /// Compares what a consumer serves with the model.
    ///
    /// # Errors
    /// When they differ.
    pub fn verify(&self, state: &State) -> Result<()> {
        let typed = state.typed::<W::Typed>()?;
        let digest = typed.iter().map(W::digest_read).fold(0, u64::wrapping_add);
        let expected = self.model.digest();
        ensure!(
            digest == expected,
            "served records have digest {digest:016x}, expected {expected:016x}"
        );
        Ok(())
    }
}
