//! Compaction: live items of mostly dead or small segments are moved into the segment being written.
//!
//! Owns: emptying one victim after the other, and where that stopped when the budget ran out. The
//! next refresh goes on there: a victim that was begun is emptied before another one is, or many would
//! be half empty and none ever given up. Never decides what lives: tables do.

mod policy;

use crate::apply::Work;
use crate::bitmap;
use crate::block;
use crate::error::{StateError, StateResult};
use crate::index::{LINE, neighbours, scaled};
use crate::segment::items::{self, Group, Kind};
use crate::segment::{Loc, slot_number};
use crate::state::{TypeInfo, TypeState};
use policy::{Policy, Size};
use std::ops::Range;
use std::sync::Arc;

/// How far a victim has been emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(crate) struct Cursor {
    /// Its slot.
    pub(crate) slot: u16,
    /// Position in the list of its items: group, and number within its runs.
    group: u32,
    number: u32,
}

impl Cursor {
    pub(crate) fn begin(slot: u16) -> Self {
        Self {
            slot,
            group: 0,
            number: 0,
        }
    }
}

/// Empties segments as long as the budget of this refresh lasts. Gives where to go on.
pub(crate) fn compact(
    types: &mut [TypeState],
    infos: &[TypeInfo],
    work: &mut Work<'_>,
    begun: Option<Cursor>,
) -> StateResult<Option<Cursor>> {
    let policy = Policy::new(&work.options, &sizes(work), work.written());
    let mut mover = Mover {
        budget: policy.budget,
        types,
        infos,
        work,
    };
    let mut next = begun.filter(|cursor| mover.is_sealed(cursor.slot));
    while mover.budget > 0 {
        let cursor = match next {
            Some(cursor) => cursor,
            None => match policy.choose(&sizes(mover.work)) {
                Some(slot) => Cursor::begin(slot_number(slot)?),
                None => return Ok(None),
            },
        };
        next = mover.empty(cursor)?;
    }
    Ok(next)
}

/// Sizes by slot; segments without live bytes are given up anyway.
fn sizes(work: &Work<'_>) -> Vec<Size> {
    let segments = work.segments.iter();
    let none = Size { bytes: 0, live: 0 };
    segments
        .map(|segment| match segment.live {
            0 => none,
            _ if segment.bytes.is_empty() => none,
            _ => Size::of(segment),
        })
        .collect()
}

struct Mover<'w, 'a> {
    types: &'w mut [TypeState],
    infos: &'w [TypeInfo],
    work: &'w mut Work<'a>,
    budget: u64,
}

impl Mover<'_, '_> {
    fn is_sealed(&self, slot: u16) -> bool {
        let segment = self.work.segments.get(usize::from(slot));
        segment.is_some_and(|segment| !segment.bytes.is_empty())
    }

    fn is_emptied(&self, slot: u16) -> bool {
        let segment = self.work.segments.get(usize::from(slot));
        segment.is_none_or(|segment| segment.live == 0)
    }

    /// Moves what lives in a victim. `None` when nothing does any more.
    fn empty(&mut self, cursor: Cursor) -> StateResult<Option<Cursor>> {
        let slot = cursor.slot;
        if self.is_emptied(slot) {
            return Ok(None);
        }
        let damaged = |what: &str| StateError::Damaged(format!("segment {slot}: expected {what}"));
        let groups = items::decode(self.bytes_of(slot))
            .ok_or_else(|| damaged("a list of items at its end"))?;
        let skipped = cursor.group as usize;
        for (position, group) in groups.iter().enumerate().skip(skipped) {
            let from = match position == skipped {
                true => cursor.number,
                false => 0,
            };
            if let Some(number) = self.move_group(slot, group, from)? {
                let group = position as u32;
                return Ok(Some(Cursor {
                    slot,
                    group,
                    number,
                }));
            }
            if self.is_emptied(slot) {
                return Ok(None);
            }
        }
        Err(damaged("all its live items in the list at its end"))
    }

    /// Moves the items of a group from a number on. Gives the number to go on with if the budget did
    /// not last.
    fn move_group(&mut self, slot: u16, group: &Group, from: u32) -> StateResult<Option<u32>> {
        let known = |info: &TypeInfo| info.name == group.type_name;
        let Some(ty) = self.infos.iter().position(known) else {
            // The type is gone, and with it all that lived of it.
            return Ok(None);
        };
        let end = self.numbers(ty, group.kind);
        for run in &group.runs {
            for number in run.start.max(from)..run.end.min(end) {
                if self.budget == 0 {
                    return Ok(Some(number));
                }
                match group.kind {
                    Kind::Block => self.move_block(slot, ty, number)?,
                    Kind::Bitmap => self.move_bitmap(slot, ty, number)?,
                    Kind::Index { depth } => self.move_pages(slot, ty, depth, number)?,
                }
            }
        }
        Ok(None)
    }

    /// One more than the largest number that something may still be found at.
    fn numbers(&self, ty: usize, kind: Kind) -> u32 {
        let ty = &self.types[ty];
        match kind {
            Kind::Block => ty.blocks.len() as u32,
            Kind::Bitmap => ty.bitmaps.len() as u32,
            Kind::Index { depth } => 1 << depth,
        }
    }

    fn move_block(&mut self, slot: u16, ty: usize, number: u32) -> StateResult<()> {
        let loc = self.types[ty].blocks[number as usize];
        if loc.segment != slot {
            return Ok(());
        }
        let length = block::length_at(self.bytes_of(slot), loc.start());
        let length = length.ok_or_else(|| outside(loc))?;
        let new = self.move_item(loc, length)?;
        let blocks = &mut self.types[ty].blocks;
        table(blocks, self.work)[number as usize] = new;
        self.note(ty, Kind::Block, number..number + 1)
    }

    fn move_bitmap(&mut self, slot: u16, ty: usize, number: u32) -> StateResult<()> {
        let loc = self.types[ty].bitmaps[number as usize];
        if loc.segment != slot {
            return Ok(());
        }
        let new = self.move_item(loc, bitmap::page_bytes(self.types[ty].shift))?;
        let bitmaps = &mut self.types[ty].bitmaps;
        table(bitmaps, self.work)[number as usize] = new;
        self.note(ty, Kind::Bitmap, number..number + 1)
    }

    /// Moves the pages of all entries that an entry of a directory of `1 << depth` covers.
    fn move_pages(&mut self, slot: u16, ty: usize, depth: u8, number: u32) -> StateResult<()> {
        let Some(index) = &self.types[ty].index else {
            return Ok(());
        };
        let now = index.depth;
        let entries = scaled(number as usize..number as usize + 1, depth, now);
        let mut entry = entries.start;
        while entry < entries.end {
            let index = self.types[ty].index.as_mut();
            let Some(index) = index.filter(|index| entry < index.pages.len()) else {
                return Ok(());
            };
            let loc = index.pages[entry];
            if loc.segment != slot {
                entry += 1;
                continue;
            }
            // Neighbours that have not split yet share a page: it moves once, for all of them.
            let span = neighbours(&index.pages, entry);
            let new = self.move_item(loc, usize::from(loc.tag) * LINE)?;
            if let Some(index) = &mut self.types[ty].index {
                table(&mut index.pages, self.work)[span.clone()].fill(new);
            }
            entry = span.end;
            self.note(
                ty,
                Kind::Index { depth: now },
                span.start as u32..span.end as u32,
            )?;
        }
        Ok(())
    }

    fn bytes_of(&self, slot: u16) -> &[u8] {
        let segment = self.work.segments.get(usize::from(slot));
        segment.map_or(&[], |segment| &segment.bytes)
    }

    fn move_item(&mut self, loc: Loc, length: usize) -> StateResult<Loc> {
        let bytes = self.work.segments[usize::from(loc.segment)].bytes.clone();
        let item = bytes.get(loc.start()..loc.start() + length);
        let item = item.ok_or_else(|| outside(loc))?;
        self.budget = self.budget.saturating_sub(length as u64);
        self.work.effort.moved_bytes += length as u64;
        self.work.free(loc, length);
        self.work.put(item, loc.tag)
    }

    /// Takes note of the item that was moved last.
    fn note(&mut self, ty: usize, kind: Kind, numbers: Range<u32>) -> StateResult<()> {
        let name = self.infos[ty].name;
        self.work.buffer.items.note(name, kind, numbers);
        self.work.spill()
    }
}

fn outside(loc: Loc) -> StateError {
    StateError::Damaged(format!(
        "expected the item at {} of segment {} to lie inside of it",
        loc.start(),
        loc.segment
    ))
}

/// A table that is this state's own, so that it can be changed.
fn table<'t>(table: &'t mut Arc<[Loc]>, work: &mut Work<'_>) -> &'t mut [Loc] {
    if Arc::get_mut(table).is_none() {
        work.effort.table_entries += table.len() as u64;
    }
    Arc::make_mut(table)
}

#[cfg(test)]
mod tests;
