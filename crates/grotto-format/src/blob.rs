//! Blob framing: snapshot, delta, reverse delta and header files.
//!
//! Owns: magic, header, section table, sections, footer, and their verification.
//! Never knows what a section's values mean for a state. Spec: `docs/format/spec.md`, section
//! "Blobs".
//!
//! **Invariant:** a [`Blob`] exists only if every byte of the file matched its checksum.

mod excerpt;
mod footer;
mod section;
#[cfg(test)]
mod tests;
mod write;

use crate::limits::Limits;
pub use crate::limits::{MAX_DATASET_NAME, MAX_HEADER, MAX_SECTION, MAX_SECTIONS};
use crate::wire::{Reader, WireError};
use bytes::Bytes;
pub use excerpt::{Excerpt, Head};
pub use footer::{footer, verify as verify_footer};
pub use section::Unpacker;
pub use write::{BlobWriter, PackedSection};

/// First bytes of every blob.
pub const MAGIC: [u8; 8] = *b"GROTTO\x1aB";
/// Format number written into the header.
pub const FORMAT: u64 = 1;
/// Largest zstd window a decoder accepts, as a power of two.
pub const MAX_WINDOW_LOG: u32 = 27;
/// Bytes of the footer: length and checksum of the file.
pub const FOOTER: usize = 16;
/// Smallest and largest block: as many ordinals as this power of two.
pub const BLOCK_SHIFTS: std::ops::RangeInclusive<u8> = 9..=16;

/// The kinds of blobs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlobKind {
    /// A whole state: a delta from the empty state.
    Snapshot,
    /// The way from a version to the next.
    Delta,
    /// The way back.
    Reverse,
    /// Schema and counts only.
    Header,
}

impl BlobKind {
    const ALL: [Self; 4] = [Self::Snapshot, Self::Delta, Self::Reverse, Self::Header];

    /// Name, as in object names and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Delta => "delta",
            Self::Reverse => "reverse",
            Self::Header => "header",
        }
    }
}

/// What a section holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SectionKind {
    /// Ordinals removed from a type.
    Removed,
    /// Ordinals added to a type, one chunk of them.
    Added,
    /// One column of the records of a chunk.
    Column(u16),
}

/// One entry of the section table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Position of the type in the schema of the `to` version.
    pub type_id: u16,
    /// Position of the chunk within the type.
    pub chunk: u32,
    /// What it holds.
    pub kind: SectionKind,
    /// Whether it is stored compressed (zstd).
    pub compressed: bool,
    /// Bytes once decompressed.
    pub raw: u64,
    /// Bytes as stored.
    pub stored: u64,
    /// XXH3-64 of the stored bytes.
    pub checksum: u64,
}

/// Per type of the `to` schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeInfo {
    /// Blocks hold `1 << shift` ordinals.
    pub shift: u8,
    /// Live records at the `to` version.
    pub live: u64,
}

/// Everything in front of the sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobHeader {
    /// Kind of the blob.
    pub kind: BlobKind,
    /// Dataset it belongs to.
    pub dataset: String,
    /// Version it applies to; 0 is the empty state.
    pub from: u64,
    /// Version it leads to.
    pub to: u64,
    /// State checksum it applies to.
    pub from_checksum: u64,
    /// State checksum it leads to.
    pub to_checksum: u64,
    /// Schema of the `from` version; the hash of the empty schema for version 0.
    pub from_schema_hash: u64,
    /// Schema of the `to` version.
    pub schema_hash: u64,
    /// The `to` schema, when it differs from the `from` schema.
    pub schema_text: Option<String>,
    /// Per type of the `to` schema.
    pub types: Vec<TypeInfo>,
    /// The section table.
    pub sections: Vec<Section>,
}

/// Why a file is not an intact blob.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum BlobError {
    /// Not a blob at all.
    #[error("not a grotto blob: expected it to start with the magic bytes, found {0:02x?}")]
    Magic(Vec<u8>),
    /// The length in the footer is not that of the file.
    #[error("truncated or extended: expected {expected} bytes, found {found}")]
    Length {
        /// From the footer.
        expected: u64,
        /// Of the file.
        found: u64,
    },
    /// The file was altered.
    #[error("altered: expected checksum {expected:016x}, found {found:016x}")]
    Checksum {
        /// From the footer or table.
        expected: u64,
        /// Of the bytes.
        found: u64,
    },
    /// A newer format.
    #[error("format {0} is newer than this build understands (up to {FORMAT})")]
    Format(u64),
    /// The header is inconsistent.
    #[error("header {0}")]
    Header(WireError),
    /// A section is inconsistent.
    #[error("section {index}: {reason}")]
    Section {
        /// Position in the table.
        index: usize,
        /// What is wrong.
        reason: String,
    },
}

/// An intact blob.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Everything in front of the sections.
    pub header: BlobHeader,
    bytes: Bytes,
    offsets: Vec<usize>,
    limits: Limits,
}

impl Blob {
    /// Checks every byte of a file.
    ///
    /// # Errors
    /// Names the first thing that is wrong.
    pub fn parse(bytes: Bytes) -> Result<Self, BlobError> {
        Self::parse_within(bytes, &Limits::FORMAT)
    }

    /// The same under other limits, which are also those that its sections are decoded under.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_within(bytes: Bytes, limits: &Limits) -> Result<Self, BlobError> {
        if bytes.get(..8) != Some(&MAGIC) {
            return Err(BlobError::Magic(bytes[..bytes.len().min(8)].to_vec()));
        }
        let body = footer::verify(&bytes)?;
        let (header, start) = read_header(body, limits)?;
        let offsets = section_offsets(&header, start, body.len())?;
        Ok(Self {
            header,
            bytes,
            offsets,
            limits: *limits,
        })
    }

    /// The limits that it was read under.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Bytes of the whole file.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The whole file again, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

fn read_header(body: &[u8], limits: &Limits) -> Result<(BlobHeader, usize), BlobError> {
    let mut reader = Reader::new(body);
    let header = (|| {
        reader.take(MAGIC.len(), "magic")?;
        let length = reader.count(limits.header, "length of the header")?;
        let bytes = reader.take(length, "header")?;
        Ok((bytes, reader.at()))
    })();
    let (bytes, start) = header.map_err(BlobError::Header)?;
    let mut reader = Reader::new(bytes);
    let format = reader.varint("format number").map_err(BlobError::Header)?;
    if format != FORMAT {
        return Err(BlobError::Format(format));
    }
    let header = header_fields(&mut reader, limits).map_err(BlobError::Header)?;
    Ok((header, start))
}

fn header_fields(reader: &mut Reader<'_>, limits: &Limits) -> Result<BlobHeader, WireError> {
    let kind = usize::from(reader.u8("blob kind")?);
    let Some(kind) = BlobKind::ALL.get(kind.wrapping_sub(1)).copied() else {
        return reader.fail("blob kind of 1 to 4");
    };
    let dataset = reader.text(limits.dataset_name, "dataset name")?.to_owned();
    let (from, to) = (reader.varint("from version")?, reader.varint("to version")?);
    let (from_checksum, to_checksum) = (reader.u64("from checksum")?, reader.u64("to checksum")?);
    let (from_schema_hash, schema_hash) =
        (reader.u64("from schema hash")?, reader.u64("schema hash")?);
    let text = reader.text(limits.schema_text, "schema text")?;
    let schema_text = (!text.is_empty()).then(|| text.to_owned());
    let count = reader.count(limits.types, "number of types")?;
    let mut types = Vec::with_capacity(count);
    for _ in 0..count {
        let shift = reader.u8("block shift")?;
        if !BLOCK_SHIFTS.contains(&shift) {
            return reader.fail("block shift of 9 to 16");
        }
        types.push(TypeInfo {
            shift,
            live: reader.varint("live records")?,
        });
    }
    let count = reader.count(limits.sections, "number of sections")?;
    let mut sections = Vec::new();
    for _ in 0..count {
        sections.push(read_section(reader, limits)?);
    }
    reader.end("end of the header")?;
    Ok(BlobHeader {
        kind,
        dataset,
        from,
        to,
        from_checksum,
        to_checksum,
        from_schema_hash,
        schema_hash,
        schema_text,
        types,
        sections,
    })
}

fn read_section(reader: &mut Reader<'_>, limits: &Limits) -> Result<Section, WireError> {
    let type_id = reader.count(u64::from(u16::MAX), "type of a section")? as u16;
    let chunk = reader.count(u64::from(u32::MAX), "chunk of a section")? as u32;
    let kind = match reader.count((1 << 16) + 1, "kind of a section")? {
        0 => SectionKind::Removed,
        1 => SectionKind::Added,
        column => SectionKind::Column((column - 2) as u16),
    };
    let compressed = match reader.u8("compression of a section")? {
        0 => false,
        1 => true,
        _ => return reader.fail("compression of 0 or 1"),
    };
    let raw = reader.count(limits.section, "raw length of a section")? as u64;
    let stored = if compressed {
        reader.count(limits.section, "stored length of a section")? as u64
    } else {
        raw
    };
    let checksum = reader.u64("checksum of a section")?;
    Ok(Section {
        type_id,
        chunk,
        kind,
        compressed,
        raw,
        stored,
        checksum,
    })
}

fn section_offsets(header: &BlobHeader, start: usize, end: usize) -> Result<Vec<usize>, BlobError> {
    let mut at = start;
    let mut offsets = Vec::with_capacity(header.sections.len());
    for (index, section) in header.sections.iter().enumerate() {
        offsets.push(at);
        at = at.saturating_add(section.stored as usize);
        if at > end {
            let reason = format!("expected it to end by byte {end}, found {at}");
            return Err(BlobError::Section { index, reason });
        }
    }
    if at == end {
        Ok(offsets)
    } else {
        Err(BlobError::Length {
            expected: (at + FOOTER) as u64,
            found: (end + FOOTER) as u64,
        })
    }
}
