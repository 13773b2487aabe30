//! The new segment of a refresh, and the bookkeeping of live bytes in all segments.

use crate::bitmap::page_bytes;
use crate::block::BlockRef;
use crate::error::{StateError, StateResult};
use crate::index::LINE;
use crate::segment::{Buffer, Loc, Seal, Segment};
use crate::state::State;

/// A buffer this large is sealed and another one begun, so that loading a snapshot needs little
/// memory beside the sealed segments.
const SEAL_AT: usize = 64 << 20;

pub(crate) struct Work<'a> {
    pub(crate) segments: Vec<Segment>,
    pub(crate) buffer: Buffer,
    pub(crate) slot: u16,
    seal: &'a mut dyn Seal,
}

impl<'a> Work<'a> {
    pub(crate) fn new(base: &State, seal: &'a mut dyn Seal) -> Self {
        let mut work = Self {
            segments: base.segments.clone(),
            buffer: Buffer::default(),
            slot: 0,
            seal,
        };
        work.slot = work.free_slot();
        work
    }

    fn free_slot(&mut self) -> u16 {
        let free = self
            .segments
            .iter()
            .position(|segment| segment.bytes.is_empty() && segment.live == 0);
        free.unwrap_or_else(|| {
            self.segments.push(Segment::FREE);
            self.segments.len() - 1
        }) as u16
    }

    /// Takes note of a new item that starts at `start` of the buffer and is its last.
    pub(crate) fn placed(&mut self, start: usize, tag: u16) -> StateResult<Loc> {
        let loc = self.loc(start, tag)?;
        self.segments[usize::from(self.slot)].live += (self.buffer.bytes.len() - start) as u64;
        Ok(loc)
    }

    /// Address of an item that starts at `start` of the buffer.
    pub(crate) fn loc(&self, start: usize, tag: u16) -> StateResult<Loc> {
        Buffer::loc(start, self.slot, tag)
            .ok_or_else(|| StateError::Limit("256 GiB in one segment".into()))
    }

    pub(crate) fn put(&mut self, item: &[u8], tag: u16) -> StateResult<Loc> {
        let start = self.buffer.put(item);
        self.placed(start, tag)
    }

    pub(crate) fn free(&mut self, loc: Loc, length: usize) {
        if let Some(segment) = self
            .segments
            .get_mut(usize::from(loc.segment))
            .filter(|_| !loc.is_none())
        {
            segment.live = segment.live.saturating_sub(length as u64);
        }
    }

    pub(crate) fn free_block(&mut self, loc: Loc, block: &BlockRef<'_>) {
        self.free(loc, block.length());
    }

    pub(crate) fn free_page(&mut self, loc: Loc, shift: u8) {
        self.free(loc, page_bytes(shift));
    }

    pub(crate) fn free_index_page(&mut self, loc: Loc) {
        self.free(loc, usize::from(loc.tag) * LINE);
    }

    /// Takes note of items that were written side by side and put into the buffer at once.
    pub(crate) fn account(&mut self, bytes: usize) {
        self.segments[usize::from(self.slot)].live += bytes as u64;
    }

    /// Seals the buffer if it is large.
    pub(crate) fn spill(&mut self) -> StateResult<()> {
        if self.buffer.bytes.len() >= SEAL_AT {
            self.seal()?;
            self.slot = self.free_slot();
        }
        Ok(())
    }

    fn seal(&mut self) -> StateResult<()> {
        let bytes = std::mem::take(&mut self.buffer).finish();
        let sealed = self.seal.seal(bytes)?;
        let segment = &mut self.segments[usize::from(self.slot)];
        (segment.bytes, segment.name) = (sealed.bytes, sealed.name);
        Ok(())
    }

    /// Seals what is left and gives up segments without live bytes.
    pub(crate) fn finish(mut self) -> StateResult<Vec<Segment>> {
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
        Ok(self.segments)
    }
}
