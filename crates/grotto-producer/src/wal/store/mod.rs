//! The write-ahead log in the store: what was acknowledged and is not in a version yet, where the loss of a host loses
//! none of it.
//!
//! Owns: who may append, the numbers of entries, which idempotency keys are remembered. Never: knows what was published;
//! callers [`release`](StoreLog::release) what was. Spec: `docs/format/spec.md`, section "Write-ahead log in the store".
//!
//! A log is a row of numbered objects, its **slots**. Each is created once, by one request, and never changed: one group
//! of entries, or a fence.
//!
//! **Invariants**
//! - Who leads takes the log over by a fence in the slot after the newest one, after it has fenced the commit log. The
//!   slot that a writer from before creates next is that fence, whatever it slept through: fences are never removed.
//! - Who has put its fence there and finds the commit log as it had fenced it has the log: until then the slot of the fence
//!   may be one that others have used and removed.
//! - An entry is acknowledged, known by its key and read only after its slot is known to be ours.
//! - An attempt whose outcome is unknown is settled before anything else is attempted, with its own bytes.
//! - A slot with entries is removed after a version names the number of its last entry, and some more slots follow.

mod append;
mod index;
mod object;
mod read;
mod release;
mod take;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use grotto_env::Env;
use grotto_format::Schema;
use grotto_store::{Dataset, WalSlots};
use parking_lot::Mutex;

use super::{WalEntry, WalOptions, codec};
use crate::{Error, ErrorKind, Result};
use append::Turn;
use index::Index;

/// The source whose position says how far entries are published.
pub const STORE_SOURCE: &str = "wal:store";

const NOT_TAKEN: &str = "the write-ahead log in the store is not taken over yet";

/// A write-ahead log in the store. Tasks share it by reference.
#[derive(Debug)]
pub struct StoreLog {
    slots: WalSlots,
    dataset: String,
    env: Env,
    options: WalOptions,
    schema: Arc<Schema>,
    /// In printed form.
    schema_text: String,
    /// Held while a slot is being created: one at a time.
    turn: tokio::sync::Mutex<Turn>,
    /// Never held while the store is waited for.
    index: Mutex<Index>,
}

impl StoreLog {
    /// The log of a dataset. It holds nothing before it is [taken over](Self::take).
    #[must_use]
    pub fn new(dataset: &Dataset, schema: &Arc<Schema>, options: WalOptions) -> Self {
        Self {
            slots: dataset.wal_slots(),
            dataset: dataset.name().to_owned(),
            env: dataset.store().env().clone(),
            index: Mutex::new(Index::new(&options)),
            options,
            schema_text: schema.to_string(),
            schema: Arc::clone(schema),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Whether this process may append.
    pub fn is_held(&self) -> bool {
        self.index.lock().epoch.is_some()
    }

    /// Number of the newest entry; 0 before the first one.
    pub fn last(&self) -> u64 {
        self.index.lock().last
    }

    /// Bytes of the slots that are not released.
    pub fn bytes(&self) -> u64 {
        self.index.lock().bytes()
    }

    /// How it is kept.
    pub fn options(&self) -> &WalOptions {
        &self.options
    }

    /// Bytes that are left of the budget.
    pub fn room(&self) -> u64 {
        self.options.max_bytes.saturating_sub(self.bytes())
    }

    /// Number of the entry that came with an idempotency key, if it is remembered.
    pub fn known_key(&self, key: &str) -> Option<u64> {
        self.index.lock().keys.find(key)
    }

    /// Why nothing can be appended, or the last append failed; `None` after one that worked.
    pub fn failed(&self) -> Option<String> {
        let index = self.index.lock();
        let failed = index.fenced.clone().or_else(|| index.failed.clone());
        failed.or_else(|| index.epoch.is_none().then(|| NOT_TAKEN.to_owned()))
    }

    /// Says what is wrong with an entry that the log could never take.
    ///
    /// # Errors
    /// `Invalid` when a name is too long, or the entry larger than an entry, or than half of the budget, may be.
    pub fn check(&self, entry: &WalEntry, bytes: u64) -> Result<()> {
        let most = self.options.max_entry_bytes.min(self.options.max_bytes / 2);
        if bytes > most {
            let message = format!("a submission of about {bytes} bytes: expected at most {most}");
            return Err(Error::invalid(message));
        }
        codec::check(entry, self.schema.types().len()).map_err(Error::invalid)
    }

    /// What is not as it was written, and where.
    fn corrupt(&self, slot: u64, what: &str) -> Error {
        Error::corrupt(format!("{}: {what}", self.slots.name(slot)))
    }

    /// Another writer took the log over.
    fn fenced(&self, slot: u64, epoch: u64) -> Error {
        let message = format!(
            "another writer of epoch {epoch} took over the write-ahead log of dataset {} with {}",
            self.dataset,
            self.slots.name(slot)
        );
        tracing::warn!(dataset = self.dataset, message, "this writer has ended");
        let mut index = self.index.lock();
        index.epoch = None;
        index.fenced = Some(message.clone());
        Error::new(ErrorKind::Fenced, message)
    }
}
