//! Blocks written from scratch.
//!
//! Owns: choosing the layout of a block and laying out its rows and heap. Never patches.

use super::columns::{RowColumn, gather};
use super::{
    Added, BlockRef, BlockType, HEADER, LARGE, MAX_BLOCK, TooLarge, Written, finish_header,
};
use crate::layout::{Extent, Layout, Need, choose};
use crate::segment::Buffer;
use grotto_format::batch::ColumnKind;

/// Writes a block from scratch: the rows of `old` at the kept positions, and the added ones.
pub(crate) fn rebuild(
    ty: &BlockType<'_>,
    layouts: &mut Vec<Layout>,
    old: Option<(BlockRef<'_>, &[u32])>,
    added: &Added<'_>,
    out: &mut Buffer,
) -> Result<Written, TooLarge> {
    let columns = gather(ty.kinds, old, added);
    let kept: &[u32] = old.map_or(&[], |(_, kept)| kept);
    let positions: Vec<u32> = kept.iter().chain(added.positions).copied().collect();
    let rows = positions.iter().max().map_or(0, |p| p + 1);
    let (index, heap_bytes) = fit(ty, layouts, &columns, rows);
    let layout = &layouts[index];
    let bytes = Extent {
        rows,
        heap: heap_bytes,
    }
    .end(u64::from(layout.row));
    if bytes > MAX_BLOCK {
        return Err(TooLarge(bytes));
    }
    let start = out.begin();
    if bytes > LARGE {
        // Growing by doubling is right for many small blocks and a waste for a single huge one.
        out.bytes.reserve_exact(bytes as usize);
    }
    let heap_start = HEADER + rows as usize * layout.row as usize;
    out.bytes.resize(start + heap_start, 0);
    // Rows are read a word at a time, so the last one may reach into what follows.
    out.bytes.resize(start + heap_start + 8, 0);
    let mut heap = Vec::with_capacity(heap_bytes as usize);
    for (column, slots) in columns.iter().zip(&layout.slots) {
        for (i, position) in positions.iter().enumerate() {
            let row = start + HEADER + *position as usize * layout.row as usize;
            column.write(i, slots, &mut out.bytes, row, heap_start + 8, &mut heap);
        }
    }
    out.bytes.extend_from_slice(&heap);
    finish_header(out, start, rows, heap_start + 8);
    Ok(Written {
        start,
        layout: index,
    })
}

/// The layout for a block, and the most bytes that its heap can take.
fn fit(
    ty: &BlockType<'_>,
    layouts: &mut Vec<Layout>,
    columns: &[RowColumn<'_>],
    rows: u32,
) -> (usize, u64) {
    let (mut needs, heaps): (Vec<Need>, Vec<u64>) = columns
        .iter()
        .zip(ty.kinds)
        .map(|(column, kind)| column.need(*kind))
        .unzip();
    let heap: u64 = heaps.iter().sum();
    // Offsets must reach past the rows, whose size depends on the width of offsets: settle it in
    // two passes, the first with generous rows.
    let mut row = 64 + 16 * ty.kinds.len() as u64;
    for _ in 0..2 {
        let reach = Extent { rows, heap }.end(row + row / 32);
        for (need, kind) in needs.iter_mut().zip(ty.kinds) {
            if !matches!(kind, ColumnKind::Fixed(_)) {
                need.max = reach;
            }
        }
        row = u64::from(Layout::tightest(ty.kinds, &needs, ty.first).row);
    }
    (
        choose(layouts, ty.kinds, &needs, ty.first, Extent { rows, heap }),
        heap,
    )
}
