//! The frames of zstd, by their headers (RFC 8878, section 3.1.1). Never decompresses.

use super::Cursor;

/// Whether the bytes are one frame of data, and nothing before or after it.
pub(super) fn is_the_only_one(bytes: &[u8]) -> bool {
    if bytes.len() < 6 || bytes[..4] != [0x28, 0xb5, 0x2f, 0xfd] {
        return false;
    }
    let mut cursor = Cursor(&bytes[4..]);
    let descriptor = cursor.u8();
    let single_segment = descriptor >> 5 & 1 == 1;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = match (descriptor >> 6, single_segment) {
        (0, single) => usize::from(single),
        (flag, _) => 1 << flag,
    };
    let checksum = 4 * usize::from(descriptor >> 2 & 1);
    let mut left = usize::from(!single_segment) + dictionary + content_size;
    let mut last = false;
    loop {
        if cursor.0.len() < left {
            return false;
        }
        cursor.take(left);
        if last {
            return cursor.0.len() == checksum;
        }
        if cursor.0.len() < 3 {
            return false;
        }
        let header = cursor.take(3);
        let header = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        last = header & 1 == 1;
        // A block that repeats one byte holds that byte only.
        left = match header >> 1 & 3 {
            1 => 1,
            _ => header as usize >> 3,
        };
    }
}
