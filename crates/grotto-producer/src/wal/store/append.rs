//! Appends groups of entries.
//!
//! Owns: the slot that is being created, and what losing it means. Never: reads entries back.

use std::sync::Arc;

use bytes::Bytes;
use grotto_store::SlotOwner;

use super::index::Slot;
use super::object::{Header, Kind, Object, encode, encode_frames};
use super::{NOT_TAKEN, StoreLog};
use crate::wal::WalEntry;
use crate::wal::scan::MAX_NUMBER;
use crate::{Error, ErrorKind, Result};

/// Who appends.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// A slot that may have been created, or may be still.
    pending: Option<Pending>,
}

/// A slot on its way.
#[derive(Clone, Debug)]
struct Pending {
    slot: Slot,
    bytes: Bytes,
    keys: Vec<(String, u64)>,
}

impl StoreLog {
    /// Appends entries as one slot; the number of the first one. Entries that came into the log before it and that
    /// nobody told of are read back from the log.
    ///
    /// # Errors
    /// `Invalid` for an entry that is larger than the limits; `Overloaded` past the budget; `Fenced` when another
    /// writer took over; `Unavailable` when the log is not taken over yet. `Unavailable` and `Overloaded` of the store
    /// leave open whether the entries are in the log: the next append finds out.
    pub async fn append(&self, entries: &[Arc<WalEntry>]) -> Result<u64> {
        if entries.is_empty() {
            return Err(Error::invalid("expected at least one entry"));
        }
        let frames = encode_frames(entries, &self.schema, self.options.max_entry_bytes)?;
        let mut turn = self.turn.lock().await;
        self.settle_in(&mut turn).await?;
        self.check_room(frames.len() as u64)?;
        let pending = self.compose(entries, &frames)?;
        let first = pending.slot.first;
        turn.pending = Some(pending);
        self.settle_in(&mut turn).await.map(|()| first)
    }

    /// Finds out what became of a slot whose creation had no answer.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn settle(&self) -> Result<()> {
        let mut turn = self.turn.lock().await;
        self.settle_in(&mut turn).await
    }

    pub(super) async fn settle_in(&self, turn: &mut Turn) -> Result<()> {
        let Some(pending) = &turn.pending else {
            return Ok(());
        };
        let settled = self.create_pending(pending).await;
        // Lost is as good as won: it is not under way any more.
        if !matches!(&settled, Err(error) if error.kind() != ErrorKind::Fenced) {
            turn.pending = None;
        }
        let mut index = self.index.lock();
        match &settled {
            Ok(()) => index.failed = None,
            Err(error) => index.failed = Some(error.message().to_owned()),
        }
        settled
    }

    async fn create_pending(&self, pending: &Pending) -> Result<()> {
        let slot = pending.slot.slot;
        match self.slots.create(slot, &pending.bytes).await? {
            SlotOwner::Ours => {
                let mut index = self.index.lock();
                index.push(pending.slot, &pending.keys);
                Ok(())
            }
            // Whoever is there fenced this writer: a slot behind its own is created by nobody else.
            SlotOwner::Other(bytes) => match self.decode(slot, &bytes) {
                Ok(other) => Err(self.fenced(slot, other.header.epoch)),
                // It may be ours, damaged on the way.
                Err(damaged) => Err(Error::unavailable(format!(
                    "cannot tell whose {} is",
                    self.slots.name(slot)
                ))
                .with_source(damaged)),
            },
        }
    }

    pub(super) fn epoch(&self) -> Result<u64> {
        let index = self.index.lock();
        match (index.epoch, &index.fenced) {
            (Some(epoch), _) => Ok(epoch),
            (None, Some(reason)) => Err(Error::new(ErrorKind::Fenced, reason.clone())),
            (None, None) => Err(Error::unavailable(NOT_TAKEN)),
        }
    }

    pub(super) fn decode(&self, slot: u64, bytes: &Bytes) -> Result<Object> {
        Object::decode(bytes, &self.dataset).map_err(|bad| self.corrupt(slot, &bad))
    }

    fn compose(&self, entries: &[Arc<WalEntry>], frames: &[u8]) -> Result<Pending> {
        let epoch = self.epoch()?;
        let (slot, first) = {
            let index = self.index.lock();
            (index.next_slot, index.last + 1)
        };
        let end = first + entries.len() as u64;
        let count = u32::try_from(entries.len()).ok();
        let Some(count) = count.filter(|_| end <= MAX_NUMBER) else {
            return Err(Error::internal("a write-ahead log has no more numbers"));
        };
        let header = Header {
            kind: Kind::Entries,
            epoch,
            nonce: self.env.random.nonce(),
            first,
            count,
        };
        let bytes = encode(&self.dataset, &header, &self.schema_text, frames);
        let keys = (first..).zip(entries);
        let keys = keys.filter_map(|(number, entry)| Some((entry.key.clone()?, number)));
        Ok(Pending {
            slot: Slot {
                slot,
                kind: Kind::Entries,
                first,
                end,
                bytes: bytes.len() as u64,
            },
            keys: keys.collect(),
            bytes,
        })
    }

    /// Refuses a group that would pass the budget.
    fn check_room(&self, frames: u64) -> Result<()> {
        let needed = frames + self.schema_text.len() as u64;
        let (most, found) = (self.options.max_bytes, self.bytes());
        if needed > most {
            return Err(Error::invalid(format!(
                "expected entries that fit a write-ahead log of {most} bytes, found {needed} bytes"
            )));
        }
        if found.saturating_add(needed) <= most {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Overloaded,
            format!(
                "the write-ahead log is full: expected at most {most} bytes, found {found} and {needed} more"
            ),
        ))
    }
}
