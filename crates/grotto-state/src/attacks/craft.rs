//! Words with chosen public hashes.
//!
//! Owns: XXH3 of eight bytes, backwards: it is a bijection, so there is a word for every hash.

use grotto_format::checksum;

const PRIME: u64 = 0x9fb2_1c65_1e98_df25;

/// The factor that undoes multiplication by [`PRIME`].
fn inverse_of_prime() -> u64 {
    // Newton's iteration: each step doubles the number of right bits, from the lowest three.
    (0..5).fold(PRIME, |x, _| {
        x.wrapping_mul(2_u64.wrapping_sub(PRIME.wrapping_mul(x)))
    })
}

/// Undoes the last steps of XXH3 for eight bytes.
fn unmixed(hash: u64) -> u64 {
    let h = hash ^ (hash >> 28) ^ (hash >> 56);
    let h = h.wrapping_mul(inverse_of_prime());
    let h = h ^ ((h >> 35) + 8);
    let h = h.wrapping_mul(inverse_of_prime());
    // The sum of three rotations is a polynomial whose 64th power is 1.
    (0..63).fold(h, |h, _| h ^ h.rotate_left(49) ^ h.rotate_left(24))
}

/// The word whose hash under a public seed is `hash`.
pub(super) fn word_with(hash: u64, seed: u64) -> u64 {
    let mask = unmixed(checksum::fixed(seed, 0));
    (unmixed(hash) ^ mask).rotate_left(32)
}

#[test]
fn words_have_the_hashes_they_are_made_for() {
    for seed in [0, 1, checksum::KEY_SEED, u64::MAX] {
        for hash in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX, 1 << 63] {
            assert_eq!(checksum::fixed(seed, word_with(hash, seed)), hash);
            assert_eq!(checksum::key_fixed(seed, word_with(hash, seed)), hash);
        }
    }
}
