//! Laying out index pages from scratch.
//!
//! Owns: how many pages and lines entries take, and bringing together what belongs in one.

use super::page::{MAX_REACH, Page, fill};
use super::twins::Twins;
use super::{IndexFault, LINE, MAX_DEPTH, MAX_LINES, SLOTS};
use crate::segment::Buffer;
use std::ops::Range;

/// Lines of a page that is laid out with `count` entries. 10.3 of twelve slots are taken: lookups find
/// 94 of 100 keys in their first line, where three quarters would give 97 for a tenth more memory.
/// The same for pages of a load and for those that changes lay out anew, so that an index does not grow
/// with age.
pub(super) fn fresh_lines(count: usize) -> usize {
    // The average may be more than fits the few lines of a small page.
    ((count * 10 + 51) / 103).max(count.div_ceil(SLOTS)).max(1)
}

/// A page and how many top bits of the hash its entries share.
pub(super) struct Piece {
    pub(super) depth: u8,
    pub(super) page: Page,
}

/// Lays entries that share `depth` top bits out in as many pages as they need, in the order of their
/// hashes; splits no deeper than `most`, and only what that separates.
pub(super) fn build_pages(
    entries: &mut [(u64, u32)],
    depth: u8,
    most: u8,
) -> Result<Vec<Piece>, IndexFault> {
    entries.sort_unstable();
    let mut pieces = Vec::new();
    split(entries, depth, most, &mut pieces)?;
    Ok(pieces)
}

fn split(
    entries: &[(u64, u32)],
    depth: u8,
    most: u8,
    pieces: &mut Vec<Piece>,
) -> Result<(), IndexFault> {
    if entries.len() <= MAX_LINES * SLOTS * 4 / 5 || !separates(entries, depth, most) {
        let page = page_with(entries)?;
        pieces.push(Piece { depth, page });
        return Ok(());
    }
    let half = entries.partition_point(|(hash, _)| hash << depth >> 63 == 0);
    split(&entries[..half], depth + 1, most, pieces)?;
    split(&entries[half..], depth + 1, most, pieces)
}

/// Whether splitting from `depth` to `most` bits leaves at least a quarter of the entries outside of the
/// largest part.
fn separates(entries: &[(u64, u32)], depth: u8, most: u8) -> bool {
    let part = |hash: &(u64, u32)| hash.0 >> 1 >> (63 - most);
    let parts = entries.chunk_by(|a, b| part(a) == part(b));
    let largest = parts.map(<[_]>::len).max().unwrap_or(0);
    depth < most && largest * 4 <= entries.len() * 3
}

/// A page that holds the entries.
fn page_with(entries: &[(u64, u32)]) -> Result<Page, IndexFault> {
    let mut bytes = Vec::new();
    laid_out(entries, |lines| {
        bytes.clear();
        bytes.resize(lines * LINE, 0);
        fill(&mut bytes, entries)
    })?;
    Ok(Page::of(bytes, entries.len()))
}

/// Tries some more lines than entries need, for one layout in which lookups find all of them soon: that
/// helps against an unlucky spread, but not where many hashes are equal. Gives the number of lines.
fn laid_out(
    entries: &[(u64, u32)],
    mut fill: impl FnMut(usize) -> usize,
) -> Result<usize, IndexFault> {
    const PATIENCE: usize = 4;
    let lines = fresh_lines(entries.len());
    if lines > usize::from(u16::MAX) {
        return Err(IndexFault::Crowded(entries.len()));
    }
    let last = (lines + PATIENCE).min(usize::from(u16::MAX));
    if let Some(enough) = (lines..=last).find(|lines| fill(*lines) <= MAX_REACH) {
        return Ok(enough);
    }
    fill(lines);
    Ok(lines)
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

/// Builds the pages `range` of an index of `1 << depth` pages from all its entries; `twins` is told those
/// with one hash.
pub(crate) fn build_pages_in(
    parts: &[Vec<(u64, u32)>],
    depth: u8,
    range: Range<u32>,
    twins: &mut Twins,
) -> Result<BuiltPages, IndexFault> {
    let page = |hash: u64| (hash >> 1 >> (63 - depth)) as u32;
    let entries = parts.iter().flatten().copied();
    let mine: Vec<_> = entries
        .filter(|(hash, _)| range.contains(&page(*hash)))
        .collect();
    let mut out = Buffer::default();
    let mut built = Vec::with_capacity(range.len());
    Sorter::new(twins).lay_out(&mine, depth, range, &mut out, &mut built)?;
    Ok((out, built))
}

/// Entries by the top bits of their hash: what one chunk of a load brings to the index.
#[derive(Debug)]
pub(crate) struct Run {
    entries: Vec<(u64, u32)>,
    ends: Vec<u32>,
}

/// Top bits that runs are ordered by. An index with as many directory bits can be built from runs.
const RUN_BITS: u8 = 8;
/// Parts of a run.
pub(crate) const RUN_PARTS: u32 = 1 << RUN_BITS;

impl Run {
    /// Orders entries, while they are in the processor's cache.
    pub(crate) fn of(hashes: &[u64], ordinals: &[u32]) -> Self {
        let part = |hash: u64| (hash >> (64 - RUN_BITS)) as usize;
        let mut ends = vec![0_u32; RUN_PARTS as usize + 1];
        hashes.iter().for_each(|hash| ends[part(*hash) + 1] += 1);
        for i in 1..ends.len() {
            ends[i] += ends[i - 1];
        }
        let mut entries = vec![(0, 0); hashes.len().min(ordinals.len())];
        // Each part's start moves to its end, which is the next one's start.
        for (hash, ordinal) in hashes.iter().zip(ordinals) {
            let free = &mut ends[part(*hash)];
            if let Some(entry) = entries.get_mut(*free as usize) {
                *entry = (*hash, *ordinal);
            }
            *free += 1;
        }
        Self { entries, ends }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries of all parts.
    pub(crate) fn into_entries(self) -> Vec<(u64, u32)> {
        self.entries
    }

    fn part(&self, part: usize) -> &[(u64, u32)] {
        let start = part.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.entries
            .get(start as usize..self.ends[part] as usize)
            .unwrap_or_default()
    }
}

/// Whether an index of that depth can be built from runs.
pub(crate) fn is_deep(depth: u8) -> bool {
    depth >= RUN_BITS
}

/// Appends the pages of some parts of an index of `1 << depth` pages to a buffer; gives where each
/// starts, and its lines. `twins` is told the entries with one hash.
pub(crate) fn build_parts(
    runs: &[Run],
    depth: u8,
    parts: Range<u32>,
    out: &mut Buffer,
    twins: &mut Twins,
) -> Result<Vec<(usize, u16)>, IndexFault> {
    let each = 1_u32 << depth.saturating_sub(RUN_BITS);
    let mut built = Vec::with_capacity(parts.len() * each as usize);
    let (mut sorter, mut entries) = (Sorter::new(twins), Vec::new());
    for part in parts {
        entries.clear();
        for run in runs {
            entries.extend_from_slice(run.part(part as usize));
        }
        let pages = part * each..(part + 1) * each;
        sorter.lay_out(&entries, depth, pages, out, &mut built)?;
    }
    Ok(built)
}

/// Brings entries of one page together by counting: no comparison sort of millions.
struct Sorter<'t> {
    ends: Vec<usize>,
    sorted: Vec<(u64, u32)>,
    twins: &'t mut Twins,
}

impl<'t> Sorter<'t> {
    fn new(twins: &'t mut Twins) -> Self {
        Self {
            ends: Vec::new(),
            sorted: Vec::new(),
            twins,
        }
    }

    /// Appends the pages `range`, to which all entries belong.
    fn lay_out(
        &mut self,
        entries: &[(u64, u32)],
        depth: u8,
        range: Range<u32>,
        out: &mut Buffer,
        built: &mut Vec<(usize, u16)>,
    ) -> Result<(), IndexFault> {
        let slot = |hash: u64| ((hash >> 1 >> (63 - depth)) as u32 - range.start) as usize;
        self.ends.clear();
        self.ends.resize(range.len() + 1, 0);
        entries
            .iter()
            .for_each(|(hash, _)| self.ends[slot(*hash) + 1] += 1);
        for i in 1..self.ends.len() {
            self.ends[i] += self.ends[i - 1];
        }
        self.sorted.resize(entries.len(), (0, 0));
        for entry in entries {
            let free = &mut self.ends[slot(entry.0)];
            self.sorted[*free] = *entry;
            *free += 1;
        }
        let mut start = 0;
        for end in &self.ends[..range.len()] {
            self.twins.note_all(&self.sorted[start..*end]);
            built.push(append_page(&self.sorted[start..*end], out)?);
            start = *end;
        }
        Ok(())
    }
}

/// Appends a page.
fn append_page(entries: &[(u64, u32)], out: &mut Buffer) -> Result<(usize, u16), IndexFault> {
    let start = out.begin();
    let lines = laid_out(entries, |lines| {
        out.bytes.resize(start);
        out.bytes.resize(start + lines * LINE);
        fill(&mut out.bytes[start..], entries)
    })?;
    Ok((start, lines as u16))
}
