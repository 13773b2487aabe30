//! Prefetch: tell the processor what will be read soon.
//!
//! Owns: the hint as a safe function. Never: reads memory.
#![expect(unsafe_code, reason = "the hint is an instruction of the processor")]

/// Asks the processor to bring the cache line at `offset` of `bytes` close. Does nothing where the
/// offset is out of range or the platform has no such instruction.
#[inline(always)]
pub fn prefetch(bytes: &[u8], offset: usize) {
    if let Some(byte) = bytes.get(offset) {
        line(std::ptr::from_ref(byte));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn line(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction is a hint that never faults and never changes memory or registers;
    // SSE, which it belongs to, is part of every x86_64. `at` even points into a live slice.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn line(at: *const u8) {
    // SAFETY: `prfm` is a hint that never faults and changes neither memory, stack nor flags, which
    // is what the options say. `at` even points into a live slice.
    unsafe {
        std::arch::asm!(
            "prfm pldl1keep, [{at}]",
            at = in(reg) at,
            options(nostack, preserves_flags, readonly)
        );
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn line(_at: *const u8) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_out_of_range_are_ignored() {
        let bytes = [1_u8, 2, 3];
        for offset in [0, 2, 3, usize::MAX] {
            prefetch(&bytes, offset);
        }
        prefetch(&[], 0);
    }
}
