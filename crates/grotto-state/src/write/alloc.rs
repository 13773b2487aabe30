//! Ordinals for new records.
//!
//! Owns: which free ordinals are used: those of the emptiest blocks first, so that a delta touches
//! few blocks; new blocks only once the others are at least 7/8 full, or heavy: blocks are sized for
//! the first records of a type, and those that come later may be much larger.
//! Never gives out an ordinal that lives in the base, also if it dies in this cycle.

use crate::bitmap;
use crate::error::{StateError, StateResult};
use crate::state::{State, TypeState};
use grotto_format::batch::MAX_ORDINAL;

/// A block that takes this many bytes is full, whatever ordinals it has left: a change copies it.
const HEAVY: u64 = 1 << 20;
/// The same for the smallest blocks, which large records cannot make any smaller.
const HEAVY_SMALLEST: u64 = 64 << 20;
/// The smallest block, as a power of two.
const SMALLEST: u8 = 9;

fn is_heavy(bytes: u64, shift: u8) -> bool {
    bytes
        >= if shift > SMALLEST {
            HEAVY
        } else {
            HEAVY_SMALLEST
        }
}

/// Free ordinals of one type for one cycle.
#[derive(Debug, Default)]
pub(crate) struct Allocator {
    /// Blocks worth filling, the emptiest last: free ordinals, number, live bytes.
    blocks: Option<Vec<(u32, u32, u64)>>,
    /// Free ordinals of the block being filled, the next one last.
    open: Vec<u32>,
    /// First ordinal past all blocks.
    next: u32,
    /// Bytes of the block being filled.
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
            self.next = self.next.max((ty.blocks.len() as u32) << ty.shift);
            let size = 1 << ty.shift;
            if is_heavy(self.bytes, ty.shift) {
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

    /// A free ordinal of an existing block.
    fn next_free(&mut self, base: &State, ty: &TypeState) -> Option<u32> {
        if is_heavy(self.bytes, ty.shift) {
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

/// Blocks with at least an eighth free, by rising number of free ordinals.
fn emptiest(base: &State, ty: &TypeState) -> Vec<(u32, u32, u64)> {
    let size = 1_u32 << ty.shift;
    let mut blocks: Vec<(u32, u32, u64)> = (0..ty.blocks.len())
        .map(|block| {
            (
                size - bitmap::count(base.bitmap_page(ty, block)),
                block as u32,
            )
        })
        .filter(|(free, _)| *free >= size / 8)
        .map(|(free, block)| (free, block, live_bytes(base, ty, block, size - free)))
        .filter(|(.., bytes)| !is_heavy(*bytes, ty.shift))
        .collect();
    blocks.sort_unstable_by_key(|(free, block, _)| (*free, std::cmp::Reverse(*block)));
    blocks
}

/// Bytes that the live records of a block take, roughly: dead ones go when it is written again.
fn live_bytes(base: &State, ty: &TypeState, block: u32, live: u32) -> u64 {
    base.block_of(ty, block as usize).map_or(0, |block| {
        block.length() as u64 * u64::from(live.min(block.rows())) / u64::from(block.rows().max(1))
    })
}

/// Free ordinals of a block, falling, so that the lowest is taken first.
fn free_in(base: &State, ty: &TypeState, block: u32) -> Vec<u32> {
    let page = base.bitmap_page(ty, block as usize);
    let first = block << ty.shift;
    (0..1_u32 << ty.shift)
        .rev()
        .filter(|position| !bitmap::is_set(page, *position))
        .map(|p| first + p)
        .collect()
}
