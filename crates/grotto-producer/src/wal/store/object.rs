//! The bytes of a slot.
//!
//! Owns: their layout, checksum and limits. Never: input or output, or what an entry means.
//! Spec: `docs/format/spec.md`, section "Write-ahead log in the store".

use std::sync::Arc;

use bytes::Bytes;
use grotto_format::Schema;
use grotto_format::schema::MAX_TEXT;

use crate::wal::WalEntry;
use crate::wal::codec;
use crate::wal::frame::{FRAME_HEADER, Fields, MAX_FRAME, frame_crc, frame_header, push_frame};
use crate::wal::scan::MAX_NUMBER;
use crate::{Error, Result};

const MAGIC: [u8; 8] = *b"GROTTO\x1aS";
const FORMAT: u32 = 1;
/// Bytes of a slot before the name of its dataset.
const FIXED: usize = 76;
const CHECKSUM: usize = 4;
const NONCE: usize = 32;

/// What a slot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Where a writer took over: it holds no entry, and stays for good.
    Fence,
    Entries,
}

impl Kind {
    fn code(self) -> u32 {
        match self {
            Self::Fence => 1,
            Self::Entries => 2,
        }
    }
}

/// What a slot says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// Of the reign that its writer has, or had, over the commit log.
    pub(super) epoch: u64,
    /// 32 characters that nobody else picks.
    pub(super) nonce: String,
    /// Number of the first entry; of a fence, of the next one.
    pub(super) first: u64,
    pub(super) count: u32,
}

impl Header {
    /// Number after the last entry.
    pub(super) fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }
}

/// A slot that was checked.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) header: Header,
    /// In printed form; empty of a fence.
    pub(super) schema: String,
    frames: Bytes,
}

/// Bytes of a fence: no slot with entries has as few.
pub(super) fn fence_length(dataset: &str) -> u64 {
    (FIXED + dataset.len() + CHECKSUM) as u64
}

/// Encodes the entries of a slot as frames, after checking each.
pub(super) fn encode_frames(
    entries: &[Arc<WalEntry>],
    schema: &Schema,
    max_entry_bytes: u64,
) -> Result<Vec<u8>> {
    let most = (MAX_FRAME as u64).min(max_entry_bytes);
    let mut frames = Vec::new();
    for entry in entries {
        codec::check(entry, schema.types().len()).map_err(Error::invalid)?;
        let payload = push_frame(&mut frames, |out| codec::encode(entry, out))
            .map_err(|error| Error::invalid(format!("cannot encode an entry: {error}")))?;
        if payload as u64 > most {
            return Err(Error::invalid(format!(
                "expected an entry of at most {most} bytes, found {payload}"
            )));
        }
    }
    Ok(frames)
}

/// A slot as it is written.
pub(super) fn encode(dataset: &str, header: &Header, schema: &str, frames: &[u8]) -> Bytes {
    let length = FIXED + dataset.len() + schema.len() + frames.len() + CHECKSUM;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(MAGIC);
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(header.kind.code().to_le_bytes());
    bytes.extend(header.epoch.to_le_bytes());
    bytes.extend(header.nonce.as_bytes());
    bytes.extend(header.first.to_le_bytes());
    bytes.extend(header.count.to_le_bytes());
    // A name has at most 100 bytes, a schema at most MAX_TEXT.
    bytes.extend((dataset.len() as u32).to_le_bytes());
    bytes.extend((schema.len() as u32).to_le_bytes());
    bytes.extend(dataset.as_bytes());
    bytes.extend(schema.as_bytes());
    bytes.extend(frames);
    let crc = crc32fast::hash(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes.into()
}

/// Why bytes are no slot.
pub(super) type Bad = String;

impl Object {
    /// Checks a slot of a dataset, but not what is in its entries.
    pub(super) fn decode(bytes: &Bytes, dataset: &str) -> Result<Self, Bad> {
        let mut fields = Fields(bytes);
        if fields.array() != Some(MAGIC) {
            return Err("expected a slot of a write-ahead log".to_owned());
        }
        let format = u32(&mut fields)?;
        if format != FORMAT {
            return Err(format!("expected format {FORMAT}, found {format}"));
        }
        let body = bytes.len().saturating_sub(CHECKSUM);
        let (checked, crc) = bytes.split_at(body);
        if crc32fast::hash(checked).to_le_bytes() != crc {
            return Err("expected the checksum of the slot".to_owned());
        }
        let kind = match u32(&mut fields)? {
            1 => Kind::Fence,
            2 => Kind::Entries,
            other => return Err(format!("expected a slot of kind 1 or 2, found {other}")),
        };
        let epoch = u64(&mut fields)?;
        let nonce = text(&mut fields, NONCE)?;
        let (first, count) = (u64(&mut fields)?, u32(&mut fields)?);
        let (name, schema) = (u32(&mut fields)? as usize, u32(&mut fields)? as usize);
        let name = text(&mut fields, name)?;
        if name != dataset {
            return Err(format!("expected dataset {dataset:?}, found {name:?}"));
        }
        if schema > MAX_TEXT {
            return Err(format!(
                "expected a schema of at most {MAX_TEXT} bytes, found {schema}"
            ));
        }
        let schema = text(&mut fields, schema)?;
        let start = bytes.len() - fields.0.len();
        if start > body {
            return Err(ended());
        }
        let header = Header {
            kind,
            epoch,
            nonce,
            first,
            count,
        };
        let object = Self {
            header,
            schema,
            frames: bytes.slice(start..body),
        };
        object.check().map(|()| object)
    }

    fn check(&self) -> Result<(), Bad> {
        let Header {
            kind, first, count, ..
        } = self.header;
        if first == 0 || first.saturating_add(u64::from(count)) > MAX_NUMBER {
            return Err(format!(
                "expected entry numbers from 1 to below {MAX_NUMBER}, found {count} from {first}"
            ));
        }
        match kind {
            Kind::Fence if count > 0 || !self.frames.is_empty() || !self.schema.is_empty() => {
                return Err("expected no entry in a fence".to_owned());
            }
            Kind::Entries if count == 0 => {
                return Err("expected at least one entry".to_owned());
            }
            _ => {}
        }
        let mut payloads = self.payloads();
        for _ in 0..count {
            payloads.next().ok_or_else(ended)??;
        }
        match payloads.rest.len() {
            0 => Ok(()),
            rest => Err(format!("expected {count} entries, found {rest} more bytes")),
        }
    }

    /// The payloads of its entries, with their numbers.
    pub(super) fn payloads(&self) -> Payloads<'_> {
        Payloads {
            rest: &self.frames,
            number: self.header.first,
        }
    }

    /// The idempotency keys of its entries.
    pub(super) fn keys(&self) -> Result<Vec<(String, u64)>, Bad> {
        let mut keys = Vec::new();
        for payload in self.payloads() {
            let (number, payload) = payload?;
            let key = codec::decode_key(payload).map_err(|bad| bad.to_string())?;
            keys.extend(key.map(|key| (key, number)));
        }
        Ok(keys)
    }
}

fn ended() -> Bad {
    "expected a whole slot".to_owned()
}

/// Frames, one after the other.
pub(super) struct Payloads<'a> {
    rest: &'a [u8],
    number: u64,
}

impl<'a> Iterator for Payloads<'a> {
    type Item = Result<(u64, &'a [u8]), Bad>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let payload = take_frame(&mut self.rest);
        if payload.is_err() {
            self.rest = &[];
        }
        let number = self.number;
        self.number += 1;
        Some(payload.map(|payload| (number, payload)))
    }
}

fn take_frame<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Bad> {
    let (length, crc) = frame_header(rest).ok_or_else(ended)?;
    let frame = FRAME_HEADER.saturating_add(u32::from_le_bytes(length) as usize);
    let (frame, behind) = rest.split_at_checked(frame).ok_or_else(ended)?;
    let payload = &frame[FRAME_HEADER..];
    if frame_crc(length, payload) != crc {
        return Err("expected the checksum of a frame".to_owned());
    }
    *rest = behind;
    Ok(payload)
}

fn u32(fields: &mut Fields<'_>) -> Result<u32, Bad> {
    fields.array().map(u32::from_le_bytes).ok_or_else(ended)
}

fn u64(fields: &mut Fields<'_>) -> Result<u64, Bad> {
    fields.array().map(u64::from_le_bytes).ok_or_else(ended)
}

fn text(fields: &mut Fields<'_>, length: usize) -> Result<String, Bad> {
    let bytes = fields.take(length).ok_or_else(ended)?;
    let text = String::from_utf8(bytes.to_vec());
    text.map_err(|_| "expected text in UTF-8".to_owned())
}
