//! How pages are laid out: by whichever way, and how far lookups go in them. Owns nothing.

use super::super::build::{build_pages, build_parts, fresh_lines, is_deep};
use super::super::page::{MAX_REACH, Page, fill};
use super::super::settle::JOINED;
use super::*;

/// Pages from runs, some parts after the other.
fn from_runs(runs: &[Run], depth: u8, parts: &[Range<u32>]) -> (Buffer, Vec<(usize, u16)>) {
    let mut out = Buffer::default();
    let mut built = Vec::new();
    for parts in parts {
        built.extend(
            build_parts(runs, depth, parts.clone(), &mut out, &mut Twins::default()).unwrap(),
        );
    }
    (out, built)
}

#[test]
fn an_index_from_runs_is_the_one_that_is_built_from_all_entries_at_once() {
    const COUNT: u32 = 100_000;
    let depth = depth_for(COUNT as usize);
    assert!(is_deep(depth) && depth > 8 && is_deep(8) && !is_deep(7));
    let hashes: Vec<u64> = (0..COUNT).map(hash).collect();
    let ordinals: Vec<u32> = (0..COUNT).collect();
    // Runs of several lengths, one of them empty.
    let cuts = [0, 30_000, 30_000, 30_001, 100_000];
    let runs: Vec<Run> = cuts
        .windows(2)
        .map(|cut| Run::of(&hashes[cut[0]..cut[1]], &ordinals[cut[0]..cut[1]]))
        .collect();
    let lengths: Vec<usize> = runs.iter().map(Run::len).collect();
    assert_eq!(lengths, [30_000, 0, 1, 69_999]);
    let (pages, built) = from_runs(&runs, depth, &[0..100, 100..101, 101..RUN_PARTS]);
    let all: Vec<Vec<(u64, u32)>> = runs.into_iter().map(Run::into_entries).collect();
    let (same, expected) =
        build_pages_in(&all, depth, 0..1 << depth, &mut Twins::default()).unwrap();
    assert_eq!(built, expected);
    assert_eq!(pages.bytes[..], same.bytes[..]);
    assert_eq!(built.len(), 1 << depth);
    let entries: u64 = built
        .iter()
        .map(|(start, lines)| entries_in(&same.bytes[*start..*start + usize::from(*lines) * LINE]))
        .sum();
    assert_eq!(entries, u64::from(COUNT));
}

#[test]
fn an_index_has_as_many_pages_as_its_entries_fill_to_two_thirds() {
    let room = MAX_LINES * SLOTS * 2 / 3;
    let depths = [0, room, room + 1, 2 * room + 1, 2 * room + 2, 4 * room + 4].map(depth_for);
    assert_eq!(depths, [0, 0, 1, 1, 2, 3]);
    assert_eq!(depth_for(usize::MAX), MAX_DEPTH);
}

/// Says that lookups in a page probe no more lines than they may.
#[track_caller]
fn check_reach(page: &[u8]) {
    let lines = page.len() / LINE;
    let laid = number(page, LAID);
    let worst = (0..lines).map(|line| reach(page, line)).max().unwrap_or(0);
    let most = MAX_REACH.max(laid + laid / 2);
    assert!(worst <= most, "{worst} lines, laid out with {laid}");
}

#[test]
fn lookups_never_come_to_probe_far_however_entries_come_and_go() {
    let mut harness = Harness::build((0..20_000).collect());
    for step in 0..60_u32 {
        let gone: Vec<u32> = (step * 3000..step * 3000 + 3000).collect();
        let new: Vec<u32> = gone.iter().map(|ordinal| ordinal + 20_000).collect();
        harness.change(&gone, &new);
        for loc in each_page(&harness.index) {
            check_reach(page_at(&harness.segments, loc));
        }
    }
}

/// Entries of one line, one after the other into a page with room for them in others.
fn crowded(lines: usize, count: u32) -> Page {
    let mut page = Page::copy_of(&vec![0; lines * LINE]);
    for ordinal in 0..count {
        assert!(page.add(0, ordinal));
    }
    page
}

#[test]
fn a_page_is_worn_when_an_entry_is_more_than_three_lines_from_its_own() {
    for (count, worn) in [(1, false), (4 * 12, false), (4 * 12 + 1, true)] {
        assert_eq!(crowded(8, count).is_worn(), worn, "{count} entries");
    }
}

#[test]
fn a_page_that_was_laid_out_with_a_larger_reach_is_worn_at_half_more() {
    let entries: Vec<(u64, u32)> = (0..9 * 12).map(|ordinal| (0, ordinal)).collect();
    let mut bytes = vec![0; 40 * LINE];
    assert_eq!(fill(&mut bytes, &entries), 8);
    let mut page = Page::of(bytes, entries.len());
    assert!(!page.is_worn());
    for ordinal in 0..4 * 12 {
        assert!(page.add(0, 1_000 + ordinal));
    }
    assert!(!page.is_worn(), "a reach of 12");
    assert!(page.add(0, 2_000));
    assert!(page.is_worn(), "a reach of 13");
}

#[test]
fn a_page_is_full_at_nine_tenths_and_where_a_lookup_would_probe_64_lines() {
    let full = |used| Page::of(vec![0; 10 * LINE], used).is_full(0);
    assert!(!full(107) && full(108) && full(120));
    let of = |count| crowded(100, count).is_full(0);
    assert!(!of(64 * 12) && of(64 * 12 + 1));
    let other = crowded(100, 64 * 12 + 1);
    assert!(
        !other.is_full(u64::from(u32::MAX)),
        "entries of another line are as near as ever"
    );
}

#[test]
fn a_page_is_sparse_when_a_sixth_of_its_lines_would_go() {
    let sparse = |lines, used| Page::of(vec![0; lines * LINE], used).is_sparse();
    // 10.3 entries a line.
    assert!(!sparse(12, 103) && sparse(12, 97));
    assert!(!sparse(1, 0) && sparse(2, 0));
}

#[test]
fn only_the_entries_that_are_named_go_and_what_is_not_there_is_said() {
    let changes = |ordinals: &[u32]| -> Vec<Change> {
        let change = |ordinal: &u32| Change {
            hash: 0,
            ordinal: *ordinal,
            add: false,
        };
        ordinals.iter().map(change).collect()
    };
    let mut page = crowded(8, 30);
    assert!(page.remove(0, &changes(&[3, 29])));
    assert_eq!(page.used(), 28);
    let left: Vec<u32> = (0..30).filter(|n| ![3, 29].contains(n)).collect();
    assert_eq!(page.ordinals(), left);
    assert!(!page.remove(0, &changes(&[3])));
    assert!(
        !page.remove(2 << 32, &changes(&[4])),
        "of another fingerprint"
    );
    // A page that says the same twice.
    assert!(page.add(0, 5));
    assert!(page.remove(0, &changes(&[5])));
    assert_eq!(page.used(), 28, "one of them");
    assert!(!Page::copy_of(&[]).remove(0, &changes(&[5])));
    assert!(!Page::copy_of(&[]).add(0, 5), "a page without lines");
}

#[test]
fn entries_are_found_behind_the_last_line_of_a_page() {
    let last = u64::from(u32::MAX);
    let mut page = Page::copy_of(&[0; 3 * LINE]);
    for ordinal in 0..30 {
        assert!(page.add(last, ordinal));
    }
    let remove: Vec<Change> = (0..30)
        .map(|ordinal| Change {
            hash: last,
            ordinal,
            add: false,
        })
        .collect();
    assert!(page.remove(last, &remove));
    assert_eq!(page.used(), 0);
}

#[test]
fn entries_of_a_directory_are_scaled_to_one_of_another_depth() {
    let cases = [
        (3..5, 4, 4, 3..5),
        (3..5, 4, 6, 12..20),
        (12..20, 6, 4, 3..5),
        (13..14, 6, 4, 3..4),
        (15..17, 6, 4, 3..5),
        (0..64, 6, 0, 0..1),
    ];
    for (entries, then, now, expected) in cases {
        assert_eq!(scaled(entries.clone(), then, now), expected, "{entries:?}");
    }
}

#[test]
fn a_page_covers_the_aligned_entries_that_lead_to_it() {
    let loc = |unit| Loc {
        unit,
        segment: 0,
        tag: 1,
    };
    let pages = [1, 1, 1, 1, 2, 3, 4, 4].map(loc);
    let spans: Vec<Range<usize>> = (0..8).map(|entry| span_of(&pages, entry)).collect();
    assert_eq!(spans, [0..4, 0..4, 0..4, 0..4, 4..5, 5..6, 6..8, 6..8]);
    assert_eq!(span_of(&pages[..4], 2), 0..4);
    assert_eq!(span_of(&pages[..2], 1), 0..2);
    assert_eq!(span_of(&[Loc::NONE; 4], 2), 2..3, "no page is not one page");
}

#[test]
fn lookups_probe_one_line_and_compare_one_record_as_a_rule() {
    let harness = Harness::build((0..50_000).collect());
    let (mut lines, mut compared) = (0, 0);
    for ordinal in 0..50_000 {
        let candidates = harness.index.candidates(&harness.segments, hash(ordinal));
        lines += candidates.lines_left();
        compared += candidates.count();
    }
    assert!(lines < 75_000, "{lines} lines for 50,000 keys");
    assert!(compared < 54_000, "{compared} records for 50,000 keys");
}

/// Entries of which some have the same six top bits and the others have none of them.
fn some_alike(alike: u32, others: u32) -> Vec<(u64, u32)> {
    let top = 0x2a_u64 << 58;
    let alike = (0..alike).map(|n| (top | hash(n) >> 6, n));
    let others = (alike.len() as u32..)
        .filter(|n| hash(*n) >> 58 != 0x2a)
        .take(others as usize);
    let others: Vec<(u64, u32)> = others.map(|n| (hash(n), n)).collect();
    alike.chain(others).collect()
}

fn pieces(mut entries: Vec<(u64, u32)>, depth: u8, most: u8) -> Vec<(u8, usize)> {
    let built = build_pages(&mut entries, depth, most).unwrap();
    built
        .iter()
        .map(|piece| (piece.depth, piece.page.used()))
        .collect()
}

#[test]
fn a_page_is_split_when_it_is_four_fifths_full_and_splitting_separates() {
    const FULL: u32 = (MAX_LINES * SLOTS * 4 / 5) as u32;
    let honest = |count: u32| (0..count).map(|n| (hash(n), n)).collect::<Vec<_>>();
    assert_eq!(pieces(honest(FULL), 0, 6), [(0, FULL as usize)]);
    assert_eq!(pieces(honest(FULL + 1), 0, 6).len(), 2);
    assert_eq!(
        pieces(honest(FULL + 1), 0, 0).len(),
        1,
        "not deeper than allowed"
    );
    // Three quarters that no allowed split separates are few enough, and one more is not.
    assert!(pieces(some_alike(300, 100), 0, 6).len() > 1);
    assert_eq!(pieces(some_alike(301, 99), 0, 6), [(0, 400)]);
    assert!(
        pieces(some_alike(301, 99), 0, 8).len() > 1,
        "two bits more would"
    );
    // Entries of a page share its bits already.
    let page: Vec<(u64, u32)> = honest(400).into_iter().map(|(h, n)| (h >> 4, n)).collect();
    assert_eq!(pieces(page.clone(), 4, 4).len(), 1);
    let halves = pieces(page, 4, 5);
    assert!(
        halves
            .iter()
            .all(|(depth, used)| *depth == 5 && (150..250).contains(used)),
        "{halves:?}"
    );
}

#[test]
fn a_page_with_an_unlucky_spread_gets_a_few_lines_more() {
    let mut lucky = [0, 0];
    for seed in 0..300_u32 {
        let mut entries: Vec<(u64, u32)> = (0..220).map(|n| (hash(seed << 10 | n), n)).collect();
        entries.sort_unstable();
        let least = fresh_lines(entries.len());
        let worst = |lines: usize| fill(&mut vec![0; lines * LINE], &entries);
        let expected = (least..=least + 4).find(|lines| worst(*lines) <= MAX_REACH);
        lucky[usize::from(expected == Some(least))] += 1;
        let built = build_pages(&mut entries, 0, 0).unwrap();
        assert_eq!(built[0].page.lines(), expected.unwrap_or(least), "{seed}");
    }
    assert!(
        lucky.iter().all(|pages| *pages > 10),
        "{lucky:?} of both kinds"
    );
}

/// Four pages, each of entries with its number in their two top bits: so many, less than 1,000 each.
fn quarters(counts: [u32; 4]) -> Harness {
    let live = (0..4).flat_map(|page| page * 1000..page * 1000 + counts[page as usize]);
    let harness = Harness::with_hash(live.collect(), |ordinal| {
        u64::from(ordinal / 1000) << 62 | hash(ordinal) >> 2
    });
    assert_eq!(pages_of(&harness), 4);
    harness
}

fn pages_of(harness: &Harness) -> usize {
    each_page(&harness.index).count()
}

fn some(page: u32, numbers: Range<u32>) -> Vec<u32> {
    numbers.map(|number| page * 1000 + number).collect()
}

#[test]
fn a_page_joins_the_one_beside_it_on_either_side_up_to_their_bound() {
    // So many that a directory of four is one bit too deep as soon as some go.
    const MOST: u32 = 2 * (MAX_LINES * SLOTS * 2 / 3) as u32;
    let joined = JOINED as u32;
    for (touched, other) in [(0, 1), (1, 0), (2, 3), (3, 2)] {
        for (left, pages) in [(joined - 100, 3), (joined - 99, 4)] {
            let mut counts = [110; 4];
            counts[touched as usize] = left + 10;
            counts[other as usize] = 100;
            let apart = (touched + 2) % 4;
            counts[apart as usize] = 0;
            counts[apart as usize] = MOST + 5 - counts.iter().sum::<u32>();
            let mut harness = quarters(counts);
            harness.change(&some(touched, left..left + 10), &[]);
            assert_eq!(pages_of(&harness), pages, "page {touched} of {left}");
            harness.check(4000);
        }
    }
}

#[test]
fn a_page_does_not_join_one_that_has_grown_beyond_the_bound_in_the_same_refresh() {
    for (touched, other) in [(1, 0), (0, 1)] {
        // Both would fit one page before the refresh. The one grows, in a page that has room for it.
        let mut counts = [100; 4];
        counts[touched as usize] = 90;
        counts[other as usize] = 170;
        let mut harness = quarters(counts);
        harness.change(&some(other, 150..170), &[]);
        harness.change(&some(touched, 5..90), &some(other, 150..161));
        harness.check(4000);
        assert_eq!(pages_of(&harness), 4);
    }
}

#[test]
fn a_line_overflows_however_far_its_entries_reach() {
    let overflows = |reach: u16| {
        let mut line = [0; LINE];
        line[REACH..REACH + 2].copy_from_slice(&reach.to_le_bytes());
        Line(&line).overflows()
    };
    assert!(!overflows(0));
    assert!(overflows(1) && overflows(255) && overflows(256) && overflows(u16::MAX));
}
