//! What changed pages become: they are kept as they are, laid out anew, split, or joined with those beside
//! them.
//!
//! Owns: the directory while it grows and shrinks. Never changes an entry.
//!
//! How deep the directory may be follows from the number of entries, whatever their hashes are: a page
//! that would have to be split deeper grows instead, and pages that are split deeper are joined as soon as
//! one page holds them with room to spare.

use super::build::{Piece, build_pages, depth_for};
use super::page::Page;
use super::patch::{Patch, Patched, span_of};
use super::{Index, IndexFault, MAX_DEPTH, MAX_LINES, SLOTS, entries_in, page_at};
use crate::segment::{Buffer, Loc};
use std::ops::{DerefMut, Range};

/// Pages are joined when they have no more entries than this together: so many more can come, or fewer,
/// that the page is not split again at once.
pub(super) const JOINED: usize = MAX_LINES * SLOTS * 5 / 9;

/// How many records the hashing of keys looks ahead.
const AHEAD: usize = 8;

/// A changed page, and entries that it has no room for.
pub(super) struct Pending {
    pub(super) page: Page,
    pub(super) grown: Vec<(u64, u32)>,
}

impl Pending {
    fn used(&self) -> usize {
        self.page.used() + self.grown.len()
    }
}

/// Whether a page has to be laid out anew, with the entries that it has no room for.
fn is_unsuited<B: DerefMut<Target = [u8]>>(page: &Page<B>, grown: &[(u64, u32)]) -> bool {
    !grown.is_empty() || page.is_worn() || page.is_sparse()
}

/// Whether the fate of a changed page depends on others: it has to be laid out anew, or may be joined with
/// those beside it, as its entries share more than `wanted` bits.
pub(super) fn must_wait<B: DerefMut<Target = [u8]>>(
    page: &Page<B>,
    grown: &[(u64, u32)],
    depth: u8,
    wanted: u8,
) -> bool {
    let may_join = depth > wanted && page.used() + grown.len() <= JOINED;
    may_join || is_unsuited(page, grown)
}

impl Index {
    /// How many top bits the hashes of these entries of the directory share.
    pub(super) fn depth_of(&self, span: &Range<usize>) -> u8 {
        self.depth - span.len().trailing_zeros() as u8
    }
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

/// The directory of an index while a refresh changes it.
pub(super) struct Settling<'a> {
    patch: &'a Patch<'a>,
    old: &'a Index,
    freed: Vec<Loc>,
    /// Directory bits that the number of entries asks for.
    wanted: u8,
    pages: Vec<Loc>,
    depth: u8,
    /// Entries of each new page, in a directory of so many bits.
    written: Vec<(u8, Range<usize>)>,
    /// Pages whose fate depends on others, by the entries of the old directory that they have.
    waiting: Vec<(Range<usize>, Option<Pending>)>,
}

impl<'a> Settling<'a> {
    /// Takes so many pages, whose spans rise.
    pub(super) fn new(patch: &'a Patch<'a>, touched: usize) -> Self {
        Self {
            patch,
            old: patch.index,
            freed: Vec::with_capacity(touched),
            wanted: depth_for(usize::try_from(patch.count).unwrap_or(usize::MAX)),
            pages: patch.index.pages.to_vec(),
            depth: patch.index.depth,
            written: Vec::with_capacity(touched),
            waiting: Vec::new(),
        }
    }

    /// Directory bits that the number of entries asks for.
    pub(super) fn wanted(&self) -> u8 {
        self.wanted
    }

    /// Takes a changed page that stays where it was written.
    pub(super) fn keep(&mut self, span: &Range<usize>, start: usize, lines: usize) {
        self.free(self.old.pages[span.start]);
        self.enter(span.clone(), start, lines);
    }

    /// Takes a page that [`must_wait`].
    pub(super) fn wait(&mut self, span: Range<usize>, pending: Pending) {
        self.free(self.old.pages[span.start]);
        self.waiting.push((span, Some(pending)));
    }

    /// The index with all changes; what pages that waited become is written to `out`.
    pub(super) fn finish(
        mut self,
        out: &mut Buffer,
        twins: Vec<(u32, u32)>,
    ) -> Result<Patched, IndexFault> {
        for number in 0..self.waiting.len() {
            // A page may have been joined with one before.
            if let Some(pending) = self.waiting[number].1.take() {
                self.settle(self.waiting[number].0.clone(), pending, out)?;
            }
        }
        self.shrink();
        let written = self.written.iter().map(|(depth, entries)| {
            let entries = scaled(entries.clone(), *depth, self.depth);
            entries.start as u32..entries.end as u32
        });
        let written = written.collect();
        let (pages, depth) = (self.pages.into(), self.depth);
        Ok(Patched {
            index: Index { pages, depth },
            written,
            freed: self.freed,
            twins,
        })
    }

    fn settle(
        &mut self,
        mut span: Range<usize>,
        pending: Pending,
        out: &mut Buffer,
    ) -> Result<(), IndexFault> {
        let mut joined = Vec::new();
        let mut used = pending.used();
        while self.old.depth_of(&span) > self.wanted {
            let (width, start) = (span.len(), span.start ^ span.len());
            let room = JOINED.saturating_sub(used);
            let Some(others) = self.take_all(start..start + width, room) else {
                break;
            };
            used += others.iter().map(Pending::used).sum::<usize>();
            joined.extend(others);
            let start = span.start.min(start);
            span = start..start + 2 * width;
        }
        let depth = self.old.depth_of(&span);
        if joined.is_empty() && !is_unsuited(&pending.page, &pending.grown) {
            let page = pending.page;
            self.replace(&span, &[Piece { depth, page }], out);
            return Ok(());
        }
        joined.push(pending);
        let mut entries = self.entries(joined, &span)?;
        let most = (self.wanted + 1).min(MAX_DEPTH);
        let pieces = build_pages(&mut entries, depth, most)?;
        self.replace(&span, &pieces, out);
        Ok(())
    }

    /// All pages of a part of the old directory, unless they have more entries than `room`, or one of them
    /// was replaced already.
    fn take_all(&mut self, range: Range<usize>, room: usize) -> Option<Vec<Pending>> {
        let (mut spans, mut used) = (Vec::new(), 0);
        let mut at = range.start;
        while at < range.end {
            let span = span_of(&self.old.pages, at);
            let place = self
                .waiting
                .binary_search_by_key(&span.start, |(s, _)| s.start);
            used += match place {
                Ok(waiting) => self.waiting[waiting].1.as_ref()?.used(),
                Err(_) if self.is_replaced(at) => return None,
                Err(_) => entries_in(page_at(self.patch.segments, self.old.pages[at])) as usize,
            };
            // A damaged directory may have a page in places that do not belong together.
            if used > room || span.start < range.start || span.end > range.end {
                return None;
            }
            at = span.end;
            spans.push((span.start, place));
        }
        Some(
            spans
                .into_iter()
                .filter_map(|(at, place)| self.take(at, place))
                .collect(),
        )
    }

    /// Takes a page that is joined with another one.
    fn take(&mut self, at: usize, waiting: Result<usize, usize>) -> Option<Pending> {
        if let Ok(waiting) = waiting {
            return self.waiting[waiting].1.take();
        }
        let loc = self.old.pages[at];
        self.free(loc);
        Some(Pending {
            page: Page::copy_of(page_at(self.patch.segments, loc)),
            grown: Vec::new(),
        })
    }

    /// Entries of pages that get the place of `span` together.
    fn entries(
        &self,
        pages: Vec<Pending>,
        span: &Range<usize>,
    ) -> Result<Vec<(u64, u32)>, IndexFault> {
        let (mut entries, keys) = (Vec::new(), self.patch.keys);
        for mut pending in pages {
            entries.append(&mut pending.grown);
            let ordinals = pending.page.ordinals();
            for (number, ordinal) in ordinals.iter().copied().enumerate() {
                // Records are all over memory: the next ones are asked for while this one is read.
                if let Some(ahead) = ordinals.get(number + AHEAD) {
                    keys.prefetch(*ahead);
                }
                let hash = keys.hash(ordinal).ok_or(IndexFault::Damage(ordinal))?;
                if !span.contains(&self.old.entry(hash)) {
                    return Err(IndexFault::Damage(ordinal));
                }
                entries.push((hash, ordinal));
            }
        }
        Ok(entries)
    }

    fn free(&mut self, loc: Loc) {
        if !loc.is_none() {
            self.freed.push(loc);
        }
    }

    fn is_replaced(&self, at: usize) -> bool {
        self.pages[at << (self.depth - self.old.depth)].segment == self.patch.slot
    }

    /// Puts new pages in the place of the entries `span` of the old directory.
    fn replace(&mut self, span: &Range<usize>, pieces: &[Piece], out: &mut Buffer) {
        let deepest = pieces.iter().map(|piece| piece.depth).max().unwrap_or(0);
        while self.depth < deepest {
            self.pages = self.pages.iter().flat_map(|loc| [*loc, *loc]).collect();
            self.depth += 1;
        }
        let mut at = span.start << (self.depth - self.old.depth);
        for Piece { depth, page } in pieces {
            let start = out.put(&page.bytes);
            let width = 1 << (self.depth - depth);
            self.enter(at..at + width, start, page.lines());
            at += width;
        }
    }

    /// Points entries of the directory at a new page.
    fn enter(&mut self, entries: Range<usize>, start: usize, lines: usize) {
        let loc = Buffer::loc(start, self.patch.slot, lines as u16).unwrap_or(Loc::NONE);
        self.pages[entries.clone()].fill(loc);
        self.written.push((self.depth, entries));
    }

    /// Halves the directory as long as no page needs its last bit.
    fn shrink(&mut self) {
        while self.depth > 0 && self.pages.chunks_exact(2).all(|pair| pair[0] == pair[1]) {
            self.pages = self.pages.iter().step_by(2).copied().collect();
            self.depth -= 1;
        }
    }
}
