//! The weight of a block: what its live records take at most, in whatever layout.
//!
//! Owns: weighing, so that all readers accept and refuse the same blocks, although each lays them out
//! by what it has seen before. Never looks at a layout to decide.
//! Spec: `docs/format/spec.md`, section "Limits".

use super::{Added, BlockRef, BlockType};
use grotto_format::batch::{ColumnData, ColumnKind};
use grotto_format::limits::{CELL_WEIGHT, ELEMENT_WEIGHT, OverLimit};

/// Refuses a block of these records if it is heavier than `limit`: those of `old` at the kept
/// positions, and the added ones. `kept` is asked for only if the block may be that heavy.
pub(crate) fn check_weight(
    ty: &BlockType<'_>,
    old: Option<BlockRef<'_>>,
    kept: impl Fn() -> Vec<u32>,
    added: &Added<'_>,
    limit: u64,
) -> Result<(), OverLimit> {
    let new = of_added(added);
    let most = old.map_or(Some(0), |block| most_of(ty.kinds, block));
    let rows = |kept: Option<&u32>| {
        let last = added.positions.iter().chain(kept).max();
        last.map_or(0, |last| u64::from(*last) + 1)
    };
    let cells = |rows: u64| rows * ty.kinds.len() as u64 * CELL_WEIGHT;
    let all = old.map_or(0, |block| u64::from(block.rows()));
    let quick = most.map(|most| cells(all.max(rows(None))) + new + most);
    if quick.is_some_and(|weight| weight <= limit) {
        return Ok(());
    }
    let kept = old.map_or_else(Vec::new, |_| kept());
    let held = old.map_or(0, |block| of_kept(ty.kinds, block, &kept));
    let weight = cells(rows(kept.iter().max())) + new + held;
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
