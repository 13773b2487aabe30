//! Which records live once a blob is applied, before any of it is.
//!
//! Owns: the bits of the types that records of the blob refer to: those of the state as it is, with
//! what the blob removes and adds. Work follows the blob. Never decodes more of it than ordinals.

use super::sections::{self, TypeSections};
use crate::bitmap;
use crate::error::StateResult;
use crate::state::{State, TypeState};
use grotto_format::blob::{Blob, Unpacker};
use grotto_format::schema::TypeId;

/// Live records of one type.
pub(super) struct Live<'a> {
    base: &'a State,
    id: TypeId,
    shift: u8,
    pages: Pages,
    /// Bits of the pages, one page after the other.
    bits: Vec<u8>,
}

/// Which blocks the blob has a page for.
enum Pages {
    /// All that there are, as the type has no record yet: the number of the page by block.
    All(Vec<u32>),
    /// Those that it touches, rising.
    Touched(Vec<u32>),
}

const NO_PAGE: u32 = u32::MAX;

/// By type of the schema of `base`; none where the blob adds no record that refers to the type.
pub(super) fn of_blob<'a>(
    base: &'a State,
    blob: &Blob,
    sections: &[TypeSections],
) -> StateResult<Vec<Option<Live<'a>>>> {
    let mut all: Vec<Option<Live<'a>>> = sections.iter().map(|_| None).collect();
    for (ty, sections_of) in base.schema.types().iter().zip(sections) {
        if sections_of.chunks.is_empty() {
            continue;
        }
        for id in ty.kind.references() {
            let (Some(slot), Some(of)) = (all.get_mut(id.index()), sections.get(id.index())) else {
                continue;
            };
            if slot.is_none() {
                *slot = Some(Live::new(base, id, blob, of)?);
            }
        }
    }
    Ok(all)
}

impl<'a> Live<'a> {
    fn new(base: &'a State, id: TypeId, blob: &Blob, of: &TypeSections) -> StateResult<Self> {
        let old = &base.types[id.index()];
        let mut live = Self {
            base,
            id,
            shift: old.shift,
            pages: Pages::Touched(Vec::new()),
            bits: Vec::new(),
        };
        if old.live == 0 {
            live.load(blob, of)?;
        } else {
            live.change(old, blob, of)?;
        }
        Ok(live)
    }

    /// Takes the ordinals of a type that had none.
    fn load(&mut self, blob: &Blob, of: &TypeSections) -> StateResult<()> {
        let (info, mut unpacker) = (&self.base.infos[self.id.index()], Unpacker::default());
        let bytes = bitmap::page_bytes(self.shift);
        let mut pages: Vec<u32> = Vec::new();
        for first in &of.chunks {
            for ordinal in sections::added(blob, info, *first, &mut unpacker)? {
                let block = (ordinal >> self.shift) as usize;
                if pages.len() <= block {
                    pages.resize(block + 1, NO_PAGE);
                }
                if pages[block] == NO_PAGE {
                    pages[block] = (self.bits.len() / bytes) as u32;
                    self.bits.resize(self.bits.len() + bytes, 0);
                }
                let start = pages[block] as usize * bytes;
                let position = ordinal & ((1 << self.shift) - 1);
                bitmap::set(&mut self.bits[start..], position, true);
            }
        }
        self.pages = Pages::All(pages);
        Ok(())
    }

    /// Takes what the blob removes and adds.
    fn change(&mut self, old: &TypeState, blob: &Blob, of: &TypeSections) -> StateResult<()> {
        let removed = sections::removed(blob, of, old.live)?;
        let (info, mut unpacker) = (&self.base.infos[self.id.index()], Unpacker::default());
        let mut added = Vec::new();
        for first in &of.chunks {
            added.extend(sections::added(blob, info, *first, &mut unpacker)?);
        }
        let blocks = removed.iter().chain(&added).map(|o| o >> self.shift);
        let mut touched: Vec<u32> = blocks.collect();
        touched.sort_unstable();
        touched.dedup();
        let bytes = bitmap::page_bytes(self.shift);
        for (number, block) in touched.iter().enumerate() {
            let page = self.base.bitmap_page(old, *block as usize);
            self.bits.extend_from_slice(page);
            self.bits.resize((number + 1) * bytes, 0);
        }
        self.pages = Pages::Touched(touched);
        removed.iter().for_each(|ordinal| self.set(*ordinal, false));
        added.iter().for_each(|ordinal| self.set(*ordinal, true));
        Ok(())
    }

    fn set(&mut self, ordinal: u32, value: bool) {
        if let Some(start) = self.page(ordinal) {
            let position = ordinal & ((1 << self.shift) - 1);
            bitmap::set(&mut self.bits[start..], position, value);
        }
    }

    /// Where the page of an ordinal starts.
    #[inline]
    fn page(&self, ordinal: u32) -> Option<usize> {
        let block = ordinal >> self.shift;
        let number = match &self.pages {
            Pages::All(pages) => {
                *pages.get(block as usize).filter(|page| **page != NO_PAGE)? as usize
            }
            Pages::Touched(touched) => touched.binary_search(&block).ok()?,
        };
        Some(number * bitmap::page_bytes(self.shift))
    }

    /// Whether there is a record at an ordinal once the blob is applied.
    #[inline]
    pub(super) fn has(&self, ordinal: u32) -> bool {
        match (self.page(ordinal), &self.pages) {
            (Some(start), _) => {
                bitmap::is_set(&self.bits[start..], ordinal & ((1 << self.shift) - 1))
            }
            (None, Pages::All(_)) => false,
            (None, Pages::Touched(_)) => self.base.is_live(self.id, ordinal),
        }
    }
}
