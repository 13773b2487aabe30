//! The idempotency keys that are remembered.
//!
//! Owns: a bounded window of them, the newest kept. Never: decides what a known key means.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Most keys that a window may hold, so that all of them fit a frame.
pub(super) const MAX_REMEMBERED: usize = 100_000;

#[derive(Debug)]
pub(super) struct Keys {
    most: usize,
    /// Most bytes that all of them take when they are written.
    most_bytes: u64,
    /// Oldest first. A key that came again is in here twice; the number tells which of the two counts.
    order: VecDeque<(Arc<str>, u64)>,
    entries: HashMap<Arc<str>, u64>,
    /// Bytes of the keys in `order`.
    text: u64,
}

/// Most bytes that a key takes beside its text when it is written.
const AROUND: u64 = 12;

impl Keys {
    pub(super) fn new(most: usize, most_bytes: u64) -> Self {
        Self {
            most: most.min(MAX_REMEMBERED),
            most_bytes,
            order: VecDeque::new(),
            entries: HashMap::new(),
            text: 0,
        }
    }

    pub(super) fn find(&self, key: &str) -> Option<u64> {
        self.entries.get(key).copied()
    }

    pub(super) fn add(&mut self, key: &str, number: u64) {
        let key: Arc<str> = key.into();
        self.entries.insert(Arc::clone(&key), number);
        self.text += key.len() as u64;
        self.order.push_back((key, number));
        while self.order.len() > self.most || self.bytes() > self.most_bytes {
            let Some((key, number)) = self.order.pop_front() else {
                return;
            };
            self.text -= key.len() as u64;
            if self.entries.get(&key) == Some(&number) {
                self.entries.remove(&key);
            }
        }
    }

    /// Most bytes that all of them take when they are written.
    pub(super) fn bytes(&self) -> u64 {
        self.text + AROUND * self.order.len() as u64
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        let current = self.order.iter();
        current
            .filter(|(key, number)| self.entries.get(key) == Some(number))
            .map(|(key, number)| (&**key, *number))
    }
}
