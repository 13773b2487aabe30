//! Layouts that blocks share.
//!
//! Owns: finding a layout for a block, and widening once there are many. Never touches bytes.

use super::{Extent, Layout, Need, Slots};
use crate::block::MAX_BLOCK;
use grotto_format::batch::ColumnKind;

/// Tight layouts of one type; beyond that, blocks share wider ones.
pub(super) const MAX_LAYOUTS: usize = 256;

/// Finds or adds a layout that holds `needs`; returns its position.
pub(crate) fn choose(
    layouts: &mut Vec<Layout>,
    kinds: &[ColumnKind],
    needs: &[Need],
    first: &[u16],
    extent: Extent,
) -> usize {
    let ideal = Layout::tightest(kinds, needs, first);
    let holds = |layout: &Layout| layout.fits(kinds, needs) && layout.reaches(kinds, extent);
    let best = layouts
        .iter()
        .enumerate()
        .filter(|(_, l)| holds(l))
        .min_by_key(|(_, l)| l.row);
    if let Some((position, layout)) = best {
        // One spare byte in a row of 32 is cheaper than another layout.
        if layout.row <= ideal.row + ideal.row / 32 || layouts.len() >= MAX_LAYOUTS {
            return position;
        }
    }
    layouts.push(match layouts.len() >= MAX_LAYOUTS {
        true => Layout::tightest(kinds, &widened(layouts, kinds, needs), first),
        false => ideal,
    });
    layouts.len() - 1
}

/// What all layouts together hold, `needs` included, with room to grow where `needs` passes it: rising
/// values then ask for another layout only each time they double.
fn widened(layouts: &[Layout], kinds: &[ColumnKind], needs: &[Need]) -> Vec<Need> {
    let mut wide = needs.to_vec();
    for (column, (need, kind)) in wide.iter_mut().zip(kinds).enumerate() {
        let slots = layouts
            .iter()
            .filter_map(|layout| layout.slots.get(column))
            .filter(|s| s.null.base == 0);
        let hull = slots.fold(None, |hull: Option<Hull>, s| {
            Some(hull.map_or(Hull::of(s), |h| h.and(&Hull::of(s))))
        });
        let Some(hull) = hull else { continue };
        need.null |= hull.null;
        need.length = grown(hull.length, need.length);
        need.element = grown(hull.element, u64::from(need.element)).min(u64::from(u32::MAX)) as u32;
        match kind {
            ColumnKind::Fixed(_) => {
                (need.min, need.max) = hull.grown(need.min as i64, need.max as i64)
            }
            // Every start there can be, because a wider row moves them all.
            _ => need.max = MAX_BLOCK,
        }
    }
    wide
}

/// Twice `need` once it passes what there was.
fn grown(had: u64, need: u64) -> u64 {
    if need > had {
        need.saturating_mul(2)
    } else {
        had
    }
}

/// What one column of some layouts holds.
struct Hull {
    min: i64,
    max: i64,
    length: u64,
    element: u64,
    null: bool,
}

impl Hull {
    fn of(slots: &Slots) -> Self {
        let base = slots.main.base as i64;
        let (min, max) = match slots.main.mask {
            u64::MAX => (i64::MIN, i64::MAX),
            mask => (base, base.saturating_add_unsigned(mask)),
        };
        let element = (1_u64 << slots.element.min(32)) - 1;
        Self {
            min,
            max,
            length: slots.length.mask,
            element,
            null: slots.null.mask == 1,
        }
    }

    fn and(self, other: &Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            length: self.length.max(other.length),
            element: self.element.max(other.element),
            null: self.null || other.null,
        }
    }

    fn grown(&self, min: i64, max: i64) -> (u64, u64) {
        let range = (self.max.max(max)).saturating_sub(self.min.min(min));
        let low = if min < self.min {
            min.saturating_sub(range)
        } else {
            self.min
        };
        let high = if max > self.max {
            max.saturating_add(range)
        } else {
            self.max
        };
        (low as u64, high as u64)
    }
}
