//! Reads a segment from front to back.
//!
//! Owns: which bytes are groups and frames, and where that ends. Never: decides what a bad place means.
//!
//! Takes the memory of one payload and a piece of the file, and only for bytes that the file has.

use std::path::Path;

use grotto_env::AppendFiles;

use super::frame::{
    FRAME_HEADER, GROUP_HEADER, GroupHeader, GroupKind, MAX_FRAME, frame_crc, frame_header,
};
use crate::{Error, Result};

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// Entry numbers are below this.
pub(super) const MAX_NUMBER: u64 = 1 << 62;

/// A place between two frames or groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Number of the next entry.
    pub(super) number: u64,
    /// Where in the file.
    pub(super) offset: u64,
    /// Frames of the group that are left; with 0 a group follows.
    pub(super) left: u32,
}

/// What stands at a place.
#[derive(Debug)]
pub(super) enum Step<'s> {
    /// A frame of an entry.
    Entry { number: u64, payload: &'s [u8] },
    /// A frame of remembered keys.
    Keys { payload: &'s [u8] },
    /// The header of a group: its frames follow.
    Group(GroupHeader),
    /// The file ends between two groups.
    End,
    /// Neither.
    Bad(String),
}

/// Walks through a file.
#[derive(Debug)]
pub(super) struct Scan<'f> {
    files: &'f dyn AppendFiles,
    path: &'f Path,
    marker: [u8; 8],
    /// Bytes of the file that count.
    length: u64,
    at: Mark,
    group: GroupKind,
    /// Where the group ends, unless the scan began within it.
    group_end: Option<u64>,
    piece: Piece,
}

/// Bytes of the file that were read.
#[derive(Debug, Default)]
struct Piece {
    offset: u64,
    bytes: Vec<u8>,
}

impl<'f> Scan<'f> {
    pub(super) fn new(
        files: &'f dyn AppendFiles,
        path: &'f Path,
        marker: [u8; 8],
        length: u64,
        at: Mark,
    ) -> Self {
        Self {
            files,
            path,
            marker,
            length,
            at,
            // A mark is never within a group of keys.
            group: GroupKind::Entries,
            group_end: None,
            piece: Piece::default(),
        }
    }

    /// Where it is.
    pub(super) fn at(&self) -> Mark {
        self.at
    }

    /// What stands there; goes behind it unless it is bad.
    pub(super) fn step(&mut self) -> Result<Step<'_>> {
        if self.at.left == 0 {
            self.group()
        } else {
            self.frame()
        }
    }

    fn group(&mut self) -> Result<Step<'_>> {
        if self.at.offset >= self.length {
            return Ok(Step::End);
        }
        if !self.fill(GROUP_HEADER)? {
            return Ok(Step::Bad("expected a whole header of a group".to_owned()));
        }
        let header = GroupHeader::decode(self.bytes(GROUP_HEADER), self.marker);
        let header = match header.and_then(|header| self.fits(header)) {
            Ok(header) => header,
            Err(what) => return Ok(Step::Bad(what)),
        };
        self.at.offset += GROUP_HEADER as u64;
        self.at.left = header.count;
        self.group = header.kind;
        self.group_end = Some(self.at.offset + u64::from(header.length));
        Ok(Step::Group(header))
    }

    fn fits(&self, header: GroupHeader) -> Result<GroupHeader, String> {
        if header.first != self.at.number {
            return Err(format!(
                "expected a group of entry {}, found one of {}",
                self.at.number, header.first
            ));
        }
        if header.first + u64::from(header.count) > MAX_NUMBER {
            return Err(format!("expected entry numbers below {MAX_NUMBER}"));
        }
        let least = u64::from(header.count) * FRAME_HEADER as u64;
        let left = self.length - self.at.offset - GROUP_HEADER as u64;
        if header.count == 0 || u64::from(header.length) < least {
            return Err("expected a group of as many bytes as its frames take".to_owned());
        }
        if u64::from(header.length) > left {
            return Err(format!(
                "expected a group of {} bytes, found {left}",
                header.length
            ));
        }
        if header.kind == GroupKind::Keys && header.count != 1 {
            return Err("expected one frame of remembered keys".to_owned());
        }
        Ok(header)
    }

    fn frame(&mut self) -> Result<Step<'_>> {
        if !self.fill(FRAME_HEADER)? {
            return Ok(Step::Bad("expected a whole frame".to_owned()));
        }
        let Some((length, crc)) = frame_header(self.bytes(FRAME_HEADER)) else {
            return Ok(Step::Bad("expected a whole frame".to_owned()));
        };
        let payload = u32::from_le_bytes(length) as usize;
        if payload > MAX_FRAME {
            return Ok(Step::Bad(format!(
                "expected a frame of at most {MAX_FRAME} bytes, found {payload}"
            )));
        }
        let whole = FRAME_HEADER + payload;
        if !self.is_within_group(whole) {
            return Ok(Step::Bad(
                "expected frames as long as their group".to_owned(),
            ));
        }
        if !self.fill(whole)? {
            return Ok(Step::Bad("expected a whole frame".to_owned()));
        }
        if frame_crc(length, &self.bytes(whole)[FRAME_HEADER..]) != crc {
            return Ok(Step::Bad("expected the checksum of a frame".to_owned()));
        }
        let start = self.start() + FRAME_HEADER;
        let number = self.at.number;
        self.at.offset += whole as u64;
        self.at.left -= 1;
        if self.group == GroupKind::Entries {
            self.at.number += 1;
        }
        let payload = &self.piece.bytes[start..start + payload];
        Ok(match self.group {
            GroupKind::Entries => Step::Entry { number, payload },
            GroupKind::Keys => Step::Keys { payload },
        })
    }

    /// Whether a frame of so many bytes ends within its group, and the last one where that ends.
    fn is_within_group(&self, whole: usize) -> bool {
        let end = self.at.offset + whole as u64;
        self.group_end.is_none_or(|group| match self.at.left {
            1 => end == group,
            _ => end < group,
        })
    }

    /// Whether the marker of a group stands anywhere behind an offset.
    pub(super) fn has_group_after(&self, offset: u64) -> Result<bool> {
        let mut at = offset + 1;
        while at < self.length {
            let bytes = self.read(at, PIECE)?;
            if bytes.windows(8).any(|window| window == self.marker) {
                return Ok(true);
            }
            if bytes.len() < 8 {
                break;
            }
            at += bytes.len() as u64 - 7;
        }
        Ok(false)
    }

    /// All bytes between two offsets, if the file has them.
    pub(super) fn range(&self, from: u64, to: u64) -> Result<Vec<u8>> {
        let length = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        let bytes = self.read(from, length)?;
        if bytes.len() == length {
            return Ok(bytes);
        }
        Err(corrupt(
            self.path,
            from,
            "expected the bytes that were there before",
        ))
    }

    /// Makes sure of so many bytes from the place on; `false` where the file has fewer.
    fn fill(&mut self, bytes: usize) -> Result<bool> {
        if self.length - self.at.offset < bytes as u64 {
            return Ok(false);
        }
        let end = self.piece.offset + self.piece.bytes.len() as u64;
        let here = self.piece.offset <= self.at.offset;
        if here && self.at.offset + bytes as u64 <= end {
            return Ok(true);
        }
        let bytes_read = self.read(self.at.offset, bytes.max(PIECE))?;
        self.piece = Piece {
            offset: self.at.offset,
            bytes: bytes_read,
        };
        Ok(self.piece.bytes.len() >= bytes)
    }

    fn start(&self) -> usize {
        (self.at.offset - self.piece.offset) as usize
    }

    /// Bytes that were filled.
    fn bytes(&self, length: usize) -> &[u8] {
        let start = self.start();
        &self.piece.bytes[start..start + length]
    }

    fn read(&self, offset: u64, limit: usize) -> Result<Vec<u8>> {
        let left = self.length.saturating_sub(offset);
        let limit = limit.min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.files.read(self.path, offset, limit);
        read.map_err(|error| Error::io("read", self.path, error))
    }
}

/// Bytes of a segment are not those that were written.
pub(super) fn corrupt(path: &Path, offset: u64, what: &str) -> Error {
    Error::corrupt(format!("{} at offset {offset}: {what}", path.display()))
}
