//! Reads entries back.
//!
//! Owns: finding them, whatever segment they are in. Never: reads what is not durable or was released.

use std::path::PathBuf;
use std::sync::Arc;

use grotto_format::Schema;

use super::index::same;
use super::scan::{Mark, Scan, Step, corrupt};
use super::{ReadEntry, Wal, codec, turn};
use crate::Result;

/// Where to read.
struct Place {
    path: PathBuf,
    from: u64,
    mark: Mark,
    /// Number after the last entry of the segment.
    end: u64,
    durable: u64,
    schema: Arc<Schema>,
}

/// What was read, and how much more may be.
struct Taken {
    entries: Vec<ReadEntry>,
    room: usize,
    /// Changes that may still be taken.
    changes: usize,
}

impl Taken {
    fn new(room: usize, changes: usize) -> Self {
        Self {
            entries: Vec::new(),
            room,
            changes,
        }
    }
}

impl Wal {
    /// Entries from a number on that are durable and not released, in order: at least one if there is one, and no
    /// more than take `max_bytes` in the log.
    ///
    /// # Errors
    /// As [`read_up_to`](Self::read_up_to).
    pub fn read(&self, from: u64, max_bytes: usize) -> Result<Vec<ReadEntry>> {
        self.read_up_to(from, max_bytes, usize::MAX)
    }

    /// The same, and no more than have `max_changes` changes.
    ///
    /// # Errors
    /// `Corrupt` when bytes are not those that were written, with file and offset; `Unavailable` when they cannot
    /// be read, or when what an earlier process wrote last cannot be written again so that it is durable.
    pub fn read_up_to(
        &self,
        from: u64,
        max_bytes: usize,
        max_changes: usize,
    ) -> Result<Vec<ReadEntry>> {
        let mut taken = Taken::new(max_bytes, max_changes);
        let mut from = from;
        loop {
            let place = self.place(from);
            let Some(place) = place else {
                if taken.entries.is_empty() && self.settle_now()? {
                    continue;
                }
                return Ok(taken.entries);
            };
            // What was released meanwhile may be followed by what was removed.
            let released = self.index.lock().released;
            taken.entries.retain(|entry| entry.number > released);
            if taken.entries.is_empty() {
                taken = Taken::new(max_bytes, max_changes);
            }
            let schema = Arc::clone(&self.index.lock().schema);
            let took = self.take(&place, &schema, &mut taken);
            let is_released = self.index.lock().released >= place.end - 1;
            match took {
                Ok(true) => from = place.end,
                Ok(false) => return Ok(taken.entries),
                // Its file may be gone.
                Err(_) if is_released => {
                    taken = Taken::new(max_bytes, max_changes);
                    from = place.end;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Copies the last group of an earlier process, if that is not done yet: its keys are known from then on.
    ///
    /// # Errors
    /// `Unavailable` when the disk does not take it.
    pub(crate) fn settle_now(&self) -> Result<bool> {
        if !self.index.lock().is_unsettled {
            return Ok(false);
        }
        let mut writer = self.writer.lock();
        self.settle(&mut writer).map(|()| true)
    }

    fn place(&self, from: u64) -> Option<Place> {
        let index = self.index.lock();
        let from = from.max(index.released + 1);
        let segment = index.segment_of(from)?;
        let from = from.max(segment.first);
        Some(Place {
            path: segment.path.clone(),
            from,
            mark: segment.mark(from)?,
            end: segment.end,
            durable: segment.durable,
            schema: Arc::clone(&segment.schema),
        })
    }

    /// Takes entries of a segment; whether all of them.
    fn take(&self, place: &Place, schema: &Arc<Schema>, taken: &mut Taken) -> Result<bool> {
        let is_same = same(&place.schema, schema);
        let marker = self.identity.marker;
        let mut scan = Scan::new(&*self.files, &place.path, marker, place.durable, place.mark);
        loop {
            let offset = scan.at().offset;
            if scan.at().number >= place.end {
                return Ok(true);
            }
            let fail = |what: &str| corrupt(&place.path, offset, what);
            let (number, payload) = match scan.step()? {
                Step::Entry { number, payload } => (number, payload),
                Step::Group(_) | Step::Keys { .. } => continue,
                Step::End => return Err(fail("expected another entry, found the end")),
                Step::Bad(what) => return Err(fail(&what)),
            };
            if number < place.from {
                continue;
            }
            if payload.len() > taken.room && !taken.entries.is_empty() {
                return Ok(false);
            }
            taken.room = taken.room.saturating_sub(payload.len());
            let entry = codec::decode(payload).map_err(|bad| fail(&bad.to_string()))?;
            let types = place.schema.types().len();
            codec::check_types(&entry, types).map_err(|what| fail(&what))?;
            let (entry, rejected) = match is_same {
                true => (entry, Vec::new()),
                false => turn::over(entry, &place.schema, schema),
            };
            let changes = entry.changes.len() + rejected.len();
            if changes > taken.changes && !taken.entries.is_empty() {
                return Ok(false);
            }
            taken.changes = taken.changes.saturating_sub(changes);
            taken.entries.push(ReadEntry {
                number,
                entry,
                rejected,
            });
        }
    }
}
