//! Blocks copied and patched.
//!
//! Owns: when patching is worth it. Never changes the block it copies.

use super::columns::gather;
use super::{Added, BlockRef, BlockType, HEADER, Kept, MAX_BLOCK, finish_header};
use crate::layout::Need;
use crate::segment::Buffer;
use grotto_format::batch::ColumnKind;

/// Copies a full block and writes the added rows over free positions of it, or returns `None` when
/// it has to be rebuilt: a value does not fit the layout, rows are missing at its end, or more than
/// a quarter of its heap is dead.
pub(crate) fn patch(
    ty: &BlockType<'_>,
    old: BlockRef<'_>,
    kept: &[u32],
    added: &Added<'_>,
    out: &mut Buffer,
) -> Option<usize> {
    let last = added.positions.iter().max().copied()?;
    if HEADER as u64 + u64::from(old.rows()) * u64::from(old.layout.row) > old.length() as u64 {
        // Its bytes contradict each other.
        return None;
    }
    let columns = gather(ty.kinds, &Kept::NONE, added);
    let heap = (old.length() - old.heap_start().min(old.length())) as u64;
    let dead = heap.saturating_sub(old.live_heap(ty.kinds, kept));
    let (mut needs, heaps): (Vec<Need>, Vec<u64>) = columns
        .iter()
        .zip(ty.kinds)
        .map(|(column, kind)| column.need(*kind))
        .unzip();
    let reach = old.length() as u64 + heaps.iter().sum::<u64>();
    for (need, kind) in needs.iter_mut().zip(ty.kinds) {
        if !matches!(kind, ColumnKind::Fixed(_)) {
            need.max = reach;
        }
    }
    if last >= old.rows()
        || dead * 4 > heap
        || reach > MAX_BLOCK
        || !old.layout.fits(ty.kinds, &needs)
    {
        return None;
    }
    let start = out.begin();
    out.bytes
        .extend_from_slice(old.bytes.get(old.start..old.start + old.length())?);
    let row_bytes = old.layout.row as usize;
    let mut heap = Vec::new();
    for position in added.positions {
        let row = start + HEADER + *position as usize * row_bytes;
        out.bytes[row..row + row_bytes].fill(0);
    }
    for (column, slots) in columns.iter().zip(&old.layout.slots) {
        for (i, position) in added.positions.iter().enumerate() {
            let row = start + HEADER + *position as usize * row_bytes;
            column.write(i, slots, &mut out.bytes, row, old.length(), &mut heap);
        }
    }
    out.bytes.extend_from_slice(&heap);
    finish_header(out, start, old.rows(), old.heap_start());
    Some(start)
}
