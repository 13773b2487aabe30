//! Populated bitmaps: which ordinals of a type live.
//!
//! Owns: one page of bits per block, copied when touched; walking over set bits.
//! Never knows what an ordinal holds.

use crate::segment::{Loc, Segment};

/// Bytes of a page for blocks of `1 << shift` ordinals.
pub(crate) fn page_bytes(shift: u8) -> usize {
    (1 << shift) / 8
}

/// The bits of a page; empty when the block does not exist.
pub(crate) fn page<'a>(
    segments: &'a [Segment],
    pages: &[Loc],
    block: usize,
    shift: u8,
) -> &'a [u8] {
    let Some(loc) = pages.get(block).filter(|loc| !loc.is_none()) else {
        return &[];
    };
    let Some(segment) = segments.get(usize::from(loc.segment)) else {
        return &[];
    };
    segment
        .bytes
        .get(loc.start()..loc.start() + page_bytes(shift))
        .unwrap_or_default()
}

#[inline]
pub(crate) fn is_set(page: &[u8], position: u32) -> bool {
    page.get(position as usize / 8)
        .is_some_and(|byte| byte >> (position % 8) & 1 == 1)
}

pub(crate) fn set(page: &mut [u8], position: u32, value: bool) {
    if let Some(byte) = page.get_mut(position as usize / 8) {
        *byte = *byte & !(1 << (position % 8)) | u8::from(value) << (position % 8);
    }
}

pub(crate) fn count(page: &[u8]) -> u32 {
    // A word at a time: a producer counts every page of a type it adds to.
    let (words, rest) = page.as_chunks::<8>();
    let words: u32 = words
        .iter()
        .map(|word| u64::from_le_bytes(*word).count_ones())
        .sum();
    words + rest.iter().map(|byte| byte.count_ones()).sum::<u32>()
}

/// Positions of set bits, rising.
pub(crate) fn positions(page: &[u8]) -> impl Iterator<Item = u32> + '_ {
    page.chunks(8).enumerate().flat_map(|(i, chunk)| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let mut bits = u64::from_le_bytes(word);
        std::iter::from_fn(move || {
            let bit = (bits != 0).then(|| bits.trailing_zeros())?;
            bits &= bits - 1;
            Some(i as u32 * 64 + bit)
        })
    })
}

/// Live ordinals of a type, rising.
#[derive(Debug)]
pub struct Ordinals<'a> {
    segments: &'a [Segment],
    pages: &'a [Loc],
    shift: u8,
    /// Next word to load, and the rest of the current one.
    next: usize,
    base: u32,
    bits: u64,
    page: &'a [u8],
}

impl<'a> Ordinals<'a> {
    pub(crate) fn new(segments: &'a [Segment], pages: &'a [Loc], shift: u8) -> Self {
        Self {
            segments,
            pages,
            shift,
            next: 0,
            base: 0,
            bits: 0,
            page: &[],
        }
    }
}

impl Iterator for Ordinals<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let words = page_bytes(self.shift) / 8;
        while self.bits == 0 {
            let block = self.next / words;
            if block >= self.pages.len() {
                return None;
            }
            let word = self.next % words;
            if word == 0 {
                self.page = page(self.segments, self.pages, block, self.shift);
                if self.page.is_empty() {
                    self.next += words;
                    continue;
                }
            }
            let bytes = self
                .page
                .get(word * 8..word * 8 + 8)
                .and_then(|w| w.try_into().ok());
            self.bits = bytes.map_or(0, u64::from_le_bytes);
            self.base = (self.next * 64) as u32;
            self.next += 1;
        }
        let bit = self.bits.trailing_zeros();
        self.bits &= self.bits - 1;
        Some(self.base + bit)
    }
}
