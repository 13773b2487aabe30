//! A batch: changes that are submitted together.
//!
//! Owns: taking changes in, in all forms, and refusing what no cycle could apply. Never: promises anything; that
//! is what submitting it is for.

use crate::ndjson::{Change, change};
use crate::wal::{MAX_KEY, WalChange, WalEntry, WalKeyPart};
use crate::{Error, ErrorKind, Result};
use grotto_format::flat::FlatBuilder;
use grotto_format::json;
use grotto_format::schema::{Schema, TypeId};
use grotto_state::{Admission, Encoder, Key, KeyValue, RecordType, show_position};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Changes of one dataset that are acknowledged together. [`Pipeline::batch`](super::Pipeline::batch) begins one.
#[derive(Debug)]
pub struct Batch {
    admission: Admission,
    pub(super) entry: WalEntry,
    pub(super) bytes: usize,
    pub(super) priority: u8,
    pub(super) refused: Vec<Refused>,
    flat: FlatBuilder,
}

/// Something that was sent and is not part of the batch.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Its number in its source, such as a line.
    pub position: u64,
    /// The type that it was sent as, if that is known.
    pub type_name: Option<String>,
    /// What is wrong with it.
    pub error: Error,
    /// What was sent.
    pub text: String,
    /// Whether the text is not all that was sent, which cannot be sent again then.
    pub is_cut: bool,
}

impl Batch {
    pub(super) fn new(admission: Admission) -> Self {
        Self {
            admission,
            entry: blank(),
            bytes: 0,
            priority: 0,
            refused: Vec::new(),
            flat: FlatBuilder::new(),
        }
    }

    /// The schema of the records.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        self.admission.schema()
    }

    /// Number of changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entry.changes.len()
    }

    /// Whether there are no changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entry.changes.is_empty()
    }

    /// Bytes of the changes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Applies the batch whole or not at all. Unless set, a change that cannot be applied in the end becomes a
    /// dead letter by itself.
    pub fn set_atomic(&mut self, atomic: bool) {
        self.entry.atomic = atomic;
    }

    /// A name for the batch that its sender uses once: a second batch of the same name counts as the first one
    /// sent again, for as long as the log remembers it.
    ///
    /// # Errors
    /// `Invalid` for an empty name or one of more than 255 bytes.
    pub fn set_key(&mut self, key: &str) -> Result<()> {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(Error::invalid(format!(
                "idempotency key: expected 1 to {MAX_KEY} bytes, found {}",
                key.len()
            )));
        }
        self.entry.key = Some(key.to_owned());
        Ok(())
    }

    /// Names where the changes come from, for messages.
    pub fn set_source(&mut self, source: &str) {
        source.clone_into(&mut self.entry.source);
    }

    /// Says how far a source was read: committed with the batch, so that reading goes on there.
    pub fn set_position(&mut self, source: &str, position: u64) {
        self.entry.positions.insert(source.to_owned(), position);
    }

    /// Who waits longer when too much comes: 0, the lowest, unless set. Only counts under
    /// [`Shedding::ByPriority`](super::Shedding::ByPriority).
    pub fn set_priority(&mut self, priority: u8) {
        self.priority = priority;
    }

    /// Adds a Rust value, or replaces the record with its key.
    ///
    /// # Errors
    /// `Invalid` when the schema does not have the type as the value needs it, or the type has no primary key.
    pub fn upsert<T: RecordType>(&mut self, record: &T) -> Result<()> {
        let encoder = Encoder::<T>::new(self.schema())?;
        let mut flat = std::mem::take(&mut self.flat);
        flat.clear();
        let position = self.next_position();
        let encoded = encoder.encode(record, &mut flat);
        let done = encoded.and_then(|()| self.admit(encoder.type_id(), flat.bytes(), position));
        self.flat = flat;
        done
    }

    /// Adds a record given as JSON, or replaces the one with its key. `position` is its number in the source, for
    /// messages.
    ///
    /// # Errors
    /// `Invalid` when the text is not a record of the type, or the type has no primary key.
    pub fn upsert_json(&mut self, type_name: &str, text: &str, position: u64) -> Result<()> {
        let schema = Arc::clone(self.schema());
        let id = schema.require(type_name)?;
        let mut flat = std::mem::take(&mut self.flat);
        flat.clear();
        let decoded = json::decode(&schema, id, text, &mut flat)
            .map_err(|e| Error::invalid(e.to_string()).at(self.show(position)));
        let done = decoded.and_then(|()| self.admit(id, flat.bytes(), position));
        self.flat = flat;
        done
    }

    /// Deletes the record with a key: `batch.delete::<City>(7)`.
    ///
    /// # Errors
    /// `Invalid` when the schema has another primary key than the struct.
    pub fn delete<T: RecordType>(&mut self, key: T::Key<'_>) -> Result<()> {
        self.delete_from(T::TYPE, key)
    }

    /// Deletes the record with a key of a type that is named.
    ///
    /// # Errors
    /// `Invalid` when there is no such type, or the key is not one of its.
    pub fn delete_from<K: Key>(&mut self, type_name: &str, key: K) -> Result<()> {
        let id = self.schema().require(type_name)?;
        self.admission.check_delete(id, &key)?;
        let parts = (0..key.fields()).map(|part| owned(key.field(part)));
        let position = self.next_position();
        self.push_delete(id, parts.collect(), position);
        Ok(())
    }

    /// Takes in a line of text: a record of type `type_name`, or a change that says what it is,
    /// `{"op":"upsert|delete","type":…,"record":…,"key":…}`. A blank line is nothing.
    ///
    /// # Errors
    /// `Invalid` with what was expected, and where in the line; the batch is as it was then.
    pub fn add_line(&mut self, line: &[u8], type_name: Option<&str>, position: u64) -> Result<()> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let mut flat = std::mem::take(&mut self.flat);
        flat.clear();
        let done = self.take_line(line, type_name, position, &mut flat);
        self.flat = flat;
        done
    }

    fn take_line(
        &mut self,
        line: &[u8],
        type_name: Option<&str>,
        position: u64,
        flat: &mut FlatBuilder,
    ) -> Result<()> {
        let schema = Arc::clone(self.schema());
        let id = type_name.map(|name| schema.require(name)).transpose()?;
        match change(line, flat, &schema, id)? {
            Change::Record(id, span) => self.admit(id, &flat.bytes()[span], position),
            Change::Delete(id, key) => {
                let values: Vec<KeyValue<'_>> = key.iter().map(KeyValue::from).collect();
                self.admission.check_delete(id, values.as_slice())?;
                self.push_delete(id, key, position);
                Ok(())
            }
        }
    }

    /// Notes something that was sent and is not part of the batch: it becomes a dead letter when the batch is
    /// submitted.
    pub fn refuse(
        &mut self,
        position: u64,
        type_name: Option<&str>,
        text: impl Into<String>,
        error: Error,
    ) {
        let text = text.into();
        self.bytes += text.len() + OVERHEAD;
        self.refused.push(Refused {
            position,
            type_name: type_name.map(str::to_owned),
            error,
            text,
            is_cut: false,
        });
    }

    /// The same of bytes: those that are no UTF-8 are replaced, and what was sent is not known from its text then.
    pub fn refuse_line(
        &mut self,
        position: u64,
        type_name: Option<&str>,
        line: &[u8],
        error: Error,
    ) {
        let text = String::from_utf8_lossy(line);
        let is_cut = matches!(text, Cow::Owned(_));
        self.refuse(position, type_name, text, error);
        if let Some(refused) = self.refused.last_mut() {
            refused.is_cut = is_cut;
        }
    }

    /// What was refused so far.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    fn admit(&mut self, id: TypeId, flat: &[u8], position: u64) -> Result<()> {
        let place = || show_position(&self.entry.source, position);
        self.admission.check_upsert(id, flat, &place)?;
        self.push(WalChange::Upsert {
            type_id: id.0,
            position,
            flat: flat.to_vec(),
        });
        Ok(())
    }

    fn push(&mut self, change: WalChange) {
        self.bytes += change_weight(&change);
        self.entry.changes.push(change);
    }

    fn push_delete(&mut self, id: TypeId, key: Vec<json::KeyPart>, position: u64) {
        self.push(WalChange::Delete {
            type_id: id.0,
            position,
            key: key.into_iter().map(Into::into).collect(),
        });
    }

    fn next_position(&self) -> u64 {
        self.entry.changes.len() as u64 + 1
    }

    fn show(&self, position: u64) -> String {
        show_position(&self.entry.source, position)
    }

    /// Refuses a batch that says nothing.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_empty() && self.entry.positions.is_empty() && self.refused.is_empty() {
            let message = "an empty batch: expected changes, or a position of a source";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(())
    }
}

/// What a change costs beside its bytes: numbers, lengths, the vector that holds it.
const OVERHEAD: usize = 48;

/// Bytes of an entry in memory, about.
pub(super) fn weight(entry: &WalEntry) -> usize {
    let of_position = |source: &String| source.len() + OVERHEAD;
    let positions: usize = entry.positions.keys().map(of_position).sum();
    let key = entry.key.as_ref().map_or(0, String::len);
    let changes: usize = entry.changes.iter().map(change_weight).sum();
    changes + positions + key + entry.source.len() + OVERHEAD
}

fn change_weight(change: &WalChange) -> usize {
    let of_part = |part: &WalKeyPart| match part {
        WalKeyPart::String(text) => text.len(),
        WalKeyPart::Bytes(bytes) => bytes.len(),
        _ => 0,
    };
    OVERHEAD
        + match change {
            WalChange::Upsert { flat, .. } => flat.len(),
            WalChange::Delete { key, .. } => key.iter().map(|part| OVERHEAD + of_part(part)).sum(),
        }
}

/// An entry of nothing.
pub(super) fn blank() -> WalEntry {
    WalEntry {
        key: None,
        atomic: false,
        source: String::new(),
        positions: BTreeMap::new(),
        time_ms: 0,
        changes: Vec::new(),
    }
}

fn owned(value: KeyValue<'_>) -> json::KeyPart {
    match value {
        KeyValue::Int(value) => json::KeyPart::Int(value),
        KeyValue::Long(value) => json::KeyPart::Long(value),
        KeyValue::Float(value) => json::KeyPart::Float(value),
        KeyValue::Double(value) => json::KeyPart::Double(value),
        KeyValue::Boolean(value) => json::KeyPart::Boolean(value),
        KeyValue::String(text) => json::KeyPart::String(text.to_owned()),
        KeyValue::Bytes(bytes) => json::KeyPart::Bytes(bytes.to_vec()),
    }
}
