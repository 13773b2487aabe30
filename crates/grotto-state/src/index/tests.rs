//! Model test of the index. Owns nothing.

use super::patch::Patched;
use super::*;
use crate::segment::Buffer;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

mod crowds;
mod layout;
mod patching;

/// A hash as good as a private one.
fn hash(ordinal: u32) -> u64 {
    let word = (u64::from(ordinal) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Builds an index in two parts, as two threads would.
fn build(entries: Vec<(u64, u32)>, out: &mut Buffer, slot: u16) -> Result<Index, IndexFault> {
    let depth = depth_for(entries.len());
    let (first, second) = entries.split_at(entries.len() / 3);
    let parts = [first.to_vec(), second.to_vec()];
    let pages = 1_u32 << depth;
    let mut locs = Vec::new();
    for range in [0..pages / 2, pages / 2..pages] {
        let (buffer, starts) = build_pages_in(&parts, depth, range, &mut Twins::default())?;
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

/// An index, what should be in it, and the hash it is built with.
struct Harness {
    index: Index,
    segments: Vec<Segment>,
    live: BTreeSet<u32>,
    hash: fn(u32) -> u64,
    /// Entries whose hash was asked for.
    rehashed: AtomicUsize,
    /// Bytes of new pages.
    written: usize,
    split: Split,
}

impl Harness {
    fn build(live: BTreeSet<u32>) -> Self {
        Self::with_hash(live, hash)
    }

    fn with_hash(live: BTreeSet<u32>, hash: fn(u32) -> u64) -> Self {
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
            hash,
            rehashed: AtomicUsize::new(0),
            written: 0,
            split: Split::over(1),
        }
    }

    fn change(&mut self, remove: &[u32], add: &[u32]) {
        remove.iter().for_each(|o| assert!(self.live.remove(o)));
        self.live.extend(add);
        let mut out = Buffer::default();
        self.index = self.patched(remove, add, &mut out).unwrap();
        self.written += out.bytes.len();
        self.segments.push(Segment {
            bytes: out.finish().into(),
            name: 1,
            live: 0,
        });
    }

    fn patched(&self, remove: &[u32], add: &[u32], out: &mut Buffer) -> Result<Index, IndexFault> {
        self.patch_with(remove, add, out, |_| ())
    }

    fn patch_with(
        &self,
        remove: &[u32],
        add: &[u32],
        out: &mut Buffer,
        look: impl FnOnce(&Patched),
    ) -> Result<Index, IndexFault> {
        let change = |add| {
            move |o: &u32| Change {
                hash: (self.hash)(*o),
                ordinal: *o,
                add,
            }
        };
        let removed = remove.iter().map(change(false));
        let changes = removed.chain(add.iter().map(change(true))).collect();
        let pages: BTreeSet<u64> = self.index.pages.iter().map(|loc| loc.to_word()).collect();
        let patch = Patch {
            index: &self.index,
            segments: &self.segments,
            count: self.live.len() as u64,
            keys: self,
            slot: self.segments.len() as u16,
            split: self.split,
        };
        let slot = patch.slot;
        let patched = patch.apply(changes, out)?;
        look(&patched);
        let mut freed = BTreeSet::new();
        for loc in patched.freed {
            assert!(pages.contains(&loc.to_word()), "{loc:?} was no page");
            assert!(freed.insert(loc.to_word()), "{loc:?} was freed twice");
        }
        let (next, written) = (patched.index, patched.written);
        // What is still used was not freed, and everything else was.
        let still: BTreeSet<u64> = next.pages.iter().map(|loc| loc.to_word()).collect();
        for page in pages.iter().filter(|page| **page != Loc::NONE.to_word()) {
            assert_ne!(still.contains(page), freed.contains(page), "{page:x}");
        }
        // The entries of exactly the new pages are told.
        let mut told: Vec<usize> = written.into_iter().flatten().map(|e| e as usize).collect();
        told.sort_unstable();
        let new = (0..next.pages.len()).filter(|entry| next.pages[*entry].segment == slot);
        assert_eq!(told, new.collect::<Vec<_>>());
        Ok(next)
    }

    /// Bytes of all pages.
    fn bytes(&self) -> usize {
        each_page(&self.index)
            .map(|loc| usize::from(loc.tag) * LINE)
            .sum()
    }

    /// Bytes of all pages and of the directory.
    fn space(&self) -> usize {
        self.bytes() + 8 * self.index.pages.len()
    }

    fn found(&self, ordinal: u32) -> usize {
        let candidates = self.index.candidates(&self.segments, (self.hash)(ordinal));
        candidates.filter(|o| *o == ordinal).count()
    }

    fn check(&self, up_to: u32) {
        for ordinal in 0..up_to {
            let expected = usize::from(self.live.contains(&ordinal));
            assert_eq!(self.found(ordinal), expected, "ordinal {ordinal}");
        }
        let entries: u64 = each_page(&self.index)
            .map(|loc| entries_in(page_at(&self.segments, loc)))
            .sum();
        assert_eq!(entries, self.live.len() as u64, "entries");
    }
}

impl Keys for Harness {
    fn hash(&self, ordinal: u32) -> Option<u64> {
        self.rehashed.fetch_add(1, Ordering::Relaxed);
        Some((self.hash)(ordinal))
    }

    fn prefetch(&self, _: u32) {}
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
    let bytes = harness.bytes() as f64 / 20_000.0;
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
fn the_directory_of_a_dataset_that_shrinks_becomes_that_of_a_small_one() {
    for step in [100, 7_000, 199_000] {
        let mut harness = Harness::build((0..200_000).collect());
        let before = harness.index.depth;
        for first in (1_000..200_000_u32).step_by(step) {
            let last = 200_000.min(first + step as u32);
            harness.change(&(first..last).collect::<Vec<_>>(), &[]);
        }
        harness.check(2_000);
        let (after, fresh) = (harness.index.depth, depth_for(1_000));
        assert!(
            after <= fresh + 1,
            "{before} bits became {after}, not {fresh}"
        );
        harness.change(&(0..1_000).collect::<Vec<_>>(), &[]);
        assert_eq!(harness.index.depth, 0, "{step} at a time");
        harness.change(&[], &(0..50_000).collect::<Vec<_>>());
        harness.check(51_000);
    }
}

#[test]
fn pages_are_not_split_and_joined_by_turns() {
    // A few more in one place than a page holds, beside as many pages as do not let it stay one.
    let few = 270;
    let mut harness = Harness::with_hash((few..20_000).collect(), |ordinal| match ordinal {
        ..270 => 0x2a << 57 | hash(ordinal) >> 7,
        _ if hash(ordinal) >> 57 == 0x2a => hash(ordinal) ^ 1 << 63,
        _ => hash(ordinal),
    });
    let before = harness.index.depth;
    harness.change(&[], &(0..few).collect::<Vec<_>>());
    assert_eq!((before, harness.index.depth), (7, 8));
    let split = harness.rehashed.swap(0, Ordering::Relaxed);
    for ordinal in 0..few {
        harness.change(&[ordinal], &[]);
        harness.change(&[], &[ordinal]);
    }
    let later = harness.rehashed.load(Ordering::Relaxed);
    assert!(
        later <= 10 * split.max(few as usize),
        "{split} entries hashed anew, then {later}"
    );
    harness.check(20_000);
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
fn removing_what_is_not_there_is_damage() {
    let mut harness = Harness::build((0..10).collect());
    harness.live.insert(11);
    let result = harness.patched(&[11], &[], &mut Buffer::default());
    assert_eq!(result.unwrap_err(), IndexFault::Damage(11));
}

#[test]
fn entries_of_another_page_are_damage() {
    // The page says so, and the records say otherwise.
    let mut harness = Harness::build((0..20_000).collect());
    harness.hash = |ordinal| !hash(ordinal);
    let add: Vec<u32> = (20_000..30_000).collect();
    let result = harness.patched(&[], &add, &mut Buffer::default());
    assert!(matches!(result, Err(IndexFault::Damage(_))), "{result:?}");
}
