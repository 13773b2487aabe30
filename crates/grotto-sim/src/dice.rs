//! Drawing lots: all chance of a simulation comes from one seed.
//!
//! Owns: how numbers become choices. Never: reads a clock or a source of the system.

use std::ops::Range;
use std::time::Duration;

use grotto_env::{Random, SeededRandom};

/// A row of random choices that repeats for the same seed.
#[derive(Debug)]
pub(crate) struct Dice(SeededRandom);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededRandom::new(seed))
    }

    /// Another row, which does not depend on how often this one is asked from now on.
    pub(crate) fn split(&self) -> Self {
        Self::new(self.0.next_u64())
    }

    pub(crate) fn seed(&self) -> u64 {
        self.0.next_u64()
    }

    pub(crate) fn below(&self, limit: u64) -> u64 {
        self.0.next_u64() % limit.max(1)
    }

    pub(crate) fn within(&self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end.saturating_sub(range.start))
    }

    /// True so many times in a thousand.
    pub(crate) fn chance(&self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of several.
    pub(crate) fn pick<'a, T>(&self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    pub(crate) fn millis(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }
}
