//! Idempotency keys of a pipeline without a log.
//!
//! Owns: a bounded window of them. Never: survives the process; a log remembers its own.

use std::collections::{HashMap, VecDeque};

/// Keys that are remembered.
const REMEMBERED: usize = 10_000;

/// Keys and the numbers of their entries, the newest of them.
#[derive(Debug, Default)]
pub(super) struct Recent {
    numbers: HashMap<String, u64>,
    order: VecDeque<String>,
}

impl Recent {
    pub(super) fn find(&self, key: &str) -> Option<u64> {
        self.numbers.get(key).copied()
    }

    pub(super) fn remember(&mut self, key: &str, number: u64) {
        if self.numbers.insert(key.to_owned(), number).is_some() {
            return;
        }
        self.order.push_back(key.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.numbers.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_keys_are_remembered() {
        let mut recent = Recent::default();
        for number in 0..REMEMBERED as u64 + 1 {
            recent.remember(&number.to_string(), number);
        }
        assert_eq!((recent.find("0"), recent.find("1")), (None, Some(1)));
        recent.remember("1", 7);
        assert_eq!(
            (recent.find("1"), recent.order.len()),
            (Some(7), REMEMBERED)
        );
    }
}
