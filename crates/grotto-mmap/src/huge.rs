//! Large buffers on huge pages.
//!
//! Owns: asking for them. Never: fails because the system has none; plain pages do as well.

use bytes::Bytes;
use memmap2::MmapOptions;

/// Buffers of at least this many bytes are worth a huge page: its size on most systems.
pub const HUGE_AT: usize = 2 << 20;

/// Moves a buffer to memory that the system is asked to back with huge pages, which spares random
/// readers most of their page-table walks. Smaller buffers, and every buffer where the system
/// gives no such memory, stay where they are.
///
/// Needs room for both copies until it returns.
#[must_use]
pub fn huge_bytes(mut bytes: Vec<u8>) -> Bytes {
    if bytes.len() < HUGE_AT {
        bytes.shrink_to_fit();
        return bytes.into();
    }
    let Ok(mut map) = MmapOptions::new().len(bytes.len()).map_anon() else {
        return bytes.into();
    };
    // Only a hint, and one that some kernels are built without: refusal changes nothing but speed.
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    map.copy_from_slice(&bytes);
    match map.make_read_only() {
        Ok(map) => Bytes::from_owner(map),
        Err(_) => bytes.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_same_on_either_side_of_the_threshold() {
        for length in [0, 1, HUGE_AT - 1, HUGE_AT, HUGE_AT + 4097] {
            let content: Vec<u8> = (0..length).map(|i| (i * 31) as u8).collect();
            assert_eq!(huge_bytes(content.clone()), content, "{length}");
        }
    }
}
