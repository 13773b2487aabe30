//! A buffer that grows in place on huge pages and becomes [`Bytes`] without a copy.
//!
//! Owns: room, and which of it is still zero. Never: fails because the system has no such memory;
//! plain memory does as well.
#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "shrinking a map is a call of the system")
)]

use crate::huge::{HUGE_AT, anonymous};
use bytes::Bytes;
use memmap2::MmapMut;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// Room that a large buffer begins with. Only what is written to takes memory.
const ROOM: usize = 80 << 20;

/// Bytes that are being written. Once they outgrow their room at [`HUGE_AT`] bytes or more, they move to
/// pages of their own, which the system is asked to back with huge ones; where it has none to give,
/// they stay on the heap.
pub struct HugeBuffer(Memory);

enum Memory {
    Small(Vec<u8>),
    Large(Large),
}

struct Large {
    map: MmapMut,
    length: usize,
    /// From here on nothing was ever written: all zero.
    clean: usize,
}

impl HugeBuffer {
    /// Makes room for more bytes.
    pub fn reserve(&mut self, more: usize) {
        let needed = self.len().saturating_add(more);
        match &mut self.0 {
            Memory::Small(bytes) if needed < HUGE_AT || needed <= bytes.capacity() => {
                bytes.reserve(more);
            }
            Memory::Large(large) if needed <= large.map.len() => {}
            _ => self.grow(needed),
        }
    }

    fn grow(&mut self, needed: usize) {
        // Doubling suits many items of a segment; a single huge one takes what it needs.
        let room = needed.max(ROOM).max(self.len().saturating_mul(2));
        let Some(mut map) = anonymous(room) else {
            let mut bytes = self.to_vec();
            bytes.reserve(needed - bytes.len());
            self.0 = Memory::Small(bytes);
            return;
        };
        let length = self.len();
        map[..length].copy_from_slice(self);
        self.0 = Memory::Large(Large {
            map,
            length,
            clean: length,
        });
    }

    /// Appends bytes.
    pub fn extend_from_slice(&mut self, more: &[u8]) {
        self.reserve(more.len());
        match &mut self.0 {
            Memory::Small(bytes) => bytes.extend_from_slice(more),
            Memory::Large(large) => {
                let end = large.length + more.len();
                large.map[large.length..end].copy_from_slice(more);
                large.length = end;
                large.clean = large.clean.max(end);
            }
        }
    }

    /// Cuts, or appends zeros.
    pub fn resize(&mut self, length: usize) {
        self.reserve(length.saturating_sub(self.len()));
        match &mut self.0 {
            Memory::Small(bytes) => bytes.resize(length, 0),
            Memory::Large(large) => {
                // Fresh memory is zero already: no page is touched before its bytes are written.
                let dirty = large.clean.min(length);
                if large.length < dirty {
                    large.map[large.length..dirty].fill(0);
                }
                large.length = length;
                large.clean = large.clean.max(length);
            }
        }
    }

    /// Ends the writing.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        match self.0 {
            Memory::Small(mut bytes) => {
                bytes.shrink_to_fit();
                bytes.into()
            }
            Memory::Large(large) => large.freeze(),
        }
    }
}

impl Large {
    fn freeze(mut self) -> Bytes {
        self.give_back();
        let length = self.length;
        Bytes::from_owner(self.map).slice(..length)
    }

    /// Gives back the room that was not needed; refusal costs address space only.
    fn give_back(&mut self) {
        #[cfg(target_os = "linux")]
        if self.length > 0 {
            // SAFETY: `MmapMut::remap` is unsafe because a map may come to reach beyond the end of
            // its file. This one has no file, and it only shrinks. No slice of it is borrowed: it
            // is owned by `self`, which is borrowed mutably.
            let _ = unsafe {
                self.map
                    .remap(self.length, memmap2::RemapOptions::new().may_move(false))
            };
        }
    }
}

impl Default for HugeBuffer {
    fn default() -> Self {
        Self(Memory::Small(Vec::new()))
    }
}

impl From<Vec<u8>> for HugeBuffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Memory::Small(bytes))
    }
}

impl From<HugeBuffer> for Bytes {
    fn from(buffer: HugeBuffer) -> Self {
        buffer.freeze()
    }
}

impl fmt::Debug for HugeBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HugeBuffer of {} bytes", self.len())
    }
}

impl Deref for HugeBuffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Memory::Small(bytes) => bytes,
            Memory::Large(large) => large.map.get(..large.length).unwrap_or_default(),
        }
    }
}

impl DerefMut for HugeBuffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Memory::Small(bytes) => bytes,
            Memory::Large(large) => large.map.get_mut(..large.length).unwrap_or_default(),
        }
    }
}

impl AsRef<[u8]> for HugeBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_the_same_on_either_side_of_the_threshold() {
        let (mut buffer, mut expected) = (HugeBuffer::default(), Vec::new());
        for round in 0..30_usize {
            let piece: Vec<u8> = (0..round * 31_919)
                .map(|i| (i * 31 + round) as u8)
                .collect();
            buffer.extend_from_slice(&piece);
            expected.extend_from_slice(&piece);
            let cut = expected.len() - expected.len() / 16;
            buffer.resize(cut);
            expected.truncate(cut);
            buffer.resize(cut + round * 100);
            expected.resize(cut + round * 100, 0);
            assert_eq!(*buffer, *expected, "round {round}");
        }
        assert!(expected.len() > HUGE_AT);
        if let Some(last) = buffer.last_mut() {
            *last = 7;
        }
        *expected.last_mut().unwrap() = 7;
        assert_eq!(buffer.freeze(), expected);
    }

    #[test]
    fn a_buffer_passes_its_room() {
        let mut buffer = HugeBuffer::default();
        buffer.resize(ROOM);
        buffer[0] = 1;
        buffer.extend_from_slice(&[2]);
        assert_eq!(buffer.len(), ROOM + 1);
        assert_eq!((buffer[0], buffer[ROOM]), (1, 2));
        assert_eq!(buffer.freeze().len(), ROOM + 1);
    }

    #[test]
    fn nothing_becomes_no_bytes() {
        assert!(HugeBuffer::default().freeze().is_empty());
        let mut cut = HugeBuffer::default();
        cut.resize(HUGE_AT);
        cut.resize(0);
        assert!(cut.freeze().is_empty());
    }
}
