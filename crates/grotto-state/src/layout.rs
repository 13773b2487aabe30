//! Layouts: where each field of a row is, to the bit.
//!
//! Owns: choosing widths for the values of a block, and sharing layouts between blocks.
//! Never touches a block's bytes apart from reading and writing single words.
//!
//! Widths belong to a layout that blocks refer to, so one outlier widens the blocks that hold it
//! and not the dataset. Every field is read with one unaligned load, a shift and a mask; no branch
//! depends on the data just loaded, so lookups overlap.

mod share;
#[cfg(test)]
mod tests;

pub(crate) use share::choose;

use crate::block::{HEADER, MAX_BLOCK};
use grotto_format::batch::ColumnKind;

/// A run of bits within a row, and the number that is added to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(crate) struct BitSlot {
    byte: u32,
    shift: u32,
    mask: u64,
    base: u64,
}

impl BitSlot {
    /// A slot that takes no room and always reads as `value`.
    const fn constant(value: u64) -> Self {
        Self {
            byte: 0,
            shift: 0,
            mask: 0,
            base: value,
        }
    }

    /// Whether it takes no room in the row.
    pub(crate) fn is_constant(&self) -> bool {
        self.mask == 0
    }

    /// Reads the slot of the row that starts at `row`.
    #[inline(always)]
    pub(crate) fn read(&self, bytes: &[u8], row: usize) -> u64 {
        let at = row + self.byte as usize;
        let word = match bytes.get(at..at + 8) {
            Some(word) => word.try_into().map_or(0, u64::from_le_bytes),
            None => 0,
        };
        (word >> self.shift & self.mask).wrapping_add(self.base)
    }

    /// Writes the slot of a row; the bits were zero before, or are cleared with `CLEAR`.
    #[inline(always)]
    pub(crate) fn write(&self, bytes: &mut [u8], row: usize, value: u64) {
        let at = row + self.byte as usize;
        if let Some(word) = bytes.get_mut(at..at + 8) {
            let old = word.as_ref().try_into().map_or(0, u64::from_le_bytes);
            let new = old | (value.wrapping_sub(self.base) & self.mask) << self.shift;
            word.copy_from_slice(&new.to_le_bytes());
        }
    }

    fn holds(&self, min: u64, max: u64) -> bool {
        let (low, high) = (min.wrapping_sub(self.base), max.wrapping_sub(self.base));
        // A full word holds anything; otherwise a range must not wrap around past the base.
        self.mask == u64::MAX || low <= self.mask && high <= self.mask && low <= high
    }
}

/// Slots of one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(crate) struct Slots {
    /// The word, or the start of the value relative to the block.
    pub(crate) main: BitSlot,
    /// Length in bytes, or number of elements.
    pub(crate) length: BitSlot,
    /// Reads 1 when the value is null.
    pub(crate) null: BitSlot,
    /// Bits of one element.
    pub(crate) element: u32,
}

impl Slots {
    /// Slots of a field that blocks of this layout do not have: always null.
    pub(crate) const ABSENT: Self = Self {
        main: BitSlot::constant(0),
        length: BitSlot::constant(0),
        null: BitSlot::constant(1),
        element: 0,
    };

    /// Slots of a value whose start and length are the first two words of a row.
    #[cfg(test)]
    pub(crate) fn whole_words() -> Self {
        let word = |byte| BitSlot {
            byte,
            shift: 0,
            mask: u64::MAX,
            base: 0,
        };
        Self {
            main: word(0),
            length: word(8),
            null: BitSlot::constant(0),
            element: 8,
        }
    }

    /// The word of a fixed-width column; zero for null.
    ///
    /// The bits of a null are zero and would read as the base of the frame. Whether nulls occur is
    /// said by the layout, so that branch is predicted; whether this value is one is data, so that
    /// becomes a mask. A frame that holds zero would need neither, but wider rows: a fifth more bytes
    /// for a record with a nullable time among its numbers.
    #[inline(always)]
    pub(crate) fn word(&self, bytes: &[u8], row: usize) -> u64 {
        let word = self.main.read(bytes, row);
        if self.null.is_constant() {
            return word;
        }
        word & self.null.read(bytes, row).wrapping_sub(1)
    }
}

/// A field that the schema no longer has but rows of this layout still carry, until the cycle that
/// removed it has replaced every record with a value in it.
#[derive(Clone, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(crate) struct Dropped {
    pub(crate) seed: u64,
    pub(crate) kind: u8,
    pub(crate) slots: Slots,
}

/// Where every column of a row is.
#[derive(Clone, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(crate) struct Layout {
    /// Bytes of a row.
    pub(crate) row: u32,
    /// Blocks of this layout hold this many ordinals, less one: a record's position in its block is
    /// its ordinal under this mask.
    pub(crate) mask: u32,
    /// One per column of the type.
    pub(crate) slots: Vec<Slots>,
    /// Fields on their way out.
    pub(crate) dropped: Vec<Dropped>,
}

/// What the values of one column in one block ask of a layout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// Smallest and largest word (signed order), or start of a value.
    pub(crate) min: u64,
    pub(crate) max: u64,
    /// Longest value.
    pub(crate) length: u64,
    /// Largest element.
    pub(crate) element: u32,
    pub(crate) null: bool,
}

impl Need {
    pub(crate) const NONE: Self = Self {
        min: 0,
        max: 0,
        length: 0,
        element: 0,
        null: false,
    };
}

/// How much of a block is not up to its layout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) rows: u32,
    /// Most bytes of the heap.
    pub(crate) heap: u64,
}

impl Extent {
    /// Where the heap ends when a row takes `row` bytes, relative to the block.
    pub(crate) fn end(self, row: u64) -> u64 {
        HEADER as u64 + 8 + u64::from(self.rows) * row + self.heap
    }
}

pub(crate) fn bits(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

impl BitSlot {
    /// Whether a read of it stays within a row and a word.
    fn is_sound(&self, row: u32) -> bool {
        if self.mask == 0 {
            // It may be anywhere, but a shift by a whole word would overflow.
            return self.shift == 0;
        }
        let bits = u64::from(self.shift) + u64::from(bits(self.mask));
        bits <= 64 && u64::from(self.byte) * 8 + bits <= u64::from(row) * 8
    }
}

impl Layout {
    /// Whether reads by it stay within a row, and its blocks hold whole entries of a table of
    /// `1 << shift` ordinals each; for layouts that come from a file.
    pub(crate) fn is_sound(&self, shift: u8) -> bool {
        let slots = self
            .slots
            .iter()
            .chain(self.dropped.iter().map(|dropped| &dropped.slots));
        let size = self.mask.checked_add(1);
        let whole = size.is_some_and(|size| size.is_power_of_two() && size >= 1 << shift);
        whole
            && slots.into_iter().all(|slots| {
                let rows = [&slots.main, &slots.length, &slots.null]
                    .into_iter()
                    .all(|slot| slot.is_sound(self.row));
                rows && slots.element <= 32
                    && slots.length.base == 0
                    && slots.length.mask <= MAX_BLOCK.next_power_of_two() * 8
            })
    }

    /// A layout without columns.
    pub(crate) const NONE: &'static Self = &Self {
        row: 1,
        mask: 0,
        slots: Vec::new(),
        dropped: Vec::new(),
    };

    /// How many entries of a table of `1 << shift` ordinals each a block of this layout takes.
    pub(crate) fn entries(&self, shift: u8) -> usize {
        ((self.mask as usize + 1) >> shift).max(1)
    }

    /// Whether values that ask for `needs` can be stored.
    pub(crate) fn fits(&self, kinds: &[ColumnKind], needs: &[Need]) -> bool {
        self.dropped.is_empty()
            && self.slots.len() == needs.len()
            && self
                .slots
                .iter()
                .zip(needs)
                .zip(kinds)
                .all(|((slots, need), kind)| {
                    let null = !need.null || slots.null.mask == 1;
                    null && slots.null.base == 0
                        && match kind {
                            ColumnKind::Fixed(_) => slots.main.holds(need.min, need.max),
                            ColumnKind::Var(_) => {
                                slots.main.holds(0, need.max) && slots.length.holds(0, need.length)
                            }
                            ColumnKind::Elements(_) => {
                                slots.main.holds(0, need.max)
                                    && slots.length.holds(0, need.length)
                                    && bits(u64::from(need.element)) <= slots.element
                            }
                        }
                })
    }

    /// Whether every value of a block can be found: wider rows push the heap further out.
    fn reaches(&self, kinds: &[ColumnKind], extent: Extent) -> bool {
        let end = extent.end(u64::from(self.row));
        self.slots
            .iter()
            .zip(kinds)
            .all(|(s, kind)| matches!(kind, ColumnKind::Fixed(_)) || s.main.holds(0, end))
    }

    /// The tightest layout for `needs`, for blocks of any size, with bases rounded so that neighbouring blocks can share
    /// it. Columns of `first` (the key) come first, then whole-byte ones, then the rest.
    pub(crate) fn tightest(kinds: &[ColumnKind], needs: &[Need], first: &[u16]) -> Self {
        let mut slots = vec![Slots::ABSENT; kinds.len()];
        let mut packer = Packer { bit: 0 };
        for column in order(kinds, needs, first) {
            let need = needs[column];
            let slot = &mut slots[column];
            slot.null = BitSlot::constant(0);
            match kinds[column] {
                ColumnKind::Fixed(0) => {
                    let aligned = first.contains(&(column as u16));
                    let (base, width) = frame(need.min, need.max);
                    slot.main = packer.slot(width, base, aligned);
                }
                ColumnKind::Fixed(bytes) => slot.main = packer.slot(u32::from(bytes) * 8, 0, true),
                ColumnKind::Var(_) => {
                    slot.main = packer.slot(bits(need.max), 0, false);
                    slot.length = packer.slot(bits(need.length), 0, false);
                }
                ColumnKind::Elements(_) => {
                    slot.main = packer.slot(bits(need.max), 0, false);
                    slot.length = packer.slot(bits(need.length), 0, false);
                    slot.element = bits(u64::from(need.element));
                }
            }
        }
        for (slot, need) in slots.iter_mut().zip(needs) {
            if need.null {
                slot.null = packer.slot(1, 0, false);
            }
        }
        Self {
            row: packer.bit.div_ceil(8).max(1),
            mask: 0,
            slots,
            dropped: Vec::new(),
        }
    }
}

/// Order of the columns in a row: key columns, then those of whole bytes (so that they stay aligned
/// without padding), then the rest.
fn order(kinds: &[ColumnKind], needs: &[Need], first: &[u16]) -> Vec<usize> {
    let wide = |c: usize| match kinds[c] {
        ColumnKind::Fixed(0) => frame(needs[c].min, needs[c].max).1 > 57,
        ColumnKind::Fixed(_) => true,
        _ => false,
    };
    let rank = |c: usize| match first.iter().position(|f| usize::from(*f) == c) {
        Some(position) => position,
        None if wide(c) => first.len(),
        None => first.len() + 1,
    };
    let mut order: Vec<usize> = (0..kinds.len()).collect();
    order.sort_by_key(|c| rank(*c));
    order
}

/// Base and width for words from `min` to `max` (signed). The base is a multiple of a quarter of
/// the range, so that blocks with similar values get equal layouts.
fn frame(min: u64, max: u64) -> (u64, u32) {
    let (low, high) = (i128::from(min as i64), i128::from(max as i64));
    let width = bits((high - low) as u64);
    for width in width..=57 {
        let granule = 1_i128 << width.saturating_sub(2);
        let base = if low >= 0 && high < 1 << width {
            0
        } else {
            low.div_euclid(granule) * granule
        };
        if high - base < 1 << width {
            return (base as i64 as u64, width);
        }
    }
    (0, 64)
}

struct Packer {
    bit: u32,
}

impl Packer {
    fn slot(&mut self, width: u32, base: u64, aligned: bool) -> BitSlot {
        if width == 0 {
            return BitSlot::constant(base);
        }
        if aligned || width > 57 {
            self.bit = self.bit.next_multiple_of(8);
        }
        let mask = if width >= 64 {
            u64::MAX
        } else {
            (1 << width) - 1
        };
        let slot = BitSlot {
            byte: self.bit / 8,
            shift: self.bit % 8,
            mask,
            base,
        };
        self.bit += width;
        slot
    }
}
