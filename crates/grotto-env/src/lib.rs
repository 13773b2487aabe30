//! The seams through which time, randomness and the file system enter the project.
//!
//! Owns: the [`Clock`] and [`Random`] traits with their real versions and deterministic ones, waiting,
//! deadlines, where work for the processor runs and on how many threads; whether there is an async runtime.
//! Never: knows what any of it is used for.
//!
//! Safety must not depend on anything in here: clocks decide when to try, random numbers decide
//! names, and the store alone decides who won.

#![forbid(unsafe_code)]

mod append;
mod clock;
mod files;
mod random;
mod runtime;
mod signature;
mod threads;
mod wait;

pub use append::{AppendFile, AppendFiles, FileOperation, ForgetfulFiles, SystemFiles};
pub use clock::{Clock, ManualClock, RuntimeClock, SystemClock};
pub use files::{FileLock, FileMark, FileSystem, Locked, Mapped, ReadMark};
pub use random::{Random, SeededRandom, SystemRandom};
pub use runtime::{NoRuntime, check_runtime};
pub use signature::{holder, sign};
pub use threads::{MOST_THREADS, default_threads};
pub use wait::{Elapsed, Stopped, Work};

use std::sync::Arc;

/// A clock, a source of randomness and a place for work, handed together to whatever needs them.
#[derive(Clone, Debug)]
pub struct Env {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub random: Arc<dyn Random>,
    /// Where work for the processor runs.
    pub work: Work,
}

impl Env {
    /// The real clock of this host and randomness seeded by the operating system.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::new()),
            work: Work::Threads,
        }
    }

    /// A clock that only moves when told and randomness that repeats for the same seed.
    pub fn deterministic(seed: u64) -> Self {
        Self {
            clock: Arc::new(ManualClock::new(1_700_000_000_000)),
            random: Arc::new(SeededRandom::new(seed)),
            work: Work::Threads,
        }
    }

    /// Everything repeats for the same seed: the clock is that of the async runtime, which a
    /// simulation pauses, and work runs where it is asked for, so that no thread decides an order.
    pub fn simulated(seed: u64) -> Self {
        Self {
            clock: Arc::new(RuntimeClock::new(1_700_000_000_000)),
            random: Arc::new(SeededRandom::new(seed)),
            work: Work::Inline,
        }
    }
}

impl Default for Env {
    fn default() -> Self {
        Self::system()
    }
}
