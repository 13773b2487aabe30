//! How many ordinals make a block.
//!
//! Owns: the choice, when the first records of a type come and whenever its records have become much
//! smaller or larger. Never rewrites a block: blocks of the new size take the place of others as
//! these are touched.

use super::stage::Stage;
use crate::block::estimate_bytes;
use crate::part;
use crate::state::{State, TypeState};
use grotto_format::batch::{Batch, Column, ColumnData};

/// Bytes that a block should take, up to twice as many.
const BLOCK: u64 = 64 << 10;
/// Smallest and largest blocks, as powers of two.
const SMALLEST: u8 = 9;
const LARGEST: u8 = 16;
/// Blocks stay as they are until they would take this many times fewer or more ordinals, as a power of
/// two: else records near a bound would change the size of blocks to and fro.
const PATIENCE: u8 = 2;

/// Ordinals of the blocks that a cycle writes, as a power of two.
pub(super) fn of_blocks(base: &State, ty: &TypeState, stage: &Stage) -> u8 {
    if stage.batch.rows == 0 {
        return ty.span;
    }
    if ty.live == 0 {
        return of_first(&stage.batch);
    }
    let mut ideal = fitting(ty.stored.bytes / ty.stored.rows.max(1));
    // A few large records side by side hide among many small ones, and a block must not hold too many.
    while ideal >= ty.span + PATIENCE && heaviest_unit(base, ty, ideal) > HEAVIEST as u64 {
        ideal -= 1;
    }
    match ideal.abs_diff(ty.span) >= PATIENCE {
        true => ideal,
        false => ty.span,
    }
}

/// Most bytes that the blocks of `1 << size` ordinals side by side have together.
fn heaviest_unit(base: &State, ty: &TypeState, size: u8) -> u64 {
    let entries = 1 << (size - ty.shift);
    let bytes = |entry: usize| {
        let block = base.block_of(ty, entry);
        block.map_or(0, |block| part::share(&block, ty.shift, entry).bytes)
    };
    let units = (0..ty.blocks.len()).step_by(entries);
    let unit = |first: usize| (first..first + entries).map(bytes).sum();
    units.map(unit).max().unwrap_or(0)
}

/// For records of `each` bytes.
fn fitting(each: u64) -> u8 {
    ((2 * BLOCK / each.max(1)).max(1).ilog2() as u8).clamp(SMALLEST, LARGEST)
}

/// For the first records of a type.
fn of_first(batch: &Batch) -> u8 {
    let mut size = fitting(estimate_bytes(batch) / batch.rows as u64);
    // Large records may come in a row: no block may be far from the others.
    while size > SMALLEST && heaviest(batch, 1 << size) > HEAVIEST {
        size -= 1;
    }
    size
}

/// Most bytes of text and elements of a block, where its size can be chosen.
const HEAVIEST: usize = 4 << 20;

/// Most values' bytes of `size` rows side by side, of any one column.
fn heaviest(batch: &Batch, size: usize) -> usize {
    let of_ends = |ends: &[usize], each: usize| {
        let starts = std::iter::once(0).chain(ends.iter().skip(size - 1).step_by(size).copied());
        let stops = ends.iter().skip(size - 1).step_by(size).chain(ends.last());
        stops
            .zip(starts)
            .map(|(stop, start)| (stop - start) * each)
            .max()
            .unwrap_or(0)
    };
    let of_column = |column: &Column| match &column.data {
        ColumnData::Fixed(_) => 0,
        ColumnData::Var { ends, .. } => of_ends(ends, 1),
        ColumnData::Elements { ends, .. } => of_ends(ends, 3),
    };
    batch.columns.iter().map(of_column).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
