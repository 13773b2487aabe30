//! What happened, in order: the proof that a seed repeats, and the story of one that failed.
//!
//! Owns: lines, their hash, and the last of them. Never: decides anything.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::time::Duration;

use xxhash_rust::xxh3::Xxh3;

/// Lines kept for the story.
const KEPT: usize = 60;

/// The lines of a run.
#[derive(Default)]
pub(crate) struct Trace {
    hash: Xxh3,
    last: VecDeque<String>,
    lines: u64,
    /// Keeps every line.
    whole: bool,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({} lines)", self.lines)
    }
}

impl Trace {
    pub(crate) fn new(whole: bool) -> Self {
        Self {
            whole,
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, at: Duration, who: &str, what: fmt::Arguments<'_>) {
        let full = self.last.len() >= KEPT && !self.whole;
        let mut line = match full {
            true => self.last.pop_front().unwrap_or_default(),
            false => String::new(),
        };
        line.clear();
        // Writing to a string does not fail.
        _ = write!(line, "{:>9.3} {who:<4} {what}", at.as_secs_f64());
        self.hash.update(line.as_bytes());
        self.lines += 1;
        self.last.push_back(line);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.digest()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }
}
