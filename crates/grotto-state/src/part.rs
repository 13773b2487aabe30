//! What one entry of a block table stands for: a part of a block, which may take several entries.
//!
//! Owns: the share that an entry has in the bytes and rows of its block, and cutting tables finer.
//! Never reads or writes a row.
//!
//! **Invariant:** the shares of all entries of a block add up to the block, however fine the table is
//! cut: so a block can be given up an entry at a time, and the live bytes of segments stay exact.

use crate::bitmap::page_bytes;
use crate::block::BlockRef;
use crate::segment::{ALIGN, Loc, room};
use crate::state::{Stored, TypeState};

/// Room and rows of a block that belong to an entry of a table of `1 << shift` ordinals an entry. Bytes
/// are shared out by rows: a block may have but a few, all of them at its start.
pub(crate) fn share(block: &BlockRef<'_>, shift: u8, entry: usize) -> Stored {
    let at = (entry & (block.layout.entries(shift) - 1)) as u64;
    let rows = u64::from(block.rows());
    let first = (at << shift).min(rows);
    let end = ((at + 1) << shift).min(rows);
    let all = room(block.length());
    let bytes = |row: u64| all * row / rows.max(1);
    Stored {
        bytes: bytes(end) - bytes(first),
        rows: end - first,
    }
}

impl TypeState {
    /// The same type with tables of `1 << shift` ordinals an entry, where they were coarser. Pages of
    /// bits need not be copied: a part of one is a page as well.
    pub(crate) fn cut_to(&self, shift: u8) -> Self {
        let each = 1_usize << self.shift.saturating_sub(shift);
        let units = (page_bytes(shift) / ALIGN) as u32;
        let parts = |page: &Loc| {
            let page = *page;
            (0..each as u32).map(move |part| match page.is_none() {
                true => page,
                false => Loc {
                    unit: page.unit + part * units,
                    ..page
                },
            })
        };
        let blocks = self
            .blocks
            .iter()
            .flat_map(|loc| std::iter::repeat_n(*loc, each));
        Self {
            shift: self.shift.min(shift),
            blocks: blocks.collect(),
            bitmaps: self.bitmaps.iter().flat_map(parts).collect(),
            ..self.clone()
        }
    }
}
