//! Records staged by a cycle, per type.
//!
//! Owns: the new records of a type, the tables that find them again, and what the cycle knows of
//! the base's records: seen, kept, removed, referenced more or less.

use super::alloc::Allocator;
use super::intern::Row;
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
    /// New records of a keyed type that take the key of a base record: (row, base ordinal).
    pub(crate) replaces: Vec<(u32, u32)>,
    /// New records that were added by themselves, by row.
    pub(crate) named: Named,
    /// New ordinal to row, for references between new records.
    pub(crate) rows: HashMap<u32, u32>,
    /// Per base ordinal: 1 + position of the record that named it, 0 for none (full cycles).
    pub(crate) seen: Vec<u32>,
    /// Per base ordinal: whether it stays as it is (full cycles).
    pub(crate) kept: Vec<u64>,
    /// Base ordinals that die.
    pub(crate) removed: Vec<u32>,
    /// Base ordinals that die, as a set.
    pub(crate) dead: hashbrown::HashSet<u32>,
    /// Base ordinal to change of its reference count.
    pub(crate) recount: HashMap<u32, i64>,
    pub(crate) allocator: Allocator,
}

/// A set of rows.
#[derive(Debug, Default)]
pub(crate) struct Named(Vec<u64>);

impl Named {
    pub(crate) fn contains(&self, row: u32) -> bool {
        self.0
            .get(row as usize / 64)
            .is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
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
        let staged = u32::try_from(self.batch.rows)
            .map_err(|_| StateError::Limit("2^32 new records of one type in a cycle".into()))?;
        let ordinal = self.allocator.next(base, ty, row.weight())?;
        for (column, data) in self.batch.columns.iter_mut().enumerate() {
            data.push(row.value(column));
        }
        self.batch.rows += 1;
        self.ordinals.push(ordinal);
        self.hashes.push(content);
        self.references.push(0);
        self.positions.push(position);
        if ty.is_some_and(|ty| ty.live > 0) {
            self.rows.insert(ordinal, staged);
        }
        self.lookups.push(lookup);
        let lookups = &self.lookups;
        self.table
            .insert_unique(lookup, staged, |row| lookups[*row as usize]);
        Ok(ordinal)
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

    /// Notes that a new record was added by itself.
    pub(crate) fn name(&mut self, row: u32) {
        let word = row as usize / 64;
        if self.named.0.len() <= word {
            self.named.0.resize(word + 1, 0);
        }
        self.named.0[word] |= 1 << (row % 64);
    }

    pub(crate) fn keep(&mut self, ordinal: u32) {
        let word = ordinal as usize / 64;
        if self.kept.len() <= word {
            self.kept.resize(word + 1, 0);
        }
        self.kept[word] |= 1 << (ordinal % 64);
    }

    pub(crate) fn is_kept(&self, ordinal: u32) -> bool {
        self.kept
            .get(ordinal as usize / 64)
            .is_some_and(|word| word >> (ordinal % 64) & 1 == 1)
    }

    /// Notes that a base record was named at `position`; returns the position of an earlier naming.
    pub(crate) fn see(&mut self, ordinal: u32, position: u64) -> Option<u64> {
        let at = ordinal as usize;
        if self.seen.len() <= at {
            self.seen.resize(at + 1, 0);
        }
        let earlier = self.seen[at];
        if earlier != 0 {
            return Some(u64::from(earlier) - 1);
        }
        self.seen[at] = u32::try_from(position.saturating_add(1)).unwrap_or(u32::MAX);
        None
    }

    pub(crate) fn recount(&mut self, ordinal: u32, by: i64) -> i64 {
        let count = self.recount.entry(ordinal).or_insert(0);
        *count += by;
        *count
    }
}
