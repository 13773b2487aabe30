//! Reading the sections of a blob.
//!
//! Owns: their verification and decompression. Never knows what is in them.

use super::{Blob, BlobError, MAX_WINDOW_LOG};
use crate::checksum;
use bytes::Bytes;
use zstd::bulk::Decompressor;
use zstd::zstd_safe::{DParameter, find_frame_compressed_size};

/// First bytes of a zstd frame that holds data; skippable frames begin otherwise.
const FRAME: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// What decompressing needs, to be used again from section to section: a load reads thousands.
#[derive(Default)]
pub struct Unpacker {
    decoder: Option<Decompressor<'static>>,
    raw: Vec<u8>,
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unpacker of {} bytes", self.raw.capacity())
    }
}

impl Unpacker {
    /// Bytes of memory that it keeps for the next section.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.raw.capacity() as u64
    }

    fn unpack(&mut self, stored: &[u8], raw: usize) -> std::io::Result<()> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            None => {
                let mut decoder = Decompressor::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
                self.decoder.insert(decoder)
            }
        };
        self.raw.clear();
        self.raw.reserve(raw);
        decoder.decompress_to_buffer(stored, &mut self.raw)?;
        Ok(())
    }
}

/// Whether the bytes are one frame and nothing else. A decoder by itself takes frames one after the
/// other, empty and skippable ones too, so that many files would hold the same section.
fn is_one_frame(stored: &[u8]) -> bool {
    stored.starts_with(&FRAME) && find_frame_compressed_size(stored) == Ok(stored.len())
}

impl Blob {
    /// The bytes of a section, decompressed.
    ///
    /// # Errors
    /// When its checksum or length is wrong.
    pub fn section(&self, index: usize) -> Result<Bytes, BlobError> {
        let mut unpacker = Unpacker::default();
        let stored = self.section_in(index, &mut unpacker)?;
        if self
            .header
            .sections
            .get(index)
            .is_some_and(|s| !s.compressed)
        {
            return Ok(self.bytes.slice_ref(stored));
        }
        Ok(unpacker.raw.into())
    }

    /// The bytes of a section; decompressed, if it is compressed, into memory that is used again.
    ///
    /// # Errors
    /// As [`section`](Self::section).
    pub fn section_in<'a>(
        &'a self,
        index: usize,
        unpacker: &'a mut Unpacker,
    ) -> Result<&'a [u8], BlobError> {
        let fail = |reason: String| BlobError::Section { index, reason };
        let (Some(section), Some(start)) =
            (self.header.sections.get(index), self.offsets.get(index))
        else {
            return Err(fail(format!(
                "expected one of {}",
                self.header.sections.len()
            )));
        };
        let stored = &self.bytes[*start..*start + section.stored as usize];
        let sum = checksum::of_bytes(stored);
        if sum != section.checksum {
            return Err(BlobError::Checksum {
                expected: section.checksum,
                found: sum,
            });
        }
        if !section.compressed {
            return Ok(stored);
        }
        if !is_one_frame(stored) {
            let bytes = stored.len();
            return Err(fail(format!("expected one zstd frame of {bytes} bytes")));
        }
        unpacker
            .unpack(stored, section.raw as usize)
            .map_err(|e| fail(e.to_string()))?;
        if unpacker.raw.len() as u64 != section.raw {
            return Err(fail(format!(
                "expected {} bytes once decompressed, found {}",
                section.raw,
                unpacker.raw.len()
            )));
        }
        Ok(&unpacker.raw)
    }
}
