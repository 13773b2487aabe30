//! Some sections of a blob, for who does without the others.
//!
//! Owns: reading the head of a file of which nothing else was fetched, and putting the sections that are wanted together
//! as a blob of their own. Never: fetches anything.
//!
//! The head by itself is proven by nothing: an excerpt is worth no more than what the state it leads to is compared with.

use super::{Blob, BlobError, BlobHeader, FOOTER, MAGIC, read_header, section_offsets, write};
use crate::checksum;
use crate::limits::Limits;
use crate::wire::Reader;
use bytes::Bytes;
use std::ops::Range;

/// Everything in front of the sections of a file.
#[derive(Clone, Debug)]
pub struct Head {
    header: BlobHeader,
    /// Where each section begins, and the last one ends.
    offsets: Vec<usize>,
}

impl Head {
    /// How many bytes of a file its head takes, by the first bytes of it.
    ///
    /// # Errors
    /// When they are not those of a blob.
    pub fn length(prefix: &[u8]) -> Result<u64, BlobError> {
        if prefix.get(..8) != Some(&MAGIC) {
            return Err(BlobError::Magic(prefix[..prefix.len().min(8)].to_vec()));
        }
        let mut reader = Reader::new(prefix);
        let length = (|| {
            reader.take(MAGIC.len(), "magic")?;
            let length = reader.count(Limits::FORMAT.header, "length of the header")?;
            Ok(reader.at() + length)
        })();
        length
            .map(|length| length as u64)
            .map_err(BlobError::Header)
    }

    /// Reads the head of a file of `length` bytes; more bytes than the head are passed over.
    ///
    /// # Errors
    /// When it is damaged, or describes a file of another length.
    pub fn read(prefix: &[u8], length: u64) -> Result<Self, BlobError> {
        let (header, start) = read_header(prefix, &Limits::FORMAT)?;
        let end = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .saturating_sub(FOOTER);
        let mut offsets = section_offsets(&header, start, end)?;
        offsets.push(end);
        Ok(Self { header, offsets })
    }

    /// What it says.
    #[must_use]
    pub fn header(&self) -> &BlobHeader {
        &self.header
    }

    /// Where in the file the sections of some types are, by rising position; neighbours as one. A type that `types` does
    /// not have is not wanted.
    #[must_use]
    pub fn ranges(&self, types: &[bool]) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (section, place) in self.header.sections.iter().zip(self.offsets.windows(2)) {
            let (&[start, end], true) = (place, is_wanted(types, section.type_id)) else {
                continue;
            };
            let (start, end) = (start as u64, end as u64);
            match ranges.last_mut().filter(|last| last.end == start) {
                Some(last) => last.end = end,
                None => ranges.push(start..end),
            }
        }
        ranges
    }

    /// Begins the blob that has the sections of some types only.
    #[must_use]
    pub fn excerpt(mut self, types: &[bool]) -> Excerpt {
        let wanted = |type_id| is_wanted(types, type_id);
        self.header
            .sections
            .retain(|section| wanted(section.type_id));
        let stored = self.header.sections.iter().map(|section| section.stored);
        let stored = usize::try_from(stored.sum::<u64>()).unwrap_or(usize::MAX);
        Excerpt {
            left: stored,
            bytes: write::framed(&self.header, stored),
        }
    }
}

fn is_wanted(types: &[bool], type_id: u16) -> bool {
    types
        .get(usize::from(type_id))
        .is_some_and(|wanted| *wanted)
}

/// A blob in the making.
#[derive(Debug)]
pub struct Excerpt {
    bytes: Vec<u8>,
    /// Bytes of sections that are yet to come.
    left: usize,
}

impl Excerpt {
    /// Adds the next bytes of its sections.
    pub fn push(&mut self, bytes: &[u8]) {
        self.left = self.left.saturating_sub(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// The blob, every section of which matched its checksum.
    ///
    /// # Errors
    /// When bytes are missing, or are not those of the sections.
    pub fn finish(mut self) -> Result<Bytes, BlobError> {
        write::end(&mut self.bytes);
        let found = self.bytes.len() as u64;
        if self.left > 0 {
            let expected = found + self.left as u64;
            return Err(BlobError::Length { expected, found });
        }
        let blob = Blob::parse(self.bytes.into())?;
        for (section, start) in blob.header.sections.iter().zip(&blob.offsets) {
            let stored = &blob.bytes[*start..*start + section.stored as usize];
            let (expected, found) = (section.checksum, checksum::of_bytes(stored));
            if expected != found {
                return Err(BlobError::Checksum { expected, found });
            }
        }
        Ok(blob.into_bytes())
    }
}
