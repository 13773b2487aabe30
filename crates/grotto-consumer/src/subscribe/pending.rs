//! Changes that wait to be taken.
//!
//! Owns: joining neighbours to one. Never: compares states while a refresh waits for it.

use crate::changes::Composer;
use crate::report::Refresh;
use grotto_state::{State, TypeChanges};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Ordinals up to which changes of neighbours are composed. Past that a comparison of both states is cheaper, and the
/// reader that is so far behind pays for it.
const MOST_ORDINALS: usize = 1 << 20;

/// What changed between two states.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) before: Arc<State>,
    pub(crate) after: Arc<State>,
    /// Identity of the dataset of the state after.
    pub(crate) dataset_id: String,
    pub(crate) replaced: bool,
    changes: Composer,
}

impl Pending {
    /// What a refresh changed, for a reader at `tail`.
    pub(crate) fn of(refresh: &Refresh, dataset_id: &str, tail: &Arc<State>) -> Self {
        let mut pending = Self {
            before: Arc::clone(tail),
            after: Arc::clone(tail),
            dataset_id: dataset_id.to_owned(),
            replaced: false,
            changes: Composer::default(),
        };
        pending.extend(refresh, dataset_id);
        pending
    }

    /// What lies between two states; a comparison tells where no changes are known.
    pub(crate) fn between(
        before: Arc<State>,
        after: Arc<State>,
        dataset_id: String,
        changes: Option<Composer>,
    ) -> Self {
        let compared = || {
            let mut changes = Composer::default();
            changes.snapshot();
            changes
        };
        Self {
            before,
            after,
            dataset_id,
            replaced: false,
            changes: changes.unwrap_or_else(compared),
        }
    }

    /// Goes on to where a refresh led.
    pub(crate) fn extend(&mut self, refresh: &Refresh, dataset_id: &str) {
        if Arc::ptr_eq(&self.after, refresh.before()) && !refresh.replaced {
            let schema = refresh.after().schema();
            let types = &refresh.ordinals;
            self.changes.refresh(schema, types, MOST_ORDINALS);
        } else {
            // The reader came in the middle of the refresh, or the dataset is another one.
            self.changes.snapshot();
        }
        self.replaced |= refresh.replaced;
        self.after = Arc::clone(refresh.after());
        dataset_id.clone_into(&mut self.dataset_id);
    }

    /// The net changes. Costs a pass over both states where only a comparison tells.
    pub(crate) fn ordinals(&self) -> BTreeMap<String, TypeChanges> {
        self.changes.clone().finish(&self.before, &self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::RefreshReport;
    use grotto_state::HashSeed;

    /// What a reader has to compare states for that was told of so many added records in two updates.
    fn compares(first: u32, second: u32) -> bool {
        let states = [1, 2, 3].map(|version| {
            let empty = State::empty(HashSeed::new([1, 2]));
            Arc::new(empty.at_version(version))
        });
        let refresh = |at: usize, records: u32| {
            let changes = TypeChanges {
                added: (0..records).collect(),
                ..TypeChanges::default()
            };
            let report = RefreshReport {
                ordinals: BTreeMap::from([("T".to_owned(), changes)]),
                ..RefreshReport::default()
            };
            Refresh::new(Arc::clone(&states[at]), Arc::clone(&states[at + 1]), report)
        };
        let mut pending = Pending::of(&refresh(0, first), "id", &states[0]);
        pending.extend(&refresh(1, second), "id");
        pending.changes.compares()
    }

    #[test]
    fn no_more_than_a_million_ordinals_are_composed_for_a_reader_that_is_behind() {
        let most = MOST_ORDINALS as u32;
        assert!(!compares(1, 2));
        assert!(!compares(most, 0));
        assert!(compares(most + 1, 0));
        assert!(compares(0, most + 1));
        // One that has to compare anyway composes nothing more.
        assert!(compares(most + 1, 1));
    }
}
