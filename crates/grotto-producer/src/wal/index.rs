//! What a log knows of its files.
//!
//! Owns: which entries are in which segment and where, remembered keys, what was released. Never: input or output.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grotto_format::Schema;

use super::keys::Keys;
use super::scan::Mark;

/// Bytes between two marks of a segment, at least: what a read skips over at most, beside one entry.
const SPACING: u64 = 64 << 10;

#[derive(Debug)]
pub(super) struct Index {
    /// The schema in use.
    pub(super) schema: Arc<Schema>,
    /// Oldest first, without gaps.
    pub(super) segments: VecDeque<Segment>,
    /// Newest durable entry; 0 if there is none.
    pub(super) last: u64,
    pub(super) released: u64,
    pub(super) keys: Keys,
    pub(super) failed: Option<String>,
    /// Whether the last group of an earlier process waits to be copied, so that it is not there yet.
    pub(super) is_unsettled: bool,
}

/// One file.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) schema: Arc<Schema>,
    /// Number of the first entry, which may not be there yet.
    pub(super) first: u64,
    /// Number after the last entry.
    pub(super) end: u64,
    /// Where its entries begin.
    pub(super) marks: Vec<Mark>,
    /// Bytes of the file that are entries or come before them.
    pub(super) durable: u64,
    /// Bytes of the file.
    pub(super) bytes: u64,
}

impl Segment {
    /// The last mark before an entry.
    pub(super) fn mark(&self, number: u64) -> Option<Mark> {
        let after = self.marks.partition_point(|mark| mark.number <= number);
        self.marks.get(after.checked_sub(1)?).copied()
    }
}

/// Adds a mark, unless there is one shortly before.
pub(super) fn add_mark(marks: &mut Vec<Mark>, mark: Mark) {
    let last = marks.last();
    if last.is_none_or(|last| mark.offset >= last.offset + SPACING) {
        marks.push(mark);
    }
}

impl Index {
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The segment of the first entry that is there from a number on.
    pub(super) fn segment_of(&self, number: u64) -> Option<&Segment> {
        let mut all = self.segments.iter();
        all.find(|segment| segment.end > number && segment.end > segment.first)
    }

    /// Adds a segment that begins where the newest one ends, or that holds its last entries again.
    pub(super) fn push(&mut self, segment: Segment) {
        if let Some(newest) = self.segments.back_mut() {
            newest.end = newest.end.min(segment.first);
        }
        let replaced = |newest: &Segment| newest.path == segment.path;
        if self.segments.back().is_some_and(replaced) {
            self.segments.pop_back();
        }
        self.last = self.last.max(segment.end - 1);
        self.segments.push_back(segment);
    }

    /// The oldest segment, if all its entries were released and it is not the newest one.
    pub(super) fn oldest_released(&self) -> Option<PathBuf> {
        let oldest = self.segments.front().filter(|_| self.segments.len() > 1)?;
        (oldest.end <= self.released + 1).then(|| oldest.path.clone())
    }

    pub(super) fn drop_oldest(&mut self, path: &Path) {
        if self
            .segments
            .front()
            .is_some_and(|oldest| oldest.path == path)
        {
            self.segments.pop_front();
        }
    }
}

/// Whether positions of types mean the same under two schemas.
pub(super) fn same(one: &Arc<Schema>, other: &Arc<Schema>) -> bool {
    Arc::ptr_eq(one, other) || one.to_string() == other.to_string()
}
