//! Laying out index pages from scratch.
//!
//! Owns: how many pages and lines entries take.

use super::page::Page;
use super::{IndexDamage, MAX_DEPTH, MAX_LINES, SLOTS};
use crate::segment::Buffer;

/// Lines that hold `count` entries at about 80 % fill.
fn lines_for(count: usize) -> usize {
    (count * 5).div_ceil(SLOTS * 4).max(1)
}

/// Lines of a page that is laid out with `count` entries: some room is left for more.
pub(super) fn fresh_lines(count: usize) -> usize {
    lines_for(count + count / 16)
}

/// Lays entries out in as many pages as they need: a power of two.
pub(super) fn build_pages(entries: &mut [(u64, u32)], local: u8) -> Result<Vec<Page>, IndexDamage> {
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
    let lines = fresh_lines(entries.len());
    let mut left_over = 0;
    for lines in lines..lines + MAX_LINES {
        let mut page = Page::with_lines(lines);
        match entries
            .iter()
            .find(|(hash, ordinal)| !page.add(*hash, *ordinal))
        {
            None if lines <= usize::from(u16::MAX) => return Ok(page),
            None => break,
            Some((_, ordinal)) => left_over = *ordinal,
        }
    }
    Err(IndexDamage(left_over))
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
    let mine = || {
        parts
            .iter()
            .flatten()
            .filter(|(hash, _)| range.contains(&page(*hash)))
    };
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
