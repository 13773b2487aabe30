//! Segments: the sealed runs of bytes that hold blocks, bitmap pages and index pages.
//!
//! Owns: addresses ([`Loc`]), the builder that one refresh fills, and who seals it.
//! Never writes a file: sealing is the caller's, so that heap and mapped states share all code.

pub(crate) mod items;
mod options;

use crate::error::{StateError, StateResult};
use bytes::Bytes;
pub use grotto_mmap::HugeBuffer;
use items::Items;
pub use options::SegmentOptions;

/// Items start at multiples of this many bytes, one cache line.
pub(crate) const ALIGN: usize = 64;

/// Bytes that an item of some length takes, those in front of the next one included: what is counted
/// as live. Otherwise a segment of many small items would look half dead from the start.
pub(crate) fn room(length: usize) -> u64 {
    length.next_multiple_of(ALIGN) as u64
}

/// Most segments of a state: one slot number means that there is no item.
pub(crate) const MAX_SLOTS: usize = u16::MAX as usize;

/// The number of a slot.
pub(crate) fn slot_number(slot: usize) -> StateResult<u16> {
    let number = u16::try_from(slot).ok().filter(|slot| *slot < u16::MAX);
    number.ok_or_else(|| StateError::Limit(format!("{MAX_SLOTS} segments of one state")))
}

/// Where an item is: segment slot and offset. Eight bytes, so that tables stay in cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Loc {
    /// Offset in units of [`ALIGN`].
    pub(crate) unit: u32,
    /// Slot in the state's list of segments.
    pub(crate) segment: u16,
    /// Layout of a block, lines of an index page, 0 for a bitmap page.
    pub(crate) tag: u16,
}

impl Loc {
    /// No item: a block without rows.
    pub(crate) const NONE: Self = Self {
        unit: u32::MAX,
        segment: u16::MAX,
        tag: 0,
    };

    #[inline]
    pub(crate) fn start(self) -> usize {
        self.unit as usize * ALIGN
    }

    pub(crate) fn is_none(self) -> bool {
        self.segment == u16::MAX
    }

    pub(crate) fn to_word(self) -> u64 {
        u64::from(self.unit) | u64::from(self.segment) << 32 | u64::from(self.tag) << 48
    }

    pub(crate) fn from_word(word: u64) -> Self {
        Self {
            unit: word as u32,
            segment: (word >> 32) as u16,
            tag: (word >> 48) as u16,
        }
    }
}

/// A sealed segment as a state holds it.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its bytes; empty in a free slot.
    pub(crate) bytes: Bytes,
    /// Name given by whoever sealed it; unique within a state directory.
    pub(crate) name: u64,
    /// Bytes of items that the state still uses, with those in front of the next item.
    pub(crate) live: u64,
}

impl Segment {
    /// A slot without a segment.
    pub(crate) const FREE: Self = Self {
        bytes: Bytes::new(),
        name: 0,
        live: 0,
    };

    /// Name given by whoever sealed it.
    #[must_use]
    pub fn name(&self) -> u64 {
        self.name
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Bytes of items that the state still uses.
    #[must_use]
    pub fn live(&self) -> u64 {
        self.live
    }
}

/// A segment that was sealed: its name and its bytes from now on.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Unique within whatever holds the segments.
    pub name: u64,
    /// The same bytes that were given, at their final place.
    pub bytes: Bytes,
}

/// Turns filled buffers into sealed segments.
pub trait Seal {
    /// Puts the bytes at their final place: a mapped file, or the heap as they are.
    ///
    /// # Errors
    /// When they cannot be stored, for example because the disk is full. The refresh then fails and
    /// nothing of it is visible.
    fn seal(&mut self, bytes: HugeBuffer) -> std::io::Result<Sealed>;

    /// How these segments are kept.
    fn options(&self) -> SegmentOptions {
        SegmentOptions::default()
    }
}

/// Keeps segments on the heap.
#[derive(Debug, Default)]
pub struct HeapSeal {
    next: u64,
    options: SegmentOptions,
}

impl HeapSeal {
    /// Keeps them in another way than the default.
    #[must_use]
    pub fn with_options(options: SegmentOptions) -> Self {
        Self { next: 0, options }
    }
}

impl Seal for HeapSeal {
    fn seal(&mut self, bytes: HugeBuffer) -> std::io::Result<Sealed> {
        self.next += 1;
        Ok(Sealed {
            name: self.next,
            bytes: bytes.freeze(),
        })
    }

    fn options(&self) -> SegmentOptions {
        self.options
    }
}

/// Bytes of a block, bitmap page or index page being written.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    pub(crate) bytes: HugeBuffer,
    /// What was written, for whoever empties the segment one day.
    pub(crate) items: Items,
}

impl Buffer {
    /// Starts an item; its bytes are appended to `bytes` afterwards.
    pub(crate) fn begin(&mut self) -> usize {
        let start = self.bytes.len().next_multiple_of(ALIGN);
        self.bytes.resize(start);
        start
    }

    /// Address of the item that starts at `start`, in the segment of `slot`.
    pub(crate) fn loc(start: usize, slot: u16, tag: u16) -> Option<Loc> {
        Some(Loc {
            unit: u32::try_from(start / ALIGN).ok()?,
            segment: slot,
            tag,
        })
    }

    /// The same, or an error where addresses end.
    pub(crate) fn checked_loc(start: usize, slot: u16, tag: u16) -> StateResult<Loc> {
        Self::loc(start, slot, tag)
            .ok_or_else(|| StateError::Limit("256 GiB in one segment".into()))
    }

    pub(crate) fn put(&mut self, item: &[u8]) -> usize {
        let start = self.begin();
        self.bytes.extend_from_slice(item);
        start
    }

    /// The bytes of the segment: items, and their list. It takes more than eight bytes, so that a word
    /// can be read at the end of any row.
    pub(crate) fn finish(mut self) -> HugeBuffer {
        self.begin();
        self.bytes.extend_from_slice(&self.items.encode());
        self.bytes
    }
}
