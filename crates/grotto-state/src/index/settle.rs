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
use super::patch::span_of;
use super::{Index, IndexFault, MAX_DEPTH, MAX_LINES, SLOTS, entries_in, page_at};
use crate::segment::{Buffer, Loc, Segment};
use std::ops::Range;

/// Pages are joined when they have no more entries than this together: so many more can come, or fewer,
/// that the page is not split again at once.
pub(super) const JOINED: usize = MAX_LINES * SLOTS * 5 / 9;

/// A changed page, and entries that it has no room for.
pub(super) struct Pending {
    pub(super) page: Page,
    pub(super) grown: Vec<(u64, u32)>,
}

impl Pending {
    fn used(&self) -> usize {
        self.page.used() + self.grown.len()
    }

    /// Whether the page has to be laid out anew.
    fn is_unsuited(&self) -> bool {
        !self.grown.is_empty() || self.page.is_worn() || self.page.is_sparse()
    }
}

/// A changed index, and the entries of each page that is new.
pub(crate) type Patched = (Index, Vec<Range<u32>>);

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
    old: &'a Index,
    segments: &'a [Segment],
    rehash: &'a dyn Fn(u32) -> Option<u64>,
    out: &'a mut Buffer,
    slot: u16,
    freed: &'a mut dyn FnMut(Loc),
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
    pub(super) fn new(
        old: &'a Index,
        segments: &'a [Segment],
        count: u64,
        rehash: &'a dyn Fn(u32) -> Option<u64>,
        out: &'a mut Buffer,
        slot: u16,
        freed: &'a mut dyn FnMut(Loc),
    ) -> Self {
        Self {
            old,
            segments,
            rehash,
            out,
            slot,
            freed,
            wanted: depth_for(usize::try_from(count).unwrap_or(usize::MAX)),
            pages: old.pages.to_vec(),
            depth: old.depth,
            written: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Takes a page that was changed. Spans rise.
    pub(super) fn touched(&mut self, span: Range<usize>, pending: Pending) {
        self.free(self.old.pages[span.start]);
        let may_join = self.depth_of(&span) > self.wanted && pending.used() <= JOINED;
        if may_join || pending.is_unsuited() {
            self.waiting.push((span, Some(pending)));
        } else {
            let depth = self.depth_of(&span);
            let page = pending.page;
            self.replace(&span, &[Piece { depth, page }]);
        }
    }

    /// The index with all changes, and the entries of each new page.
    pub(super) fn finish(mut self) -> Result<Patched, IndexFault> {
        for number in 0..self.waiting.len() {
            // A page may have been joined with one before.
            if let Some(pending) = self.waiting[number].1.take() {
                self.settle(self.waiting[number].0.clone(), pending)?;
            }
        }
        self.shrink();
        let written = std::mem::take(&mut self.written).into_iter();
        let written = written.map(|(depth, entries)| {
            let entries = scaled(entries, depth, self.depth);
            entries.start as u32..entries.end as u32
        });
        let written = written.collect();
        let index = Index {
            pages: self.pages.into(),
            depth: self.depth,
        };
        Ok((index, written))
    }

    fn settle(&mut self, mut span: Range<usize>, pending: Pending) -> Result<(), IndexFault> {
        let mut joined = Vec::new();
        let mut used = pending.used();
        while self.depth_of(&span) > self.wanted {
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
        let depth = self.depth_of(&span);
        if joined.is_empty() && !pending.is_unsuited() {
            let page = pending.page;
            self.replace(&span, &[Piece { depth, page }]);
            return Ok(());
        }
        joined.push(pending);
        let mut entries = self.entries(joined, &span)?;
        let most = (self.wanted + 1).min(MAX_DEPTH);
        let pieces = build_pages(&mut entries, depth, most)?;
        self.replace(&span, &pieces);
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
                Err(_) => entries_in(page_at(self.segments, self.old.pages[at])) as usize,
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
            page: Page::copy_of(page_at(self.segments, loc)),
            grown: Vec::new(),
        })
    }

    /// Entries of pages that get the place of `span` together.
    fn entries(
        &self,
        pages: Vec<Pending>,
        span: &Range<usize>,
    ) -> Result<Vec<(u64, u32)>, IndexFault> {
        let mut entries = Vec::new();
        for mut pending in pages {
            entries.append(&mut pending.grown);
            for ordinal in pending.page.ordinals() {
                let hash = (self.rehash)(ordinal).ok_or(IndexFault::Damage(ordinal))?;
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
            (self.freed)(loc);
        }
    }

    /// How many top bits the hashes of these entries of the old directory share.
    fn depth_of(&self, span: &Range<usize>) -> u8 {
        self.old.depth - span.len().trailing_zeros() as u8
    }

    fn is_replaced(&self, at: usize) -> bool {
        self.pages[at << (self.depth - self.old.depth)].segment == self.slot
    }

    /// Puts new pages in the place of the entries `span` of the old directory.
    fn replace(&mut self, span: &Range<usize>, pieces: &[Piece]) {
        let deepest = pieces.iter().map(|piece| piece.depth).max().unwrap_or(0);
        while self.depth < deepest {
            self.pages = self.pages.iter().flat_map(|loc| [*loc, *loc]).collect();
            self.depth += 1;
        }
        let mut at = span.start << (self.depth - self.old.depth);
        for Piece { depth, page } in pieces {
            let start = self.out.put(&page.bytes);
            let loc = Buffer::loc(start, self.slot, page.lines() as u16).unwrap_or(Loc::NONE);
            let width = 1 << (self.depth - depth);
            self.pages[at..at + width].fill(loc);
            self.written.push((self.depth, at..at + width));
            at += width;
        }
    }

    /// Halves the directory as long as no page needs its last bit.
    fn shrink(&mut self) {
        while self.depth > 0 && self.pages.chunks_exact(2).all(|pair| pair[0] == pair[1]) {
            self.pages = self.pages.iter().step_by(2).copied().collect();
            self.depth -= 1;
        }
    }
}
