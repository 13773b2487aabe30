//! The room where submissions wait to become durable.
//!
//! Owns: who waits, in which order they go on, and who is given up when there are too many. Never: gives up
//! anything that was acknowledged, and never waits.

use super::batch::Refused;
use super::options::{Shedding, Waiting};
use crate::Result;
use crate::wal::WalEntry;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// An entry that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) number: u64,
    /// It was sent before, under the same key.
    pub(super) is_repeated: bool,
}

/// A batch that waits.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) entry: Arc<WalEntry>,
    pub(super) refused: Vec<Refused>,
    pub(super) bytes: usize,
    pub(super) priority: u8,
    /// By the monotonic clock.
    pub(super) arrived: Duration,
    /// Told what entry it is once that is durable, or why it will not be.
    pub(super) reply: oneshot::Sender<Result<Receipt>>,
}

impl Submission {
    pub(super) fn records(&self) -> usize {
        self.entry.changes.len()
    }
}

/// What became of a newcomer.
#[derive(Debug)]
pub(super) enum Offered {
    /// It waits; those that were given up for it.
    Taken(Vec<Submission>),
    /// It does not fit.
    Refused(Submission),
}

/// Submissions in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Room {
    waiting: VecDeque<Submission>,
    records: usize,
    bytes: usize,
    /// A group left and has not been made durable yet.
    group_is_out: bool,
    /// Nobody comes in any more, as nobody would ever take them out.
    is_closed: bool,
}

impl Room {
    /// Whether nobody waits and nobody is on the way to the log.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.group_is_out
    }

    /// The group that left is durable, or never will be.
    pub(super) fn settled(&mut self) {
        self.group_is_out = false;
    }

    pub(super) fn records(&self) -> usize {
        self.records
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether so much more may wait. Whatever is larger than the room fits while nobody else waits: it could
    /// never be sent otherwise.
    pub(super) fn fits(&self, records: usize, bytes: usize, limits: &Waiting) -> bool {
        self.waiting.is_empty()
            || (self.records + records <= limits.max_records
                && self.bytes + bytes <= limits.max_bytes)
    }

    /// Whether nobody comes in any more.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Takes a submission in, whether or not it fits. Not for one that is closed.
    pub(super) fn push(&mut self, submission: Submission) {
        self.records += submission.records();
        self.bytes += submission.bytes;
        self.waiting.push_back(submission);
    }

    /// Takes a submission in if there is place for it, or can be made.
    pub(super) fn offer(&mut self, submission: Submission, limits: &Waiting) -> Offered {
        let mut shed = Vec::new();
        if self.is_closed {
            return Offered::Refused(submission);
        }
        while !self.fits(submission.records(), submission.bytes, limits) {
            let Some(victim) = self.victim(&submission, limits.shedding) else {
                // Who cannot get in displaces nobody.
                self.put_back(shed);
                return Offered::Refused(submission);
            };
            shed.extend(self.remove(victim).map(|given_up| (victim, given_up)));
        }
        self.push(submission);
        Offered::Taken(shed.into_iter().map(|(_, given_up)| given_up).collect())
    }

    /// Who is given up next for a newcomer.
    fn victim(&self, newcomer: &Submission, shedding: Shedding) -> Option<usize> {
        match shedding {
            Shedding::Reject => None,
            Shedding::DropOldestUnacknowledged => (!self.waiting.is_empty()).then_some(0),
            Shedding::ByPriority => {
                let waiting = self.waiting.iter().enumerate();
                let lowest = waiting.min_by_key(|(position, s)| (s.priority, *position))?;
                (lowest.1.priority < newcomer.priority).then_some(lowest.0)
            }
        }
    }

    fn remove(&mut self, position: usize) -> Option<Submission> {
        let removed = self.waiting.remove(position)?;
        self.records -= removed.records();
        self.bytes -= removed.bytes;
        Some(removed)
    }

    fn put_back(&mut self, shed: Vec<(usize, Submission)>) {
        for (position, submission) in shed.into_iter().rev() {
            self.records += submission.records();
            self.bytes += submission.bytes;
            self.waiting.insert(position, submission);
        }
    }

    /// Takes those back who left and could not go on.
    pub(super) fn put_in_front(&mut self, group: impl DoubleEndedIterator<Item = Submission>) {
        for submission in group.rev() {
            self.records += submission.records();
            self.bytes += submission.bytes;
            self.waiting.push_front(submission);
        }
    }

    /// The next submissions to make durable together: at least one, if any waits; none without room for any.
    pub(super) fn take_group(&mut self, max_bytes: Option<usize>) -> Vec<Submission> {
        let mut group = Vec::new();
        let Some(max_bytes) = max_bytes else {
            return group;
        };
        let mut bytes = 0;
        while let Some(next) = self.waiting.front() {
            if !group.is_empty() && bytes + next.bytes > max_bytes {
                break;
            }
            bytes += next.bytes;
            group.extend(self.remove(0));
        }
        self.group_is_out = !group.is_empty();
        group
    }

    /// Everybody leaves, and nobody comes in any more.
    pub(super) fn close(&mut self) -> Vec<Submission> {
        self.is_closed = true;
        (self.records, self.bytes) = (0, 0);
        self.waiting.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::WalChange;

    const LIMITS: Waiting = Waiting {
        max_records: 4,
        max_bytes: 1_000,
        shedding: Shedding::Reject,
    };

    fn submission(name: &str, records: usize, priority: u8) -> Submission {
        let change = WalChange::Upsert {
            type_id: 0,
            position: 1,
            flat: Vec::new(),
        };
        let entry = WalEntry {
            source: name.to_owned(),
            changes: vec![change; records],
            ..super::super::batch::blank()
        };
        Submission {
            entry: Arc::new(entry),
            refused: Vec::new(),
            bytes: records * 10,
            priority,
            arrived: Duration::ZERO,
            reply: oneshot::channel().0,
        }
    }

    fn names(room: &Room) -> Vec<&str> {
        room.waiting.iter().map(|s| &*s.entry.source).collect()
    }

    /// Offers to a room of `a` (priority 1), `b` (0) and `c` (1) of one record each, and room for one more.
    fn check(shedding: Shedding, records: usize, priority: u8, left: &[&str]) {
        let limits = Waiting { shedding, ..LIMITS };
        let mut room = Room::default();
        for (name, priority) in [("a", 1), ("b", 0), ("c", 1)] {
            room.push(submission(name, 1, priority));
        }
        room.offer(submission("new", records, priority), &limits);
        assert_eq!(names(&room), left, "{shedding:?} {records} {priority}");
        let records: usize = room.waiting.iter().map(Submission::records).sum();
        assert_eq!((room.records, room.bytes), (records, records * 10));
    }

    #[test]
    fn each_policy_gives_up_those_it_says() {
        use Shedding::*;
        check(Reject, 1, 9, &["a", "b", "c", "new"]);
        check(Reject, 2, 9, &["a", "b", "c"]);
        check(DropOldestUnacknowledged, 2, 0, &["b", "c", "new"]);
        check(DropOldestUnacknowledged, 4, 0, &["new"]);
        check(ByPriority, 2, 1, &["a", "c", "new"]);
        check(ByPriority, 2, 0, &["a", "b", "c"]);
        // `b` has to stay where giving it up is not enough.
        check(ByPriority, 3, 1, &["a", "b", "c"]);
        check(ByPriority, 3, 2, &["c", "new"]);
    }

    #[test]
    fn what_is_larger_than_the_room_fits_into_an_empty_one() {
        let mut room = Room::default();
        let taken = room.offer(submission("large", 9, 0), &LIMITS);
        assert!(matches!(taken, Offered::Taken(shed) if shed.is_empty()));
        let refused = room.offer(submission("next", 1, 0), &LIMITS);
        assert!(matches!(refused, Offered::Refused(_)));
    }

    #[test]
    fn nobody_comes_into_a_closed_room() {
        let mut room = Room::default();
        room.push(submission("early", 1, 0));
        assert_eq!(room.close().len(), 1);
        let late = room.offer(submission("late", 1, 0), &LIMITS);
        assert!(matches!(late, Offered::Refused(_)) && room.is_closed());
    }

    #[test]
    fn a_group_is_what_came_first_up_to_its_bytes_and_never_nothing() {
        let mut room = Room::default();
        for (name, records) in [("a", 9), ("b", 1), ("c", 1), ("d", 1)] {
            room.push(submission(name, records, 0));
        }
        let group = |room: &mut Room| room.take_group(Some(20)).len();
        assert_eq!((group(&mut room), group(&mut room)), (1, 2));
        assert_eq!(names(&room), ["d"]);
        assert_eq!(room.records(), 1);
    }
}
