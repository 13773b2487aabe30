//! Folding: segments with mostly dead items are emptied into the segment being written.
//!
//! Owns: which segments go, and moving their live items. Bounded per refresh, so that a large old
//! segment is emptied over several refreshes instead of stalling one.

use crate::apply::Work;
use crate::bitmap;
use crate::error::StateResult;
use crate::index::LINE;
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

    fn move_item(&mut self, loc: Loc, length: usize) -> StateResult<Loc> {
        let bytes = self.work.segments[usize::from(loc.segment)].bytes.clone();
        let Some(item) = bytes.get(loc.start()..loc.start() + length) else {
            return Ok(loc);
        };
        self.budget = self.budget.saturating_sub(length);
        self.work.free(loc, length);
        self.work.put(item, loc.tag)
    }

    fn blocks(&mut self, ty: &mut TypeState) -> StateResult<()> {
        if !ty.blocks.iter().any(|loc| self.wants(*loc)) {
            return Ok(());
        }
        let mut blocks = ty.blocks.to_vec();
        for (number, loc) in blocks.iter_mut().enumerate() {
            if self.wants(*loc) {
                let length = crate::state::block_in(&self.work.segments, ty, number)
                    .map_or(0, |b| b.length());
                *loc = self.move_item(*loc, length)?;
            }
        }
        ty.blocks = blocks.into();
        Ok(())
    }

    fn bitmaps(&mut self, ty: &mut TypeState) -> StateResult<()> {
        if !ty.bitmaps.iter().any(|loc| self.wants(*loc)) {
            return Ok(());
        }
        let mut pages = ty.bitmaps.to_vec();
        for loc in &mut pages {
            if self.wants(*loc) {
                *loc = self.move_item(*loc, bitmap::page_bytes(ty.shift))?;
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
                last = (*loc, self.move_item(*loc, usize::from(loc.tag) * LINE)?);
                *loc = last.1;
            }
        }
        index.pages = pages.into();
        Ok(())
    }
}
