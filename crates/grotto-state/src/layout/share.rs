//! Layouts that blocks share.
//!
//! Owns: finding a layout for a block, and widening once there are many. Never touches bytes.

use super::{Extent, Layout, Need, Slots};
use crate::block::MAX_BLOCK;
use grotto_format::batch::ColumnKind;

/// Tight layouts of one type; beyond that, blocks share wider ones.
pub(super) const MAX_LAYOUTS: usize = 256;

/// Layouts of one type after which a block that fits none gets one for all values there are. Wider ones
/// double in one column at a time, and a type of many columns could ask for more of them than a block
/// can name: whether a block is accepted must not depend on the blocks before it.
pub(super) const MAX_WIDER: usize = 512;

/// What all values of a column can ask for.
fn all(kind: &ColumnKind) -> Need {
    Need {
        min: i64::MIN as u64,
        max: match kind {
            ColumnKind::Fixed(_) => i64::MAX as u64,
            _ => MAX_BLOCK,
        },
        length: MAX_BLOCK,
        element: u32::MAX,
        null: true,
    }
}

/// Finds or adds a layout that holds `needs`, for blocks of the mask's size; returns its position.
pub(crate) fn choose(
    layouts: &mut Vec<Layout>,
    kinds: &[ColumnKind],
    needs: &[Need],
    first: &[u16],
    mask: u32,
    extent: Extent,
) -> usize {
    let ideal = Layout::tightest(kinds, needs, first);
    let holds = |layout: &Layout| {
        layout.mask == mask && layout.fits(kinds, needs) && layout.reaches(kinds, extent)
    };
    let best = layouts
        .iter()
        .enumerate()
        .filter(|(_, l)| holds(l))
        .min_by_key(|(_, l)| l.row);
    // One spare byte in a row of twelve is cheaper than another layout: lookups read a layout each,
    // and hundreds of them fill the cache that index and rows could use.
    let cheap = ideal.row + ideal.row / 12;
    if let Some((position, layout)) = best
        && (layout.row <= cheap || layouts.len() >= MAX_LAYOUTS)
    {
        return position;
    }
    if layouts.len() >= MAX_WIDER {
        let all: Vec<Need> = kinds.iter().map(all).collect();
        let all = Layout::tightest(kinds, &all, first);
        layouts.push(Layout { mask, ..all });
        return layouts.len() - 1;
    }
    let many = layouts.len() >= MAX_LAYOUTS;
    let shared = shared(layouts, kinds, needs, first, extent, many);
    let chosen = match many || shared.row <= cheap {
        true => shared,
        false => ideal,
    };
    layouts.push(Layout { mask, ..chosen });
    layouts.len() - 1
}

/// The tightest layout for everything that all layouts hold, and `needs`; with room to grow if there
/// must not be many more.
fn shared(
    layouts: &[Layout],
    kinds: &[ColumnKind],
    needs: &[Need],
    first: &[u16],
    extent: Extent,
    grow: bool,
) -> Layout {
    let mut wide = widened(layouts, kinds, needs, grow);
    let mut layout = Layout::tightest(kinds, &wide, first);
    // Wider rows push the heap out, and wider offsets widen the rows.
    while !layout.reaches(kinds, extent) {
        let end = extent.end(u64::from(layout.row)).min(MAX_BLOCK);
        for (need, kind) in wide.iter_mut().zip(kinds) {
            if !matches!(kind, ColumnKind::Fixed(_)) {
                need.max = need.max.max(end);
            }
        }
        let wider = Layout::tightest(kinds, &wide, first);
        if wider == layout {
            break;
        }
        layout = wider;
    }
    layout
}

/// What all layouts together hold, `needs` included. With `grow` there is room where `needs` passes it:
/// rising values then ask for another layout only each time they double.
fn widened(layouts: &[Layout], kinds: &[ColumnKind], needs: &[Need], grow: bool) -> Vec<Need> {
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
        let passed = |had: u64, need: u64| match grow && need > had {
            true => need.saturating_mul(2),
            false => need.max(had),
        };
        need.length = passed(hull.length, need.length).min(MAX_BLOCK);
        let element = passed(hull.element, u64::from(need.element));
        need.element = element.min(u64::from(u32::MAX)) as u32;
        match kind {
            ColumnKind::Fixed(_) => {
                let range = (need.min as i64, need.max as i64);
                (need.min, need.max) = hull.with(range, grow);
            }
            _ => need.max = passed(hull.max as u64, need.max).min(MAX_BLOCK),
        }
    }
    wide
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

    /// What it holds, and a range.
    fn with(&self, (min, max): (i64, i64), grow: bool) -> (u64, u64) {
        let range = (self.max.max(max)).saturating_sub(self.min.min(min));
        let more = if grow { range } else { 0 };
        let low = if min < self.min {
            min.saturating_sub(more)
        } else {
            self.min
        };
        let high = if max > self.max {
            max.saturating_add(more)
        } else {
            self.max
        };
        (low as u64, high as u64)
    }
}
