//! How many threads work for the processor may use.
//!
//! Owns: the default and the limits, one for all of the project. Never starts a thread.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::thread::available_parallelism;

/// More threads than this only cost memory.
pub const MOST_THREADS: usize = 256;
/// From here on more threads gain little, and cost others of the host.
const DEFAULT_MOST: usize = 8;

/// Asked once: the system reads files to tell it, for longer than a small version takes to be applied.
static DEFAULT: LazyLock<usize> = LazyLock::new(|| {
    let processors = available_parallelism().map_or(1, NonZeroUsize::get);
    processors.min(DEFAULT_MOST)
});

/// As many threads as this process might use processors when it was first asked, at most 8.
#[must_use]
pub fn default_threads() -> usize {
    *DEFAULT
}
