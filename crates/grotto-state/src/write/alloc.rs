//! Ordinals for new records.
//!
//! Owns: which free ordinals are used: those of the emptiest units first, so that a delta touches few
//! blocks (a unit is what one block holds as they are written now); new ones only once the others are
//! at least 7/8 full, or heavy: records may have become much larger than those before.
//! Never gives out an ordinal that lives in the base, also if it dies in this cycle.

use crate::bitmap;
use crate::error::{StateError, StateResult};
use crate::part;
use crate::state::{State, TypeState};
use grotto_format::batch::MAX_ORDINAL;

/// A block that takes this many bytes is full, whatever ordinals it has left: a change copies it, and
/// an ordinal that stays free costs next to nothing.
const HEAVY: u64 = 1 << 20;

/// Free ordinals of one type for one cycle.
#[derive(Debug, Default)]
pub(crate) struct Allocator {
    /// Units worth filling, the emptiest last: free ordinals, number, live bytes.
    blocks: Option<Vec<(u32, u32, u64)>>,
    /// Free ordinals of the unit being filled, the next one last.
    open: Vec<u32>,
    /// First ordinal past all units.
    next: u32,
    /// Bytes of the unit being filled.
    bytes: u64,
}

impl Allocator {
    /// An ordinal for a record that takes `weight` bytes, roughly.
    pub(crate) fn next(
        &mut self,
        base: &State,
        ty: Option<&TypeState>,
        weight: u64,
    ) -> StateResult<u32> {
        // Without records the size of blocks is still open, and ordinals rise without gaps.
        if let Some(ty) = ty.filter(|ty| ty.live > 0) {
            if let Some(ordinal) = self.next_free(base, ty) {
                self.bytes += weight;
                return Ok(ordinal);
            }
            let size = 1 << ty.span;
            let past = ((ty.blocks.len() as u32) << ty.shift).next_multiple_of(size);
            self.next = self.next.max(past);
            if self.bytes >= HEAVY {
                self.next = self.next.next_multiple_of(size);
            }
            if self.next.is_multiple_of(size) {
                self.bytes = 0;
            }
            self.bytes += weight;
        }
        let ordinal = self.next;
        if ordinal >= MAX_ORDINAL {
            return Err(StateError::Limit("2^32 - 2^16 records of one type".into()));
        }
        self.next += 1;
        Ok(ordinal)
    }

    /// A free ordinal of an existing unit.
    fn next_free(&mut self, base: &State, ty: &TypeState) -> Option<u32> {
        if self.bytes >= HEAVY {
            self.open.clear();
        }
        let blocks = self.blocks.get_or_insert_with(|| emptiest(base, ty));
        while self.open.is_empty() {
            let (_, block, bytes) = blocks.pop()?;
            (self.open, self.bytes) = (free_in(base, ty, block), bytes);
        }
        self.open.pop()
    }
}

/// Units with at least an eighth free, by rising number of free ordinals.
fn emptiest(base: &State, ty: &TypeState) -> Vec<(u32, u32, u64)> {
    let size = 1_u32 << ty.span;
    let each = entries_of(ty);
    let mut units: Vec<(u32, u32, u64)> = (0..ty.blocks.len().div_ceil(each))
        .map(|unit| (size - live_in(base, ty, unit), unit as u32))
        .filter(|(free, _)| *free >= size / 8)
        .map(|(free, unit)| (free, unit, live_bytes(base, ty, unit)))
        .filter(|(.., bytes)| *bytes < HEAVY)
        .collect();
    units.sort_unstable_by_key(|(free, unit, _)| (*free, std::cmp::Reverse(*unit)));
    units
}

/// Entries of the tables that a unit takes.
fn entries_of(ty: &TypeState) -> usize {
    1 << (ty.span - ty.shift)
}

fn live_in(base: &State, ty: &TypeState, unit: usize) -> u32 {
    let each = entries_of(ty);
    let entries = unit * each..(unit + 1) * each;
    entries
        .map(|entry| bitmap::count(base.bitmap_page(ty, entry)))
        .sum()
}

/// Bytes that the live records of a unit take, roughly: dead ones go when it is written again.
fn live_bytes(base: &State, ty: &TypeState, unit: u32) -> u64 {
    let each = entries_of(ty);
    let entries = unit as usize * each..(unit as usize + 1) * each;
    let of_entry = |entry: usize| {
        let block = base.block_of(ty, entry)?;
        let share = part::share(&block, ty.shift, entry);
        let live = u64::from(bitmap::count(base.bitmap_page(ty, entry)));
        Some(share.bytes * live.min(share.rows) / share.rows.max(1))
    };
    entries.filter_map(of_entry).sum()
}

/// Free ordinals of a unit, falling, so that the lowest is taken first.
fn free_in(base: &State, ty: &TypeState, unit: u32) -> Vec<u32> {
    let each = entries_of(ty);
    let entries = unit as usize * each..(unit as usize + 1) * each;
    let free_of = |entry: usize| {
        let page = base.bitmap_page(ty, entry);
        let first = (entry as u32) << ty.shift;
        (0..1_u32 << ty.shift)
            .rev()
            .filter(move |position| !bitmap::is_set(page, *position))
            .map(move |position| first + position)
    };
    entries.rev().flat_map(free_of).collect()
}
