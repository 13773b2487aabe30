//! How long things may take.
//!
//! Owns: the times and their defaults. Never: waits.

use grotto_store::RetryPolicy;
use std::time::Duration;

/// Times of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushOptions {
    /// Longest time until a connection is there and the server has let the process in, and until it confirms an
    /// announcement; 5 s unless set.
    pub deadline: Duration,
    /// How long a server may be silent before it is asked whether it is there; 5 s unless set. One that does not answer
    /// within as long again is left.
    pub patience: Duration,
    /// Longest wait before the second try to connect, which doubles with each further one, and is cut by up to half by
    /// chance; 100 ms unless set.
    pub first_delay: Duration,
    /// Longest wait before any try; 5 s unless set.
    pub max_delay: Duration,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            patience: Duration::from_secs(5),
            first_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(5),
        }
    }
}

impl PushOptions {
    pub(crate) fn retry(&self) -> RetryPolicy {
        RetryPolicy {
            tries: u32::MAX,
            first_delay: self.first_delay,
            max_delay: self.max_delay,
        }
    }
}
