//! Private hashes: of primary keys in indexes, and of values in interning tables.
//!
//! Owns: the seed and the hash it drives. Never part of a blob, of an order or of a checksum: those are
//! the fixed, public hashes of [`grotto_format::checksum`].
//!
//! Keys and values come from strangers. Whoever knows a hash can choose keys that collide in it, so
//! these hashes depend on a seed that never leaves the process and its state directory.
//!
//! The one step is a multiplication of 64 by 64 bits whose halves are folded together. Both of its
//! factors are masked by secret words: a factor that is known to be zero would let all inputs of the
//! other one collide.

use crate::key::{KeyPart, KeyParts};
use std::fmt;

/// The secret that private hashes are driven by. It is drawn at random once for each state directory,
/// and once for each process that keeps states on its heap.
#[derive(Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct HashSeed([u64; 2]);

impl HashSeed {
    /// A seed from two random words. Whoever can foresee them can choose keys that collide.
    #[must_use]
    pub const fn new(words: [u64; 2]) -> Self {
        Self(words)
    }

    /// Word `position` of the endless secret text that belongs to the seed.
    fn word(self, position: u64) -> u64 {
        let place = position.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        scramble(self.0[0] ^ scramble(self.0[1].wrapping_add(place)))
    }
}

impl fmt::Debug for HashSeed {
    /// Says nothing of the secret: debug texts end up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashSeed(..)")
    }
}

/// A bijection in which every bit of the input turns about half of the output (the finaliser of
/// SplitMix64).
fn scramble(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// What a seed gives: the words that hashing needs at once.
#[derive(Clone, Copy)]
pub(crate) struct Secret {
    seed: HashSeed,
    start: u64,
    factor: u64,
    last: [u64; 2],
    side: [u64; 2],
    length: [u64; 2],
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What makes the values of one field hash unlike those of others.
#[derive(Clone, Copy)]
pub(crate) struct FieldSecret {
    start: u64,
    factor: u64,
}

impl fmt::Debug for FieldSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FieldSecret(..)")
    }
}

impl Secret {
    /// Stands where there is no key to hash.
    pub(crate) const NONE: Self = Self {
        seed: HashSeed([0; 2]),
        start: 0,
        factor: 0,
        last: [0; 2],
        side: [0; 2],
        length: [0; 2],
    };

    pub(crate) fn new(seed: HashSeed) -> Self {
        // Odd factors lose no bit of what they multiply.
        Self {
            seed,
            start: seed.word(0),
            factor: seed.word(1) | 1,
            last: [seed.word(2), seed.word(3) | 1],
            side: [seed.word(4), seed.word(5) | 1],
            length: [seed.word(6), seed.word(7) | 1],
        }
    }

    /// The secret of a field, from the public seed that its name gives: the same under every schema
    /// that has the field.
    pub(crate) fn field(&self, seed: u64) -> FieldSecret {
        let start = self.seed.word(scramble(seed));
        FieldSecret {
            start,
            factor: self.seed.word(scramble(seed ^ start)) | 1,
        }
    }

    /// Hash of a key of one part.
    #[inline(always)]
    pub(crate) fn of_part(&self, part: KeyPart<'_>) -> u64 {
        self.finish(self.mix(self.start, part))
    }

    /// Hash of a key.
    #[inline]
    pub(crate) fn of_key<K: KeyParts + ?Sized>(&self, key: &K) -> u64 {
        let mix = |hash, position| self.mix(hash, key.part(position));
        self.finish((0..key.arity()).fold(self.start, mix))
    }

    /// Where the hash of a key starts: parts are mixed in one after the other, then it is finished.
    #[inline(always)]
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Mixes the next part into the hash of a key.
    #[inline(always)]
    pub(crate) fn mix(&self, hash: u64, part: KeyPart<'_>) -> u64 {
        match part {
            KeyPart::Fixed(word) => fold(hash ^ word, self.factor),
            KeyPart::Var(bytes) => self.bytes(hash, bytes),
        }
    }

    /// The hash, from all parts of a key or the sum over all values of a record: every bit of it
    /// depends on all of them.
    #[inline(always)]
    pub(crate) fn finish(&self, hash: u64) -> u64 {
        fold(hash ^ self.last[0], self.last[1])
    }

    /// A word's share of the hash of a record. Shares are added, so that they can be had in any order;
    /// the secret of its field makes a share depend on where the value is.
    #[inline(always)]
    pub(crate) fn fixed(field: &FieldSecret, word: u64) -> u64 {
        fold(word ^ field.start, field.factor)
    }

    /// Share of text or bytes in the hash of a record. Never the share of an absent value, which is 0.
    #[inline]
    pub(crate) fn var(&self, field: &FieldSecret, bytes: &[u8]) -> u64 {
        self.bytes(field.start, bytes)
    }

    /// Share of elements in the hash of a record.
    pub(crate) fn elements(
        &self,
        field: &FieldSecret,
        mut ordinals: impl Iterator<Item = u32>,
    ) -> u64 {
        let (mut hash, mut count) = (field.start, 0);
        while let Some(first) = ordinals.next() {
            let second = ordinals.next();
            count += 1 + u64::from(second.is_some());
            let pair = u64::from(first) | u64::from(second.unwrap_or(0)) << 32;
            hash = fold(hash ^ pair, field.factor);
        }
        self.with_length(hash, count)
    }

    /// Mixes in how long a value is. By multiplication: were it part of what values are combined with,
    /// a longer value could make up for it.
    #[inline(always)]
    fn with_length(&self, hash: u64, length: u64) -> u64 {
        fold(hash ^ self.length[0], length ^ self.length[1])
    }

    #[inline]
    fn bytes(&self, hash: u64, bytes: &[u8]) -> u64 {
        let mixed = if bytes.len() <= 16 {
            let (first, last) = ends(bytes);
            fold(first ^ hash, last ^ self.factor)
        } else {
            self.long(hash, bytes)
        };
        self.with_length(mixed, bytes.len() as u64)
    }

    /// More than sixteen bytes: in two lanes, so that the processor multiplies for both at a time. The
    /// last sixteen bytes may overlap those before.
    fn long(&self, hash: u64, bytes: &[u8]) -> u64 {
        let mut lanes = [hash, hash ^ self.side[0]];
        let (body, tail) = bytes.split_at((bytes.len() - 1) / 32 * 32);
        for chunk in body.chunks_exact(32) {
            lanes[0] = fold(word(chunk, 0) ^ lanes[0], word(chunk, 8) ^ self.factor);
            lanes[1] = fold(word(chunk, 16) ^ lanes[1], word(chunk, 24) ^ self.side[1]);
        }
        if tail.len() > 16 {
            lanes[0] = fold(word(tail, 0) ^ lanes[0], word(tail, 8) ^ self.factor);
        }
        let end = bytes.len() - 16;
        lanes[1] = fold(
            word(bytes, end) ^ lanes[1],
            word(bytes, end + 8) ^ self.side[1],
        );
        fold(lanes[0] ^ self.last[0], lanes[1] ^ self.last[1])
    }
}

/// Up to sixteen bytes as two words: together with the length, they say all of them.
#[inline(always)]
fn ends(bytes: &[u8]) -> (u64, u64) {
    let length = bytes.len();
    if length >= 8 {
        (word(bytes, 0), word(bytes, length - 8))
    } else if length >= 4 {
        (half(bytes, 0), half(bytes, length - 4))
    } else if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
        let middle = bytes.get(length / 2).copied().unwrap_or_default();
        (u64::from(*first) | u64::from(middle) << 8, u64::from(*last))
    } else {
        (0, 0)
    }
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|word| word.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

#[inline(always)]
fn half(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 4)
        .and_then(|half| half.try_into().ok())
        .map_or(0, |half| u64::from(u32::from_le_bytes(half)))
}

#[cfg(test)]
mod tests;
