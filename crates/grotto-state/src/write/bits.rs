//! Sets of rows or ordinals.
//!
//! Owns: a bit for each number up to the largest one. Never shrinks.

use std::sync::atomic::{AtomicU64, Ordering};

/// A set of numbers that are dense.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub(crate) fn contains(&self, number: u32) -> bool {
        let word = self.0.get(number as usize / 64);
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub(crate) fn insert(&mut self, number: u32) {
        let word = number as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }
}

/// A set that several threads add to.
#[derive(Debug, Default)]
pub(crate) struct SharedBits(Box<[AtomicU64]>);

impl SharedBits {
    /// Room for numbers below `limit`; others are never in the set.
    pub(crate) fn below(limit: u32) -> Self {
        let words = limit.div_ceil(64);
        Self((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    pub(crate) fn contains(&self, number: u32) -> bool {
        let word = self.0.get(number as usize / 64);
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (number % 64) & 1 == 1)
    }

    /// Cheap for what is in the set already: threads that only read share the cache line.
    pub(crate) fn insert(&self, number: u32) {
        if let Some(word) = self.0.get(number as usize / 64)
            && !self.contains(number)
        {
            word.fetch_or(1 << (number % 64), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_in_a_set_once_it_was_added() {
        let (mut bits, shared) = (Bits::default(), SharedBits::below(129));
        for number in [0, 63, 64, 128] {
            assert!(!bits.contains(number) && !shared.contains(number));
            bits.insert(number);
            shared.insert(number);
            assert!(bits.contains(number) && shared.contains(number));
        }
        assert!(!bits.contains(1) && !shared.contains(65));
    }

    #[test]
    fn a_number_without_room_is_not_in_a_shared_set() {
        let shared = SharedBits::below(64);
        shared.insert(u32::MAX);
        assert!(!shared.contains(u32::MAX) && !shared.contains(64));
    }
}
