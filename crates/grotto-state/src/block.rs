//! Blocks: a power-of-two run of ordinals of one type, stored together.
//!
//! Owns: the bytes of a block, built anew or copied and patched.
//! Never touches tables, bitmaps or other blocks; never decides which ordinals live.
//!
//! ```text
//! u32 length · u32 rows · u32 start of the heap · u32 reserved · rows · heap
//! ```
//! Rows are of equal size; text, bytes and elements are in the heap, at offsets from the start of
//! the block. A record's bytes never change: a new version of a block is a copy.

mod columns;
mod fresh;
mod patch;
mod read;
#[cfg(test)]
mod tests;
mod weight;
mod write;

pub(crate) use patch::patch;
pub use read::Elements;
pub(crate) use read::read_var;
pub(crate) use weight::check_weight;
pub(crate) use write::rebuild;

use crate::layout::{Layout, Slots};
use crate::segment::Buffer;
use grotto_format::batch::{Batch, ColumnData, ColumnKind};
use grotto_format::limits::MAX_BLOCK_WEIGHT;

/// Bytes in front of the rows.
pub(crate) const HEADER: usize = 16;

/// Most bytes of a block, which its weight keeps it within whatever its layout. The weight leaves out
/// the header, and the byte that a row without columns takes.
pub(crate) const MAX_BLOCK: u64 = MAX_BLOCK_WEIGHT + (1 << 17);

/// The bytes that a block would have taken.
#[derive(Debug)]
pub(crate) struct TooLarge(pub(crate) u64);

/// What a type knows that all its blocks share.
pub(crate) struct BlockType<'a> {
    pub(crate) kinds: &'a [ColumnKind],
    /// Columns of the primary key, placed first in a row.
    pub(crate) first: &'a [u16],
    /// Blocks that are written hold `1 << span` ordinals.
    pub(crate) span: u8,
}

/// An existing block: the segment's bytes, where the block starts, and its layout.
#[derive(Clone, Copy)]
pub(crate) struct BlockRef<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) start: usize,
    pub(crate) layout: &'a Layout,
}

/// A block that was written: where it starts in the buffer, and its layout.
pub(crate) struct Written {
    pub(crate) start: usize,
    pub(crate) layout: usize,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|w| w.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

/// Bytes of the block at `start`, if all of them are there.
pub(crate) fn length_at(bytes: &[u8], start: usize) -> Option<usize> {
    let length = word(bytes, start) as usize;
    (length >= HEADER && start + length <= bytes.len()).then_some(length)
}

impl<'a> BlockRef<'a> {
    /// Bytes of the block.
    pub(crate) fn length(&self) -> usize {
        word(self.bytes, self.start) as usize
    }

    pub(crate) fn rows(&self) -> u32 {
        word(self.bytes, self.start + 4)
    }

    fn heap_start(&self) -> usize {
        word(self.bytes, self.start + 8) as usize
    }

    #[inline]
    pub(crate) fn row(&self, position: u32) -> usize {
        self.start + HEADER + position as usize * self.layout.row as usize
    }

    /// Bytes of the heap that a value takes.
    fn heap_bytes(slots: &Slots, kind: ColumnKind, length: u64) -> u64 {
        match kind {
            ColumnKind::Fixed(_) => 0,
            ColumnKind::Var(_) => length,
            ColumnKind::Elements(_) => (length * u64::from(slots.element)).div_ceil(8),
        }
    }

    fn live_heap(&self, kinds: &[ColumnKind], positions: &[u32]) -> u64 {
        let columns = self
            .layout
            .slots
            .iter()
            .zip(kinds)
            .filter(|(_, k)| !matches!(k, ColumnKind::Fixed(_)));
        columns
            .map(|(slots, kind)| {
                let lengths = positions
                    .iter()
                    .map(|p| slots.length.read(self.bytes, self.row(*p)));
                lengths
                    .map(|length| Self::heap_bytes(slots, *kind, length))
                    .sum::<u64>()
            })
            .sum()
    }
}

/// Rows that a new block takes over from others.
pub(crate) struct Kept<'a> {
    /// Their positions in the new block, rising.
    pub(crate) positions: Vec<u32>,
    /// The blocks they are in, and their positions there, in the same order.
    pub(crate) pieces: Vec<(BlockRef<'a>, Vec<u32>)>,
}

impl Kept<'_> {
    /// No rows.
    pub(crate) const NONE: Kept<'static> = Kept {
        positions: Vec::new(),
        pieces: Vec::new(),
    };
}

/// Rows to add: their positions in the block, and the rows of the batch they come from.
pub(crate) struct Added<'a> {
    pub(crate) positions: &'a [u32],
    pub(crate) batch: &'a Batch,
    pub(crate) first_row: usize,
}

fn finish_header(out: &mut Buffer, start: usize, rows: u32, heap_start: usize) {
    let length = (out.bytes.len() - start) as u32;
    for (i, word) in [length, rows, heap_start as u32, 0].into_iter().enumerate() {
        out.bytes[start + 4 * i..start + 4 * i + 4].copy_from_slice(&word.to_le_bytes());
    }
}

/// Bytes that a value of a batch takes, roughly: to choose how many ordinals make a block.
pub(crate) fn estimate_bytes(batch: &Batch) -> u64 {
    let column = |data: &ColumnData| match data {
        ColumnData::Fixed(words) => words.len() as u64 * 4,
        ColumnData::Var { ends, bytes } => ends.len() as u64 * 3 + bytes.len() as u64,
        ColumnData::Elements { ends, ordinals } => {
            ends.len() as u64 * 4 + ordinals.len() as u64 * 3
        }
    };
    batch.columns.iter().map(|c| column(&c.data)).sum()
}
