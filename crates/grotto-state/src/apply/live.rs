//! Which records live once a blob is applied, before any of it is.
//!
//! Owns: the bits of the types that records of the blob refer to: those of the state as it is, with
//! what the blob removes and adds. Work follows the blob. Never decodes more of it than ordinals.

use super::change::whole_blocks;
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
        let (shift, bytes) = (self.shift, bitmap::page_bytes(self.shift));
        let (mut pages, mut bits) = (Vec::new(), Vec::new());
        self.each_added(blob, of, &mut |ordinal| {
            let block = (ordinal >> shift) as usize;
            if pages.len() <= block {
                pages.resize(block + 1, NO_PAGE);
            }
            if pages[block] == NO_PAGE {
                pages[block] = (bits.len() / bytes) as u32;
                bits.resize(bits.len() + bytes, 0);
            }
            let start = pages[block] as usize * bytes;
            bitmap::set(&mut bits[start..], ordinal & ((1 << shift) - 1), true);
        })?;
        (self.pages, self.bits) = (Pages::All(pages), bits);
        Ok(())
    }

    /// Takes what the blob removes and adds. Added ordinals are decoded twice, so that they take no
    /// memory but their bits.
    fn change(&mut self, old: &TypeState, blob: &Blob, of: &TypeSections) -> StateResult<()> {
        let removed = sections::removed(blob, of, old.live)?;
        let shift = self.shift;
        let mut touched: Vec<u32> = removed.iter().map(|ordinal| ordinal >> shift).collect();
        self.each_added(blob, of, &mut |ordinal| {
            if touched.last() != Some(&(ordinal >> shift)) {
                touched.push(ordinal >> shift);
            }
        })?;
        touched.sort_unstable();
        touched.dedup();
        let bytes = bitmap::page_bytes(shift);
        for (number, block) in touched.iter().enumerate() {
            let page = self.base.bitmap_page(old, *block as usize);
            self.bits.extend_from_slice(page);
            self.bits.resize((number + 1) * bytes, 0);
        }
        self.pages = Pages::Touched(touched);
        removed.iter().for_each(|ordinal| self.set(*ordinal, false));
        let mut bits = std::mem::take(&mut self.bits);
        self.each_added(blob, of, &mut |ordinal| {
            if let Some(start) = self.page(ordinal) {
                bitmap::set(&mut bits[start..], ordinal & ((1 << shift) - 1), true);
            }
        })?;
        self.bits = bits;
        Ok(())
    }

    /// Calls `visit` with every ordinal that the blob adds. They rise from chunk to chunk, which bounds
    /// how many there can be: some take no byte each.
    fn each_added(
        &self,
        blob: &Blob,
        of: &TypeSections,
        visit: &mut dyn FnMut(u32),
    ) -> StateResult<()> {
        let at = self.id.index();
        let (info, mut unpacker) = (&self.base.infos[at], Unpacker::default());
        let (name, span) = (
            &self.base.schema.get(self.id).name,
            blob.header.types[at].shift,
        );
        let mut before = None;
        for first in &of.chunks {
            let ordinals = sections::added(blob, info, *first, &mut unpacker)?;
            whole_blocks(name, span, before, &ordinals)?;
            before = ordinals.last().copied().or(before);
            ordinals.into_iter().for_each(&mut *visit);
        }
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
