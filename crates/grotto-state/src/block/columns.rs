//! The rows of a block to be written, column by column: from an existing block, from a batch, or both.
//!
//! Owns: collecting values, what they ask of a layout, and putting them in place. Never decides where
//! a row goes.

use super::{Added, BlockRef, Elements, Kept, read_var};
use crate::layout::{Need, Slots};
use grotto_format::batch::{ColumnKind, Value};

/// Values of one column of the rows of a block.
pub(super) enum RowData<'a> {
    Fixed(Vec<u64>),
    Var(Vec<&'a [u8]>),
    Elements {
        ends: Vec<usize>,
        ordinals: Vec<u32>,
    },
}

pub(super) struct RowColumn<'a> {
    nulls: Vec<bool>,
    data: RowData<'a>,
}

pub(super) fn gather<'a>(
    kinds: &[ColumnKind],
    kept: &Kept<'a>,
    added: &Added<'a>,
) -> Vec<RowColumn<'a>> {
    let rows = added.positions.len() + kept.positions.len();
    let mut columns = Vec::with_capacity(kinds.len());
    for (index, kind) in kinds.iter().enumerate() {
        let mut column = RowColumn::new(*kind, rows);
        for (block, positions) in &kept.pieces {
            let slots = block.layout.slots.get(index);
            let slots = slots.copied().unwrap_or(Slots::ABSENT);
            positions
                .iter()
                .for_each(|position| column.push_old(block, block.row(*position), &slots));
        }
        if let Some(source) = added.batch.columns.get(index) {
            (0..added.positions.len()).for_each(|i| column.push(source.value(added.first_row + i)));
        }
        columns.push(column);
    }
    columns
}

impl<'a> RowColumn<'a> {
    fn new(kind: ColumnKind, rows: usize) -> Self {
        let data = match kind {
            ColumnKind::Fixed(_) => RowData::Fixed(Vec::with_capacity(rows)),
            ColumnKind::Var(_) => RowData::Var(Vec::with_capacity(rows)),
            ColumnKind::Elements(_) => RowData::Elements {
                ends: Vec::with_capacity(rows),
                ordinals: Vec::new(),
            },
        };
        Self {
            nulls: Vec::with_capacity(rows),
            data,
        }
    }

    fn push(&mut self, value: Value<'a>) {
        self.nulls.push(value == Value::Null);
        match (&mut self.data, value) {
            (RowData::Fixed(words), Value::Fixed(word)) => words.push(word),
            (RowData::Var(values), Value::Var(value)) => values.push(value),
            (RowData::Fixed(words), _) => words.push(0),
            (RowData::Var(values), _) => values.push(&[]),
            (RowData::Elements { ends, ordinals }, value) => {
                if let Value::Elements(elements) = value {
                    ordinals.extend_from_slice(elements);
                }
                ends.push(ordinals.len());
            }
        }
    }

    fn push_old(&mut self, block: &BlockRef<'a>, row: usize, slots: &Slots) {
        if slots.null.read(block.bytes, row) == 1 {
            return self.push(Value::Null);
        }
        match &mut self.data {
            RowData::Fixed(words) => words.push(slots.main.read(block.bytes, row)),
            RowData::Var(values) => {
                values.push(read_var(block.bytes, block.start, row, slots).unwrap_or_default());
            }
            RowData::Elements { ends, ordinals } => {
                let elements = Elements::read(block.bytes, block.start, row, slots);
                ordinals.extend(elements.unwrap_or(Elements::EMPTY));
                ends.push(ordinals.len());
            }
        }
        self.nulls.push(false);
    }

    /// What the column asks of a layout, and the most heap bytes it can take.
    pub(super) fn need(&self, kind: ColumnKind) -> (Need, u64) {
        let mut need = Need {
            null: self.nulls.contains(&true),
            ..Need::NONE
        };
        let heap = match &self.data {
            RowData::Fixed(words) => {
                let values = words
                    .iter()
                    .zip(&self.nulls)
                    .filter(|(_, null)| !**null)
                    .map(|(w, _)| *w as i64);
                if kind == ColumnKind::Fixed(0) {
                    let (min, max) =
                        values.fold((i64::MAX, i64::MIN), |(a, b), v| (a.min(v), b.max(v)));
                    if min <= max {
                        (need.min, need.max) = (min as u64, max as u64);
                    }
                }
                0
            }
            RowData::Var(values) => {
                need.length = values.iter().map(|v| v.len()).max().unwrap_or(0) as u64;
                values.iter().map(|v| v.len() as u64).sum()
            }
            RowData::Elements { ends, ordinals } => {
                need.element = ordinals.iter().copied().max().unwrap_or(0);
                let starts = std::iter::once(&0).chain(ends);
                need.length = ends
                    .iter()
                    .zip(starts)
                    .map(|(e, s)| e - s)
                    .max()
                    .unwrap_or(0) as u64;
                ordinals.len() as u64 * 4 + ends.len() as u64
            }
        };
        (need, heap)
    }
}

impl RowColumn<'_> {
    pub(super) fn write(
        &self,
        i: usize,
        slots: &Slots,
        bytes: &mut [u8],
        row: usize,
        heap_start: usize,
        heap: &mut Vec<u8>,
    ) {
        if self.nulls[i] {
            slots.null.write(bytes, row, 1);
            return;
        }
        match &self.data {
            RowData::Fixed(words) => slots.main.write(bytes, row, words[i]),
            RowData::Var(values) => {
                slots
                    .main
                    .write(bytes, row, (heap_start + heap.len()) as u64);
                slots.length.write(bytes, row, values[i].len() as u64);
                heap.extend_from_slice(values[i]);
            }
            RowData::Elements { ends, ordinals } => {
                let first = if i == 0 { 0 } else { ends[i - 1] };
                slots
                    .main
                    .write(bytes, row, (heap_start + heap.len()) as u64);
                slots.length.write(bytes, row, (ends[i] - first) as u64);
                pack_elements(&ordinals[first..ends[i]], slots.element, heap);
            }
        }
    }
}

pub(super) fn pack_elements(ordinals: &[u32], width: u32, heap: &mut Vec<u8>) {
    let (mut word, mut filled) = (0_u64, 0);
    for ordinal in ordinals {
        word |= u64::from(*ordinal) << filled;
        filled += width;
        while filled >= 8 {
            heap.push(word as u8);
            word >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        heap.push(word as u8);
    }
}
