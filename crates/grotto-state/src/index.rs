//! The primary-key index: a paged hash table.
//!
//! Owns: pages of cache-line buckets, their lookup, patching, growth and bulk construction.
//! Never reads a record: whoever grows a page supplies the key hashes.
//!
//! The top bits of a key hash choose a page in the directory, the low bits a line of the page, eight
//! bits between them are the fingerprint. A page grows by an eighth and, when it has
//! [`MAX_LINES`], splits in two; only touched pages are copied, never the whole index.
//!
//! ```text
//! line (64 bytes): 12 fingerprints (0 = free) · u8 reach · 3 reserved · 12 ordinals of 32 bits
//! ```
//! `reach` is how many lines after this one a key that belongs here may have been placed.

use crate::segment::{Buffer, Loc, Segment};
use std::sync::Arc;

pub(crate) const LINE: usize = 64;
const SLOTS: usize = 12;
const REACH: usize = 12;
const ORDINALS: usize = 16;
/// Lines of the largest page: 1.5 KB, so that a thousand changes copy little.
const MAX_LINES: usize = 24;
/// Most pages of an index.
const MAX_DEPTH: u8 = 24;

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
        Self { pages: Arc::new([Loc::NONE]), depth: 0 }
    }
}

#[inline]
fn fingerprint(hash: u64) -> u8 {
    ((hash >> 32) as u8).max(1)
}

#[inline]
fn home(hash: u64, lines: usize) -> usize {
    ((hash & 0xffff_ffff) * lines as u64 >> 32) as usize
}

/// Marks exactly the bytes of `word` that equal `byte`, by their high bit. Exact, because a free slot
/// keeps its last ordinal, which must never become a candidate again.
#[inline]
fn matching(word: u64, byte: u8) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const SEVEN: u64 = 0x7f * LOW;
    let x = word ^ LOW.wrapping_mul(u64::from(byte));
    !(((x & SEVEN) + SEVEN) | x | SEVEN)
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
    let Some(head) = page.get(at..at + 16) else { return 0 };
    let low = head[..8].try_into().map_or(0, u64::from_le_bytes);
    let high = head[8..12].try_into().map_or(0, u32::from_le_bytes);
    gather(matching(low, print)) | (gather(matching(u64::from(high), print)) & 0xf) << 8
}

/// Collects the high bits of eight bytes into eight bits.
#[inline]
fn gather(marks: u64) -> u16 {
    ((marks >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u16
}

#[inline]
fn ordinal_at(page: &[u8], line: usize, slot: usize) -> u32 {
    let at = line * LINE + ORDINALS + 4 * slot;
    page.get(at..at + 4).and_then(|o| o.try_into().ok()).map_or(u32::MAX, u32::from_le_bytes)
}

impl Index {
    #[inline]
    fn entry(&self, hash: u64) -> usize {
        // A shift by 64 would overflow at depth 0.
        (hash >> 1 >> (63 - self.depth)) as usize
    }

    #[inline]
    pub(crate) fn page_of<'a>(&self, segments: &'a [Segment], hash: u64) -> &'a [u8] {
        let Some(loc) = self.pages.get(self.entry(hash)) else { return &[] };
        let Some(segment) = segments.get(usize::from(loc.segment)) else { return &[] };
        segment.bytes.get(loc.start()..loc.start() + usize::from(loc.tag) * LINE).unwrap_or_default()
    }

    /// Ordinals that may have a key with this hash.
    #[inline]
    pub(crate) fn candidates<'a>(&self, segments: &'a [Segment], hash: u64) -> Candidates<'a> {
        let page = self.page_of(segments, hash);
        let line = if page.is_empty() { 0 } else { home(hash, page.len() / LINE) };
        let left = page.get(line * LINE + REACH).map_or(0, |reach| usize::from(*reach) + 1);
        Candidates { page, line, left, print: fingerprint(hash), hits: 0, current: 0 }
    }
}

/// One change to the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) hash: u64,
    pub(crate) ordinal: u32,
    pub(crate) add: bool,
}

/// A page being changed.
struct Page {
    bytes: Vec<u8>,
    used: usize,
}

impl Page {
    fn with_lines(lines: usize) -> Self {
        Self { bytes: vec![0; lines * LINE], used: 0 }
    }

    fn copy_of(bytes: &[u8]) -> Self {
        let used = bytes.chunks(LINE).flat_map(|line| &line[..SLOTS]).filter(|print| **print != 0).count();
        Self { bytes: bytes.to_vec(), used }
    }

    fn lines(&self) -> usize {
        self.bytes.len() / LINE
    }

    fn is_full(&self) -> bool {
        (self.used + 1) * 10 > self.lines() * SLOTS * 9
    }

    fn add(&mut self, hash: u64, ordinal: u32) -> bool {
        let lines = self.lines();
        if lines == 0 {
            return false;
        }
        let first = home(hash, lines);
        for step in 0..lines.min(usize::from(u8::MAX)) {
            let line = (first + step) % lines;
            let at = line * LINE;
            if let Some(slot) = self.bytes[at..at + SLOTS].iter().position(|print| *print == 0) {
                self.bytes[at + slot] = fingerprint(hash);
                let place = at + ORDINALS + 4 * slot;
                self.bytes[place..place + 4].copy_from_slice(&ordinal.to_le_bytes());
                let reach = &mut self.bytes[first * LINE + REACH];
                *reach = (*reach).max(step as u8);
                self.used += 1;
                return true;
            }
        }
        false
    }

    fn remove(&mut self, hash: u64, ordinal: u32) -> bool {
        let lines = self.lines();
        for step in 0..lines {
            let line = (home(hash, lines) + step) % lines;
            let mut bits = hits(&self.bytes, line, fingerprint(hash));
            while bits != 0 {
                let slot = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if ordinal_at(&self.bytes, line, slot) == ordinal && self.bytes[line * LINE + slot] != 0 {
                    self.bytes[line * LINE + slot] = 0;
                    self.used -= 1;
                    return true;
                }
            }
        }
        false
    }

    fn ordinals(&self) -> Vec<u32> {
        let mut all = Vec::with_capacity(self.used);
        for line in 0..self.lines() {
            for slot in (0..SLOTS).filter(|slot| self.bytes[line * LINE + slot] != 0) {
                all.push(ordinal_at(&self.bytes, line, slot));
            }
        }
        all
    }
}

/// Lines that hold `count` entries at about 80 % fill.
fn lines_for(count: usize) -> usize {
    (count * 5).div_ceil(SLOTS * 4).max(1)
}

/// What went wrong with an index; the state cannot be built.
#[derive(Debug)]
pub(crate) struct IndexDamage(pub(crate) u32);

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
    let mut directory = Directory { pages: index.pages.to_vec(), depth: index.depth };
    let mut at = 0;
    while at < changes.len() {
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
        if grown.is_empty() {
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
    Ok(Index { pages: directory.pages.into(), depth: directory.depth })
}

/// Entries of the directory that share the page of `entry`.
fn span_of(pages: &[Loc], entry: usize) -> std::ops::Range<usize> {
    let mut width = 1;
    // Pages cover aligned powers of two; pages without entries are all "none" and must not merge.
    while width * 2 <= pages.len() && !pages[entry].is_none() {
        let start = entry & !(width * 2 - 1);
        if pages[start..start + width * 2].iter().any(|loc| *loc != pages[entry]) {
            break;
        }
        width *= 2;
    }
    let start = entry & !(width - 1);
    start..start + width
}

/// Lays entries out in as many pages as they need: a power of two.
fn build_pages(entries: &mut [(u64, u32)], local: u8) -> Result<Vec<Page>, IndexDamage> {
    let mut bits = 0_u8;
    while entries.len() >> bits > MAX_LINES * SLOTS * 4 / 5 && local + bits < MAX_DEPTH {
        bits += 1;
    }
    entries.sort_unstable();
    let part = |hash: u64| (hash << local >> 1 >> (63 - bits)) as usize;
    (0..1_usize << bits)
        .map(|number| {
            let start = entries.partition_point(|(hash, _)| part(*hash) < number);
            let end = entries.partition_point(|(hash, _)| part(*hash) <= number);
            page_with(&entries[start..end])
        })
        .collect()
}

/// A page that holds the entries. Some more lines help against an unlucky spread; nothing helps
/// against more equal hashes than a line reaches, which no honest dataset has.
fn page_with(entries: &[(u64, u32)]) -> Result<Page, IndexDamage> {
    let lines = lines_for(entries.len() + entries.len() / 16);
    let mut left_over = 0;
    for lines in lines..lines + MAX_LINES {
        let mut page = Page::with_lines(lines);
        match entries.iter().find(|(hash, ordinal)| !page.add(*hash, *ordinal)) {
            None if lines <= usize::from(u16::MAX) => return Ok(page),
            None => break,
            Some((_, ordinal)) => left_over = *ordinal,
        }
    }
    Err(IndexDamage(left_over))
}

struct Directory {
    pages: Vec<Loc>,
    depth: u8,
}

impl Directory {
    /// Puts new pages in the place of the entries `span` of the old directory.
    fn replace(&mut self, old: &Index, span: std::ops::Range<usize>, new: &[Page], out: &mut Buffer, slot: u16) {
        let need = new.len().trailing_zeros() as u8 + (old.depth - span.len().trailing_zeros() as u8);
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

/// Directory bits for an index of `count` entries built at once.
pub(crate) fn depth_for(count: usize) -> u8 {
    let mut depth = 0_u8;
    while count >> depth > MAX_LINES * SLOTS * 2 / 3 && depth < MAX_DEPTH {
        depth += 1;
    }
    depth
}

/// Pages of an index, one after the other in a buffer: where each starts, and its lines.
pub(crate) type BuiltPages = (Buffer, Vec<(usize, u16)>);

/// Builds the pages `range` of an index of `1 << depth` pages from all its entries.
pub(crate) fn build_pages_in(
    parts: &[Vec<(u64, u32)>],
    depth: u8,
    range: std::ops::Range<u32>,
) -> Result<BuiltPages, IndexDamage> {
    // Entries of these pages, brought together by counting: no comparison sort of millions.
    let page = |hash: u64| (hash >> 1 >> (63 - depth)) as u32;
    let mut ends = vec![0_usize; range.len() + 1];
    let mine = || parts.iter().flatten().filter(|(hash, _)| range.contains(&page(*hash)));
    for (hash, _) in mine() {
        ends[(page(*hash) - range.start) as usize + 1] += 1;
    }
    for i in 1..ends.len() {
        ends[i] += ends[i - 1];
    }
    let mut entries = vec![(0_u64, 0_u32); ends[range.len()]];
    let mut free = ends.clone();
    for entry in mine() {
        let slot = &mut free[(page(entry.0) - range.start) as usize];
        entries[*slot] = *entry;
        *slot += 1;
    }
    let mut out = Buffer::default();
    let mut built = Vec::with_capacity(range.len());
    for span in ends.windows(2) {
        let page = page_with(&entries[span[0]..span[1]])?;
        built.push((out.put(&page.bytes), page.lines() as u16));
    }
    Ok((out, built))
}

#[cfg(test)]
mod tests;
