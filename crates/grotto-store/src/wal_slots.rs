//! The numbered objects that a write-ahead log in the store consists of.
//!
//! Owns: creating a slot and finding out who did; listing, reading and removing slots. Never: knows what is in one, or
//! who may create the next. Spec: `docs/format/spec.md`, section "Write-ahead log in the store".

use bytes::Bytes;
use object_store::path::Path;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::layout::wal_slot_of;
use crate::object::Created;

/// Most bytes of a slot.
pub const MAX_SLOT_BYTES: u64 = 1 << 28;

/// The slots below `wal/` of a dataset, as its writer sees them: never by a copy that may be behind.
#[derive(Clone, Debug)]
pub struct WalSlots {
    dataset: Dataset,
}

/// A slot that a listing names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedSlot {
    /// Its number.
    pub slot: u64,
    /// Its length.
    pub bytes: u64,
}

/// Whose a slot is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotOwner {
    /// It holds these bytes, for good.
    Ours,
    /// It holds others.
    Other(Bytes),
}

impl Dataset {
    /// The slots of its write-ahead log.
    #[must_use]
    pub fn wal_slots(&self) -> WalSlots {
        WalSlots {
            dataset: self.alone(),
        }
    }
}

impl WalSlots {
    /// The slots that are there, in order. Anything else that lies there is left out.
    ///
    /// # Errors
    /// `Unavailable` or `Overloaded` when the store does not answer or asks for less.
    pub async fn list(&self) -> Result<Vec<ListedSlot>> {
        let folder = self.dataset.layout.wal();
        let (objects, _) = self
            .dataset
            .store
            .list_objects(&folder, None, usize::MAX)
            .await?;
        let listed = objects.iter().filter_map(|meta| {
            let slot = wal_slot_of(&meta.location)?;
            Some(ListedSlot {
                slot,
                bytes: meta.size,
            })
        });
        let mut listed: Vec<ListedSlot> = listed.collect();
        listed.sort_unstable_by_key(|listed| listed.slot);
        Ok(listed)
    }

    /// Creates a slot, and finds out whose it is. Calling it again with the same bytes is harmless.
    ///
    /// # Errors
    /// `Invalid` for more than [`MAX_SLOT_BYTES`]. Any other error means that the outcome is unknown: the bytes may be
    /// there, or may still get there.
    pub async fn create(&self, slot: u64, bytes: &Bytes) -> Result<SlotOwner> {
        if bytes.len() as u64 > MAX_SLOT_BYTES {
            return Err(Error::invalid(format!(
                "a slot of the write-ahead log: expected at most {MAX_SLOT_BYTES} bytes, found {}",
                bytes.len()
            )));
        }
        let path = self.dataset.layout.wal_slot(slot);
        let attempt = || self.attempt(&path, bytes);
        self.dataset.store.writing(attempt).await
    }

    async fn attempt(&self, path: &Path, bytes: &Bytes) -> Result<SlotOwner> {
        let store = &self.dataset.store;
        let failure = match store.create(path, bytes.clone()).await {
            Ok(Created::New) => return Ok(SlotOwner::Ours),
            // A question, not an answer: our own first attempt may have landed.
            Ok(Created::Exists) => None,
            // What can be read back may not be on the disk.
            Err(error) if store.may_lose_what_it_shows() => return Err(error),
            // Also a question: an error may follow a success.
            Err(error) => Some(error),
        };
        match store.get(path, MAX_SLOT_BYTES).await? {
            Some(found) if found == *bytes => Ok(SlotOwner::Ours),
            Some(found) => Ok(SlotOwner::Other(found)),
            None => Err(failure.unwrap_or_else(|| {
                Error::unavailable(format!(
                    "{path} exists and does not: the store contradicts itself"
                ))
            })),
        }
    }

    /// What is in a slot; `None` if there is none.
    ///
    /// # Errors
    /// `Corrupt` for more than [`MAX_SLOT_BYTES`]; `Unavailable` or `Overloaded` when the store does not answer or asks
    /// for less.
    pub async fn read(&self, slot: u64) -> Result<Option<Bytes>> {
        let path = self.dataset.layout.wal_slot(slot);
        self.dataset.store.get(&path, MAX_SLOT_BYTES).await
    }

    /// Returns once a slot that can be read is there for good: its writer may have died before it synced the name.
    ///
    /// # Errors
    /// When that cannot be made sure of.
    pub async fn confirm(&self, slot: u64) -> Result<()> {
        let path = self.dataset.layout.wal_slot(slot);
        self.dataset.store.confirm(&path).await
    }

    /// Removes a slot; one that is gone is fine.
    ///
    /// # Errors
    /// `Unavailable` or `Overloaded` when the store does not answer or asks for less.
    pub async fn remove(&self, slot: u64) -> Result<()> {
        let path = self.dataset.layout.wal_slot(slot);
        let store = &self.dataset.store;
        store.writing(|| store.delete(&path)).await
    }

    /// The name of a slot, for messages.
    #[must_use]
    pub fn name(&self, slot: u64) -> String {
        self.dataset.layout.wal_slot(slot).to_string()
    }
}
