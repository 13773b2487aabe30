//! What can be said of a hash without knowing its seed. Owns nothing.

use super::*;
use std::collections::BTreeSet;

fn secrets() -> impl Iterator<Item = Secret> {
    // Also poor seeds: the words that hashing uses are scrambled.
    let poor = [[0, 0], [1, 0], [0, 1], [u64::MAX, u64::MAX], [1 << 63, 0]];
    let others = (0..60).map(|i| [scramble(2 * i + 1), scramble(2 * i + 2)]);
    poor.into_iter()
        .chain(others)
        .map(|words| Secret::new(HashSeed::new(words)))
}

/// Asserts that all keys have hashes of their own under every seed.
#[track_caller]
fn all_differ(keys: &[Vec<KeyPart<'_>>]) {
    for secret in secrets() {
        let hashes: BTreeSet<u64> = keys
            .iter()
            .map(|key| secret.of_key(key.as_slice()))
            .collect();
        assert_eq!(hashes.len(), keys.len());
    }
}

fn fixed(words: &[u64]) -> Vec<KeyPart<'static>> {
    words.iter().map(|word| KeyPart::Fixed(*word)).collect()
}

#[test]
fn the_order_of_parts_counts() {
    let words = [0, 1, 2, u64::MAX, 1 << 63, 0x9e37_79b9_7f4a_7c15];
    let pairs = words.iter().flat_map(|a| words.map(|b| fixed(&[*a, b])));
    all_differ(&pairs.collect::<Vec<_>>());
    let texts: [&[u8]; 4] = [b"", b"a", b"b", b"ab"];
    let pairs = texts
        .iter()
        .flat_map(|a| texts.map(|b| vec![KeyPart::Var(a), KeyPart::Var(b)]));
    all_differ(&pairs.collect::<Vec<_>>());
}

#[test]
fn words_that_differ_in_one_bit_or_in_all_do_not_collide() {
    let single = (0..64).map(|bit| fixed(&[1 << bit]));
    let all_but = (0..64).map(|bit| fixed(&[!(1 << bit)]));
    let ends = [fixed(&[0]), fixed(&[u64::MAX])];
    all_differ(&single.chain(all_but).chain(ends).collect::<Vec<_>>());
}

#[test]
fn texts_of_one_byte_repeated_differ_by_length_and_by_where_another_byte_is() {
    // Among them those that would collide if the length were just another value to combine.
    let mut texts = Vec::new();
    for length in 0..100 {
        texts.push(vec![b'c'; length]);
        for at in 0..length {
            let mut text = vec![b'c'; length];
            text[at] = b'b';
            texts.push(text);
        }
    }
    let keys: Vec<_> = texts.iter().map(|t| vec![KeyPart::Var(t)]).collect();
    all_differ(&keys);
}

#[test]
fn long_texts_whose_parts_change_places_differ() {
    let part = |number: u8| [number; 16];
    let mut keys = Vec::new();
    for first in 0..5 {
        for second in 0..5 {
            for third in 0..5 {
                for tail in [0, 7] {
                    let mut text = [part(first), part(second), part(third)].concat();
                    text.extend_from_slice(&part(9)[..tail]);
                    keys.push(text);
                }
            }
        }
    }
    let keys: Vec<_> = keys.iter().map(|t| vec![KeyPart::Var(t)]).collect();
    all_differ(&keys);
}

#[test]
fn keys_that_collide_under_one_seed_do_not_under_another() {
    let short = |secret: &Secret, word| secret.of_part(KeyPart::Fixed(word)) >> 46;
    let [known, unknown] = [[5, 6], [7, 8]].map(|words| Secret::new(HashSeed::new(words)));
    let target = short(&known, 0);
    let chosen: Vec<u64> = (0..1 << 23)
        .filter(|word| short(&known, *word) == target)
        .collect();
    assert!(chosen.len() > 20, "{} words collide", chosen.len());
    let elsewhere: BTreeSet<u64> = chosen.iter().map(|word| short(&unknown, *word)).collect();
    assert!(elsewhere.len() + 2 >= chosen.len());
}

/// How unevenly words fall into parts by some bits of their hash: about 1 where by chance.
fn unevenness(words: &[u64], secret: &Secret, part: impl Fn(u64) -> usize, parts: usize) -> f64 {
    let mut counts = vec![0_f64; parts];
    for word in words {
        counts[part(secret.of_part(KeyPart::Fixed(*word)))] += 1.0;
    }
    let mean = words.len() as f64 / parts as f64;
    let squares: f64 = counts
        .iter()
        .map(|count| (count - mean) * (count - mean))
        .sum();
    squares / mean / parts as f64
}

#[test]
fn regular_keys_spread_over_pages_lines_and_fingerprints() {
    let many = 1_u64 << 14;
    type Pattern = (&'static str, fn(u64) -> u64);
    let patterns: [Pattern; 6] = [
        ("rising", |i| i),
        ("in steps of 1,000", |i| i * 1_000),
        ("in steps of 2^32", |i| i << 32),
        ("the top bits", |i| i << 50),
        ("floats", |i| (i as f64).to_bits()),
        ("negative", |i| (i as i64).wrapping_neg() as u64),
    ];
    for (name, pattern) in patterns {
        let words: Vec<u64> = (0..many).map(pattern).collect();
        for secret in secrets().take(20) {
            let by = [
                unevenness(&words, &secret, |hash| (hash >> 56) as usize, 256),
                unevenness(&words, &secret, |hash| (hash >> 24) as usize & 0xff, 256),
                unevenness(&words, &secret, |hash| (hash >> 32) as usize & 0xff, 256),
                unevenness(&words, &secret, |hash| hash as usize & 0xff, 256),
            ];
            assert!(by.iter().all(|u| *u < 1.7), "{name}: {by:?}");
        }
    }
}

#[test]
fn an_empty_value_differs_from_an_absent_one() {
    for secret in secrets() {
        let field = secret.field(7);
        assert_ne!(secret.var(&field, b""), 0);
        assert_ne!(secret.elements(&field, std::iter::empty()), 0);
        assert_ne!(
            secret.elements(&field, [1].into_iter()),
            secret.elements(&field, [1, 0].into_iter())
        );
    }
}

#[test]
fn values_that_change_fields_change_the_sum() {
    for secret in secrets() {
        let (a, b) = (secret.field(7), secret.field(8));
        let sum = |x, y| Secret::fixed(&a, x).wrapping_add(Secret::fixed(&b, y));
        assert_ne!(sum(1, 2), sum(2, 1));
        let text = |x: &[u8], y: &[u8]| secret.var(&a, x).wrapping_add(secret.var(&b, y));
        assert_ne!(text(b"x", b"y"), text(b"y", b"x"));
    }
}

#[test]
fn debug_texts_say_nothing_of_the_seed() {
    let seed = HashSeed::new([0x1234_5678, 0x9abc_def0]);
    let secret = Secret::new(seed);
    let shown = format!("{seed:?} {secret:?} {:?}", secret.field(1));
    assert_eq!(shown, "HashSeed(..) Secret(..) FieldSecret(..)");
}
