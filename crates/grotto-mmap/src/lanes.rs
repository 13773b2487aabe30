//! Sixteen bytes at a time.
//!
//! Owns: comparing a run of bytes with one byte. Never: reads beyond its argument.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "vector instructions are the point")
)]

/// Which of sixteen bytes equal `byte`: bit `i` stands for byte `i`.
#[cfg(target_arch = "x86_64")]
#[expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one proof holds for all of them"
)]
#[inline(always)]
#[must_use]
pub fn equal_bytes(bytes: &[u8; 16], byte: u8) -> u16 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_cvtsi64_si128, _mm_movemask_epi8, _mm_set1_epi8, _mm_unpacklo_epi64,
    };
    let word = |at: usize| i64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    // SAFETY: these instructions work on values alone and touch no memory; SSE2, which they belong
    // to, is part of every x86_64.
    let mask = unsafe {
        let line = _mm_unpacklo_epi64(_mm_cvtsi64_si128(word(0)), _mm_cvtsi64_si128(word(8)));
        _mm_movemask_epi8(_mm_cmpeq_epi8(line, _mm_set1_epi8(byte.cast_signed())))
    };
    mask as u16
}

/// Which of sixteen bytes equal `byte`: bit `i` stands for byte `i`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
#[must_use]
pub fn equal_bytes(bytes: &[u8; 16], byte: u8) -> u16 {
    let (low, high) = bytes.split_at(8);
    gather(low, byte) | gather(high, byte) << 8
}

/// Marks bytes that equal `byte` by their high bit, exactly, and collects the marks.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn gather(bytes: &[u8], byte: u8) -> u16 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const SEVEN: u64 = 0x7f * LOW;
    let word = bytes.try_into().map_or(0, u64::from_le_bytes);
    let x = word ^ LOW.wrapping_mul(u64::from(byte));
    let marks = !(((x & SEVEN) + SEVEN) | x | SEVEN);
    ((marks >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_compared_by_itself() {
        // 1 beside 0 and 0x80 beside 0x7f: what carries between bytes would get wrong.
        let bytes = [
            0, 1, 0, 1, 0x80, 0x7f, 0xff, 0x81, 1, 0, 0xff, 0, 0x80, 0, 1, 1,
        ];
        for byte in 0..=255_u8 {
            let expected = (0..16)
                .filter(|i| bytes[*i] == byte)
                .fold(0, |m, i| m | 1 << i);
            assert_eq!(equal_bytes(&bytes, byte), expected, "{byte}");
        }
    }
}
