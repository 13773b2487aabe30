//! Writing of blobs.
//!
//! Owns: packing of sections, and putting a file together. Never reads one.
//! Spec: `docs/format/spec.md`, section "Blobs".

use super::{BlobHeader, FOOTER, FORMAT, MAGIC, Section, SectionKind};
use crate::checksum;
use crate::limits::{Limits, OverLimit};
use crate::wire;

/// Puts a blob together.
#[derive(Debug)]
pub struct BlobWriter {
    header: BlobHeader,
    level: Option<i32>,
    limits: Limits,
    stored: Vec<Vec<u8>>,
}

/// A section ready to be stored.
#[derive(Debug)]
pub struct PackedSection {
    entry: Section,
    stored: Vec<u8>,
}

thread_local! {
    /// A compressor takes over a megabyte to set up, as much work as a small section is: each thread
    /// keeps its last one.
    static COMPRESSOR: std::cell::RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> =
        const { std::cell::RefCell::new(None) };
}

/// The compressed bytes; `None` when zstd refuses, and the section is then stored as it is.
fn compress(raw: &[u8], level: i32) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        if slot.as_ref().is_none_or(|(of, _)| *of != level) {
            *slot = Some((level, zstd::bulk::Compressor::new(level).ok()?));
        }
        slot.as_mut()?.1.compress(raw).ok()
    })
}

impl PackedSection {
    /// Compresses a section when that pays. Free of the writer so that sections can be packed in
    /// parallel.
    #[must_use]
    pub fn new(
        type_id: u16,
        chunk: u32,
        kind: SectionKind,
        raw: Vec<u8>,
        level: Option<i32>,
    ) -> Self {
        let packed = level
            .filter(|_| raw.len() >= 48)
            .and_then(|level| compress(&raw, level))
            .filter(|packed| packed.len() + packed.len() / 32 + 2 < raw.len())
            // The compressor's buffer has room for the worst case; many sections wait in memory.
            .map(|mut packed| {
                packed.shrink_to_fit();
                packed
            });
        let (compressed, raw_length) = (packed.is_some(), raw.len() as u64);
        let stored = packed.unwrap_or(raw);
        let checksum = checksum::of_bytes(&stored);
        let entry = Section {
            type_id,
            chunk,
            kind,
            compressed,
            raw: raw_length,
            stored: stored.len() as u64,
            checksum,
        };
        Self { entry, stored }
    }
}

impl PackedSection {
    /// A section whose stored bytes are compressed already, however: for tests of what readers refuse.
    #[doc(hidden)]
    #[must_use]
    pub fn compressed(mut self, raw: u64, stored: Vec<u8>) -> Self {
        self.entry = Section {
            compressed: true,
            raw,
            stored: stored.len() as u64,
            checksum: checksum::of_bytes(&stored),
            ..self.entry
        };
        self.stored = stored;
        self
    }
}

impl BlobWriter {
    /// Starts a blob; `level` is that of zstd, `None` stores everything uncompressed.
    #[must_use]
    pub fn new(mut header: BlobHeader, level: Option<i32>) -> Self {
        header.sections.clear();
        Self {
            header,
            level,
            limits: Limits::FORMAT,
            stored: Vec::new(),
        }
    }

    /// Under these limits instead of those of the format.
    #[must_use]
    pub fn within(mut self, limits: &Limits) -> Self {
        self.limits = *limits;
        self
    }

    /// Adds a section.
    pub fn section(&mut self, type_id: u16, chunk: u32, kind: SectionKind, raw: Vec<u8>) {
        self.packed(PackedSection::new(type_id, chunk, kind, raw, self.level));
    }

    /// Adds a section that is ready to be stored.
    pub fn packed(&mut self, section: PackedSection) {
        self.header.sections.push(section.entry);
        self.stored.push(section.stored);
    }

    /// Adds a section whose stored bytes are kept elsewhere, behind those of the sections before; gives them.
    pub fn kept(&mut self, section: PackedSection) -> Vec<u8> {
        self.header.sections.push(section.entry);
        section.stored
    }

    /// The bytes before those of the sections.
    ///
    /// # Errors
    /// When a reader would refuse it for a limit of the framing.
    pub fn head(&self) -> Result<Vec<u8>, OverLimit> {
        self.begun(0)
    }

    /// The same, with room for the sections.
    fn begun(&self, body: usize) -> Result<Vec<u8>, OverLimit> {
        check_header(&self.header, &self.limits)?;
        let header = header_bytes(&self.header);
        OverLimit::check("bytes of a header", header.len() as u64, self.limits.header)?;
        Ok(begin(&header, body))
    }

    /// The bytes of the blob.
    ///
    /// # Errors
    /// When a reader would refuse it for a limit of the framing.
    pub fn finish(self) -> Result<Vec<u8>, OverLimit> {
        let mut out = self.begun(self.stored.iter().map(Vec::len).sum())?;
        for stored in &self.stored {
            out.extend_from_slice(stored);
        }
        end(&mut out);
        Ok(out)
    }
}

/// The file up to its sections, with room for the rest of it.
fn begin(header: &[u8], body: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(MAGIC.len() + 10 + header.len() + body + FOOTER);
    out.extend_from_slice(&MAGIC);
    wire::put_varint(&mut out, header.len() as u64);
    out.extend_from_slice(header);
    out
}

/// The same, of a header that readers accepted.
pub(super) fn framed(header: &BlobHeader, body: usize) -> Vec<u8> {
    begin(&header_bytes(header), body)
}

/// Puts the footer behind the sections.
pub(super) fn end(out: &mut Vec<u8>) {
    let length = (out.len() + FOOTER) as u64;
    out.extend_from_slice(&length.to_le_bytes());
    let sum = checksum::of_bytes(out);
    out.extend_from_slice(&sum.to_le_bytes());
}

/// What [`Blob::parse`](super::Blob::parse) asks of a header.
fn check_header(header: &BlobHeader, limits: &Limits) -> Result<(), OverLimit> {
    let schema = header.schema_text.as_deref().unwrap_or_default();
    let counted = [
        (
            "bytes of a dataset's name",
            header.dataset.len(),
            limits.dataset_name,
        ),
        ("bytes of a schema", schema.len(), limits.schema_text),
        ("types of a schema", header.types.len(), limits.types),
        ("sections of a blob", header.sections.len(), limits.sections),
    ];
    for (what, found, limit) in counted {
        OverLimit::check(what, found as u64, limit)?;
    }
    for section in &header.sections {
        let most = section.raw.max(section.stored);
        OverLimit::check("bytes of a section", most, limits.section)?;
    }
    Ok(())
}

fn header_bytes(header: &BlobHeader) -> Vec<u8> {
    let mut out = Vec::new();
    wire::put_varint(&mut out, FORMAT);
    out.push(header.kind as u8 + 1);
    wire::put_text(&mut out, &header.dataset);
    wire::put_varint(&mut out, header.from);
    wire::put_varint(&mut out, header.to);
    for word in [
        header.from_checksum,
        header.to_checksum,
        header.from_schema_hash,
        header.schema_hash,
    ] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    wire::put_text(&mut out, header.schema_text.as_deref().unwrap_or_default());
    wire::put_varint(&mut out, header.types.len() as u64);
    for info in &header.types {
        out.push(info.shift);
        wire::put_varint(&mut out, info.live);
    }
    wire::put_varint(&mut out, header.sections.len() as u64);
    for section in &header.sections {
        wire::put_varint(&mut out, u64::from(section.type_id));
        wire::put_varint(&mut out, u64::from(section.chunk));
        wire::put_varint(
            &mut out,
            match section.kind {
                SectionKind::Removed => 0,
                SectionKind::Added => 1,
                SectionKind::Column(column) => u64::from(column) + 2,
            },
        );
        out.push(u8::from(section.compressed));
        wire::put_varint(&mut out, section.raw);
        if section.compressed {
            wire::put_varint(&mut out, section.stored);
        }
        out.extend_from_slice(&section.checksum.to_le_bytes());
    }
    out
}
