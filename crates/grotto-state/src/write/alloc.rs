//! Ordinals for new records.
//!
//! Owns: which free ordinals are used: those of the emptiest blocks first, so that a delta touches
//! few blocks; new blocks only once the others are at least 7/8 full.
//! Never gives out an ordinal that lives in the base, also if it dies in this cycle.

use crate::bitmap;
use crate::error::{StateError, StateResult};
use crate::state::{State, TypeState};
use grotto_format::batch::MAX_ORDINAL;

/// Free ordinals of one type for one cycle.
#[derive(Debug, Default)]
pub(crate) struct Allocator {
    /// Blocks worth filling, the emptiest last.
    blocks: Option<Vec<(u32, u32)>>,
    /// Free ordinals of the block being filled, the next one last.
    open: Vec<u32>,
    /// First ordinal past all blocks.
    next: u32,
}

impl Allocator {
    pub(crate) fn next(&mut self, base: &State, ty: Option<&TypeState>) -> StateResult<u32> {
        if let Some(ordinal) = self.open.pop() {
            return Ok(ordinal);
        }
        if let Some(ty) = ty.filter(|ty| ty.live > 0) {
            let blocks = self.blocks.get_or_insert_with(|| emptiest(base, ty));
            if let Some((_, block)) = blocks.pop() {
                self.open = free_in(base, ty, block);
                self.next = self.next.max((ty.blocks.len() as u32) << ty.shift);
                if let Some(ordinal) = self.open.pop() {
                    return Ok(ordinal);
                }
            }
            self.next = self.next.max((ty.blocks.len() as u32) << ty.shift);
        }
        let ordinal = self.next;
        if ordinal >= MAX_ORDINAL {
            return Err(StateError::Limit("2^32 - 2^16 records of one type".into()));
        }
        self.next += 1;
        Ok(ordinal)
    }
}

/// Blocks with at least an eighth free, by rising number of free ordinals.
fn emptiest(base: &State, ty: &TypeState) -> Vec<(u32, u32)> {
    let size = 1_u32 << ty.shift;
    let mut blocks: Vec<(u32, u32)> = (0..ty.blocks.len())
        .map(|block| (size - bitmap::count(base.bitmap_page(ty, block)), block as u32))
        .filter(|(free, _)| *free >= size / 8)
        .collect();
    blocks.sort_unstable_by_key(|(free, block)| (*free, std::cmp::Reverse(*block)));
    blocks
}

/// Free ordinals of a block, falling, so that the lowest is taken first.
fn free_in(base: &State, ty: &TypeState, block: u32) -> Vec<u32> {
    let page = base.bitmap_page(ty, block as usize);
    let first = block << ty.shift;
    (0..1_u32 << ty.shift).rev().filter(|position| !bitmap::is_set(page, *position)).map(|p| first + p).collect()
}
