//! The primary-key index: a paged hash table.
//!
//! Owns: pages of cache-line buckets, their lookup, patching, growth and bulk construction.
//! Never reads a record: whoever grows a page supplies the key hashes.
//!
//! The top bits of a key hash choose a page in the directory, the low bits a line of the page, eight
//! bits between them are the fingerprint. A page that is full, worn or
//! sparse is laid out anew, as two where [`MAX_LINES`] would not hold it, or as one with the page beside
//! it where there are few entries; only touched pages are copied, never the whole index.
//!
//! Hashes may be equal, or equal in their top bits, which no split would separate. Such entries stay
//! together in a page of as many lines as they need, and lookups probe the lines of their hash. The number
//! of pages is bound to the number of entries, so that nobody drives it up by choice of keys.
//!
//! ```text
//! line (64 bytes): 12 fingerprints (0 = free) · u16 reach · u16 laid · 12 ordinals of 32 bits
//! ```
//! `reach` is how many lines after this one a key that belongs here may have been placed. `laid`, in the
//! first line of a page, is the largest reach when the page was laid out.

mod build;
mod page;
mod patch;
mod settle;
#[cfg(test)]
mod tests;
mod twins;

pub(crate) use build::{RUN_PARTS, Run, build_pages_in, build_parts, depth_for, is_deep};
pub(crate) use patch::{Change, Keys, Patch, Split, span_of};
pub(crate) use settle::scaled;
pub(crate) use twins::Twins;

use crate::segment::{Loc, Segment};
use std::sync::Arc;

/// Bytes of a line: what addresses count in.
pub(crate) const LINE: usize = crate::segment::ALIGN;
const SLOTS: usize = 12;
const REACH: usize = 12;
const LAID: usize = 14;
const ORDINALS: usize = 16;
/// Lines of the largest page whose entries can be separated: 1.5 KB, so that a thousand changes copy
/// little.
const MAX_LINES: usize = 24;
/// Most entries of a page: its lines are counted with 16 bits.
pub(crate) const MAX_CROWD: usize = u16::MAX as usize * 103 / 10;
/// Most pages of an index.
pub(crate) const MAX_DEPTH: u8 = 24;

/// The index of one type at one version.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// `1 << depth` entries; neighbours that have not split yet share a page. The tag of an address
    /// is the number of lines.
    pub(crate) pages: Arc<[Loc]>,
    pub(crate) depth: u8,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            pages: Arc::new([Loc::NONE]),
            depth: 0,
        }
    }
}

#[inline]
fn fingerprint(hash: u64) -> u8 {
    ((hash >> 32) as u8).max(1)
}

#[inline]
fn home(hash: u64, lines: usize) -> usize {
    (((hash & 0xffff_ffff) * lines as u64) >> 32) as usize
}

/// Ordinals whose fingerprint matches, in probing order.
pub(crate) struct Candidates<'a> {
    page: &'a [u8],
    line: usize,
    left: usize,
    print: u8,
    hits: u16,
    current: usize,
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        loop {
            if self.hits != 0 {
                let slot = self.hits.trailing_zeros() as usize;
                self.hits &= self.hits - 1;
                return Some(ordinal_at(self.page, self.current, slot));
            }
            if self.left == 0 {
                return None;
            }
            self.left -= 1;
            self.load();
        }
    }
}

impl Candidates<'_> {
    /// Lines that are still to be probed.
    #[cfg(test)]
    pub(crate) fn lines_left(&self) -> usize {
        self.left
    }

    #[inline]
    fn load(&mut self) {
        self.current = self.line;
        self.hits = hits(self.page, self.line, self.print);
        self.line += 1;
        if self.line * LINE >= self.page.len() {
            self.line = 0;
        }
    }
}

/// Slots of a line whose fingerprint is `print`, as bits.
#[inline]
fn hits(page: &[u8], line: usize, print: u8) -> u16 {
    let at = line * LINE;
    match page
        .get(at..at + LINE)
        .and_then(|line| line.try_into().ok())
    {
        Some(line) => Line(line).hits(print),
        None => 0,
    }
}

/// How many lines after this one its keys may be placed.
#[inline]
fn reach(page: &[u8], line: usize) -> usize {
    number(page, line * LINE + REACH)
}

#[inline]
fn number(page: &[u8], at: usize) -> usize {
    let number = page.get(at..at + 2).and_then(|n| n.try_into().ok());
    usize::from(number.map_or(0, u16::from_le_bytes))
}

#[inline]
fn ordinal_at(page: &[u8], line: usize, slot: usize) -> u32 {
    let at = line * LINE + ORDINALS + 4 * slot;
    page.get(at..at + 4)
        .and_then(|o| o.try_into().ok())
        .map_or(u32::MAX, u32::from_le_bytes)
}

/// The line a key belongs to: most lookups end there.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a>(&'a [u8; LINE]);

impl Line<'_> {
    /// Slots with a fingerprint, as bits. A free slot keeps its last ordinal but has no fingerprint.
    #[inline(always)]
    fn hits(self, print: u8) -> u16 {
        let head = std::array::from_fn(|i| self.0[i]);
        grotto_mmap::equal_bytes(&head, print) & ((1 << SLOTS) - 1)
    }

    /// The first ordinal that may have a key with this hash.
    #[inline(always)]
    pub(crate) fn first(self, hash: u64) -> Option<u32> {
        let hits = self.hits(fingerprint(hash));
        if hits == 0 {
            return None;
        }
        let at = ORDINALS + 4 * hits.trailing_zeros() as usize;
        let ordinal = self.0.get(at..at + 4)?;
        Some(u32::from_le_bytes(ordinal.try_into().ok()?))
    }

    /// Whether keys that belong here may be in later lines.
    #[inline(always)]
    pub(crate) fn overflows(self) -> bool {
        self.0[REACH] != 0 || self.0[REACH + 1] != 0
    }
}

/// The directory of an index, for one lookup after the other.
#[derive(Clone, Copy)]
pub(crate) struct Directory<'a> {
    pages: &'a [Loc],
    shift: u8,
}

impl<'a> Directory<'a> {
    /// The directory of an index without pages.
    pub(crate) const EMPTY: Directory<'static> = Directory {
        pages: &[],
        shift: 0,
    };

    /// The line that keys with this hash belong to; `None` while there is no page.
    #[inline(always)]
    pub(crate) fn line(self, segments: &'a [Segment], hash: u64) -> Option<Line<'a>> {
        let loc = self.pages.get((hash >> 1 >> self.shift) as usize)?;
        let segment = segments.get(usize::from(loc.segment))?;
        let at = (loc.unit as usize + home(hash, usize::from(loc.tag))) * LINE;
        Some(Line(segment.bytes.get(at..at + LINE)?.try_into().ok()?))
    }

    /// Asks for that line.
    #[inline(always)]
    pub(crate) fn prefetch(self, segments: &[Segment], hash: u64) {
        if let Some(loc) = self.pages.get((hash >> 1 >> self.shift) as usize)
            && let Some(segment) = segments.get(usize::from(loc.segment))
        {
            let at = (loc.unit as usize + home(hash, usize::from(loc.tag))) * LINE;
            grotto_mmap::prefetch(&segment.bytes, at);
        }
    }
}

impl Index {
    #[inline]
    fn entry(&self, hash: u64) -> usize {
        // A shift by 64 would overflow at depth 0.
        (hash >> 1 >> (63 - self.depth)) as usize
    }

    #[inline]
    pub(crate) fn page_of<'a>(&self, segments: &'a [Segment], hash: u64) -> &'a [u8] {
        let loc = self.pages.get(self.entry(hash));
        loc.map_or(&[], |loc| page_at(segments, *loc))
    }

    /// What lookups need of it.
    #[inline]
    pub(crate) fn directory(&self) -> Directory<'_> {
        Directory {
            pages: &self.pages,
            // 63 - depth, which a damaged depth cannot make a shift that overflows.
            shift: (63 ^ self.depth) & 63,
        }
    }

    /// Ordinals that may have a key with this hash, in all lines.
    pub(crate) fn candidates<'a>(&self, segments: &'a [Segment], hash: u64) -> Candidates<'a> {
        Candidates::of(self.page_of(segments, hash), hash)
    }
}

impl<'a> Candidates<'a> {
    /// Those of one page.
    fn of(page: &'a [u8], hash: u64) -> Self {
        let line = if page.is_empty() {
            0
        } else {
            home(hash, page.len() / LINE)
        };
        // A page from a damaged file may say anything.
        let left = match page.is_empty() {
            true => 0,
            false => (reach(page, line) + 1).min(page.len() / LINE),
        };
        Self {
            page,
            line,
            left,
            print: fingerprint(hash),
            hits: 0,
            current: 0,
        }
    }
}

/// The bytes of a page.
#[inline]
fn page_at(segments: &[Segment], loc: Loc) -> &[u8] {
    let Some(segment) = segments.get(usize::from(loc.segment)) else {
        return &[];
    };
    segment
        .bytes
        .get(loc.start()..loc.start() + usize::from(loc.tag) * LINE)
        .unwrap_or_default()
}

/// Entries of a page.
pub(crate) fn entries_in(page: &[u8]) -> u64 {
    let (lines, _) = page.as_chunks::<LINE>();
    let used = |line| SLOTS as u32 - Line(line).hits(0).count_ones();
    lines.iter().map(|line| u64::from(used(line))).sum()
}

/// The pages of an index, each once.
pub(crate) fn each_page(index: &Index) -> impl Iterator<Item = Loc> + '_ {
    let mut last = Loc::NONE;
    index
        .pages
        .iter()
        .copied()
        .filter(move |loc| std::mem::replace(&mut last, *loc) != *loc && !loc.is_none())
}

/// Why an index cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndexFault {
    /// The index and the records contradict each other at this ordinal.
    Damage(u32),
    /// Part of the key of this record is null.
    NullKey(u32),
    /// So many entries that cannot be separated do not fit one page: hundreds of thousands.
    Crowded(usize),
}
