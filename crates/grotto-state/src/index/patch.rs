//! Changing an index: touched pages are copied, all others shared.
//!
//! Owns: the changes of one refresh, page by page. What a page that no longer suits its entries becomes is
//! [`super::settle`]'s.

use super::page::Page;
use super::settle::{Patched, Pending, Settling};
use super::{Index, IndexFault, LINE, MAX_LINES};
use crate::segment::{Buffer, Loc, Segment};
use std::ops::Range;

/// How many changes ahead pages are asked for: each is copied whole, and they are all over memory.
const AHEAD: usize = 6;

/// One change to the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) hash: u64,
    pub(crate) ordinal: u32,
    pub(crate) add: bool,
}

/// Applies changes to copies of the touched pages. `count` is the number of entries afterwards. `rehash`
/// gives the key hash of any ordinal that is in the index or among the changes.
///
/// Returns the new index, and the entries of its new pages; these have `slot`, which no page has yet, as their segment. `freed` is
/// told the pages that are no longer used.
#[expect(clippy::too_many_arguments, reason = "each has a meaning of its own")]
pub(crate) fn patch(
    index: &Index,
    segments: &[Segment],
    mut changes: Vec<Change>,
    count: u64,
    rehash: &dyn Fn(u32) -> Option<u64>,
    out: &mut Buffer,
    slot: u16,
    freed: &mut dyn FnMut(Loc),
) -> Result<Patched, IndexFault> {
    sort(&mut changes);
    let mut settling = Settling::new(index, segments, count, rehash, out, slot, freed);
    let mut at = 0;
    while at < changes.len() {
        if let Some(ahead) = changes.get(at + AHEAD) {
            prefetch(index.page_of(segments, ahead.hash));
        }
        let entry = index.entry(changes[at].hash);
        let span = span_of(&index.pages, entry);
        let last = at + changes[at..].partition_point(|c| span.contains(&index.entry(c.hash)));
        let page = index.page_of(segments, changes[at].hash);
        let pending = change_page(page, &changes[at..last])?;
        settling.touched(span, pending);
        at = last;
    }
    settling.finish()
}

/// By hash; of one hash what goes, then what comes.
pub(crate) fn sort(changes: &mut [Change]) {
    changes.sort_unstable_by_key(|change| (change.hash, change.add, change.ordinal));
}

fn prefetch(page: &[u8]) {
    let lines = page.len().min(MAX_LINES * LINE);
    for line in (0..lines).step_by(LINE) {
        grotto_mmap::prefetch(page, line);
    }
}

/// A copy of a page with changes, and the entries it has no room for.
fn change_page(page: &[u8], changes: &[Change]) -> Result<Pending, IndexFault> {
    let mut page = Page::copy_of(page);
    let mut grown = Vec::new();
    for run in changes.chunk_by(|a, b| (a.hash, a.add) == (b.hash, b.add)) {
        let Change { hash, ordinal, add } = run[0];
        if !add && !page.remove(hash, run) {
            return Err(IndexFault::Damage(ordinal));
        }
        for change in run.iter().filter(|change| change.add) {
            if page.is_full(hash) || !page.add(hash, change.ordinal) {
                grown.push((hash, change.ordinal));
            }
        }
    }
    Ok(Pending { page, grown })
}

/// Entries of the directory that share the page of `entry`.
pub(crate) fn span_of(pages: &[Loc], entry: usize) -> Range<usize> {
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
