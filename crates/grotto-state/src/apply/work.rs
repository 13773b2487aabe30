//! The new segment of a refresh, and the bookkeeping of live bytes in all segments.

use super::Effort;
use crate::bitmap::page_bytes;
use crate::error::StateResult;
use crate::index::LINE;
use crate::segment::{Buffer, Loc, Seal, Segment, SegmentOptions, room, slot_number};
use crate::state::State;

pub(crate) struct Work<'a> {
    pub(crate) segments: Vec<Segment>,
    pub(crate) buffer: Buffer,
    pub(crate) slot: u16,
    /// Buffers of threads that wrote beside this one, to be written on.
    pub(super) spare: Vec<Open>,
    pub(crate) options: SegmentOptions,
    pub(crate) effort: Effort,
    /// Threads that the refresh may use, this one included.
    pub(super) threads: usize,
    seal: &'a mut dyn Seal,
}

/// A buffer that is not full yet, and the slot of the segment it becomes.
pub(super) struct Open {
    pub(super) slot: u16,
    pub(super) buffer: Buffer,
}

impl Open {
    /// Address of an item that starts at `start`.
    pub(super) fn loc(&self, start: usize, tag: u16) -> StateResult<Loc> {
        Buffer::checked_loc(start, self.slot, tag)
    }
}

impl<'a> Work<'a> {
    pub(crate) fn new(base: &State, seal: &'a mut dyn Seal) -> StateResult<Self> {
        let mut work = Self {
            segments: base.segments.clone(),
            buffer: Buffer::default(),
            slot: 0,
            spare: Vec::new(),
            options: seal.options(),
            effort: Effort::default(),
            threads: 1,
            seal,
        };
        work.slot = work.free_slot()?;
        Ok(work)
    }

    fn free_slot(&mut self) -> StateResult<u16> {
        self.free_slot_but(None)
    }

    /// A slot that neither a segment nor a buffer has, for a segment that is written beside the buffers.
    pub(super) fn slot_beside(&mut self) -> StateResult<u16> {
        self.free_slot_but(Some(self.slot))
    }

    fn free_slot_but(&mut self, taken: Option<u16>) -> StateResult<u16> {
        let open = self.spare.iter().map(|open| open.slot).chain(taken);
        let open: Vec<usize> = open.map(usize::from).collect();
        let free = (0..self.segments.len()).find(|slot| {
            let segment = &self.segments[*slot];
            segment.bytes.is_empty() && segment.live == 0 && !open.contains(slot)
        });
        let slot = slot_number(free.unwrap_or(self.segments.len()))?;
        self.segment(slot);
        Ok(slot)
    }

    /// Bytes that were written so far.
    pub(crate) fn written(&self) -> u64 {
        let open = self.spare.iter().map(|open| open.buffer.bytes.len());
        let open = open.sum::<usize>() + self.buffer.bytes.len();
        self.effort.sealed_bytes + open as u64
    }

    /// Takes note of a new item that starts at `start` of the buffer and is its last.
    pub(crate) fn placed(&mut self, start: usize, tag: u16) -> StateResult<Loc> {
        let loc = self.loc(start, tag)?;
        self.segments[usize::from(self.slot)].live += room(self.buffer.bytes.len() - start);
        Ok(loc)
    }

    /// Address of an item that starts at `start` of the buffer.
    pub(crate) fn loc(&self, start: usize, tag: u16) -> StateResult<Loc> {
        Buffer::checked_loc(start, self.slot, tag)
    }

    pub(crate) fn put(&mut self, item: &[u8], tag: u16) -> StateResult<Loc> {
        let start = self.buffer.put(item);
        self.placed(start, tag)
    }

    /// Gives up so many bytes of the room that an item takes.
    pub(crate) fn free(&mut self, loc: Loc, room: usize) {
        if let Some(segment) = self
            .segments
            .get_mut(usize::from(loc.segment))
            .filter(|_| !loc.is_none())
        {
            segment.live = segment.live.saturating_sub(room as u64);
        }
    }

    pub(crate) fn free_page(&mut self, loc: Loc, shift: u8) {
        self.free(loc, page_bytes(shift));
    }

    pub(crate) fn free_index_page(&mut self, loc: Loc) {
        self.free(loc, usize::from(loc.tag) * LINE);
    }

    /// Takes note of items that were written into the buffer of a slot, and the room they take.
    pub(crate) fn account(&mut self, slot: u16, room: u64) {
        self.segment(slot).live += room;
    }

    /// Seals the buffer if it is large.
    pub(crate) fn spill(&mut self) -> StateResult<()> {
        if self.buffer.bytes.len() >= self.options.seal_at {
            self.seal()?;
            self.slot = self.free_slot()?;
        }
        Ok(())
    }

    fn seal(&mut self) -> StateResult<()> {
        let (slot, buffer) = (self.slot, std::mem::take(&mut self.buffer));
        self.seal_open(Open { slot, buffer })
    }

    /// Seals a buffer that was filled beside the others.
    pub(super) fn seal_open(&mut self, open: Open) -> StateResult<()> {
        self.effort.items += open.buffer.items.count();
        let bytes = open.buffer.finish();
        self.effort.sealed_bytes += bytes.len() as u64;
        let sealed = self.seal.seal(bytes)?;
        let segment = self.segment(open.slot);
        (segment.bytes, segment.name) = (sealed.bytes, sealed.name);
        Ok(())
    }

    /// The segment of a slot, also of one that a thread has taken behind the last.
    fn segment(&mut self, slot: u16) -> &mut Segment {
        let slot = usize::from(slot);
        if self.segments.len() <= slot {
            self.segments.resize(slot + 1, Segment::FREE);
        }
        &mut self.segments[slot]
    }

    /// Buffers for as many threads, this one's first. Slots behind the last are the threads' to
    /// take until the buffers are back.
    pub(super) fn lend(&mut self, threads: usize) -> StateResult<Vec<Open>> {
        let (slot, buffer) = (self.slot, std::mem::take(&mut self.buffer));
        let mut open = vec![Open { slot, buffer }];
        open.append(&mut self.spare);
        while open.len() < threads {
            let slot = slot_number(self.segments.len())?;
            self.segment(slot);
            let buffer = Buffer::default();
            open.push(Open { slot, buffer });
        }
        self.spare = open.split_off(threads.max(1));
        Ok(open)
    }

    /// Takes back what is left of lent buffers.
    pub(super) fn take_back(&mut self, open: Vec<Open>) -> StateResult<()> {
        // A thread may have begun a buffer and found nothing more for it: its slot is taken as well.
        for open in &open {
            self.segment(open.slot);
        }
        self.spare.extend(open);
        let current = match self.spare.pop() {
            Some(open) => open,
            None => Open {
                slot: slot_number(self.segments.len())?,
                buffer: Buffer::default(),
            },
        };
        self.segment(current.slot);
        (self.slot, self.buffer) = (current.slot, current.buffer);
        Ok(())
    }

    /// Seals what is left and gives up segments without live bytes.
    pub(crate) fn finish(mut self) -> StateResult<(Vec<Segment>, Effort)> {
        for open in std::mem::take(&mut self.spare) {
            if !open.buffer.bytes.is_empty() {
                self.seal_open(open)?;
            }
        }
        if !self.buffer.bytes.is_empty() {
            self.seal()?;
        }
        for segment in &mut self.segments {
            if segment.live == 0 {
                *segment = Segment::FREE;
            }
        }
        while self
            .segments
            .last()
            .is_some_and(|segment| segment.bytes.is_empty())
        {
            self.segments.pop();
        }
        Ok((self.segments, self.effort))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StateError;
    use crate::segment::items::Kind;
    use crate::segment::{HeapSeal, MAX_SLOTS};
    use std::collections::BTreeSet;

    /// A state whose slots are taken but for a few.
    fn crowded(free: usize) -> State {
        let mut base = State::empty(crate::HashSeed::new([1, 2]));
        let taken = Segment {
            bytes: bytes::Bytes::from_static(&[0; 64]),
            name: 1,
            live: 64,
        };
        base.segments = vec![taken; MAX_SLOTS - free];
        base
    }

    fn is_limit<T>(result: StateResult<T>) -> bool {
        let error = result.map(drop).unwrap_err();
        let shown = error.to_string();
        shown == "limit reached: 65535 segments of one state"
            && matches!(error, StateError::Limit(_))
    }

    #[test]
    fn the_last_slot_is_used_and_none_after_it() {
        let mut seal = HeapSeal::default();
        assert!(is_limit(Work::new(&crowded(0), &mut seal)));
        let mut work = Work::new(&crowded(1), &mut seal).unwrap();
        assert_eq!(usize::from(work.slot), MAX_SLOTS - 1);
        work.put(&[1; 64], 0).unwrap();
        assert!(is_limit(work.free_slot()));
        // A slot that is free again in the middle is taken before that.
        work.segments[70] = Segment::FREE;
        assert_eq!(work.free_slot().unwrap(), 70);
    }

    #[test]
    fn buffers_are_lent_only_while_there_are_slots() {
        let mut seal = HeapSeal::default();
        let base = crowded(2);
        let mut work = Work::new(&base, &mut seal).unwrap();
        assert_eq!(work.lend(2).unwrap().len(), 2);
        assert!(is_limit(work.lend(2)), "they are not back yet");
        assert!(is_limit(work.take_back(Vec::new())));
    }

    #[test]
    fn a_full_buffer_is_an_error_where_slots_end() {
        let options = SegmentOptions {
            seal_at: 100,
            ..SegmentOptions::default()
        };
        let mut seal = HeapSeal::with_options(options);
        let base = crowded(1);
        let mut work = Work::new(&base, &mut seal).unwrap();
        work.put(&[1; 99], 0).unwrap();
        work.spill().unwrap();
        assert_eq!((work.written(), work.effort.sealed_bytes), (99, 0));
        work.put(&[1; 1], 0).unwrap();
        assert!(is_limit(work.spill()));
        let sealed = work.effort.sealed_bytes;
        assert_eq!((work.written(), sealed > 129), (sealed, true));
    }

    #[test]
    fn what_was_written_counts_open_buffers_and_sealed_ones() {
        let (base, mut seal) = (
            State::empty(crate::HashSeed::new([1, 2])),
            HeapSeal::default(),
        );
        let mut work = Work::new(&base, &mut seal).unwrap();
        let mut lent = work.lend(2).unwrap();
        lent[0].buffer.put(&[1; 100]);
        lent[1].buffer.put(&[2; 50]);
        lent[1].buffer.items.note(1, Kind::Block, 0..1);
        work.take_back(lent).unwrap();
        assert_eq!(work.written(), 150);
        work.account(0, 128);
        work.account(1, 64);
        let (segments, effort) = work.finish().unwrap();
        let bytes: usize = segments.iter().map(|segment| segment.bytes.len()).sum();
        assert_eq!((effort.sealed_bytes, effort.items), (bytes as u64, 1));
        assert_eq!(
            segments.iter().map(|s| s.live).collect::<Vec<_>>(),
            [128, 64]
        );
    }

    #[test]
    fn items_take_whole_lines_of_what_lives() {
        let (base, mut seal) = (
            State::empty(crate::HashSeed::new([1, 2])),
            HeapSeal::default(),
        );
        let mut work = Work::new(&base, &mut seal).unwrap();
        let (first, second) = (
            work.put(&[1; 65], 0).unwrap(),
            work.put(&[2; 64], 0).unwrap(),
        );
        assert_eq!(work.segments[0].live, 128 + 64);
        work.free(first, room(65) as usize);
        assert_eq!(work.segments[0].live, 64);
        work.free(Loc::NONE, 64);
        work.free(second, 64);
        assert!(work.finish().unwrap().0.is_empty(), "nothing lives in it");
    }

    #[test]
    fn a_slot_that_a_thread_took_and_left_empty_is_nobody_elses() {
        let (base, mut seal) = (
            State::empty(crate::HashSeed::new([1, 2])),
            HeapSeal::default(),
        );
        let mut work = Work::new(&base, &mut seal).unwrap();
        let mut lent = work.lend(2).unwrap();
        // The second thread fills its buffer with its last chunk and begins another.
        let begun = Open {
            slot: work.segments.len() as u16,
            buffer: Buffer::default(),
        };
        let mut full = std::mem::replace(&mut lent[1], begun);
        full.buffer.put(&[1; 100]);
        work.account(full.slot, 100);
        work.seal_open(full).unwrap();
        lent[0].buffer.put(&[2; 100]);
        work.account(lent[0].slot, 100);
        lent.rotate_left(1);
        work.take_back(lent).unwrap();

        let spare: Vec<u16> = work.spare.iter().map(|open| open.slot).collect();
        let free = work.free_slot().unwrap();
        assert!(!spare.contains(&free), "{free} is one of {spare:?}");
        let lent = work.lend(5).unwrap();
        let slots: BTreeSet<u16> = lent.iter().map(|open| open.slot).collect();
        assert_eq!(slots.len(), lent.len(), "a slot was lent twice: {slots:?}");
        assert!(
            slots
                .iter()
                .all(|slot| usize::from(*slot) < work.segments.len())
        );
    }
}
