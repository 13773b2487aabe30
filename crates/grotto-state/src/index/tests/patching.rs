//! What a patch tells beside the index, and how it is spread over threads. Owns nothing.

use super::*;

/// The content of every page, by entry of the directory.
fn contents(harness: &Harness, patched: &Index, out: &Buffer) -> Vec<Vec<u8>> {
    let slot = harness.segments.len() as u16;
    let content = |loc: &Loc| match loc.segment == slot {
        true => out.bytes[loc.start()..loc.start() + usize::from(loc.tag) * LINE].to_vec(),
        false => page_at(&harness.segments, *loc).to_vec(),
    };
    patched.pages.iter().map(content).collect()
}

#[test]
fn many_threads_give_the_pages_that_one_gives() {
    let mut harness = Harness::build((0..40_000).collect());
    // Some pages change a bit, some are worn, full or sparse afterwards, and some are split.
    let gone: Vec<u32> = (0..9_000).filter(|o| o % 3 != 0).collect();
    let new: Vec<u32> = (40_000..49_000).collect();
    gone.iter()
        .for_each(|ordinal| assert!(harness.live.remove(ordinal)));
    harness.live.extend(&new);
    let mut one = Buffer::default();
    let alone = harness.patched(&gone, &new, &mut one).unwrap();
    let expected = contents(&harness, &alone, &one);
    // Pages that are laid out anew leave gaps where parts meet.
    let cases = [
        (1, 1, false),
        (2, 1, true),
        (7, 1, true),
        (3, 100 << 10, true),
        (3, 400 << 10, false),
        (usize::MAX, 1 << 10, true),
    ];
    for (threads, least, gaps) in cases {
        harness.split = Split { threads, least };
        let mut out = Buffer::default();
        let patched = harness.patched(&gone, &new, &mut out).unwrap();
        let what = format!("{threads} threads, {least} bytes for each");
        assert!(contents(&harness, &patched, &out) == expected, "{what}");
        assert_eq!(out.bytes.len() > one.bytes.len(), gaps, "{what}");
    }
}

#[test]
fn pages_that_are_laid_out_anew_leave_no_gap_on_one_thread() {
    let mut harness = Harness::build((0..40_000).collect());
    let new: Vec<u32> = (40_000..60_000).collect();
    harness.live.extend(&new);
    let mut out = Buffer::default();
    let patched = harness.patched(&[], &new, &mut out).unwrap();
    let slot = harness.segments.len() as u16;
    let pages = each_page(&patched).filter(|loc| loc.segment == slot);
    let bytes: usize = pages.map(|loc| usize::from(loc.tag) * LINE).sum();
    assert_eq!(out.bytes.len(), bytes);
}

#[test]
fn the_first_fault_is_told_whichever_thread_meets_it() {
    let mut harness = Harness::build((0..40_000).collect());
    let mut absent: Vec<u32> = (50_000..50_020).collect();
    absent.sort_unstable_by_key(|ordinal| hash(*ordinal));
    for threads in [1, 4] {
        harness.split = Split { threads, least: 1 };
        let fault = harness
            .patched(&absent, &[], &mut Buffer::default())
            .unwrap_err();
        assert_eq!(fault, IndexFault::Damage(absent[0]), "{threads} threads");
    }
}

#[test]
fn a_page_outside_of_its_segment_is_damage() {
    let mut harness = Harness::build((0..1_000).collect());
    harness.segments[0].bytes.truncate(LINE);
    let new = 2_000;
    let fault = harness.patched(&[], &[new], &mut Buffer::default());
    assert_eq!(fault.unwrap_err(), IndexFault::Damage(new));
}

#[test]
fn pages_that_overlap_are_damage_before_any_room_is_taken_for_them() {
    let mut harness = Harness::build((0..40_000).collect());
    // Each entry claims all that there is, from another line on.
    let lines = (harness.segments[0].bytes.len() / LINE / 2) as u16;
    let claim = |unit: usize| Buffer::loc(unit * LINE, 0, lines).unwrap();
    harness.index.pages = (0..harness.index.pages.len()).map(claim).collect();
    let new: Vec<u32> = (40_000..40_900).collect();
    let mut out = Buffer::default();
    let fault = harness.patched(&[], &new, &mut out).unwrap_err();
    // Of a change, not of an entry: no page was read.
    let of_change = matches!(fault, IndexFault::Damage(ordinal) if new.contains(&ordinal));
    assert!(of_change, "{fault:?}");
}

/// Pairs that a patch tells, and those that it has to: of entries with one hash.
fn twins(harness: &mut Harness, remove: &[u32], add: &[u32]) -> (Pairs, Pairs) {
    remove.iter().for_each(|o| assert!(harness.live.remove(o)));
    let mut expected = Pairs::new();
    let mut added = add.to_vec();
    added.sort_unstable();
    for (number, ordinal) in added.iter().enumerate() {
        let same = |other: &u32| (harness.hash)(*other) == (harness.hash)(*ordinal);
        let before = added[..number].iter().copied().find(same);
        let there = harness.live.iter().copied().filter(same);
        match before {
            Some(first) => expected.extend([(first, *ordinal)]),
            None => expected.extend(there.map(|other| (*ordinal, other))),
        }
    }
    harness.live.extend(add);
    let mut told = Pairs::new();
    harness
        .patch_with(remove, add, &mut Buffer::default(), |patched| {
            told.extend(&patched.twins);
        })
        .unwrap();
    (told, expected)
}

type Pairs = BTreeSet<(u32, u32)>;

#[test]
fn entries_of_one_hash_are_told() {
    let few = |ordinal: u32| hash(ordinal % 700);
    for threads in [1, 3] {
        let mut harness = Harness::with_hash((0..700).collect(), few);
        harness.split = Split { threads, least: 1 };
        // One that replaces another, one beside one that stays, and several of one new hash.
        let add = [700, 701, 1_401, 2_101];
        let (told, expected) = twins(&mut harness, &[0], &add);
        assert!(told.is_superset(&expected), "{expected:?} in {told:?}");
        assert_eq!(expected.len(), 3, "1 beside 701, 1401 and 2101 beside it");
        // Others have their fingerprint in common.
        let print = |ordinal| fingerprint(few(ordinal));
        let strangers = told.iter().filter(|(a, b)| print(*a) != print(*b));
        assert_eq!(strangers.count(), 0);
        assert!(!told.iter().any(|(_, other)| *other == 0), "0 is gone");
    }
}
