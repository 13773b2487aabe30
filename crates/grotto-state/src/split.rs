//! Scans on several threads: the records of a type, cut into parts.
//!
//! Owns: where a type is cut, and waiting for the threads. Never starts a thread that outlives a call, and
//! never decides how many are worth it.
//!
//! Parts are runs of whole blocks with about as many live records each, so that a type most of whose records
//! are gone at one end is cut as evenly as a full one.

use crate::bitmap;
use crate::record::Record;
use crate::scan::Scan;
use crate::state::{State, TypeState};
use crate::threads::side_by_side;
use grotto_format::schema::TypeId;
use std::ops::Range;

impl State {
    /// All records of a type in at most `parts` scans, none of them empty. One after the other they are
    /// [`scan`](Self::scan); each may be walked on a thread of its own.
    ///
    /// A type is cut between its blocks, of some hundred to some thousand records: a small type comes in
    /// fewer parts, an empty one in none.
    #[must_use]
    pub fn split_scan(&self, type_id: TypeId, parts: usize) -> Vec<Scan<'_>> {
        let Some(ty) = self.ty(type_id) else {
            return Vec::new();
        };
        let live: Vec<u64> = (0..ty.blocks.len())
            .map(|block| self.live_in(ty, block))
            .collect();
        let runs = cut(&live, parts).into_iter();
        runs.map(|blocks| self.scan_blocks(type_id, blocks))
            .collect()
    }

    /// Folds all records of a type on up to `threads` threads, this one among them. Each thread folds a run of
    /// neighbours with `each`, beginning with `new()`; `join` makes one result of those of all runs, by rising
    /// ordinal. So the outcome is that of one thread wherever `join` makes it so: for a sum, a
    /// maximum, or lists put together.
    ///
    /// # Panics
    /// When a closure panics, with its panic.
    pub fn par_fold<'a, A: Send>(
        &'a self,
        type_id: TypeId,
        threads: usize,
        new: impl Fn() -> A + Sync,
        each: impl Fn(A, Record<'a>) -> A + Sync,
        join: impl FnMut(A, A) -> A,
    ) -> A {
        fold_parts(self.split_scan(type_id, threads), new, each, join)
    }

    /// Live records of a block.
    fn live_in(&self, ty: &TypeState, block: usize) -> u64 {
        u64::from(bitmap::count(self.bitmap_page(ty, block)))
    }
}

/// Folds each part on a thread of its own.
pub(crate) fn fold_parts<I: Iterator + Send, A: Send>(
    parts: Vec<I>,
    new: impl Fn() -> A + Sync,
    each: impl Fn(A, I::Item) -> A + Sync,
    join: impl FnMut(A, A) -> A,
) -> A {
    let folded = side_by_side(parts, |_, part| part.fold(new(), &each));
    folded.into_iter().reduce(join).unwrap_or_else(new)
}

/// Cuts blocks with so many live records each into at most `parts` runs with some each, about equally many.
fn cut(live: &[u64], parts: usize) -> Vec<Range<usize>> {
    let (parts, total) = (parts.max(1) as u128, live.iter().sum::<u64>());
    let (mut runs, mut start, mut seen, mut taken) = (Vec::new(), 0, 0_u64, 0_u64);
    for (block, count) in live.iter().enumerate() {
        seen += count;
        // A run ends with the block that reaches its share of all records.
        let share = (runs.len() as u128 + 1) * u128::from(total);
        if seen > taken && u128::from(seen) * parts >= share {
            runs.push(start..block + 1);
            (start, taken) = (block + 1, seen);
        }
    }
    runs
}

#[cfg(test)]
mod tests;
