//! Reads entries back.
//!
//! Owns: finding them, whatever slot they are in. Never: reads what is not in the log for sure, or was released.

use std::sync::Arc;

use grotto_format::Schema;

use super::StoreLog;
use super::index::Slot;
use super::object::Object;
use crate::Result;
use crate::wal::{ReadEntry, codec, turn};

impl StoreLog {
    /// Entries from a number on that are not released, in order: at least one if there is one, and no more than take
    /// `max_bytes` in the log and have `max_changes` changes.
    ///
    /// # Errors
    /// `Corrupt` when a slot is damaged or gone; `Unavailable` or `Overloaded` when the store does not answer or asks
    /// for less.
    pub async fn read_up_to(
        &self,
        from: u64,
        max_bytes: usize,
        max_changes: usize,
    ) -> Result<Vec<ReadEntry>> {
        let mut taken = Taken {
            from,
            bytes: max_bytes,
            changes: max_changes,
            entries: Vec::new(),
        };
        loop {
            let place = {
                let index = self.index.lock();
                taken.from = taken.from.max(index.released + 1);
                index.slot_of(taken.from)
            };
            let Some(place) = place else {
                return Ok(taken.entries);
            };
            let Some((object, _)) = self.read_slot(place.slot).await? else {
                if self.index.lock().released + 1 >= place.end {
                    continue;
                }
                return Err(self.corrupt(place.slot, "expected a slot, found none"));
            };
            if !self.take_entries(&place, &object, &mut taken)? {
                return Ok(taken.entries);
            }
            taken.from = place.end;
        }
    }

    /// What is in a slot, and its length; asked for twice where it is damaged, as that may have happened on the way.
    pub(super) async fn read_slot(&self, slot: u64) -> Result<Option<(Object, usize)>> {
        let mut tries = 2;
        loop {
            let Some(bytes) = self.slots.read(slot).await? else {
                return Ok(None);
            };
            tries -= 1;
            match self.decode(slot, &bytes) {
                Ok(object) => return Ok(Some((object, bytes.len()))),
                Err(error) if tries == 0 => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Takes entries of a slot; whether all of them.
    fn take_entries(&self, place: &Slot, object: &Object, taken: &mut Taken) -> Result<bool> {
        let fail = |what: &str| self.corrupt(place.slot, what);
        let of_now = object.schema == self.schema_text;
        let schema = match of_now {
            true => Arc::clone(&self.schema),
            false => Schema::parse(&object.schema)
                .map(Arc::new)
                .map_err(|error| fail(&format!("its schema: {error}")))?,
        };
        for payload in object.payloads() {
            let (number, payload) = payload.map_err(|bad| fail(&bad))?;
            if number < taken.from {
                continue;
            }
            let entry = codec::decode(payload).map_err(|bad| fail(&bad.to_string()))?;
            codec::check_types(&entry, schema.types().len()).map_err(|what| fail(&what))?;
            let (entry, rejected) = match of_now {
                true => (entry, Vec::new()),
                false => turn::over(entry, &schema, &self.schema),
            };
            let changes = entry.changes.len() + rejected.len();
            let read = ReadEntry {
                number,
                entry,
                rejected,
            };
            if !taken.take(read, payload.len(), changes) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What was read, and how much more may be.
struct Taken {
    from: u64,
    bytes: usize,
    changes: usize,
    entries: Vec<ReadEntry>,
}

impl Taken {
    /// Takes an entry if there is room for it; the first one in any case.
    fn take(&mut self, read: ReadEntry, bytes: usize, changes: usize) -> bool {
        let fits = bytes <= self.bytes && changes <= self.changes;
        if !fits && !self.entries.is_empty() {
            return false;
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        self.changes = self.changes.saturating_sub(changes);
        self.entries.push(read);
        true
    }
}
