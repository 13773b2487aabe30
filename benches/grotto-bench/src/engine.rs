//! A producer without a store: the model of a workload and the write state that follows it.
//!
//! Owns: cycles over generated records. Never: prints.

use crate::workload::{Change, Model, Workload};
use anyhow::{Context, Result, ensure};
use grotto::RecordType;
use grotto_format::blob::Blob;
use grotto_format::flat::FlatBuilder;
use grotto_format::schema::{Schema, TypeId};
use grotto_state::{
    EncodeOptions, Encoded, HashSeed, HeapSeal, Mode, State, WriteState, encode_snapshot,
};
use std::sync::Arc;

/// The dataset in both forms.
#[derive(Debug)]
pub struct Engine<W: Workload> {
    /// What should be there.
    pub model: Model<W>,
    /// What is there.
    pub write: WriteState,
    schema: Arc<Schema>,
    type_id: TypeId,
    flat: FlatBuilder,
}

/// The state before the first version, with the same seed in every run.
#[must_use]
pub fn empty() -> State {
    State::empty(HashSeed::new([0x5eed, 0x5eed_5eed]))
}

/// A blob that is kept to be applied later.
///
/// # Errors
/// When the bytes are not a blob.
pub fn parse(bytes: Vec<u8>) -> Result<Blob> {
    Ok(Blob::parse(bytes.into())?)
}

/// The state a blob leads to, on the heap.
///
/// # Errors
/// When the blob does not start from the state.
pub fn apply(state: &State, blob: &Blob) -> Result<State> {
    Ok(state.apply(blob, &mut HeapSeal::default())?.0)
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().min(8))
}

impl<W: Workload> Engine<W> {
    /// A producer that has published nothing.
    ///
    /// # Errors
    /// When the workload's schema is wrong.
    pub fn new(model: Model<W>) -> Result<Self> {
        let schema = Schema::parse(W::SCHEMA)?;
        let type_id = schema
            .find(W::Typed::TYPE)
            .context("the schema lacks its own type")?;
        Ok(Self {
            model,
            write: WriteState::new(Arc::new(empty())),
            schema: Arc::new(schema),
            type_id,
            flat: FlatBuilder::new(),
        })
    }

    /// The model with all changes it has taken.
    #[must_use]
    pub fn into_model(self) -> Model<W> {
        self.model
    }

    /// Forgets everything published; the model stays.
    pub fn reset(&mut self) {
        self.write = WriteState::new(Arc::new(empty()));
    }

    /// What was published last.
    #[must_use]
    pub fn state(&self) -> &Arc<State> {
        self.write.state()
    }

    fn options(version: u64) -> EncodeOptions {
        // As producers do unless told otherwise.
        EncodeOptions {
            dataset: "bench".into(),
            version,
            level: Some(3),
            threads: threads(),
        }
    }

    /// A cycle over all records.
    ///
    /// # Errors
    /// When the engine refuses a record.
    pub fn full(&mut self) -> Result<Option<Encoded>> {
        let mut cycle = self.write.begin(&self.schema, Mode::Full)?;
        cycle.use_threads(threads());
        for (position, record) in self.model.records().iter().enumerate() {
            self.flat.clear();
            self.model.workload().write(record, &mut self.flat);
            cycle.add_later(self.type_id, self.flat.bytes(), position as u64)?;
        }
        Ok(cycle.finish(&Self::options(self.state().version() + 1))?)
    }

    /// A cycle over changes that the model has taken.
    ///
    /// # Errors
    /// When the engine refuses a change, or finds none.
    pub fn incremental(&mut self, changes: &[Change]) -> Result<Encoded> {
        let mut cycle = self.write.begin(&self.schema, Mode::Incremental)?;
        for (line, change) in changes.iter().enumerate() {
            let line = line as u64;
            match change {
                Change::Delete(key) => drop(cycle.delete(self.type_id, key, line)?),
                Change::Put(position) => {
                    self.flat.clear();
                    let record = &self.model.records()[*position];
                    self.model.workload().write(record, &mut self.flat);
                    cycle.upsert(self.type_id, self.flat.bytes(), line)?;
                }
            }
        }
        let encoded = cycle.finish(&Self::options(self.state().version() + 1))?;
        encoded.context("a cycle with changes found none")
    }

    /// Takes a change step of `k` and publishes it; gives the delta.
    ///
    /// # Errors
    /// As [`incremental`](Self::incremental).
    pub fn publish(&mut self, k: u64) -> Result<Vec<u8>> {
        let changes = self.model.step(k);
        let mut encoded = self.incremental(&changes)?;
        let delta = std::mem::take(&mut encoded.delta);
        self.write.advance(encoded);
        Ok(delta)
    }

    /// A snapshot of the published state.
    ///
    /// # Errors
    /// When a column outgrows a section.
    pub fn snapshot(&self) -> Result<Vec<u8>> {
        Ok(encode_snapshot(
            self.state(),
            &Self::options(self.state().version()),
        )?)
    }

    /// A consumer's state: loaded from a snapshot, sharing nothing with the producer's.
    ///
    /// # Errors
    /// When the snapshot does not load.
    pub fn loaded(&self) -> Result<Arc<State>> {
        Ok(Arc::new(apply(&empty(), &parse(self.snapshot()?)?)?))
    }

    /// Compares what was published with the model, and gives its digest. A figure of wrong records is worth nothing.
    ///
    /// # Errors
    /// When they differ.
    pub fn verify(&self) -> Result<u64> {
        let typed = self.state().typed::<W::Typed>()?;
        let digest = typed.iter().map(W::digest_read).fold(0, u64::wrapping_add);
        let expected = self.model.digest();
        ensure!(
            digest == expected,
            "published records have digest {digest:016x}, expected {expected:016x}"
        );
        Ok(digest)
    }
}
