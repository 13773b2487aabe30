//! What may be left of a record where nobody knows whose change came first.
//!
//! Owns: that only. Never: allows a value that no submission of the version gave last.

use std::collections::BTreeMap;

use super::{Records, Relay};

impl Relay {
    /// In one version there may be what several hosts acknowledged, and no model knows whose came first: the last change
    /// of any of them may be what is left of a record.
    pub(super) fn allow_orders(&self, fresh: &[i64], expected: &mut Records, found: &Records) {
        let mut last: BTreeMap<(i64, u64), Option<i64>> = BTreeMap::new();
        for given in fresh
            .iter()
            .filter_map(|token| self.given.get(*token as usize - 1))
        {
            for (key, value) in &given.changes {
                last.insert((*key, given.host), *value);
            }
        }
        for ((key, _), value) in last {
            if found.get(&key).copied() == value {
                match value {
                    Some(value) => _ = expected.insert(key, value),
                    None => _ = expected.remove(&key),
                }
            }
        }
    }
}
