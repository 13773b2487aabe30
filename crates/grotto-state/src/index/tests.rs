//! Model test of the index. Owns nothing.

use super::*;
use crate::segment::Buffer;
use grotto_format::checksum::{KEY_SEED, key_fixed};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn hash(ordinal: u32) -> u64 {
    key_fixed(KEY_SEED, u64::from(ordinal))
}

/// Builds an index in two parts, as two threads would.
fn build(entries: Vec<(u64, u32)>, out: &mut Buffer, slot: u16) -> Result<Index, IndexDamage> {
    let depth = depth_for(entries.len());
    let (first, second) = entries.split_at(entries.len() / 3);
    let parts = [first.to_vec(), second.to_vec()];
    let pages = 1_u32 << depth;
    let mut locs = Vec::new();
    for range in [0..pages / 2, pages / 2..pages] {
        let (buffer, starts) = build_pages_in(&parts, depth, range)?;
        let start = out.put(&buffer.bytes);
        locs.extend(
            starts
                .into_iter()
                .map(|(at, lines)| Buffer::loc(start + at, slot, lines).unwrap()),
        );
    }
    Ok(Index {
        pages: locs.into(),
        depth,
    })
}

struct Harness {
    index: Index,
    segments: Vec<Segment>,
    live: BTreeSet<u32>,
}

impl Harness {
    fn build(live: BTreeSet<u32>) -> Self {
        let mut out = Buffer::default();
        let index = build(live.iter().map(|o| (hash(*o), *o)).collect(), &mut out, 0).unwrap();
        let bytes = out.finish().into();
        Self {
            index,
            segments: vec![Segment {
                bytes,
                name: 1,
                live: 0,
            }],
            live,
        }
    }

    fn change(&mut self, remove: &[u32], add: &[u32]) {
        let change = |add| {
            move |o: &u32| Change {
                hash: hash(*o),
                ordinal: *o,
                add,
            }
        };
        let changes = remove
            .iter()
            .map(change(false))
            .chain(add.iter().map(change(true)))
            .collect();
        let mut out = Buffer::default();
        let slot = self.segments.len() as u16;
        let rehash = |o| Some(hash(o));
        self.index = patch(
            &self.index,
            &self.segments,
            changes,
            &rehash,
            &mut out,
            slot,
            &mut |_| {},
        )
        .unwrap();
        self.segments.push(Segment {
            bytes: out.finish().into(),
            name: 1,
            live: 0,
        });
        remove.iter().for_each(|o| assert!(self.live.remove(o)));
        self.live.extend(add);
    }

    /// Bytes of all pages.
    fn bytes(&self) -> usize {
        each_page(&self.index)
            .map(|loc| usize::from(loc.tag) * LINE)
            .sum()
    }

    fn check(&self, up_to: u32) {
        for ordinal in 0..up_to {
            let found = self
                .index
                .candidates(&self.segments, hash(ordinal))
                .filter(|o| *o == ordinal)
                .count();
            assert_eq!(
                found,
                usize::from(self.live.contains(&ordinal)),
                "ordinal {ordinal}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn index_agrees_with_a_set(start in 0_u32..4000, steps in proptest::collection::vec((0_u32..6000, 1_u32..900, any::<bool>()), 1..12)) {
        let mut harness = Harness::build((0..start).collect());
        for (from, count, add) in steps {
            let span = from..from + count;
            let (add, remove): (Vec<u32>, Vec<u32>) = if add {
                (span.filter(|o| !harness.live.contains(o)).collect(), vec![])
            } else {
                (vec![], span.filter(|o| harness.live.contains(o)).collect())
            };
            harness.change(&remove, &add);
        }
        harness.check(7000);
    }
}

#[test]
fn growth_from_nothing_keeps_fill_high() {
    let mut harness = Harness::build(BTreeSet::new());
    for step in 0..200_u32 {
        harness.change(&[], &(step * 100..(step + 1) * 100).collect::<Vec<_>>());
    }
    harness.check(21_000);
    let unique: BTreeSet<u64> = harness
        .index
        .pages
        .iter()
        .map(|loc| loc.to_word())
        .collect();
    let lines: usize = unique
        .iter()
        .map(|word| usize::from(Loc::from_word(*word).tag))
        .sum();
    let bytes = (lines * LINE) as f64 / 20_000.0;
    assert!(bytes < 9.0, "{bytes} bytes an entry");
}

#[test]
fn an_index_that_lost_most_of_its_entries_gives_up_their_room() {
    let mut harness = Harness::build((0..20_000).collect());
    let before = harness.bytes();
    for step in 0..15_u32 {
        harness.change(&(step * 1000..(step + 1) * 1000).collect::<Vec<_>>(), &[]);
    }
    harness.check(20_000);
    let after = harness.bytes();
    assert!(after * 3 < before, "{before} bytes became {after}");
}

#[test]
fn pages_that_gain_and_lose_entries_do_not_keep_the_room_of_their_fullest_day() {
    let mut harness = Harness::build((0..20_000).collect());
    let before = harness.bytes();
    // The oldest tenth goes and as many new ones come: the pages of new keys are others each time.
    for step in 0..100_u32 {
        let gone: Vec<u32> = (step * 2000..(step + 1) * 2000).collect();
        let new: Vec<u32> = gone.iter().map(|ordinal| ordinal + 20_000).collect();
        harness.change(&gone, &new);
    }
    harness.check(20_000 + 100 * 2000);
    let after = harness.bytes();
    assert!(after * 100 < before * 106, "{before} bytes became {after}");
}

#[test]
fn more_equal_hashes_than_a_page_can_hold_are_damage() {
    let equal = |count: u32| (0..count).map(|ordinal| (7, ordinal)).collect::<Vec<_>>();
    assert!(build(equal(3000), &mut Buffer::default(), 0).is_ok());
    assert!(build(equal(4000), &mut Buffer::default(), 0).is_err());
    let harness = Harness::build(BTreeSet::new());
    let changes = (0..4000)
        .map(|ordinal| Change {
            hash: 7,
            ordinal,
            add: true,
        })
        .collect();
    let mut out = Buffer::default();
    let result = patch(
        &harness.index,
        &harness.segments,
        changes,
        &|_| Some(7),
        &mut out,
        1,
        &mut |_| {},
    );
    assert!(result.is_err());
}

#[test]
fn removing_what_is_not_there_is_damage() {
    let harness = Harness::build((0..10).collect());
    let changes = vec![Change {
        hash: hash(11),
        ordinal: 11,
        add: false,
    }];
    let mut out = Buffer::default();
    let result = patch(
        &harness.index,
        &harness.segments,
        changes,
        &|_| None,
        &mut out,
        1,
        &mut |_| {},
    );
    assert!(result.is_err());
}
