//! Which pages of an index a refresh has written.
//!
//! Owns: finding them by the hashes that changed, without a look at the rest of the directory.

use super::Index;
use crate::segment::Loc;
use std::ops::Range;

/// Calls `visit` with the entries of each page that is in `slot`, where `old` led to before keys with
/// these hashes changed.
pub(crate) fn touched_pages(
    old: &Index,
    new: &Index,
    mut hashes: Vec<u64>,
    slot: u16,
    visit: &mut dyn FnMut(Range<u32>),
) {
    hashes.sort_unstable();
    let mut done = 0;
    for hash in hashes {
        // A page that split has become several; one that took in its neighbour covers more.
        let before = scaled(
            neighbours(&old.pages, old.entry(hash)),
            old.depth,
            new.depth,
        );
        let now = neighbours(&new.pages, new.entry(hash));
        let mut entry = done.max(before.start.min(now.start));
        while entry < before.end.max(now.end).min(new.pages.len()) {
            let page = neighbours(&new.pages, entry);
            entry = page.end;
            if new.pages[page.start].segment == slot {
                visit(page.start as u32..page.end as u32);
            }
        }
        done = done.max(entry);
    }
}

/// Entries side by side that share a page with one of them. Those without a page share nothing.
pub(crate) fn neighbours(pages: &[Loc], entry: usize) -> Range<usize> {
    let Some(page) = pages.get(entry).filter(|loc| !loc.is_none()) else {
        return entry..entry + 1;
    };
    let start = pages[..entry].iter().rposition(|loc| loc != page);
    let end = pages[entry..].iter().position(|loc| loc != page);
    start.map_or(0, |before| before + 1)..end.map_or(pages.len(), |more| entry + more)
}

/// Entries of a directory of `1 << now` that have a part in entries of one of `1 << then`.
pub(crate) fn scaled(entries: Range<usize>, then: u8, now: u8) -> Range<usize> {
    match now.checked_sub(then) {
        Some(more) => entries.start << more..entries.end << more,
        None => {
            let less = then - now;
            entries.start >> less..((entries.end - 1) >> less) + 1
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::single_range_in_vec_init,
    reason = "one page is a list of one range"
)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn index(depth: u8, pages: &[(u32, u16)]) -> Index {
        let locs = pages.iter().map(|(unit, segment)| match segment {
            9 => Loc::NONE,
            segment => Loc {
                unit: *unit,
                segment: *segment,
                tag: 1,
            },
        });
        let pages: Arc<[Loc]> = locs.collect();
        assert_eq!(pages.len(), 1 << depth);
        Index { pages, depth }
    }

    /// A hash that leads to an entry of a directory of eight.
    fn hash(entry: u64) -> u64 {
        entry << 61 | 77
    }

    fn touched(old: &Index, new: &Index, hashes: &[u64]) -> Vec<Range<u32>> {
        let mut found = Vec::new();
        touched_pages(old, new, hashes.to_vec(), 5, &mut |range| found.push(range));
        found
    }

    const OLD: [(u32, u16); 4] = [(0, 1), (0, 1), (10, 1), (0, 9)];

    #[test]
    fn a_page_that_was_copied_is_found_once_with_all_its_entries() {
        let new = index(2, &[(0, 5), (0, 5), (10, 1), (0, 9)]);
        let hashes = [hash(3), hash(0), hash(2), hash(1)];
        assert_eq!(touched(&index(2, &OLD), &new, &hashes), [0..2]);
        assert_eq!(
            touched(&index(2, &OLD), &new, &[hash(4)]),
            [],
            "not of this refresh"
        );
    }

    #[test]
    fn all_pages_of_one_that_split_are_found() {
        let split = [
            (0, 5),
            (3, 5),
            (6, 5),
            (6, 5),
            (10, 1),
            (10, 1),
            (0, 9),
            (0, 9),
        ];
        let found = touched(&index(2, &OLD), &index(3, &split), &[hash(3)]);
        assert_eq!(found, [0..1, 1..2, 2..4]);
    }

    #[test]
    fn a_page_that_took_in_its_neighbour_is_found_whole() {
        let new = index(2, &[(0, 1), (0, 1), (8, 5), (8, 5)]);
        assert_eq!(touched(&index(2, &OLD), &new, &[hash(4)]), [2..4]);
        let shrunk = index(1, &[(0, 5), (8, 5)]);
        assert_eq!(
            touched(&index(2, &OLD), &shrunk, &[hash(1), hash(6)]),
            [0..1, 1..2]
        );
    }

    #[test]
    fn the_first_page_is_found_where_none_was() {
        let new = index(2, &[(0, 1), (0, 1), (10, 1), (4, 5)]);
        assert_eq!(touched(&index(2, &OLD), &new, &[hash(7)]), [3..4]);
        let root = index(0, &[(4, 5)]);
        assert_eq!(
            touched(&Index::default(), &root, &[hash(7), hash(1)]),
            [0..1]
        );
    }

    #[test]
    fn entries_of_a_directory_are_those_of_one_twice_or_half_as_large() {
        assert_eq!(scaled(3..5, 4, 6), 12..20);
        assert_eq!(scaled(3..5, 4, 4), 3..5);
        assert_eq!(scaled(3..5, 4, 3), 1..3);
        assert_eq!(scaled(3..4, 4, 2), 0..1);
    }

    #[test]
    fn entries_without_a_page_share_nothing() {
        let pages = index(2, &[(0, 9), (0, 9), (1, 1), (1, 1)]).pages;
        assert_eq!(neighbours(&pages, 1), 1..2);
        assert_eq!(neighbours(&pages, 3), 2..4);
        assert_eq!(neighbours(&pages, 2), 2..4);
    }
}
