//! The weight of a block: what its live records take at most, in whatever layout.
//!
//! Owns: weighing, so that all readers accept and refuse the same blocks, although each lays them out
//! by what it has seen before. Never looks at a layout to decide.
//! Spec: `docs/format/spec.md`, section "Limits".

use super::{Added, BlockRef, BlockType, Kept};
use grotto_format::batch::{ColumnData, ColumnKind};
use grotto_format::limits::{CELL_WEIGHT, ELEMENT_WEIGHT, OverLimit};

/// Refuses a block of these records if it is heavier than `limit`: the kept ones, which are in some of
/// `old`, and the added ones. `kept` is asked for only if the block may be that heavy.
pub(crate) fn check_weight<'a>(
    ty: &BlockType<'_>,
    old: &[BlockRef<'a>],
    kept: impl FnOnce() -> Kept<'a>,
    added: &Added<'_>,
    limit: u64,
) -> Result<(), OverLimit> {
    let new = of_added(added);
    let cells = |rows: u64| rows * ty.kinds.len() as u64 * CELL_WEIGHT;
    let last = |positions: &[u32]| {
        positions
            .iter()
            .max()
            .map_or(0, |last| u64::from(*last) + 1)
    };
    let rows = last(added.positions);
    let all = match old {
        [] => 0,
        [only] if only.layout.mask == (1 << ty.span) - 1 => u64::from(only.rows()),
        _ => 1 << ty.span,
    };
    let most: Option<u64> = old.iter().map(|block| most_of(ty.kinds, *block)).sum();
    let quick = most.map(|most| cells(all.max(rows)) + new + most);
    if quick.is_some_and(|weight| weight <= limit) {
        return Ok(());
    }
    let kept = kept();
    let pieces = kept.pieces.iter();
    let held: u64 = pieces
        .map(|(block, at)| of_kept(ty.kinds, *block, at))
        .sum();
    let weight = cells(rows.max(last(&kept.positions))) + new + held;
    OverLimit::check("of weight", weight, limit)
}

/// Text, bytes and elements of the added records.
fn of_added(added: &Added<'_>) -> u64 {
    let span = |ends: &[usize]| {
        let end = |row: usize| row.checked_sub(1).and_then(|at| ends.get(at)).copied();
        let (first, last) = (added.first_row, added.first_row + added.positions.len());
        end(last)
            .unwrap_or(0)
            .saturating_sub(end(first).unwrap_or(0)) as u64
    };
    let values = added.batch.columns.iter().map(|column| match &column.data {
        ColumnData::Fixed(_) => 0,
        ColumnData::Var { ends, .. } => span(ends),
        ColumnData::Elements { ends, .. } => span(ends) * ELEMENT_WEIGHT,
    });
    values.sum()
}

/// The most that text, bytes and elements of a block can weigh, by its length alone; `None` where
/// elements take no bit each.
fn most_of(kinds: &[ColumnKind], block: BlockRef<'_>) -> Option<u64> {
    let mut each = 1;
    for (slots, kind) in block.layout.slots.iter().zip(kinds) {
        if matches!(kind, ColumnKind::Elements(_)) && !slots.length.is_constant() {
            // A byte holds eight elements of a bit.
            each = 8 * ELEMENT_WEIGHT;
            if slots.element == 0 {
                return None;
            }
        }
    }
    Some(block.length() as u64 * each)
}

/// Text, bytes and elements of the kept records.
fn of_kept(kinds: &[ColumnKind], block: BlockRef<'_>, kept: &[u32]) -> u64 {
    let mut weight = 0;
    for (slots, kind) in block.layout.slots.iter().zip(kinds) {
        let each = match kind {
            ColumnKind::Fixed(_) => continue,
            ColumnKind::Var(_) => 1,
            ColumnKind::Elements(_) => ELEMENT_WEIGHT,
        };
        let lengths = kept
            .iter()
            .map(|position| slots.length.read(block.bytes, block.row(*position)));
        weight += lengths.sum::<u64>() * each;
    }
    weight
}
