//! How segments are kept: when one is sealed, and how much a refresh moves to give old ones up.
//!
//! Owns: the numbers that only large datasets reach, in one place, so that small tests reach them too.

/// Budgets and bounds of whoever keeps segments. The defaults are right for any dataset; tests set
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentOptions {
    /// A buffer of this many bytes is sealed and another one begun, so that a load needs little
    /// memory beside the sealed segments: about one such buffer for each thread. Also what is there
    /// twice while a segment of a load is emptied.
    pub seal_at: usize,
    /// Bytes that a refresh may move however little it wrote.
    pub move_at_least: u64,
    /// A refresh may move this many times the bytes it wrote, if that is more. Segments of fewer bytes
    /// than it may move, and than are sealed at a time, are small: they are merged.
    pub move_per_written: u64,
    /// Segments are emptied while more than this share of all bytes is dead, in percent.
    pub dead_percent: u64,
    /// So many small segments of about one size are merged into one. Also the factor between sizes.
    pub merge_at: u64,
    /// What a refresh may move at least is a share of the live bytes that is not below one in this
    /// many, or very large datasets would have more segments than a system maps.
    pub large_segments: u64,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self {
            seal_at: 16 << 20,
            move_at_least: 4 << 20,
            move_per_written: 3,
            dead_percent: 22,
            merge_at: 16,
            large_segments: 2048,
        }
    }
}

impl SegmentOptions {
    /// Most segments that refreshes leave of a state with so many live bytes: large ones, dead bytes
    /// among theirs, and of each class of small ones as many as are not merged yet.
    #[must_use]
    pub fn most_segments(&self, live: u64) -> u64 {
        let large = self.large(live).min(self.seal_at as u64).max(1);
        let merge_at = self.merge_at.max(2);
        let classes = u64::from(large.ilog(merge_at)) + 1;
        merge_at
            .saturating_mul(classes + 1)
            .saturating_add(live.saturating_mul(3) / large.saturating_mul(2))
    }

    /// Bytes that a refresh may move however little it wrote, of a state with so many live bytes.
    pub(crate) fn large(&self, live: u64) -> u64 {
        match self.move_at_least {
            0 => 0,
            least => least.max(live / self.large_segments.max(1)),
        }
    }

    /// Never moves anything: for states that are looked at once and given up.
    pub const NEVER_MOVE: Self = Self {
        seal_at: 64 << 20,
        move_at_least: 0,
        move_per_written: 0,
        dead_percent: 100,
        merge_at: u64::MAX,
        large_segments: u64::MAX,
    };
}
