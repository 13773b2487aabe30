//! The hash functions that are part of the format: file checksums, content hashes, key hashes and
//! the state checksum.
//!
//! Owns: how values enter a hash. Never reads records itself: callers feed values.
//! Spec: `docs/format/spec.md`, section "Checksums". All of them are XXH3-64, a fixed
//! specification, so that any two builds and any two languages agree.

use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_64_with_seed};

/// Checksum of a whole file or section.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Checksum of a file that comes in pieces.
#[derive(Clone, Default)]
pub struct Pieces(Xxh3);

impl Pieces {
    /// Adds the next piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The checksum of all pieces, as [`of_bytes`] of them together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.digest()
    }
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pieces({:016x})", self.sum())
    }
}

/// Seed for the values of one field, or (with an empty field name) for the elements of a
/// collection type.
#[must_use]
pub fn field_seed(type_name: &str, field_name: &str) -> u64 {
    xxh3_64_with_seed(field_name.as_bytes(), xxh3_64(type_name.as_bytes()))
}

/// Hash of a fixed-width value: its 64-bit word, little endian.
#[inline]
#[must_use]
pub fn fixed(seed: u64, word: u64) -> u64 {
    xxh3_64_with_seed(&word.to_le_bytes(), seed)
}

/// Hash of text or bytes.
#[inline]
#[must_use]
pub fn var(seed: u64, bytes: &[u8]) -> u64 {
    // The length is added so that an empty value differs from an absent one (which adds nothing).
    xxh3_64_with_seed(bytes, seed).wrapping_add(bytes.len() as u64 + 1)
}

/// Hash of the element ordinals of a collection, in stored order.
#[must_use]
pub fn elements(seed: u64, ordinals: impl Iterator<Item = u32>) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::with_seed(seed);
    let mut count = 0_u64;
    for ordinal in ordinals {
        hasher.update(&ordinal.to_le_bytes());
        count += 1;
    }
    hasher.digest().wrapping_add(count + 1)
}

/// One record's share of the state checksum, from its content hash (the wrapping sum of the hashes
/// of its non-null fields) and its ordinal.
#[inline]
#[must_use]
pub fn record(content: u64, ordinal: u32) -> u64 {
    let mut bytes = [0_u8; 12];
    bytes[..8].copy_from_slice(&content.to_le_bytes());
    bytes[8..].copy_from_slice(&ordinal.to_le_bytes());
    xxh3_64(&bytes)
}

/// Start of every key hash. Key hashes put elements of sets and maps in order; who finds records by them
/// lets strangers choose keys that collide.
pub const KEY_SEED: u64 = 0x4752_4f54_544f_4b59;

/// Mixes one fixed-width key part into a key hash. Parts are chained, never XORed, so that
/// `(x, x)` and `(y, y)` do not collide.
#[inline]
#[must_use]
pub fn key_fixed(hash: u64, word: u64) -> u64 {
    xxh3_64_with_seed(&word.to_le_bytes(), hash)
}

/// Mixes one text or bytes key part into a key hash.
#[inline]
#[must_use]
pub fn key_var(hash: u64, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_parts_do_not_cancel_out() {
        let pair = |x| key_fixed(key_fixed(KEY_SEED, x), x);
        assert_ne!(pair(1), pair(2));
    }

    #[test]
    fn an_empty_value_differs_from_an_absent_one() {
        assert_ne!(var(7, b""), 0);
        assert_ne!(elements(7, std::iter::empty()), 0);
    }
}
