//! How large a write-ahead log may get, and whether it is synced.
//!
//! Owns: the numbers, injectable so that small tests cross them. Never: checks them.

/// How a write-ahead log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalOptions {
    /// Size from which on a segment is followed by another one; at most a quarter of `max_bytes` is used.
    pub segment_bytes: u64,
    /// Disk budget: bytes of all files together. An append that would pass it is `Overloaded`.
    pub max_bytes: u64,
    /// Longest entry, as it is written. At most 128 MiB.
    pub max_entry_bytes: u64,
    /// Whether entries are on the disk when `append` returns. Without it a crash of the process loses nothing, a
    /// crash of the host may lose any entry of the newest segment.
    pub sync: bool,
    /// How many idempotency keys are remembered; at most 100,000.
    pub remembered_keys: usize,
    /// In the store: how many of the newest slots stay when their entries are published. Who takes over remembers the
    /// keys in them.
    pub kept_slots: usize,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            max_bytes: 1 << 30,
            max_entry_bytes: 64 << 20,
            sync: true,
            remembered_keys: 10_000,
            kept_slots: 256,
        }
    }
}

impl WalOptions {
    pub(super) fn segment(&self) -> u64 {
        self.segment_bytes.min(self.max_bytes / 4)
    }
}
