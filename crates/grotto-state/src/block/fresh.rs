//! Blocks of added records only: what a load is made of.
//!
//! Owns: rows and heap written straight from the columns of a batch. Never reads a block.

use super::columns::pack_elements;
use super::write::{begin, fit};
use super::{Added, BlockType, TooLarge, Written, finish_header};
use crate::layout::{Layout, Need, Slots};
use crate::segment::Buffer;
use grotto_format::batch::{Column, ColumnData, ColumnKind};
use std::ops::Range;

/// Writes a block from the added rows alone.
pub(super) fn lay_out(
    ty: &BlockType<'_>,
    layouts: &mut Vec<Layout>,
    added: &Added<'_>,
    out: &mut Buffer,
) -> Result<Written, TooLarge> {
    let rows = added.positions.iter().max().map_or(0, |p| p + 1);
    let sources: Vec<Source<'_>> = added
        .batch
        .columns
        .iter()
        .map(|column| Source {
            column,
            rows: added.first_row..added.first_row + added.positions.len(),
        })
        .collect();
    let needs = sources.iter().zip(ty.kinds).map(|(s, kind)| s.need(*kind));
    let (index, heap_bytes) = fit(ty, layouts, needs.unzip(), rows);
    let layout = &layouts[index];
    let (start, heap_start) = begin(rows, layout, heap_bytes, out)?;
    for (source, slots) in sources.iter().zip(&layout.slots) {
        let target = Target {
            slots,
            positions: added.positions,
            row: layout.row as usize,
        };
        source.write(&target, start, out);
    }
    finish_header(out, start, rows, heap_start);
    Ok(Written {
        start,
        layout: index,
    })
}

/// Where values of a column go.
struct Target<'a> {
    slots: &'a Slots,
    positions: &'a [u32],
    row: usize,
}

impl Target<'_> {
    fn rows(&self) -> impl Iterator<Item = usize> {
        let first = super::HEADER;
        self.positions
            .iter()
            .map(move |position| first + *position as usize * self.row)
    }
}

/// Some rows of a column.
pub(super) struct Source<'a> {
    pub(super) column: &'a Column,
    pub(super) rows: Range<usize>,
}

impl Source<'_> {
    fn is_null(&self, i: usize) -> bool {
        self.column.is_null(self.rows.start + i)
    }

    fn has_null(&self) -> bool {
        !self.column.nulls.is_empty() && (0..self.rows.len()).any(|i| self.is_null(i))
    }

    /// Where the values start in the column's data, and where each ends.
    fn ends<'e>(&self, ends: &'e [usize]) -> (usize, &'e [usize]) {
        let first = self.rows.start.checked_sub(1);
        (
            first.and_then(|at| ends.get(at)).copied().unwrap_or(0),
            ends.get(self.rows.clone()).unwrap_or_default(),
        )
    }

    /// What the rows ask of a layout, and the most heap bytes they can take.
    pub(super) fn need(&self, kind: ColumnKind) -> (Need, u64) {
        let mut need = Need {
            null: self.has_null(),
            ..Need::NONE
        };
        let heap = match &self.column.data {
            ColumnData::Fixed(words) => {
                if kind == ColumnKind::Fixed(0) {
                    (need.min, need.max) = self.range(words, need.null);
                }
                0
            }
            ColumnData::Var { ends, .. } => {
                let (first, ends) = self.ends(ends);
                need.length = longest(first, ends);
                (ends.last().copied().unwrap_or(first) - first) as u64
            }
            ColumnData::Elements { ends, ordinals } => {
                let (first, ends) = self.ends(ends);
                need.length = longest(first, ends);
                let last = ends.last().copied().unwrap_or(first);
                let ordinals = ordinals.get(first..last).unwrap_or_default();
                need.element = ordinals.iter().copied().max().unwrap_or(0);
                ordinals.len() as u64 * 4 + ends.len() as u64
            }
        };
        (need, heap)
    }

    /// Smallest and largest integer, nulls aside.
    fn range(&self, words: &[u64], nulls: bool) -> (u64, u64) {
        let words = words.get(self.rows.clone()).unwrap_or_default();
        let wider = |(min, max): (i64, i64), word: &u64| {
            let word = *word as i64;
            (min.min(word), max.max(word))
        };
        let none = (i64::MAX, i64::MIN);
        let (min, max) = if nulls {
            let some = words.iter().enumerate().filter(|(i, _)| !self.is_null(*i));
            some.map(|(_, word)| word).fold(none, wider)
        } else {
            words.iter().fold(none, wider)
        };
        if min <= max {
            (min as u64, max as u64)
        } else {
            (0, 0)
        }
    }

    /// Writes the values: rows at once, then their part of the heap. A null leaves its row as it is.
    fn write(&self, target: &Target<'_>, start: usize, out: &mut Buffer) {
        let (slots, nulls) = (target.slots, self.has_null());
        let heap = out.bytes.len() - start;
        let block = &mut out.bytes[start..];
        if nulls {
            let rows = target.rows().enumerate();
            rows.filter(|(i, _)| self.is_null(*i))
                .for_each(|(_, row)| slots.null.write(block, row, 1));
        }
        let is_null = |i: usize| nulls && self.is_null(i);
        match &self.column.data {
            ColumnData::Fixed(words) => {
                let words = words.get(self.rows.clone()).unwrap_or_default();
                for (i, (row, word)) in target.rows().zip(words).enumerate() {
                    if !is_null(i) {
                        slots.main.write(block, row, *word);
                    }
                }
            }
            ColumnData::Var { ends, bytes } => {
                let (first, ends) = self.ends(ends);
                let mut before = first;
                for (i, (row, end)) in target.rows().zip(ends).enumerate() {
                    if !is_null(i) {
                        slots.main.write(block, row, (heap + before - first) as u64);
                        slots.length.write(block, row, (end - before) as u64);
                    }
                    before = *end;
                }
                out.bytes
                    .extend_from_slice(bytes.get(first..before).unwrap_or_default());
            }
            ColumnData::Elements { ends, ordinals } => {
                let (mut before, ends) = self.ends(ends);
                let mut packed = Vec::new();
                for (i, (row, end)) in target.rows().zip(ends).enumerate() {
                    if !is_null(i) {
                        slots.main.write(block, row, (heap + packed.len()) as u64);
                        slots.length.write(block, row, (end - before) as u64);
                        let elements = ordinals.get(before..*end).unwrap_or_default();
                        pack_elements(elements, slots.element, &mut packed);
                    }
                    before = *end;
                }
                out.bytes.extend_from_slice(&packed);
            }
        }
    }
}

fn longest(first: usize, ends: &[usize]) -> u64 {
    let starts = std::iter::once(&first).chain(ends);
    let lengths = ends.iter().zip(starts).map(|(end, start)| end - start);
    lengths.max().unwrap_or(0) as u64
}
