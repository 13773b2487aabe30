//! The table against a map, and what it costs by count. Owns nothing.

use super::*;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeSet;

/// A hash as good as a private one.
fn hash(ordinal: u32) -> u64 {
    let word = (u64::from(ordinal) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    word ^ (word >> 32)
}

fn all(table: &ContentTable) -> BTreeSet<u32> {
    let shards = table.shards.iter();
    shards.flat_map(|shard| shard.iter().copied()).collect()
}

#[track_caller]
fn check(table: &ContentTable, expected: &BTreeSet<u32>) {
    assert_eq!(table.len(), expected.len());
    assert_eq!(&all(table), expected);
    for ordinal in expected {
        let found = table.find(hash(*ordinal), |found| found == *ordinal);
        assert_eq!(found, Some(*ordinal));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn the_table_agrees_with_a_set(target in 1_usize..40, reserved in 0_usize..300, steps in proptest::collection::vec((0_u32..600, 1_u32..200, any::<bool>()), 1..20)) {
        let mut table = ContentTable::with_target(target);
        table.reserve(reserved);
        let mut expected = BTreeSet::new();
        for (from, count, add) in steps {
            for ordinal in from..from + count {
                if !add {
                    table.remove(hash(ordinal), ordinal, hash);
                    expected.remove(&ordinal);
                } else if expected.insert(ordinal) {
                    table.insert(hash(ordinal), ordinal, hash);
                }
            }
        }
        check(&table, &expected);
    }
}

#[test]
fn no_insertion_and_no_removal_hashes_more_than_a_few_small_tables_anew() {
    for target in [8, 64] {
        let mut table = ContentTable::with_target(target);
        let (asked, mut worst, mut before) = (Cell::new(0), 0, 0);
        let rehash = |ordinal| {
            asked.set(asked.get() + 1);
            hash(ordinal)
        };
        let count = 50_000_u32;
        for ordinal in 0..count {
            table.insert(hash(ordinal), ordinal, rehash);
            worst = worst.max(asked.get() - before);
            before = asked.get();
        }
        assert!(worst <= 8 * target, "{worst} hashes for one insertion");
        assert!(before <= 6 * count as usize, "{before} hashes in all");
        for ordinal in 0..count {
            table.remove(hash(ordinal), ordinal, rehash);
            worst = worst.max(asked.get() - before);
            before = asked.get();
        }
        assert!(worst <= 8 * target, "{worst} hashes for one removal");
        assert_eq!((table.len(), table.shards.len()), (0, 1));
    }
}

#[test]
fn a_table_with_room_reserved_hashes_nothing_anew() {
    for count in [1, 100, 5_000, 100_000] {
        let mut table = ContentTable::with_target(64);
        table.reserve(count);
        let shards = table.shards.len();
        let asked = Cell::new(0_usize);
        for ordinal in 0..count as u32 {
            let rehash = |ordinal| {
                asked.set(asked.get() + 1);
                hash(ordinal)
            };
            table.insert(hash(ordinal), ordinal, rehash);
        }
        assert_eq!(table.shards.len(), shards);
        // Small tables by chance hold more than others.
        assert!(asked.get() * 50 <= count, "{} of {count}", asked.get());
    }
}

#[test]
fn equal_hashes_cost_their_own_small_table_and_no_more_tables() {
    let mut table = ContentTable::with_target(16);
    for ordinal in 0..5_000 {
        table.insert(7, ordinal, |_| 7);
    }
    assert_eq!(table.shards.len(), 5_000_usize.div_ceil(16));
    let mut compared = 0;
    let found = table.find(7, |_| {
        compared += 1;
        false
    });
    assert_eq!((found, compared), (None, 5_000));
}

#[test]
fn a_copy_shares_all_small_tables_that_nobody_changes() {
    let mut table = ContentTable::with_target(16);
    let expected: BTreeSet<u32> = (0..10_000).collect();
    expected
        .iter()
        .for_each(|o| table.insert(hash(*o), *o, hash));
    let copy = table.clone();
    table.remove(hash(3), 3, hash);
    for ordinal in 10_000..10_010 {
        table.insert(hash(ordinal), ordinal, hash);
    }
    let (copied, _) = table.unlike(&copy);
    // One for each entry, and two for each split.
    assert!(copied <= 31, "{copied} of {} tables", table.shards.len());
    check(&copy, &expected);
}
