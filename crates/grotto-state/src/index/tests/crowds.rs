//! Hashes that are equal, wholly or in part: what an index does when entries cannot be separated. Owns
//! nothing.

use super::*;

type Hash = fn(u32) -> u64;

/// How many of the first ordinals collide; all others have hashes of their own.
const CROWD: u32 = 2_300;
const OTHERS: u32 = 50_000;

/// Ways for hashes to be equal.
const EQUAL: Hash = |ordinal| match ordinal {
    ..CROWD => 0x5555_5555_5555_5555,
    _ => hash(ordinal),
};
const EQUAL_TOP: Hash = |ordinal| match ordinal {
    ..CROWD => 0x5555_5555_0000_0000 | hash(ordinal) >> 32,
    _ => hash(ordinal),
};
const EQUAL_LOW: Hash = |ordinal| match ordinal {
    ..CROWD => 0x5555_5555 | hash(ordinal) & !0xffff_ffff,
    _ => hash(ordinal),
};
/// What a directory of a million entries would separate.
const CLOSE: Hash = |ordinal| match ordinal {
    ..CROWD => 0x5555 << 48 | hash(ordinal) >> 16,
    _ => hash(ordinal),
};
const CROWDS: [(&str, Hash); 4] = [
    ("equal", EQUAL),
    ("equal top bits", EQUAL_TOP),
    ("close", CLOSE),
    ("equal low bits", EQUAL_LOW),
];

#[test]
fn any_number_of_equal_hashes_is_found() {
    for count in [1, 12, 13, 300, 3_500, 40_000, 300_000] {
        let mut out = Buffer::default();
        let entries = (0..count).map(|ordinal| (7, ordinal)).collect();
        let index = build(entries, &mut out, 0).unwrap();
        let bytes = out.finish().into();
        let segments = [Segment {
            bytes,
            name: 1,
            live: 0,
        }];
        let found: BTreeSet<u32> = index.candidates(&segments, 7).collect();
        assert_eq!(found.len(), count as usize);
        assert_eq!(index.depth, depth_for(count as usize));
    }
}

#[test]
fn more_equal_hashes_than_lines_can_be_counted_are_refused_and_no_damage() {
    let entries = |count| (0..count as u32).map(|ordinal| (7, ordinal)).collect();
    let most = build(entries(MAX_CROWD), &mut Buffer::default(), 0);
    assert!(most.is_ok());
    let more = build(entries(MAX_CROWD + 20), &mut Buffer::default(), 0);
    assert_eq!(more.unwrap_err(), IndexFault::Crowded(MAX_CROWD + 20));
}

#[test]
fn equal_hashes_come_and_go_one_by_one_and_all_at_once() {
    for (name, hash) in CROWDS {
        let mut harness = Harness::with_hash((CROWD..CROWD + 1_000).collect(), hash);
        for ordinal in 0..400 {
            harness.change(&[], &[ordinal]);
        }
        harness.change(&[], &(400..CROWD).collect::<Vec<_>>());
        harness.check(CROWD + 1_100);
        for ordinal in (0..400).rev() {
            harness.change(&[ordinal], &[]);
        }
        harness.check(CROWD + 1_100);
        harness.change(&(400..CROWD).collect::<Vec<_>>(), &[]);
        harness.check(CROWD + 1_100);
        let rest = harness.index.depth;
        assert!(rest <= depth_for(1_000) + 1, "{name}: {rest} bits are left");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]
    #[test]
    fn a_crowded_index_agrees_with_a_set(kind in 0..4_usize, start in 0_u32..4000, steps in proptest::collection::vec((0_u32..6000, 1_u32..900, any::<bool>()), 1..12)) {
        let mut harness = Harness::with_hash((0..start).collect(), CROWDS[kind].1);
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

/// All in one step, and a hundred at a time.
fn filled(hash: Hash) -> [Harness; 2] {
    let all: Vec<u32> = (0..CROWD + OTHERS).collect();
    let others: BTreeSet<u32> = (CROWD..CROWD + OTHERS).collect();
    let mut slowly = Harness::with_hash(others, hash);
    for some in all[..CROWD as usize].chunks(100) {
        slowly.change(&[], some);
    }
    [Harness::with_hash(all.into_iter().collect(), hash), slowly]
}

#[test]
fn a_crowd_takes_no_more_room_and_little_more_work_than_other_keys() {
    let [honest, honest_slowly] = filled(hash);
    for (name, hash) in CROWDS {
        let [crowded, slowly] = filled(hash);
        for (crowded, honest) in [(crowded, &honest), (slowly, &honest_slowly)] {
            crowded.check(CROWD);
            let (space, usual) = (crowded.space(), honest.space());
            assert!(
                space * 10 <= usual * 12,
                "{name}: {space} bytes for {usual}"
            );
            assert!(crowded.index.depth <= honest.index.depth + 1, "{name}");
            let (hashed, usual) = (
                crowded.rehashed.load(Ordering::Relaxed),
                honest.rehashed.load(Ordering::Relaxed),
            );
            assert!(
                hashed <= usual * 3,
                "{name}: {hashed} entries hashed anew for {usual}"
            );
            let (written, usual) = (crowded.written, honest.written);
            assert!(
                written <= usual * 3,
                "{name}: {written} bytes written for {usual}"
            );
        }
    }
}

#[test]
fn others_are_found_beside_a_crowd_as_soon_as_without_it() {
    let probes = |harness: &Harness| -> usize {
        let lines = |ordinal: &u32| {
            let hash = (harness.hash)(*ordinal);
            harness
                .index
                .candidates(&harness.segments, hash)
                .lines_left()
        };
        (CROWD..CROWD + OTHERS).map(|o| lines(&o)).sum()
    };
    let [honest, _] = filled(hash);
    for (name, hash) in CROWDS {
        for crowded in filled(hash) {
            let (lines, usual) = (probes(&crowded), probes(&honest));
            assert!(
                lines * 10 <= usual * 12,
                "{name}: {lines} lines for {usual}"
            );
        }
    }
}

#[test]
fn a_page_that_cannot_be_laid_out_better_is_not_laid_out_anew_at_every_change() {
    let work = |hash| {
        // The crowd alone: all pages are of one line, and what it has no room for.
        let mut harness = Harness::with_hash((0..CROWD).collect(), hash);
        for ordinal in 0..500 {
            harness.change(&[ordinal], &[]);
            harness.change(&[], &[ordinal]);
        }
        harness.rehashed.load(Ordering::Relaxed)
    };
    let usual = work(hash);
    let crowded = work(EQUAL_LOW);
    assert!(
        crowded <= 3 * usual,
        "{crowded} entries hashed anew for {usual}"
    );
}

#[test]
fn a_page_of_lies_ends_every_lookup() {
    let mut harness = Harness::build((0..1_000).collect());
    let mut bytes = harness.segments[0].bytes.to_vec();
    // Every reach, every fingerprint, every ordinal.
    bytes.fill(0xff);
    harness.segments[0].bytes = bytes.into();
    for ordinal in 0..1_000 {
        let hash = hash(ordinal);
        let found = harness.index.candidates(&harness.segments, hash).count();
        let page = harness.index.page_of(&harness.segments, hash);
        assert!(found <= page.len() / LINE * SLOTS, "{found} candidates");
    }
    let all: Vec<u32> = (0..1_000).collect();
    let result = harness.patched(&all, &[], &mut Buffer::default());
    assert!(matches!(result, Err(IndexFault::Damage(_))));
}
