//! Bytes as text.
//!
//! Owns: the check, made fast for what most text is: short and ASCII. Never: gives text that is not
//! valid UTF-8, whatever was checked before elsewhere.
#![expect(unsafe_code, reason = "skips a second check")]

use std::str::Utf8Error;

/// Longer text is left to the standard library, whose loop pays off by then.
const SHORT: usize = 64;

/// Bytes of one step.
const STEP: usize = 16;

/// The high bits of the first 0 to 16 bytes.
const HIGH_BITS: [u128; STEP + 1] = {
    let mut masks = [0; STEP + 1];
    let mut bytes = 1;
    while bytes <= STEP {
        masks[bytes] = masks[bytes - 1] << 8 | 0x80;
        bytes += 1;
    }
    masks
};

/// The text of `length` bytes at `start`; `None` when it does not lie within `bytes`.
///
/// Takes no branch that depends on the length or the content of short ASCII text, so that a
/// processor that runs ahead does not have to wait for the bytes: finding a record in the cache and
/// reading a title of 12 to 40 bytes takes 36 ns, and 57 with [`std::str::from_utf8`].
///
/// # Errors
/// When the bytes are not valid UTF-8.
#[inline(always)]
pub fn text(bytes: &[u8], start: u32, length: u32) -> Option<Result<&str, Utf8Error>> {
    let (start, length) = (start as usize, length as usize);
    // A step may read behind short text, but never behind `bytes`.
    if length <= SHORT
        && let Some(window) = bytes.get(start..start + length.max(STEP))
        && is_ascii(window, length)
    {
        let found = window.get(..length)?;
        // SAFETY: all bytes of `found` are below 0x80, as `is_ascii` says of the first `length`
        // bytes of `window`. Such bytes are valid UTF-8.
        return Some(Ok(unsafe { std::str::from_utf8_unchecked(found) }));
    }
    checked(bytes, start, length)
}

#[inline(never)]
fn checked(bytes: &[u8], start: usize, length: usize) -> Option<Result<&str, Utf8Error>> {
    let found = bytes.get(start..start.checked_add(length)?)?;
    Some(std::str::from_utf8(found))
}

/// Whether the first `length` bytes of a window of at least [`STEP`] and at most [`SHORT`] bytes are
/// ASCII. Four steps that overlap as much as they must to stay within the window.
#[inline(always)]
fn is_ascii(window: &[u8], length: usize) -> bool {
    let last = window.len() - STEP;
    let step = |at: usize| {
        let bytes = window.get(at..).and_then(<[u8]>::first_chunk);
        // Never out of range; if it were, the text would be checked in the usual way.
        bytes.map_or(u128::MAX, |bytes| u128::from_le_bytes(*bytes))
    };
    let all = step(0) | step(last.min(STEP)) | step(last.min(2 * STEP)) | step(last);
    all & HIGH_BITS[length.min(STEP)] == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(bytes: &[u8], start: usize, length: usize) -> Option<Result<&str, Utf8Error>> {
        text(bytes, start as u32, length as u32)
    }

    /// All texts of one length at all places near the ends of a buffer, with a byte that is not ASCII
    /// at each place in and around them.
    #[test]
    fn agrees_with_the_standard_library_wherever_the_odd_byte_is() {
        for length in (0..70).chain([127, 128, 129]) {
            for (before, after) in [(0, 0), (1, 3), (3, 1), (17, 16), (5, 40)] {
                let mut bytes = vec![b'a'; before + length + after];
                assert_eq!(
                    at(&bytes, before, length),
                    Some(Ok("a".repeat(length).as_str()))
                );
                for odd in 0..bytes.len() {
                    bytes[odd] = 0xff;
                    let found = at(&bytes, before, length);
                    let expected = std::str::from_utf8(&bytes[before..before + length]);
                    assert_eq!(
                        found,
                        Some(expected),
                        "{length} at {before}, odd byte at {odd}"
                    );
                    bytes[odd] = b'a';
                }
            }
        }
    }

    #[test]
    fn text_of_other_scripts_is_read_whole() {
        let all = "größer 東京 🦀 ".repeat(9);
        assert_eq!(at(all.as_bytes(), 0, all.len()), Some(Ok(all.as_str())));
        assert_eq!(text(all.as_bytes(), 0, 9), Some(Ok("größer ")));
    }

    #[test]
    fn text_that_ends_outside_is_not_given() {
        for (start, length) in [(4, 1), (0, 5), (5, 0), (u32::MAX, 2), (2, u32::MAX)] {
            assert_eq!(text(b"abcd", start, length), None, "{start} {length}");
        }
        assert_eq!(text(b"abcd", 4, 0), Some(Ok("")));
    }
}
