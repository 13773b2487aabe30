//! Lists of ordinals.
//!
//! Owns: their encoding, and how large an ordinal may be. Never knows what lives at one.
//! Spec: `docs/format/spec.md`, section "Ordinals".

use crate::wire::{self, Reader, WireError};

/// Ordinals are below this: the end of the last block but one, whatever the size of blocks, so that
/// the end of every block is a 32-bit number too.
pub const MAX_ORDINAL: u32 = u32::MAX - 0xffff;

/// Encodes strictly rising ordinals as their gaps.
pub fn encode_ordinals(ordinals: &[u32], out: &mut Vec<u8>) {
    wire::put_varint(out, ordinals.len() as u64);
    let previous = std::iter::once(-1_i64).chain(ordinals.iter().map(|o| i64::from(*o)));
    let gaps = ordinals
        .iter()
        .zip(previous)
        .map(|(o, before)| (i64::from(*o) - before - 1) as u64);
    wire::put_packed(out, gaps);
}

/// Decodes ordinals; they rise strictly.
///
/// # Errors
/// With offset and expectation when the bytes are not such a list, or there are more than `max`.
pub fn decode_ordinals(bytes: &[u8], max: usize) -> Result<Vec<u32>, WireError> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(max as u64, "number of ordinals within the limit")?;
    let at = reader.at();
    let mut next = 0_u64;
    let mut ordinals = Vec::with_capacity(count);
    for gap in wire::Packed::read(&mut reader, count)? {
        let ordinal = next
            .checked_add(gap)
            .and_then(|o| u32::try_from(o).ok())
            .filter(|o| *o < MAX_ORDINAL);
        let ordinal = ordinal.ok_or(WireError {
            at,
            expected: "ordinals below 2^32 - 2^16",
        })?;
        next = u64::from(ordinal) + 1;
        ordinals.push(ordinal);
    }
    reader.end("end of the ordinals")?;
    Ok(ordinals)
}
