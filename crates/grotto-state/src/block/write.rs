//! Blocks written from scratch.
//!
//! Owns: choosing the layout of a block and laying out its rows and heap. Never patches.

use super::columns::gather;
use super::fresh::lay_out;
use super::{Added, BlockType, HEADER, Kept, MAX_BLOCK, TooLarge, Written, finish_header};
use crate::layout::{Extent, Layout, Need, choose};
use crate::segment::Buffer;
use grotto_format::batch::ColumnKind;

/// Writes a block from scratch: the kept rows, and the added ones.
pub(crate) fn rebuild(
    ty: &BlockType<'_>,
    layouts: &mut Vec<Layout>,
    kept: &Kept<'_>,
    added: &Added<'_>,
    out: &mut Buffer,
) -> Result<Written, TooLarge> {
    if kept.positions.is_empty() {
        return lay_out(ty, layouts, added, out);
    }
    let columns = gather(ty.kinds, kept, added);
    let positions: Vec<u32> = kept
        .positions
        .iter()
        .chain(added.positions)
        .copied()
        .collect();
    let rows = positions.iter().max().map_or(0, |p| p + 1);
    let needs = columns.iter().zip(ty.kinds).map(|(c, kind)| c.need(*kind));
    let (index, heap_bytes) = fit(ty, layouts, needs.unzip(), rows);
    let layout = &layouts[index];
    let (start, heap_start) = begin(rows, layout, heap_bytes, out)?;
    // Not reserved: what the heap can take at most may be far from what it takes, as equal elements need
    // no bit.
    let mut heap = Vec::new();
    for (column, slots) in columns.iter().zip(&layout.slots) {
        for (i, position) in positions.iter().enumerate() {
            let row = start + HEADER + *position as usize * layout.row as usize;
            column.write(i, slots, &mut out.bytes, row, heap_start, &mut heap);
        }
    }
    out.bytes.extend_from_slice(&heap);
    finish_header(out, start, rows, heap_start);
    Ok(Written {
        start,
        layout: index,
    })
}

/// Begins a block: its rows, all zero. Gives its start, and that of its heap within it.
pub(super) fn begin(
    rows: u32,
    layout: &Layout,
    heap: u64,
    out: &mut Buffer,
) -> Result<(usize, usize), TooLarge> {
    let bytes = Extent { rows, heap }.end(u64::from(layout.row));
    if bytes > MAX_BLOCK {
        return Err(TooLarge(bytes));
    }
    let start = out.begin();
    // Rows are read a word at a time, so the last one may reach into what follows.
    let heap_start = HEADER + rows as usize * layout.row as usize + 8;
    out.bytes.resize(start + heap_start);
    Ok((start, heap_start))
}

/// The layout for a block, and the most bytes that its heap can take.
pub(super) fn fit(
    ty: &BlockType<'_>,
    layouts: &mut Vec<Layout>,
    (mut needs, heaps): (Vec<Need>, Vec<u64>),
    rows: u32,
) -> (usize, u64) {
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
        choose(
            layouts,
            ty.kinds,
            &needs,
            ty.first,
            (1 << ty.span) - 1,
            Extent { rows, heap },
        ),
        heap,
    )
}
