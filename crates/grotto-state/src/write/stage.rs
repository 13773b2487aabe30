//! Records staged by a cycle, per type.
//!
//! Owns: the new records of a type, the tables that find them again, and what the cycle knows of
//! the base's records: seen, kept, removed, referenced more or less.

use super::alloc::Allocator;
use super::bits::Bits;
use super::intern::Row;
use super::sources::UNKNOWN;
use crate::error::{StateError, StateResult};
use crate::state::State;
use grotto_format::batch::{Batch, ColumnKind};
use hashbrown::{HashMap, HashTable};

/// What a cycle stages for one type.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    /// New records, in order of arrival.
    pub(crate) batch: Batch,
    /// Per new record.
    pub(crate) ordinals: Vec<u32>,
    /// Per new record: content hash.
    pub(crate) hashes: Vec<u64>,
    /// Per new record: how many records refer to it.
    pub(crate) references: Vec<u32>,
    /// Per new record: where it came from.
    pub(crate) positions: Vec<u64>,
    /// New records by private hash.
    pub(crate) table: HashTable<u32>,
    /// Per new record: private hash of its key, or of its values if the type has no key.
    pub(crate) lookups: Vec<u64>,
    /// New records of a keyed type that take the key of a base record: (row, base ordinal). Nothing
    /// refers to records of such a type, so they get an ordinal of their own.
    pub(crate) replaces: Vec<(u32, u32)>,
    /// Base ordinals of an anchored type whose record changes, and the row of its new content.
    pub(crate) updates: HashMap<u32, u32>,
    /// Base ordinals of an anchored type that were named as they are, and where first.
    pub(crate) as_is: HashMap<u32, u64>,
    /// New records that were added by themselves, by row.
    pub(crate) named: Bits,
    /// Ordinal of a new record to its row, for references between new records.
    pub(crate) rows: HashMap<u32, u32>,
    /// Per base ordinal: 1 + position of the record that named it, 0 for none, the largest number for
    /// a position that is beyond all (full cycles).
    pub(crate) seen: Vec<u32>,
    /// Base ordinals that stay as they are, named by themselves (full cycles).
    pub(crate) kept: Bits,
    /// Those of them that were looked up with all that is nested in them, which may have changed.
    pub(crate) resolved: Bits,
    /// Base ordinals that die.
    pub(crate) removed: Vec<u32>,
    /// Base ordinals that die, as a set.
    pub(crate) dead: hashbrown::HashSet<u32>,
    /// Base ordinal to change of its reference count.
    pub(crate) recount: HashMap<u32, i64>,
    pub(crate) allocator: Allocator,
}

impl Stage {
    pub(crate) fn new(kinds: &[ColumnKind]) -> Self {
        Self {
            batch: Batch::new(kinds),
            ..Self::default()
        }
    }

    /// Adds a record that is nowhere yet; returns its ordinal. What it refers to is counted later.
    pub(super) fn push(
        &mut self,
        base: &State,
        row: Row<'_>,
        content: u64,
        lookup: u64,
        position: u64,
    ) -> StateResult<u32> {
        let ty = base.types.get(row.id.index());
        let ordinal = self.allocator.next(base, ty, row.weight())?;
        let keeps_track = ty.is_some_and(|ty| ty.live > 0);
        self.append(row, content, lookup, position, ordinal, keeps_track)?;
        Ok(ordinal)
    }

    /// Adds the new content of a base record that keeps its ordinal.
    pub(super) fn update(
        &mut self,
        row: Row<'_>,
        content: u64,
        lookup: u64,
        position: u64,
        ordinal: u32,
    ) -> StateResult<()> {
        let staged = self.batch.rows as u32;
        self.append(row, content, lookup, position, ordinal, true)?;
        self.updates.insert(ordinal, staged);
        Ok(())
    }

    fn append(
        &mut self,
        row: Row<'_>,
        content: u64,
        lookup: u64,
        position: u64,
        ordinal: u32,
        keeps_track: bool,
    ) -> StateResult<()> {
        let staged = u32::try_from(self.batch.rows)
            .map_err(|_| StateError::Limit("2^32 new records of one type in a cycle".into()))?;
        for (column, data) in self.batch.columns.iter_mut().enumerate() {
            data.push(row.value(column));
        }
        self.batch.rows += 1;
        self.ordinals.push(ordinal);
        self.hashes.push(content);
        self.references.push(0);
        self.positions.push(position);
        if keeps_track {
            self.rows.insert(ordinal, staged);
        }
        self.lookups.push(lookup);
        let lookups = &self.lookups;
        self.table
            .insert_unique(lookup, staged, |row| lookups[*row as usize]);
        Ok(())
    }

    /// The staged record of an unkeyed type that equals `row`.
    pub(super) fn find(&self, row: &Row<'_>, lookup: u64) -> Option<u32> {
        let same =
            |staged: &u32| self.lookups[*staged as usize] == lookup && self.equals(row, *staged);
        self.table.find(lookup, same).copied()
    }

    /// Whether a staged record has these values.
    pub(super) fn equals(&self, row: &Row<'_>, staged: u32) -> bool {
        let mut columns = self.batch.columns.iter().enumerate();
        columns.all(|(i, column)| column.value(staged as usize) == row.value(i))
    }

    /// Whether a base record stays although nothing may refer to it: it was named by itself, or is
    /// there with other content.
    pub(crate) fn stays(&self, ordinal: u32) -> bool {
        self.kept.contains(ordinal) || self.updates.contains_key(&ordinal)
    }

    /// Whether a base record was named by itself and found equal to the last value within it.
    pub(super) fn is_compared(&self, ordinal: u32) -> bool {
        self.kept.contains(ordinal) && !self.resolved.contains(ordinal)
    }

    /// Where the cycle named a base record as it is, if it did.
    pub(super) fn named_as_is(&self, ordinal: u32) -> Option<u64> {
        let itself = self.kept.contains(ordinal).then(|| self.seen_at(ordinal));
        let itself = itself.flatten();
        itself.or_else(|| self.as_is.get(&ordinal).copied())
    }

    /// Where the cycle changed a base record that keeps its ordinal, if it did.
    pub(super) fn changed_at(&self, ordinal: u32) -> Option<u64> {
        let row = self.updates.get(&ordinal)?;
        self.positions.get(*row as usize).copied()
    }

    /// Where a full cycle named a base record by itself.
    pub(super) fn seen_at(&self, ordinal: u32) -> Option<u64> {
        match self.seen.get(ordinal as usize) {
            None | Some(0) => None,
            Some(&u32::MAX) => Some(UNKNOWN),
            Some(number) => Some(u64::from(*number) - 1),
        }
    }

    /// Notes that a base record was named at `position`; returns the position of an earlier naming.
    pub(crate) fn see(&mut self, ordinal: u32, position: u64) -> Option<u64> {
        if let Some(earlier) = self.seen_at(ordinal) {
            return Some(earlier);
        }
        let at = ordinal as usize;
        if self.seen.len() <= at {
            self.seen.resize(at + 1, 0);
        }
        self.seen[at] = u32::try_from(position.saturating_add(1)).unwrap_or(u32::MAX);
        None
    }

    /// Base ordinals that lose their record, rising: for good, or to one with the same key.
    pub(super) fn left(&self) -> Vec<u32> {
        let mut left = self.removed.clone();
        left.extend(self.updates.keys());
        left.sort_unstable();
        left
    }

    pub(crate) fn recount(&mut self, ordinal: u32, by: i64) -> i64 {
        let count = self.recount.entry(ordinal).or_insert(0);
        *count += by;
        *count
    }
}
