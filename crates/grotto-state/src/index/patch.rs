//! Changing an index: touched pages are copied, all others shared.
//!
//! Owns: the changes of one refresh, and the directory while it grows.

use super::build::build_pages;
use super::page::Page;
use super::{Index, IndexDamage, LINE};
use crate::segment::{Buffer, Loc, Segment};

/// How many changes ahead pages are asked for: each is copied whole, and they are all over memory.
const AHEAD: usize = 6;

/// One change to the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) hash: u64,
    pub(crate) ordinal: u32,
    pub(crate) add: bool,
}

/// Applies changes to copies of the touched pages. `rehash` gives the key hash of any ordinal that
/// is in the index or among the changes.
///
/// Returns the new index; its new pages have `slot` as their segment. `freed` is told the pages that
/// are no longer used.
pub(crate) fn patch(
    index: &Index,
    segments: &[Segment],
    mut changes: Vec<Change>,
    rehash: &dyn Fn(u32) -> Option<u64>,
    out: &mut Buffer,
    slot: u16,
    freed: &mut dyn FnMut(Loc),
) -> Result<Index, IndexDamage> {
    changes.sort_unstable_by_key(|change| (change.hash, change.add));
    let mut directory = Directory {
        pages: index.pages.to_vec(),
        depth: index.depth,
    };
    let mut at = 0;
    while at < changes.len() {
        if let Some(ahead) = changes.get(at + AHEAD) {
            let page = index.page_of(segments, ahead.hash);
            (0..page.len())
                .step_by(LINE)
                .for_each(|line| grotto_mmap::prefetch(page, line));
        }
        let entry = index.entry(changes[at].hash);
        let span = span_of(&index.pages, entry);
        let last = at + changes[at..].partition_point(|c| span.contains(&index.entry(c.hash)));
        let old = index.pages[entry];
        let mut page = Page::copy_of(index.page_of(segments, changes[at].hash));
        let mut grown = Vec::new();
        for change in &changes[at..last] {
            let done = match (change.add, page.is_full()) {
                (false, _) => page.remove(change.hash, change.ordinal),
                (true, false) => page.add(change.hash, change.ordinal),
                (true, true) => {
                    grown.push((change.hash, change.ordinal));
                    true
                }
            };
            if !done {
                return Err(IndexDamage(change.ordinal));
            }
        }
        if !old.is_none() {
            freed(old);
        }
        if grown.is_empty() && !page.is_worn() && !page.is_sparse() {
            directory.replace(index, span, &[page], out, slot);
        } else {
            for ordinal in page.ordinals() {
                grown.push((rehash(ordinal).ok_or(IndexDamage(ordinal))?, ordinal));
            }
            let local = index.depth - span.len().trailing_zeros() as u8;
            let pages = build_pages(&mut grown, local)?;
            directory.replace(index, span, &pages, out, slot);
        }
        at = last;
    }
    Ok(Index {
        pages: directory.pages.into(),
        depth: directory.depth,
    })
}

/// Entries of the directory that share the page of `entry`.
fn span_of(pages: &[Loc], entry: usize) -> std::ops::Range<usize> {
    let mut width = 1;
    // Pages cover aligned powers of two; pages without entries are all "none" and must not merge.
    while width * 2 <= pages.len() && !pages[entry].is_none() {
        let start = entry & !(width * 2 - 1);
        if pages[start..start + width * 2]
            .iter()
            .any(|loc| *loc != pages[entry])
        {
            break;
        }
        width *= 2;
    }
    let start = entry & !(width - 1);
    start..start + width
}

struct Directory {
    pages: Vec<Loc>,
    depth: u8,
}

impl Directory {
    /// Puts new pages in the place of the entries `span` of the old directory.
    fn replace(
        &mut self,
        old: &Index,
        span: std::ops::Range<usize>,
        new: &[Page],
        out: &mut Buffer,
        slot: u16,
    ) {
        let need =
            new.len().trailing_zeros() as u8 + (old.depth - span.len().trailing_zeros() as u8);
        while self.depth < need {
            self.pages = self.pages.iter().flat_map(|loc| [*loc, *loc]).collect();
            self.depth += 1;
        }
        let scale = self.depth - old.depth;
        let (start, end) = (span.start << scale, span.end << scale);
        let each = (end - start) / new.len();
        for (number, page) in new.iter().enumerate() {
            let at = out.put(&page.bytes);
            let loc = Buffer::loc(at, slot, page.lines() as u16).unwrap_or(Loc::NONE);
            self.pages[start + number * each..start + (number + 1) * each].fill(loc);
        }
    }
}
