//! Adding records to a unit: the ordinals of one block as they are written now.
//!
//! Owns: which blocks a new one takes the place of. Blocks written when the type's records were of
//! another size may be larger or smaller than a unit; whatever of them lies in the unit goes into the
//! new block, so that a type changes the size of its blocks as they are touched.
//! Never chooses ordinals or the size of blocks: blobs do.

use super::TypeWork;
use super::change::{Pages, Tables, free_entry, put_page, too_heavy, too_large};
use super::work::Work;
use crate::bitmap;
use crate::block::{self, Added, BlockRef, BlockType, Kept};
use crate::error::{StateError, StateResult};
use crate::part;
use crate::segment::Loc;
use crate::segment::items::{self, Kind};
use crate::state::State;
use std::ops::Range;

/// A unit being added to.
pub(super) struct Unit<'a> {
    base: &'a State,
    of: &'a TypeWork<'a>,
    /// First ordinal.
    first: u32,
    /// Entries of the tables.
    entries: Range<usize>,
    /// A bit for each ordinal.
    page: Vec<u8>,
}

impl<'a> Unit<'a> {
    /// Takes the pages of the unit out of those that the blob has changed so far.
    pub(super) fn open(
        base: &'a State,
        of: &'a TypeWork<'a>,
        number: u32,
        tables: &Tables,
        pages: &mut Pages,
    ) -> Self {
        let first = number << tables.span;
        let start = (first >> tables.shift) as usize;
        let entries = start..start + (1 << (tables.span - tables.shift));
        let mut page = Vec::with_capacity(bitmap::page_bytes(tables.span));
        for (i, entry) in entries.clone().enumerate() {
            match pages.remove(&entry) {
                Some(changed) => page.extend_from_slice(&changed),
                None => page.extend_from_slice(base.bitmap_page(of.old, entry)),
            }
            page.resize((i + 1) * bitmap::page_bytes(tables.shift), 0);
        }
        Self {
            base,
            of,
            first,
            entries,
            page,
        }
    }

    /// Adds records at positions of the unit.
    pub(super) fn add(
        mut self,
        added: &Added<'_>,
        tables: &mut Tables,
        work: &mut Work<'_>,
    ) -> StateResult<()> {
        self.check_weight(added, tables)?;
        let still_there = self.still_there(added, tables);
        let kept: Vec<u32> = match still_there {
            true => Vec::new(),
            false => bitmap::positions(&self.page).collect(),
        };
        self.set_bits(added)?;
        if !still_there {
            self.write(&kept, added, tables, work)?;
        }
        let bytes = bitmap::page_bytes(tables.shift);
        for (entry, page) in self.entries.clone().zip(self.page.chunks(bytes)) {
            let old = self.base.bitmap_page(self.of.old, entry);
            let empty = bitmap::count(page) == 0;
            if old != page && !(old.is_empty() && empty) {
                put_page(tables, work, entry, page)?;
            }
            if empty && still_there {
                // Emptied by this blob, beside an entry to which records come back.
                free_entry(self.base, self.of.old, tables, work, entry);
            }
        }
        match still_there {
            true => Ok(()),
            false => work.spill(),
        }
    }

    /// Refuses a block that is too heavy, whatever blocks its records are in now.
    fn check_weight(&self, added: &Added<'_>, tables: &Tables) -> StateResult<()> {
        let mut old: Vec<(Loc, BlockRef<'_>)> = Vec::new();
        for (loc, block) in self.entries.clone().filter_map(|entry| self.block(entry)) {
            if old.last().is_none_or(|(last, _)| *last != loc) {
                old.push((loc, block));
            }
        }
        let old: Vec<BlockRef<'_>> = old.into_iter().map(|(_, block)| block).collect();
        let kept = || {
            let live: Vec<u32> = bitmap::positions(&self.page).collect();
            self.kept_rows(&live, tables.shift)
        };
        let limit = self.of.limits.block_weight;
        block::check_weight(&self.block_type(tables), &old, kept, added, limit).map_err(|over| {
            let first = u64::from(self.first);
            let name = &self.base.schema.get(self.of.id).name;
            too_heavy(name, first..first + (1 << tables.span), &over)
        })
    }

    fn block_type(&self, tables: &Tables) -> BlockType<'a> {
        BlockType {
            kinds: &self.of.info.kinds,
            first: &self.of.info.first,
            span: tables.span,
        }
    }

    fn set_bits(&mut self, added: &Added<'_>) -> StateResult<()> {
        for position in added.positions {
            let ordinal = self.first + position;
            // An ordinal freed by this very blob is taken too, as references of others may still mean
            // the record that had it. But for types with a key: there it is the same record with other
            // content, which is checked once keys can be read.
            let taken = bitmap::is_set(&self.page, *position)
                || (self.of.info.key.is_none() && self.base.is_live(self.of.id, ordinal));
            if taken {
                let name = &self.base.schema.get(self.of.id).name;
                return Err(StateError::Damaged(format!(
                    "expected {name} #{ordinal} to be free before it is added"
                )));
            }
            bitmap::set(&mut self.page, *position, true);
        }
        Ok(())
    }

    /// Whether dead rows of the unit already hold all the added records: those of a version that is
    /// being returned to, whose blocks were not written since. Setting their bits is all it takes then;
    /// without this, a reverse delta would copy every block that lost a record.
    fn still_there(&self, added: &Added<'_>, tables: &Tables) -> bool {
        let kinds = &self.of.info.kinds;
        added.positions.iter().enumerate().all(|(i, position)| {
            let ordinal = self.first + position;
            let entry = (ordinal >> tables.shift) as usize;
            let Some(block) = self.base.block_of(self.of.old, entry) else {
                return false;
            };
            let record = self.base.row(self.of.id, ordinal);
            ordinal & block.layout.mask < block.rows()
                && record.is_some_and(|r| r.holds(kinds, added.batch, added.first_row + i))
        })
    }

    /// The block that an entry of the base points to.
    fn block(&self, entry: usize) -> Option<(Loc, BlockRef<'a>)> {
        let loc = *self.of.old.blocks.get(entry)?;
        Some((loc, self.base.block_of(self.of.old, entry)?)).filter(|(loc, _)| !loc.is_none())
    }

    /// The block that is to be copied and patched: the only one of the unit, and of its size.
    fn only_block(&self, span: u8) -> Option<(Loc, BlockRef<'a>)> {
        let mut blocks = self.entries.clone().filter_map(|entry| self.block(entry));
        let (only, block) = blocks.next()?;
        let size = block.layout.mask == (1 << span) - 1;
        (size && blocks.all(|(loc, _)| loc == only)).then_some((only, block))
    }

    /// Kept rows by the block that they are in.
    fn kept_rows(&self, kept: &[u32], shift: u8) -> Kept<'a> {
        let mut rows = Kept::NONE;
        let mut last = Loc::NONE;
        for position in kept {
            let ordinal = self.first + position;
            // A live record without a block: a damaged root, which the checksum will tell.
            let Some((loc, block)) = self.block((ordinal >> shift) as usize) else {
                continue;
            };
            rows.positions.push(*position);
            if loc != last {
                rows.pieces.push((block, Vec::new()));
                last = loc;
            }
            if let Some((_, positions)) = rows.pieces.last_mut() {
                positions.push(ordinal & block.layout.mask);
            }
        }
        rows
    }

    /// Writes the unit's block, which takes the place of all blocks in it.
    fn write(
        &self,
        kept: &[u32],
        added: &Added<'_>,
        tables: &mut Tables,
        work: &mut Work<'_>,
    ) -> StateResult<()> {
        for entry in self.entries.clone() {
            free_entry(self.base, self.of.old, tables, work, entry);
        }
        let ty = self.block_type(tables);
        let patched = self.only_block(tables.span).and_then(|(loc, old)| {
            let start = block::patch(&ty, old, kept, added, &mut work.buffer)?;
            Some((start, loc.tag))
        });
        let (start, tag) = match patched {
            Some(patched) => patched,
            None => {
                let kept = self.kept_rows(kept, tables.shift);
                let (layouts, out) = (&mut tables.layouts, &mut work.buffer);
                let written = block::rebuild(&ty, layouts, &kept, added, out).map_err(too_large)?;
                let tag = u16::try_from(written.layout)
                    .map_err(|_| StateError::Limit("65,536 layouts of one type".into()))?;
                (written.start, tag)
            }
        };
        let loc = work.placed(start, tag)?;
        let first = items::numbers(self.entries.start as u32, tables.shift).start;
        let numbers = first..first + items::numbers(0, tables.span).end;
        work.buffer.items.note(tables.name, Kind::Block, numbers);
        self.enter(loc, start, tables, work);
        Ok(())
    }

    /// Points the entries of the unit at its new block; those in which nothing lives at nothing.
    fn enter(&self, loc: Loc, start: usize, tables: &mut Tables, work: &mut Work<'_>) {
        if tables.blocks.len() < self.entries.end {
            tables.blocks.resize(self.entries.end, Loc::NONE);
        }
        let bytes = bitmap::page_bytes(tables.shift);
        for (entry, page) in self.entries.clone().zip(self.page.chunks(bytes)) {
            let block = BlockRef {
                bytes: &work.buffer.bytes,
                start,
                layout: &tables.layouts[usize::from(loc.tag)],
            };
            let share = part::share(&block, tables.shift, entry);
            let lives = bitmap::count(page) > 0;
            tables.blocks[entry] = if lives { loc } else { Loc::NONE };
            if lives {
                tables.stored.bytes += share.bytes;
                tables.stored.rows += share.rows;
            } else {
                work.free(loc, share.bytes as usize);
            }
        }
    }
}
