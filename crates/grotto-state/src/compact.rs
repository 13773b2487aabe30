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
use crate::index::{LINE, scaled, span_of};
use crate::known::TypeInfo;
use crate::part;
use crate::segment::items::{self, Group, Kind};
use crate::segment::{Loc, room, slot_number};
use crate::state::{TypeState, block_in};
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
        for run in &group.runs {
            let run = run.start.max(from)..run.end;
            if run.is_empty() {
                continue;
            }
            for entry in self.entries(ty, group.kind, run) {
                if self.budget == 0 {
                    return Ok(Some(self.number(ty, group.kind, entry)));
                }
                match group.kind {
                    Kind::Block => self.move_block(slot, ty, entry)?,
                    Kind::Bitmap => self.move_bitmap(slot, ty, entry)?,
                    Kind::Index { depth } => self.move_pages(slot, ty, depth, entry)?,
                }
            }
        }
        Ok(None)
    }

    /// Entries of the table at which something may still be found.
    fn entries(&self, ty: usize, kind: Kind, numbers: Range<u32>) -> Range<u32> {
        let ty = &self.types[ty];
        let entries = items::entries(numbers.clone(), ty.shift);
        match kind {
            Kind::Block => entries.start..entries.end.min(ty.blocks.len() as u32),
            Kind::Bitmap => entries.start..entries.end.min(ty.bitmaps.len() as u32),
            Kind::Index { depth } => numbers.start..numbers.end.min(1 << depth),
        }
    }

    /// The number under which an entry is listed.
    fn number(&self, ty: usize, kind: Kind, entry: u32) -> u32 {
        match kind {
            Kind::Index { .. } => entry,
            _ => items::numbers(entry, self.types[ty].shift).start,
        }
    }

    /// Moves a block, and with it every entry that still points to it.
    fn move_block(&mut self, slot: u16, ty: usize, entry: u32) -> StateResult<()> {
        let entry = entry as usize;
        let (loc, shift) = (self.types[ty].blocks[entry], self.types[ty].shift);
        if loc.segment != slot {
            return Ok(());
        }
        let block = block_in(&self.work.segments, &self.types[ty], entry);
        let block = block.filter(|block| block::length_at(block.bytes, block.start).is_some());
        let block = block.ok_or_else(|| outside(loc))?;
        let (length, entries) = (block.length(), block.layout.entries(shift));
        let first = entry - entry % entries;
        let blocks = &self.types[ty].blocks;
        let mine: Vec<usize> = (first..(first + entries).min(blocks.len()))
            .filter(|entry| blocks[*entry] == loc)
            .collect();
        let share = |entry: &usize| part::share(&block, shift, *entry).bytes as usize;
        let live = mine.iter().map(share).sum();
        let new = self.move_item(loc, length, live)?;
        let blocks = table(&mut self.types[ty].blocks, self.work);
        mine.iter().for_each(|entry| blocks[*entry] = new);
        self.note(ty, Kind::Block, mine)
    }

    fn move_bitmap(&mut self, slot: u16, ty: usize, entry: u32) -> StateResult<()> {
        let entry = entry as usize;
        let loc = self.types[ty].bitmaps[entry];
        if loc.segment != slot {
            return Ok(());
        }
        let length = bitmap::page_bytes(self.types[ty].shift);
        let new = self.move_item(loc, length, length)?;
        let bitmaps = &mut self.types[ty].bitmaps;
        table(bitmaps, self.work)[entry] = new;
        self.note(ty, Kind::Bitmap, vec![entry])
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
            let span = span_of(&index.pages, entry);
            let length = usize::from(loc.tag) * LINE;
            let new = self.move_item(loc, length, length)?;
            if let Some(index) = &mut self.types[ty].index {
                table(&mut index.pages, self.work)[span.clone()].fill(new);
            }
            entry = span.end;
            let (name, kind) = (self.infos[ty].name, Kind::Index { depth: now });
            let span = span.start as u32..span.end as u32;
            self.work.buffer.items.note(name, kind, span);
            self.work.spill()?;
        }
        Ok(())
    }

    fn bytes_of(&self, slot: u16) -> &[u8] {
        let segment = self.work.segments.get(usize::from(slot));
        segment.map_or(&[], |segment| &segment.bytes)
    }

    /// Moves an item, of whose room `live` bytes are in use.
    fn move_item(&mut self, loc: Loc, length: usize, live: usize) -> StateResult<Loc> {
        let bytes = self.work.segments[usize::from(loc.segment)].bytes.clone();
        let item = bytes.get(loc.start()..loc.start() + length);
        let item = item.ok_or_else(|| outside(loc))?;
        self.budget = self.budget.saturating_sub(length as u64);
        self.work.effort.moved_bytes += length as u64;
        self.work.free(loc, live);
        let new = self.work.put(item, loc.tag)?;
        self.work
            .free(new, (room(length) as usize).saturating_sub(live));
        Ok(new)
    }

    /// Takes note of the block or page that was moved last, to which these entries point.
    fn note(&mut self, ty: usize, kind: Kind, entries: Vec<usize>) -> StateResult<()> {
        let (name, shift) = (self.infos[ty].name, self.types[ty].shift);
        for entry in entries {
            let numbers = items::numbers(entry as u32, shift);
            self.work.buffer.items.note(name, kind, numbers);
        }
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
