//! Memory on huge pages, which spare random readers most of their page-table walks.
//!
//! Owns: asking for them. Never: fails because the system has none.

use memmap2::{MmapMut, MmapOptions};

/// Buffers of at least this many bytes are worth a huge page: its size on most systems.
pub const HUGE_AT: usize = 2 << 20;

/// Zeroed memory of this process that the system is asked to back with huge pages; `None` where it
/// gives no such memory. Only what is written to is ever taken.
pub(crate) fn anonymous(length: usize) -> Option<MmapMut> {
    let mut options = MmapOptions::new();
    let map = options.len(length).no_reserve_swap().map_anon().ok()?;
    // Only a hint, and one that some kernels are built without: refusal changes nothing but speed.
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    Some(map)
}
