//! How a store waits: deadlines, retries, the breaker.
//!
//! Owns: the settings and their defaults. Never: waits.

use std::time::Duration;

use crate::breaker::BreakerOptions;
use crate::retry::RetryPolicy;

/// How long a store is waited for, how often it is asked again, and when it is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Longest wait for the answer to one operation, before what its bytes add to it.
    pub deadline: Duration,
    /// The slowest transfer that is waited for, in bytes per second; 0 counts as 1.
    pub slowest_bytes_per_s: u64,
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
