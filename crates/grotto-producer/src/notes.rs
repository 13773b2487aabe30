//! What a cycle says of itself beside records: positions of its sources, and tags.
//!
//! Owns: collecting it. Never: decides whether anything is published.

use std::collections::BTreeMap;

/// Positions and tags of one cycle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    pub(crate) positions: BTreeMap<String, u64>,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Notes {
    /// Whether they say anything that a log entry with these positions does not say.
    pub(crate) fn move_on(&self, committed: &BTreeMap<String, u64>) -> bool {
        let moved = |(source, position): (&String, &u64)| committed.get(source) != Some(position);
        !self.tags.is_empty() || self.positions.iter().any(moved)
    }
}
