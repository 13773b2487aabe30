//! How many threads work for the processor may use.
//!
//! Owns: the default and the limits, one for all of the project. Never starts a thread.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// More threads than this only cost memory.
pub const MOST_THREADS: usize = 256;
/// From here on more threads gain little, and cost others of the host.
const DEFAULT_MOST: usize = 8;

/// As many threads as this process may use processors, at most 8.
#[must_use]
pub fn default_threads() -> usize {
    available_parallelism()
        .map_or(1, NonZeroUsize::get)
        .min(DEFAULT_MOST)
}
