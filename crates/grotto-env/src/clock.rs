//! Time: wall time for people and records, monotonic time for measuring.
//!
//! Owns: the [`Clock`] trait, the host's clock, the runtime's, one moved by hand. Never: sleeps.
#![expect(
    clippy::disallowed_methods,
    reason = "this file is the seam the ban points to"
)]

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// A source of time.
pub trait Clock: Send + Sync + Debug {
    /// Milliseconds since 1970-01-01T00:00:00Z. May jump in either direction; for display and
    /// for records only, never compared between hosts to decide anything about safety.
    fn wall_ms(&self) -> u64;

    /// Time since an arbitrary origin of this clock. Never goes back.
    fn monotonic(&self) -> Duration;
}

/// The clock of this host.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic origin is now.
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> u64 {
        // A host set before 1970 reads as 0: wall time is informative, so it must not fail.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        since_epoch.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// The clock of the async runtime it is made in: that of the host, unless a test paused it.
#[derive(Debug)]
pub struct RuntimeClock {
    origin: tokio::time::Instant,
    wall_ms: u64,
}

impl RuntimeClock {
    /// A clock that says `wall_ms` now.
    pub fn new(wall_ms: u64) -> Self {
        Self {
            origin: tokio::time::Instant::now(),
            wall_ms,
        }
    }
}

impl Clock for RuntimeClock {
    fn wall_ms(&self) -> u64 {
        let passed_ms = u64::try_from(self.monotonic().as_millis()).unwrap_or(u64::MAX);
        self.wall_ms.saturating_add(passed_ms)
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that moves only when told.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<(u64, Duration)>,
}

impl ManualClock {
    /// A clock standing at `wall_ms` with monotonic time zero.
    pub fn new(wall_ms: u64) -> Self {
        Self {
            now: Mutex::new((wall_ms, Duration::ZERO)),
        }
    }

    /// Moves both wall and monotonic time forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock();
        now.0 = now
            .0
            .saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX));
        now.1 = now.1.saturating_add(by);
    }

    /// Makes wall time jump, as an operator or a time server would; monotonic time is untouched.
    pub fn set_wall_ms(&self, wall_ms: u64) {
        self.now.lock().0 = wall_ms;
    }
}

impl Clock for ManualClock {
    fn wall_ms(&self) -> u64 {
        self.now.lock().0
    }

    fn monotonic(&self) -> Duration {
        self.now.lock().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_still_until_advanced() {
        let clock = ManualClock::new(1_000);
        assert_eq!(
            (clock.wall_ms(), clock.monotonic()),
            (1_000, Duration::ZERO)
        );
        clock.advance(Duration::from_millis(250));
        assert_eq!(clock.wall_ms(), 1_250);
        assert_eq!(clock.monotonic(), Duration::from_millis(250));
    }

    #[test]
    fn a_wall_jump_leaves_monotonic_time_alone() {
        let clock = ManualClock::new(1_000);
        clock.advance(Duration::from_secs(1));
        clock.set_wall_ms(5);
        assert_eq!(clock.wall_ms(), 5);
        assert_eq!(clock.monotonic(), Duration::from_secs(1));
    }

    #[test]
    fn the_system_clock_is_past_2020_and_never_goes_back() {
        let clock = SystemClock::new();
        assert!(clock.wall_ms() > 1_577_836_800_000);
        let first = clock.monotonic();
        assert!(clock.monotonic() >= first);
    }
}
