//! Reading values that lie in the heap of a block.
//!
//! Owns: bounds: whatever the bytes say, a read stays within the segment. Never writes.

use crate::layout::Slots;

/// Reads a value of a row; `None` when the bytes of the state are damaged.
#[inline]
pub(crate) fn read_var<'a>(
    bytes: &'a [u8],
    block: usize,
    row: usize,
    slots: &Slots,
) -> Option<&'a [u8]> {
    let start = block.wrapping_add(slots.main.read(bytes, row) as usize);
    bytes.get(start..start.checked_add(slots.length.read(bytes, row) as usize)?)
}

/// The element ordinals of a row.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    bytes: &'a [u8],
    bit: usize,
    width: usize,
    left: usize,
}

impl<'a> Elements<'a> {
    pub(crate) const EMPTY: Elements<'static> = Elements {
        bytes: &[],
        bit: 0,
        width: 0,
        left: 0,
    };

    #[inline]
    pub(crate) fn read(bytes: &'a [u8], block: usize, row: usize, slots: &Slots) -> Option<Self> {
        let start = block.wrapping_add(slots.main.read(bytes, row) as usize);
        let left = slots.length.read(bytes, row) as usize;
        let width = slots.element as usize;
        let end = start.checked_add(left.checked_mul(width)?.div_ceil(8))?;
        // Only a start within the bytes has a bit position: a damaged one may be anywhere.
        (start <= end && end <= bytes.len()).then(|| Self {
            bytes,
            bit: start * 8,
            width,
            left,
        })
    }

    /// The element at a position.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<u32> {
        (position < self.left).then(|| self.at(self.bit + position * self.width))
    }

    #[inline]
    fn at(&self, bit: usize) -> u32 {
        let word = match self.bytes.get(bit / 8..bit / 8 + 8) {
            Some(word) => word.try_into().map_or(0, u64::from_le_bytes),
            None => 0,
        };
        ((word >> (bit % 8)) & ((1 << self.width) - 1)) as u32
    }
}

impl Iterator for Elements<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        let ordinal = self.at(self.bit);
        self.bit += self.width;
        Some(ordinal)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Elements<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_that_start_past_all_addresses_are_damage() {
        let bytes = [0xff_u8; 64];
        let word = |value: &[u8]| {
            let mut all = bytes;
            all[..value.len()].copy_from_slice(value);
            all
        };
        let slots = crate::layout::Slots::whole_words();
        for start in [u64::MAX, u64::MAX / 8, 1 << 61, 65] {
            let bytes = word(&[start.to_le_bytes(), 1_u64.to_le_bytes()].concat());
            assert!(Elements::read(&bytes, 0, 0, &slots).is_none(), "{start}");
        }
        let bytes = word(&[16_u64.to_le_bytes(), 1_u64.to_le_bytes()].concat());
        let read = Elements::read(&bytes, 0, 0, &slots).unwrap();
        assert_eq!(read.collect::<Vec<_>>(), [0xff]);
    }
}
