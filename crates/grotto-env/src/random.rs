//! Randomness: names nobody else picks, and jitter.
//!
//! Owns: the [`Random`] trait, a version seeded by the operating system, a repeatable version.
//! Never: used for keys of ciphers or signatures.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// A source of random numbers.
pub trait Random: Send + Sync + Debug {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;

    /// A name part nobody else picks: 128 bits as 32 lowercase hexadecimal digits.
    fn nonce(&self) -> String {
        format!("{:016x}{:016x}", self.next_u64(), self.next_u64())
    }

    /// Words that nobody outside can foresee, for what is kept private, such as the seed of a hash.
    fn secret(&self) -> [u64; 2] {
        [self.next_u64(), self.next_u64()]
    }

    /// A number in `0.0..1.0`, for jitter.
    fn fraction(&self) -> f64 {
        // 53 bits: every value is exactly representable, so the result never rounds up to 1.0.
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Randomness keyed by the operating system, different in every process and every call.
#[derive(Debug)]
pub struct SystemRandom {
    keys: [RandomState; 2],
    counter: AtomicU64,
}

impl SystemRandom {
    /// Takes keys from the operating system.
    pub fn new() -> Self {
        Self {
            keys: [RandomState::new(), RandomState::new()],
            counter: AtomicU64::new(0),
        }
    }
}

impl Default for SystemRandom {
    fn default() -> Self {
        Self::new()
    }
}

impl Random for SystemRandom {
    fn next_u64(&self) -> u64 {
        let turn = self.counter.fetch_add(1, Ordering::Relaxed);
        // The process id is part of the input so that a forked child does not repeat its parent.
        let input = (turn, std::process::id());
        self.keys[0].hash_one(input) ^ self.keys[1].hash_one(turn)
    }
}

/// Repeats the same numbers for the same seed.
#[derive(Debug)]
pub struct SeededRandom {
    state: Mutex<u64>,
}

impl SeededRandom {
    /// Starts the sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            state: Mutex::new(seed),
        }
    }
}

impl Random for SeededRandom {
    fn next_u64(&self) -> u64 {
        // A Weyl sequence passed through a 64-bit finaliser (the SplitMix64 construction): every
        // seed is good, and one word of state is easy to reproduce from a printed seed.
        let mut state = self.state.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (a, b) = (SeededRandom::new(7), SeededRandom::new(7));
        let draw = |r: &SeededRandom| (0..100).map(|_| r.next_u64()).collect::<Vec<_>>();
        assert_eq!(draw(&a), draw(&b));
        assert_ne!(draw(&a), draw(&SeededRandom::new(8)));
    }

    #[test]
    fn system_nonces_do_not_repeat_within_or_across_sources() {
        let (a, b) = (SystemRandom::new(), SystemRandom::new());
        let all: BTreeSet<String> = (0..1_000).flat_map(|_| [a.nonce(), b.nonce()]).collect();
        assert_eq!(all.len(), 2_000);
        assert!(all.iter().all(|n| n.len() == 32));
    }

    #[test]
    fn secrets_do_not_repeat() {
        let random = SystemRandom::new();
        let all: BTreeSet<u64> = (0..1_000).flat_map(|_| random.secret()).collect();
        assert_eq!(all.len(), 2_000);
    }

    #[test]
    fn fractions_stay_below_one() {
        let random = SeededRandom::new(1);
        assert!((0..10_000).all(|_| (0.0..1.0).contains(&random.fraction())));
    }
}
