//! The digest of a record: equal for equal records, whichever engine holds them.
//!
//! Owns: folding values. The digest of a dataset is the wrapping sum over its records.

use super::rng::mix;

/// A record's digest in the making.
#[derive(Clone, Copy, Debug)]
pub struct Digest(u64);

impl Digest {
    /// Starts with the primary key.
    #[must_use]
    pub fn of(id: i64) -> Self {
        Self(id.cast_unsigned())
    }

    /// Folds a number; floats as their bits, booleans as 0 or 1.
    #[must_use]
    pub fn word(self, value: u64) -> Self {
        Self(mix(self.0 ^ value))
    }

    /// Folds text.
    #[must_use]
    pub fn text(self, value: &str) -> Self {
        self.word(fnv1a(value.as_bytes()))
    }

    /// The digest.
    #[must_use]
    pub fn done(self) -> u64 {
        self.0
    }
}

/// FNV-1a in 64 bits: slow, and a few lines in any language.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
