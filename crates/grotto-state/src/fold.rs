//! Folding: segments with mostly dead items are emptied into the segment being written.
//!
//! Owns: which segments go, and moving their live items. Bounded per refresh, so that a large old
//! segment is emptied over several refreshes instead of stalling one.

use crate::apply::Work;
use crate::bitmap;
use crate::error::StateResult;
use crate::index::LINE;
use crate::part;
use crate::segment::Loc;
use crate::state::TypeState;

/// More segments than this are folded, the emptiest first.
const MAX_SEGMENTS: usize = 48;
/// A refresh moves at most this many bytes, or twice what it wrote, whichever is more.
const MIN_BUDGET: usize = 4 << 20;

pub(crate) fn fold(types: &mut [TypeState], work: &mut Work<'_>) -> StateResult<()> {
    let victims = victims(work);
    if !victims.contains(&true) {
        return Ok(());
    }
    let budget = MIN_BUDGET.max(2 * work.buffer.bytes.len());
    let mut mover = Mover {
        work,
        victims,
        budget,
    };
    for ty in types {
        mover.blocks(ty)?;
        mover.bitmaps(ty)?;
        mover.index(ty)?;
    }
    Ok(())
}

/// Which slots are to be emptied: those more than half dead, and beyond the limit the emptiest.
fn victims(work: &Work<'_>) -> Vec<bool> {
    let slot = usize::from(work.slot);
    let sealed = |i: usize| i != slot && !work.segments[i].bytes.is_empty();
    let half_dead = |i: usize| work.segments[i].live * 2 < work.segments[i].bytes.len() as u64;
    let mut victims: Vec<bool> = (0..work.segments.len())
        .map(|i| sealed(i) && half_dead(i))
        .collect();
    let mut rest: Vec<usize> = (0..victims.len())
        .filter(|i| sealed(*i) && !victims[*i])
        .collect();
    if rest.len() > MAX_SEGMENTS {
        rest.sort_unstable_by_key(|i| work.segments[*i].live);
        // Half of them at once, so that folding is rare and each byte moves a logarithmic number
        // of times.
        rest.iter()
            .take(rest.len() - MAX_SEGMENTS / 2)
            .for_each(|i| victims[*i] = true);
    }
    victims
}

struct Mover<'w, 'a> {
    work: &'w mut Work<'a>,
    victims: Vec<bool>,
    budget: usize,
}

impl Mover<'_, '_> {
    fn wants(&self, loc: Loc) -> bool {
        !loc.is_none()
            && self.budget > 0
            && self.victims.get(usize::from(loc.segment)) == Some(&true)
    }

    /// Moves an item of which `live` bytes are in use.
    fn move_item(&mut self, loc: Loc, length: usize, live: usize) -> StateResult<Loc> {
        let bytes = self.work.segments[usize::from(loc.segment)].bytes.clone();
        let Some(item) = bytes.get(loc.start()..loc.start() + length) else {
            return Ok(loc);
        };
        self.budget = self.budget.saturating_sub(length);
        self.work.free(loc, live);
        let moved = self.work.put(item, loc.tag)?;
        self.work.free(moved, length - live);
        Ok(moved)
    }

    fn blocks(&mut self, ty: &mut TypeState) -> StateResult<()> {
        if !ty.blocks.iter().any(|loc| self.wants(*loc)) {
            return Ok(());
        }
        let mut blocks = ty.blocks.to_vec();
        for number in 0..blocks.len() {
            if self.wants(blocks[number]) {
                self.block(ty, number, &mut blocks)?;
            }
        }
        ty.blocks = blocks.into();
        Ok(())
    }

    /// Moves a block, and with it every entry that still points to it.
    fn block(&mut self, ty: &TypeState, number: usize, blocks: &mut [Loc]) -> StateResult<()> {
        let loc = blocks[number];
        let Some(block) = crate::state::block_in(&self.work.segments, ty, number) else {
            return Ok(());
        };
        let length = block.length();
        let entries = block.layout.entries(ty.shift);
        let first = number - number % entries;
        let range = first..(first + entries).min(blocks.len());
        let mine: Vec<usize> = range.filter(|entry| blocks[*entry] == loc).collect();
        let share = |entry: &usize| part::share(&block, ty.shift, *entry).bytes as usize;
        let live = mine.iter().map(share).sum();
        let moved = self.move_item(loc, length, live)?;
        mine.into_iter().for_each(|entry| blocks[entry] = moved);
        Ok(())
    }

    fn bitmaps(&mut self, ty: &mut TypeState) -> StateResult<()> {
        if !ty.bitmaps.iter().any(|loc| self.wants(*loc)) {
            return Ok(());
        }
        let mut pages = ty.bitmaps.to_vec();
        for loc in &mut pages {
            if self.wants(*loc) {
                let length = bitmap::page_bytes(ty.shift);
                *loc = self.move_item(*loc, length, length)?;
            }
        }
        ty.bitmaps = pages.into();
        Ok(())
    }

    fn index(&mut self, ty: &mut TypeState) -> StateResult<()> {
        let Some(index) = ty
            .index
            .as_mut()
            .filter(|index| index.pages.iter().any(|loc| self.wants(*loc)))
        else {
            return Ok(());
        };
        let mut pages = index.pages.to_vec();
        let mut last = (Loc::NONE, Loc::NONE);
        for loc in &mut pages {
            // Neighbouring entries share a page; it moves once, whatever is left of the budget.
            if *loc == last.0 {
                *loc = last.1;
            } else if self.wants(*loc) {
                let length = usize::from(loc.tag) * LINE;
                last = (*loc, self.move_item(*loc, length, length)?);
                *loc = last.1;
            }
        }
        index.pages = pages.into();
        Ok(())
    }
}
