//! Taking the log over.
//!
//! Owns: finding its end, whatever a listing leaves out, and the fence there. Never: decides who leads; that is who fenced
//! the commit log last.

use std::collections::HashSet;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use grotto_store::{ListedSlot, SlotOwner};

use super::StoreLog;
use super::index::{Index, MOST_KEPT_BYTES, Slot};
use super::object::{Header, Kind, Object, encode, fence_length};
use crate::{Error, ErrorKind, Result};

/// Slots read at a time.
const READS_AT_ONCE: u64 = 16;

/// A slot that was read, and its keys.
struct Read {
    slot: Slot,
    epoch: u64,
    keys: Vec<(String, u64)>,
}

impl StoreLog {
    /// Takes the log over for a writer that leads since `epoch`, where a version has entries up to `committed`. What the
    /// log holds behind it is to be published by this writer. A log that this process has already goes on under
    /// the new epoch. `leads` says, after the fence is there, whether nobody has written to the commit log since: the
    /// slot of the fence may have been used, published and removed between the listing and the fence.
    ///
    /// # Errors
    /// That of `leads`; `Fenced` when a later writer has it; `Corrupt` when a slot is damaged or entries are missing; `Unavailable` when
    /// the store does not answer, or the log ends before what is committed.
    pub async fn take(
        &self,
        epoch: u64,
        committed: u64,
        leads: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        let mut turn = self.turn.lock().await;
        if self.is_held() {
            self.index.lock().epoch = Some(epoch);
            return self.settle_in(&mut turn).await;
        }
        let listed = self.slots.list().await?;
        let read = self.read_back(&listed, committed).await?;
        if read.is_empty() && (!listed.is_empty() || self.slots.read(1).await?.is_some()) {
            return Err(Error::unavailable(format!(
                "the slots of the write-ahead log of dataset {} are not those that a listing names: it is behind",
                self.dataset
            )));
        }
        let mut index = Index::new(&self.options);
        self.fill(&mut index, read, &listed, epoch, committed)?;
        if let Some(newest) = listed.last() {
            self.slots.confirm(newest.slot).await?;
        }
        *self.index.lock() = index;
        self.fence_end(epoch).await?;
        leads.await?;
        self.index.lock().epoch = Some(epoch);
        Ok(())
    }

    /// Puts a fence at the end, behind whatever is there by now.
    async fn fence_end(&self, epoch: u64) -> Result<()> {
        loop {
            let (slot, bytes) = self.fence(epoch);
            match self.slots.create(slot, &bytes).await? {
                SlotOwner::Ours => {
                    let fence = self.decode(slot, &bytes)?;
                    let mut index = self.index.lock();
                    index.push(Slot::of(slot, &fence, bytes.len()), &[]);
                    return Ok(());
                }
                SlotOwner::Other(bytes) => {
                    self.slots.confirm(slot).await?;
                    self.absorb(slot, &bytes, epoch)?;
                }
            }
        }
    }

    fn fence(&self, epoch: u64) -> (u64, Bytes) {
        let index = self.index.lock();
        let header = Header {
            kind: Kind::Fence,
            epoch,
            nonce: self.env.random.nonce(),
            first: index.last + 1,
            count: 0,
        };
        (index.next_slot, encode(&self.dataset, &header, "", &[]))
    }

    /// Takes in a slot that another writer created at the end.
    fn absorb(&self, slot: u64, bytes: &Bytes, epoch: u64) -> Result<()> {
        let object = self.decode(slot, bytes)?;
        let read = self.examine(slot, &object, bytes.len())?;
        if read.epoch > epoch {
            return Err(self.fenced(slot, read.epoch));
        }
        let mut index = self.index.lock();
        let expected = index.last + 1;
        if read.slot.first != expected {
            return Err(self.corrupt(slot, &wrong_number(expected, read.slot.first)));
        }
        index.push(read.slot, &read.keys);
        Ok(())
    }

    fn examine(&self, slot: u64, object: &Object, bytes: usize) -> Result<Read> {
        Ok(Read {
            slot: Slot::of(slot, object, bytes),
            epoch: object.header.epoch,
            keys: object.keys().map_err(|bad| self.corrupt(slot, &bad))?,
        })
    }

    /// The newest slots, newest first: all with entries that are not committed, and as many as keys are remembered of.
    async fn read_back(&self, listed: &[ListedSlot], committed: u64) -> Result<Vec<Read>> {
        let known: HashSet<u64> = listed.iter().map(|listed| listed.slot).collect();
        let (Some(oldest), Some(newest)) = (listed.first(), listed.last()) else {
            return Ok(Vec::new());
        };
        let mut read: Vec<Read> = Vec::new();
        let mut end = newest.slot + 1;
        while end > oldest.slot {
            let reaches = read
                .last()
                .is_some_and(|read| read.slot.first <= committed + 1);
            let bytes: u64 = read.iter().map(|read| read.slot.bytes).sum();
            let enough = read.len() >= self.options.kept_slots || bytes > MOST_KEPT_BYTES / 2;
            if reaches && enough {
                break;
            }
            let start = end.saturating_sub(READS_AT_ONCE).max(oldest.slot);
            // A listing may leave out what is there: what is needed is asked for whether or not it is named.
            let wanted = (start..end)
                .rev()
                .filter(|slot| !reaches || known.contains(slot));
            let found = futures::stream::iter(wanted)
                .map(|slot| async move { Ok::<_, Error>((slot, self.read_slot(slot).await?)) })
                .buffered(READS_AT_ONCE as usize);
            let found: Vec<(u64, Option<(Object, usize)>)> = found.try_collect().await?;
            for (slot, object) in found {
                if object.is_none() && known.contains(&slot) {
                    return Err(self.listed_and_gone(slot));
                }
                let object = object.map(|(object, bytes)| self.examine(slot, &object, bytes));
                read.extend(object.transpose()?);
            }
            end = start;
        }
        Ok(read)
    }

    /// Makes an index of what was read, if nothing of it is missing.
    fn fill(
        &self,
        index: &mut Index,
        read: Vec<Read>,
        listed: &[ListedSlot],
        epoch: u64,
        committed: u64,
    ) -> Result<()> {
        let oldest = read.last().map_or(u64::MAX, |read| read.slot.slot);
        index.released = committed;
        index.last = committed;
        let mut before: Option<Slot> = None;
        for Read {
            slot,
            epoch: of,
            keys,
        } in read.into_iter().rev()
        {
            if of > epoch {
                return Err(self.fenced(slot.slot, of));
            }
            let expected = before.map_or(committed + 1, |before| before.end);
            // Of what is committed some may be gone already.
            let follows = slot.first == expected
                || (slot.first > expected && slot.first <= committed + 1)
                || (before.is_none() && slot.first <= committed + 1);
            if !follows {
                return Err(self.corrupt(slot.slot, &wrong_number(expected, slot.first)));
            }
            index.push(slot, &keys);
            before = Some(slot);
        }
        if let Some(newest) = before.filter(|_| index.last < committed) {
            return Err(self.too_old(&newest, committed));
        }
        let fence = fence_length(&self.dataset);
        let left = listed.iter().filter(|listed| listed.slot < oldest);
        // Fences stay for good: they are all that keeps a writer out that slept through everything since.
        let left = left.filter(|listed| listed.bytes != fence);
        index.doomed = left.map(|listed| listed.slot).collect();
        index.next_slot = listed.last().map_or(1, |newest| newest.slot + 1);
        Ok(())
    }

    /// It may have been removed since, or be there: without it the next entry would get the number of one that was
    /// acknowledged.
    fn listed_and_gone(&self, slot: u64) -> Error {
        let name = self.slots.name(slot);
        Error::unavailable(format!("{name}: a listing names it, and it is not found"))
    }

    fn too_old(&self, newest: &Slot, committed: u64) -> Error {
        Error::new(
            ErrorKind::Unavailable,
            format!(
                "the write-ahead log of dataset {} ends with entry {} in {}, and its newest version has entries up to \
                 {committed}: the listing is behind, or the log is older than the dataset; where it stays so, remove the \
                 objects below {}/wal to begin a new one",
                self.dataset,
                newest.end - 1,
                self.slots.name(newest.slot),
                self.dataset
            ),
        )
    }
}

fn wrong_number(expected: u64, found: u64) -> String {
    format!(
        "expected entry {expected}, found {found}: what is between was acknowledged and is gone"
    )
}
