//! What a caller does within a cycle.
//!
//! Owns: adding, upserting and deleting in all forms (typed, JSON, flat), and transactions.
//! Never publishes.

use crate::guard::told;
use crate::ndjson::entry;
use crate::notes::Notes;
use crate::run::{Filled, Form};
use crate::{AnyError, Error, Result};
use grotto_format::flat::FlatBuilder;
use grotto_format::json;
use grotto_format::schema::{Schema, TypeId};
use grotto_state::{Cycle, Encoder, Key, Mode, RecordType, State, show_position};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// A full-state cycle: whatever is not added is removed.
#[derive(Debug)]
pub struct FullCycle {
    cycle: Cycle,
    flat: FlatBuilder,
    records: u64,
    notes: Notes,
    /// An engine error after which the cycle must not be committed, whatever the caller returns.
    failed: Option<String>,
}

/// An incremental cycle: what is not mentioned stays.
#[derive(Debug)]
pub struct IncrementalCycle {
    cycle: Cycle,
    flat: FlatBuilder,
    records: u64,
    notes: Notes,
}

/// What users hand to a transaction, in messages.
const TRANSACTION: &str = "the closure of the transaction";

fn decode_json(
    schema: &Schema,
    id: TypeId,
    text: &str,
    (source, position): (&str, u64),
    flat: &mut FlatBuilder,
) -> Result<()> {
    flat.clear();
    json::decode(schema, id, text, flat)
        .map_err(|e| Error::invalid(e.to_string()).at(show_position(source, position)))
}

impl FullCycle {
    pub(crate) const FORM: Form<Self> = Form {
        mode: Mode::Full,
        open: Self::new,
        close: Self::close,
    };

    fn new(mut cycle: Cycle, threads: usize) -> Self {
        cycle.use_threads(threads);
        Self {
            cycle,
            flat: FlatBuilder::new(),
            records: 0,
            notes: Notes::default(),
            failed: None,
        }
    }

    /// Says how far a source was read; committed together with the records, so that ingestion resumes
    /// there. A cycle that changes no record but moves a position is a version all the same.
    pub fn set_position(&mut self, source: &str, position: u64) {
        self.notes.positions.insert(source.to_owned(), position);
    }

    /// Adds a note to the version.
    pub fn set_tag(&mut self, name: &str, text: &str) {
        self.notes.tags.insert(name.to_owned(), text.to_owned());
    }

    /// The schema of the cycle.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        self.cycle.schema()
    }

    /// The committed state.
    #[must_use]
    pub fn before(&self) -> &Arc<State> {
        self.cycle.before()
    }

    /// Names where records come from: positions are then shown as its lines.
    pub fn set_source(&mut self, source: &str) {
        self.cycle.set_source(source);
    }

    /// Adds a record given as JSON. `position` is its number in the source, for messages.
    ///
    /// # Errors
    /// When the text is not a record of the type; nothing was added then and the cycle may go on.
    /// When its key was added before; the cycle cannot be published then. Records are taken in on
    /// several threads, so this may be told by a later call, or by the end of the cycle.
    pub fn add_json(&mut self, type_name: &str, text: &str, position: u64) -> Result<()> {
        let id = self.schema().require(type_name)?;
        let mut flat = std::mem::take(&mut self.flat);
        let schema = Arc::clone(self.schema());
        let place = (self.cycle.source(), position);
        let added = decode_json(&schema, id, text, place, &mut flat)
            .and_then(|()| self.add_flat(id, flat.bytes(), position));
        self.flat = flat;
        added
    }

    /// Adds a line: a record of type `type_name`, or one with its type, `{"type":…,"record":…}`. A blank one is nothing.
    ///
    /// # Errors
    /// As [`add_json`](Self::add_json).
    pub fn add_line(
        &mut self,
        line: &[u8],
        type_name: Option<&str>,
        position: u64,
    ) -> Result<Option<TypeId>> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(None);
        }
        let schema = Arc::clone(self.schema());
        let mut flat = std::mem::take(&mut self.flat);
        flat.clear();
        let decoded = entry(line, &mut flat, &schema, type_name);
        let place = show_position(self.cycle.source(), position);
        let added = decoded.map_err(|error| error.at(place));
        let added = added.and_then(|(id, span)| {
            self.add_flat(id, &flat.bytes()[span], position)?;
            Ok(Some(id))
        });
        self.flat = flat;
        added
    }

    /// Adds a Rust value.
    ///
    /// # Errors
    /// When the schema does not have the type as the value needs it; as
    /// [`add_json`](Self::add_json) otherwise.
    pub fn add<T: RecordType>(&mut self, record: &T) -> Result<()> {
        let encoder = Encoder::<T>::new(self.schema())?;
        let mut flat = std::mem::take(&mut self.flat);
        flat.clear();
        let position = self.records + 1;
        let encoded = encoder.encode(record, &mut flat);
        let added = encoded.and_then(|()| self.add_flat(encoder.type_id(), flat.bytes(), position));
        self.flat = flat;
        added
    }

    /// Adds a record in flat form.
    ///
    /// # Errors
    /// As [`add_json`](Self::add_json).
    pub fn add_flat(&mut self, id: TypeId, flat: &[u8], position: u64) -> Result<()> {
        self.records += 1;
        self.cycle.add_later(id, flat, position).map_err(|error| {
            let error = Error::from(error);
            self.failed
                .get_or_insert_with(|| error.message().to_owned());
            error
        })
    }

    /// Adds all records that `fill` hands over, or, when it fails, none of them.
    ///
    /// # Errors
    /// The error of `fill`, as the cycle itself would give it, or of adding.
    pub fn transaction<T>(
        &mut self,
        fill: impl FnOnce(&mut Transaction) -> Result<T, AnyError>,
    ) -> Result<T> {
        let mut transaction = Transaction {
            schema: Arc::clone(self.schema()),
            source: self.cycle.source().to_owned(),
            before: self.records,
            records: Vec::new(),
        };
        let value = fill(&mut transaction).map_err(|failed| told(TRANSACTION, failed))?;
        for (id, flat, position) in transaction.records {
            self.add_flat(id, &flat, position)?;
        }
        Ok(value)
    }

    /// What is wrong with a record takes precedence over the error that filling ended with: worker timing
    /// must not decide which is reported.
    fn close(mut self, filled: Result<()>) -> Result<Filled> {
        if let Some(message) = self.failed {
            return Err(Error::invalid(message));
        }
        if filled.is_err() {
            self.cycle.take_in()?;
        }
        filled.map(|()| Filled {
            cycle: self.cycle,
            records: self.records,
            notes: self.notes,
        })
    }
}

/// Records of a transaction within a full cycle, held back until it succeeds.
#[derive(Debug)]
pub struct Transaction {
    schema: Arc<Schema>,
    /// Where its records come from.
    source: String,
    /// Records of the cycle before its first one.
    before: u64,
    records: Vec<(TypeId, Vec<u8>, u64)>,
}

impl Transaction {
    /// Adds a Rust value.
    ///
    /// # Errors
    /// When the schema does not have the type as the value needs it.
    pub fn add<T: RecordType>(&mut self, record: &T) -> Result<()> {
        let record = Encoder::<T>::new(&self.schema)?.record(record)?;
        let position = self.before + self.records.len() as u64 + 1;
        self.records.push((record.type_id, record.bytes, position));
        Ok(())
    }

    /// Adds a record given as JSON.
    ///
    /// # Errors
    /// When the text is not a record of the type.
    pub fn add_json(&mut self, type_name: &str, text: &str, position: u64) -> Result<()> {
        let id = self.schema.require(type_name)?;
        let mut flat = FlatBuilder::new();
        decode_json(&self.schema, id, text, (&self.source, position), &mut flat)?;
        self.records.push((id, flat.bytes().to_vec(), position));
        Ok(())
    }
}

impl IncrementalCycle {
    pub(crate) const FORM: Form<Self> = Form {
        mode: Mode::Incremental,
        open: Self::new,
        close: Self::close,
    };

    fn new(cycle: Cycle, _threads: usize) -> Self {
        Self {
            cycle,
            flat: FlatBuilder::new(),
            records: 0,
            notes: Notes::default(),
        }
    }

    /// Says how far a source was read; committed together with the records, so that ingestion resumes
    /// there. A cycle that changes no record but moves a position is a version all the same.
    pub fn set_position(&mut self, source: &str, position: u64) {
        self.notes.positions.insert(source.to_owned(), position);
    }

    /// Adds a note to the version.
    pub fn set_tag(&mut self, name: &str, text: &str) {
        self.notes.tags.insert(name.to_owned(), text.to_owned());
    }

    /// The schema of the cycle.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        self.cycle.schema()
    }

    /// The committed state.
    #[must_use]
    pub fn before(&self) -> &Arc<State> {
        self.cycle.before()
    }

    /// Names where records come from: positions are then shown as its lines.
    pub fn set_source(&mut self, source: &str) {
        self.cycle.set_source(source);
    }

    /// Adds a record given as JSON, or replaces the one with its key.
    ///
    /// # Errors
    /// When the text is not a record of the type; the cycle may go on.
    pub fn upsert_json(&mut self, type_name: &str, text: &str, position: u64) -> Result<()> {
        let id = self.schema().require(type_name)?;
        let mut flat = std::mem::take(&mut self.flat);
        let schema = Arc::clone(self.schema());
        let place = (self.cycle.source(), position);
        let done = decode_json(&schema, id, text, place, &mut flat)
            .and_then(|()| self.upsert_flat(id, flat.bytes(), position));
        self.flat = flat;
        done
    }

    /// Adds a Rust value, or replaces the record with its key.
    ///
    /// # Errors
    /// When the schema does not have the type as the value needs it; the cycle may go on.
    pub fn upsert<T: RecordType>(&mut self, record: &T) -> Result<()> {
        let encoder = Encoder::<T>::new(self.schema())?;
        let mut flat = std::mem::take(&mut self.flat);
        flat.clear();
        let position = self.records + 1;
        let encoded = encoder.encode(record, &mut flat);
        let done =
            encoded.and_then(|()| self.upsert_flat(encoder.type_id(), flat.bytes(), position));
        self.flat = flat;
        done
    }

    /// Adds a record in flat form, or replaces the one with its key.
    ///
    /// # Errors
    /// When the bytes are not a record of the type; the cycle may go on.
    pub fn upsert_flat(&mut self, id: TypeId, flat: &[u8], position: u64) -> Result<()> {
        self.records += 1;
        Ok(self.cycle.upsert(id, flat, position)?)
    }

    /// Deletes the record with a key: `cycle.delete::<City>(7)`. Whether there was one, in the
    /// committed state or upserted by this cycle. A record that came within another one is not
    /// known yet and counts as absent.
    ///
    /// # Errors
    /// When the schema has another primary key than the struct; when other records refer to the
    /// record, which the end of the cycle tells.
    pub fn delete<T: RecordType>(&mut self, key: T::Key<'_>) -> Result<bool> {
        self.delete_from(T::TYPE, key)
    }

    /// Deletes the record with a key of a type that is named: `cycle.delete_from("City", 7_i64)`.
    /// Whether there was one, as [`delete`](Self::delete) tells it.
    ///
    /// # Errors
    /// As [`delete`](Self::delete), and when the key is not of the fields of the type's.
    pub fn delete_from<K: Key>(&mut self, type_name: &str, key: K) -> Result<bool> {
        let id = self.schema().require(type_name)?;
        self.delete_of(id, key)
    }

    /// The same of a type by its number.
    pub(crate) fn delete_of<K: Key>(&mut self, id: TypeId, key: K) -> Result<bool> {
        self.records += 1;
        Ok(self.cycle.delete(id, key, self.records)?)
    }

    /// Says how far a source was read, which is worth no version by itself.
    pub(crate) fn set_rider(&mut self, source: &str, position: u64) {
        self.notes.riders.insert(source.to_owned(), position);
    }

    /// What the cycle was filled with.
    pub(crate) fn filled(self) -> Filled {
        Filled {
            cycle: self.cycle,
            records: self.records,
            notes: self.notes,
        }
    }

    /// Applies all changes that `fill` makes, or, when it fails, none of them.
    ///
    /// # Errors
    /// The error of `fill`, as the cycle itself would give it.
    pub fn transaction<T>(
        &mut self,
        fill: impl FnOnce(&mut Self) -> Result<T, AnyError>,
    ) -> Result<T> {
        let savepoint = self.cycle.savepoint();
        let (records, notes) = (self.records, self.notes.clone());
        // The owner of a handle may catch a panic and go on with the cycle.
        let filled = catch_unwind(AssertUnwindSafe(|| fill(self)));
        if let Ok(Ok(value)) = filled {
            return Ok(value);
        }
        self.cycle.rollback_to(savepoint);
        // A position without its records would leave them out for good.
        (self.records, self.notes) = (records, notes);
        match filled {
            Ok(filled) => filled.map_err(|failed| told(TRANSACTION, failed)),
            Err(panic) => resume_unwind(panic),
        }
    }

    fn close(self, filled: Result<()>) -> Result<Filled> {
        filled.map(|()| self.filled())
    }
}
