//! What a cycle says of itself beside records: positions of its sources, and tags.
//!
//! Owns: collecting it. Never: decides whether anything is published.

use std::collections::BTreeMap;

/// Positions and tags of one cycle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    pub(crate) positions: BTreeMap<String, u64>,
    /// Positions that are worth no version of their own.
    pub(crate) riders: BTreeMap<String, u64>,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Notes {
    /// The positions of a version that is published.
    pub(crate) fn all_positions(&self) -> BTreeMap<String, u64> {
        let riders = self.riders.iter();
        let both = riders.chain(&self.positions);
        both.map(|(source, position)| (source.clone(), *position))
            .collect()
    }

    /// Whether they say anything that a log entry with these positions does not say.
    pub(crate) fn move_on(&self, committed: &BTreeMap<String, u64>) -> bool {
        let moved = |(source, position): (&String, &u64)| committed.get(source) != Some(position);
        !self.tags.is_empty() || self.positions.iter().any(moved)
    }
}
