//! The bytes of a segment around its entries: header, groups, frames.
//!
//! Owns: their layout, checksums and limits. Never: input or output, or what a payload means.
//!
//! Before each group stands a marker that is random and private to the log. So a later group is found behind
//! damaged bytes, and no record that somebody sends can look like one.

use grotto_format::schema::MAX_TEXT;

const MAGIC: [u8; 8] = *b"GROTTO\x1aW";
const FORMAT: u32 = 1;
/// Groups of the segment are not synced one by one.
const UNSYNCED: u32 = 1;

/// Bytes of a segment's header before its schema.
pub(super) const FIXED_HEADER: usize = 52;
/// Most bytes of a segment's header.
pub(super) const MAX_HEADER: usize = FIXED_HEADER + MAX_TEXT + 4;
/// Bytes of a group's header.
pub(super) const GROUP_HEADER: usize = 32;
/// Bytes of a frame before its payload.
pub(super) const FRAME_HEADER: usize = 8;
/// Most bytes of a payload.
pub(super) const MAX_FRAME: usize = 128 << 20;
/// Most bytes of the frames of a group.
pub(super) const MAX_GROUP: usize = 512 << 20;

/// What tells a log from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    id: String,
    pub(super) marker: [u8; 8],
}

impl Identity {
    /// Of a nonce: its first eight digits, and the marker from the others.
    pub(super) fn of_nonce(nonce: &str) -> Option<Self> {
        let (id, rest) = nonce.split_at_checked(8)?;
        let marker = xxhash_rust::xxh3::xxh3_64(rest.as_bytes()).to_le_bytes();
        Self::of(id.as_bytes(), marker)
    }

    fn of(id: &[u8], marker: [u8; 8]) -> Option<Self> {
        let is_hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
        let id = Some(id).filter(|id| id.len() == 8 && id.iter().all(is_hex))?;
        let id = String::from_utf8(id.to_vec()).ok()?;
        Some(Self { id, marker })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

/// What a segment begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) identity: Identity,
    /// Whether its groups are synced one by one.
    pub(super) synced: bool,
    /// Number of its first entry.
    pub(super) first: u64,
    /// Bytes that were on the disk before the segment got its name, this header included.
    pub(super) beginning: u64,
    pub(super) schema: String,
}

/// Why bytes are not what is expected there.
pub(super) type Bad = String;

impl SegmentHeader {
    /// Bytes that it takes with a schema of so many.
    pub(super) fn length(schema: usize) -> usize {
        FIXED_HEADER + schema + 4
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let flags = if self.synced { 0 } else { UNSYNCED };
        let mut bytes = Vec::with_capacity(Self::length(self.schema.len()));
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(self.identity.id.as_bytes());
        bytes.extend(self.identity.marker);
        bytes.extend(self.first.to_le_bytes());
        bytes.extend(self.beginning.to_le_bytes());
        // A schema has at most MAX_TEXT bytes.
        bytes.extend((self.schema.len() as u32).to_le_bytes());
        bytes.extend(self.schema.as_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend(crc.to_le_bytes());
        bytes
    }

    /// Of the first [`MAX_HEADER`] bytes of a file, or all if it has fewer; with the bytes that it takes.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, usize), Bad> {
        let mut fields = Fields(bytes);
        let ended = || "expected a whole header".to_owned();
        let magic: [u8; 8] = fields.array().ok_or_else(ended)?;
        if magic != MAGIC {
            return Err("expected a segment of a write-ahead log".to_owned());
        }
        let format = u32::from_le_bytes(fields.array().ok_or_else(ended)?);
        if format != FORMAT {
            return Err(format!("expected format {FORMAT}, found {format}"));
        }
        let flags = u32::from_le_bytes(fields.array().ok_or_else(ended)?);
        let id: [u8; 8] = fields.array().ok_or_else(ended)?;
        let marker = fields.array().ok_or_else(ended)?;
        let first = u64::from_le_bytes(fields.array().ok_or_else(ended)?);
        let beginning = u64::from_le_bytes(fields.array().ok_or_else(ended)?);
        let length = u32::from_le_bytes(fields.array().ok_or_else(ended)?) as usize;
        if length > MAX_TEXT {
            return Err(format!(
                "expected a schema of at most {MAX_TEXT} bytes, found {length}"
            ));
        }
        let schema = fields.take(length).ok_or_else(ended)?;
        let crc = u32::from_le_bytes(fields.array().ok_or_else(ended)?);
        let taken = bytes.len() - fields.0.len();
        if crc32fast::hash(&bytes[..taken - 4]) != crc {
            return Err("expected the checksum of the header".to_owned());
        }
        let schema = String::from_utf8(schema.to_vec());
        let header = Self {
            identity: Identity::of(&id, marker)
                .ok_or_else(|| "expected an id of hexadecimal digits".to_owned())?,
            synced: flags & UNSYNCED == 0,
            first,
            beginning,
            schema: schema.map_err(|_| "expected a schema in UTF-8".to_owned())?,
        };
        Ok((header, taken))
    }
}

/// What a group consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupKind {
    /// One frame of remembered keys.
    Keys = 1,
    /// A frame per entry.
    Entries = 2,
}

/// What stands before the frames of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupHeader {
    pub(super) kind: GroupKind,
    /// Number of frames.
    pub(super) count: u32,
    /// Number of the first entry.
    pub(super) first: u64,
    /// Bytes of all frames.
    pub(super) length: u32,
}

impl GroupHeader {
    pub(super) fn encode(&self, marker: [u8; 8]) -> [u8; GROUP_HEADER] {
        let mut bytes = [0; GROUP_HEADER];
        bytes[..8].copy_from_slice(&marker);
        bytes[8..12].copy_from_slice(&(self.kind as u32).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.count.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.length.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Of exactly the bytes of a header.
    pub(super) fn decode(bytes: &[u8], marker: [u8; 8]) -> Result<Self, Bad> {
        let mut fields = Fields(bytes);
        let (Some(found), Some(kind), Some(count), Some(first), Some(length), Some(crc)) = (
            fields.array(),
            fields.array(),
            fields.array(),
            fields.array(),
            fields.array(),
            fields.array(),
        ) else {
            return Err("expected a whole header of a group".to_owned());
        };
        if marker != found {
            return Err("expected the marker of a group".to_owned());
        }
        if crc32fast::hash(&bytes[..28]) != u32::from_le_bytes(crc) {
            return Err("expected the checksum of a group's header".to_owned());
        }
        let length = u32::from_le_bytes(length);
        if length as usize > MAX_GROUP {
            return Err(format!(
                "expected a group of at most {MAX_GROUP} bytes, found {length}"
            ));
        }
        let kind = match u32::from_le_bytes(kind) {
            1 => GroupKind::Keys,
            2 => GroupKind::Entries,
            other => return Err(format!("expected a group of kind 1 or 2, found {other}")),
        };
        Ok(Self {
            kind,
            count: u32::from_le_bytes(count),
            first: u64::from_le_bytes(first),
            length,
        })
    }
}

/// Appends a frame whose payload `write` appends; at most [`MAX_FRAME`] bytes count, which callers check.
pub(super) fn push_frame<E>(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<usize, E> {
    let start = out.len();
    out.extend([0; FRAME_HEADER]);
    write(out)?;
    let payload = out.len() - start - FRAME_HEADER;
    let length = u32::try_from(payload).unwrap_or(u32::MAX).to_le_bytes();
    let crc = frame_crc(length, &out[start + FRAME_HEADER..]);
    out[start..start + 4].copy_from_slice(&length);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    Ok(payload)
}

/// Checksum of a frame: its length, then its payload.
pub(super) fn frame_crc(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&length);
    crc.update(payload);
    crc.finalize()
}

/// Length of the payload and checksum.
pub(super) fn frame_header(bytes: &[u8]) -> Option<([u8; 4], u32)> {
    let mut fields = Fields(bytes);
    Some((fields.array()?, u32::from_le_bytes(fields.array()?)))
}

/// Reads what stands one after the other.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}
