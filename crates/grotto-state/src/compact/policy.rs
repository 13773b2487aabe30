//! Which segment is emptied next, and how much a refresh may move.
//!
//! Owns: the decision, from sizes alone. Never looks into a segment.
//!
//! Two things are kept within bounds. **Dead bytes**: while their share of all bytes is too large,
//! the segment that frees most for what it costs is a victim: dead bytes against live ones, which
//! have to be moved. **Segments**: small ones are merged once there are several of about one size, as
//! in a log-structured merge tree, so a byte is moved a logarithmic number of times before its segment
//! is large: of as many bytes as a refresh may move, as what it moves ends in one segment, or of as
//! many as are sealed at a time, as no merging makes larger ones. Large ones are not merged, also when
//! most of them is dead by now, or they would be again and again; there are as many of them as these
//! bytes go into all.

use crate::segment::{Segment, SegmentOptions};
use std::cmp::Ordering;

/// Size of a sealed segment; without bytes, none that could be emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) bytes: u64,
    pub(super) live: u64,
}

impl Size {
    pub(super) fn of(segment: &Segment) -> Self {
        Self {
            bytes: segment.bytes.len() as u64,
            live: segment.live,
        }
    }

    fn dead(self) -> u64 {
        self.bytes.saturating_sub(self.live)
    }
}

/// What a refresh decides by.
#[derive(Debug)]
pub(super) struct Policy {
    dead_percent: u64,
    merge_at: u64,
    /// Bytes that the refresh may move.
    pub(super) budget: u64,
    /// Bytes of a large segment.
    large: u64,
    /// Fewer dead bytes than this are not worth a refresh's while.
    waste: u64,
    /// Small segments of this class and of smaller ones are to be merged.
    crowded: Option<u32>,
}

impl Policy {
    /// Of a refresh that wrote so many bytes.
    pub(super) fn new(options: &SegmentOptions, sizes: &[Size], written: u64) -> Self {
        let live: u64 = sizes.iter().map(|size| size.live).sum();
        let least = options.large(live);
        let budget = least.max(options.move_per_written.saturating_mul(written));
        let mut policy = Self {
            dead_percent: options.dead_percent,
            // Of one and one there would never be an end.
            merge_at: options.merge_at.max(2),
            budget,
            large: budget.min(options.seal_at as u64),
            waste: least / 64,
            crowded: None,
        };
        policy.crowded = policy.crowded_class(sizes);
        policy
    }

    /// The segment to be emptied next.
    pub(super) fn choose(&self, sizes: &[Size]) -> Option<usize> {
        let wasteful = self.is_wasteful(sizes);
        let wanted =
            |size: &Size| size.bytes > 0 && (wasteful && size.dead() > 0 || self.is_crowded(*size));
        let candidates = sizes.iter().enumerate().filter(|(_, size)| wanted(size));
        let best = candidates.max_by(|(_, a), (_, b)| self.compare(**a, **b));
        best.map(|(slot, _)| slot)
    }

    /// Whether too many of all bytes are dead, by share and by number.
    fn is_wasteful(&self, sizes: &[Size]) -> bool {
        let bytes: u64 = sizes.iter().map(|size| size.bytes).sum();
        let dead: u64 = sizes.iter().map(|size| size.dead()).sum();
        let share = u128::from(bytes) * u128::from(self.dead_percent) / 100;
        u128::from(dead) > share && dead > self.waste
    }

    /// Which of two frees more for what it costs. A slot that is given back counts as if the bytes of
    /// a large segment were freed.
    fn compare(&self, a: Size, b: Size) -> Ordering {
        let frees = |size: Size| {
            let slot = match self.is_crowded(size) {
                true => self.large,
                false => 0,
            };
            u128::from(size.dead() + slot)
        };
        let costs = |size: Size| u128::from(size.live) + 1;
        (frees(a) * costs(b)).cmp(&(frees(b) * costs(a)))
    }

    /// Large segments have no class, the largest small ones are of class 0, those smaller by the
    /// number of segments that are merged are of class 1, and so on.
    fn class(&self, size: Size) -> Option<u32> {
        let mut top = self.large;
        if size.bytes == 0 || size.bytes >= top {
            return None;
        }
        let mut class = 0;
        while size.bytes < top / self.merge_at {
            top /= self.merge_at;
            class += 1;
        }
        Some(class)
    }

    /// The class of the smallest segments of which there are so many that they are merged.
    fn crowded_class(&self, sizes: &[Size]) -> Option<u32> {
        let mut members = [0_u64; 64];
        for class in sizes.iter().filter_map(|size| self.class(*size)) {
            if let Some(members) = members.get_mut(class as usize) {
                *members += 1;
            }
        }
        let class = members.iter().rposition(|count| *count >= self.merge_at);
        class.map(|class| class as u32)
    }

    fn is_crowded(&self, size: Size) -> bool {
        let class = self.class(size);
        class.is_some() && self.crowded.is_some() && class >= self.crowded
    }
}

#[cfg(test)]
mod tests;
