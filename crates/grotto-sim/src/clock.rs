//! Wall clocks of hosts that do not agree, and jump.
//!
//! Owns: by how much one is wrong. Never: touches monotonic time, which never jumps.

use std::sync::Arc;
use std::time::Duration;

use grotto_env::Clock;
use parking_lot::Mutex;

/// The clock of a host, as somebody set it.
#[derive(Debug)]
pub(crate) struct HostClock {
    right: Arc<dyn Clock>,
    /// Milliseconds that it is ahead; behind where they are negative.
    ahead_ms: Mutex<i64>,
}

impl HostClock {
    pub(crate) fn new(right: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            right,
            ahead_ms: Mutex::default(),
        })
    }

    /// Somebody sets it.
    pub(crate) fn set_ahead(&self, ahead_ms: i64) {
        *self.ahead_ms.lock() = ahead_ms;
    }
}

impl Clock for HostClock {
    fn wall_ms(&self) -> u64 {
        self.right
            .wall_ms()
            .saturating_add_signed(*self.ahead_ms.lock())
    }

    fn monotonic(&self) -> Duration {
        self.right.monotonic()
    }
}
