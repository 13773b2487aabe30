//! The footer of a blob: its length, and a checksum over everything else.
//!
//! Owns: making and verifying it. Never: looks at what they cover.
//! Spec: `docs/format/spec.md`, section "Blobs".

use super::{BlobError, FOOTER, MAGIC};
use crate::checksum::{self, Pieces};
use crate::wire::Reader;

/// The footer of a file of which `length` bytes, all before it, were added to `whole`.
#[must_use]
pub fn footer(length: u64, mut whole: Pieces) -> [u8; FOOTER] {
    let length = (length + FOOTER as u64).to_le_bytes();
    whole.add(&length);
    let mut footer = [0; FOOTER];
    footer[..8].copy_from_slice(&length);
    footer[8..].copy_from_slice(&whole.sum().to_le_bytes());
    footer
}

/// The bytes of a file before its footer, if it has the length and the checksum that it states.
///
/// # Errors
/// Names what differs.
pub fn verify(bytes: &[u8]) -> Result<&[u8], BlobError> {
    let found = bytes.len() as u64;
    if bytes.len() < MAGIC.len() + FOOTER {
        return Err(BlobError::Length {
            expected: (MAGIC.len() + FOOTER) as u64,
            found,
        });
    }
    let (body, footer) = bytes.split_at(bytes.len() - FOOTER);
    let mut footer = Reader::new(footer);
    let expected = footer.u64("length").map_err(BlobError::Header)?;
    if expected != found {
        return Err(BlobError::Length { expected, found });
    }
    let expected = footer.u64("checksum").map_err(BlobError::Header)?;
    let sum = checksum::of_bytes(&bytes[..body.len() + 8]);
    if sum != expected {
        return Err(BlobError::Checksum {
            expected,
            found: sum,
        });
    }
    Ok(body)
}
