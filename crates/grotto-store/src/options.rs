//! How a store waits: deadlines, retries, the breaker.
//!
//! Owns: the settings and their defaults. Never: waits.

use std::time::Duration;

use crate::breaker::BreakerOptions;
use crate::retry::RetryPolicy;

/// How large blobs are cut into requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranges {
    /// Bytes per request: a request's deadline covers its body, so a large blob needs several; 0 counts as 1.
    /// A blob of no more is asked for at once. 8 MiB unless set: small enough that allocators use the memory
    /// of one range again for a later one.
    pub bytes: u64,
    /// Requests of one blob under way at a time; with the bytes it bounds memory beyond the blob's own. 0 counts
    /// as 1; 4 unless set.
    pub at_once: usize,
    /// Of a blob of fewer bytes all is fetched, also where only some sections are wanted: one request is cheaper than
    /// two. 256 KiB unless set.
    pub excerpt_from: u64,
}

impl Default for Ranges {
    fn default() -> Self {
        Self {
            bytes: 8 << 20,
            at_once: 4,
            excerpt_from: 256 << 10,
        }
    }
}

/// How large blobs are cut into uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// A snapshot of no more bytes is sent whole, by a request that refuses to write over another object. 64 MiB
    /// unless set.
    pub whole: u64,
    /// Bytes per part of a larger one; more where there would be too many parts. Buckets take no less than 5 MiB. 16 MiB
    /// unless set.
    pub bytes: u64,
    /// Parts of one blob under way at a time; 0 counts as 1; 4 unless set.
    pub at_once: usize,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            whole: 64 << 20,
            bytes: 16 << 20,
            at_once: 4,
        }
    }
}

/// How long a store is waited for, how often it is asked again, and when it is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Longest wait for the answer to one operation, before what its bytes add to it.
    pub deadline: Duration,
    /// The slowest transfer that is waited for, in bytes per second; 0 counts as 1.
    pub slowest_bytes_per_s: u64,
    /// How large blobs are cut into requests.
    pub ranges: Ranges,
    /// How large blobs are cut into uploads.
    pub parts: Parts,
    /// Blobs of more bytes are kept in a file while they are used, where the store [has a
    /// folder](crate::Store::with_spool) for that. 64 MiB unless set.
    pub spool_from: u64,
    /// Tries of a read.
    pub reads: RetryPolicy,
    /// Tries of a write that may be repeated.
    pub writes: RetryPolicy,
    /// When a store that fails is left alone; `None` asks it always.
    pub breaker: Option<BreakerOptions>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            slowest_bytes_per_s: 1 << 20,
            ranges: Ranges::default(),
            parts: Parts::default(),
            spool_from: 64 << 20,
            reads: RetryPolicy::READS,
            writes: RetryPolicy::WRITES,
            breaker: Some(BreakerOptions::default()),
        }
    }
}

impl StoreOptions {
    /// The deadline of an operation that may move so many bytes.
    pub(crate) fn deadline_for(&self, bytes: u64) -> Duration {
        let transfer = bytes / self.slowest_bytes_per_s.max(1);
        self.deadline.saturating_add(Duration::from_secs(transfer))
    }
}
