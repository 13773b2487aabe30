//! The seams through which time and randomness enter the project.
//!
//! Owns: the [`Clock`] and [`Random`] traits, their real versions, and deterministic versions for
//! tests and simulation. Never: performs IO, sleeps, or knows what the values are used for.
//!
//! Safety must not depend on anything in here: clocks decide when to try, random numbers decide
//! names, and the store alone decides who won.

#![forbid(unsafe_code)]

mod clock;
mod random;

pub use clock::{Clock, ManualClock, SystemClock};
pub use random::{Random, SeededRandom, SystemRandom};

use std::sync::Arc;

/// One clock and one source of randomness, handed together to whatever needs them.
#[derive(Clone, Debug)]
pub struct Env {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub random: Arc<dyn Random>,
}

impl Env {
    /// The real clock of this host and randomness seeded by the operating system.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::new()),
        }
    }

    /// A clock that only moves when told and randomness that repeats for the same seed.
    pub fn deterministic(seed: u64) -> Self {
        Self {
            clock: Arc::new(ManualClock::new(1_700_000_000_000)),
            random: Arc::new(SeededRandom::new(seed)),
        }
    }
}

impl Default for Env {
    fn default() -> Self {
        Self::system()
    }
}
