//! States that somebody is in the middle of.
//!
//! Owns: holding a state between two pages of a scan, a few and for some time. Never: reads one.

use grotto::State;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// States, each with the time of its last use.
#[derive(Debug, Default)]
pub(crate) struct HeldStates(Mutex<Vec<(Duration, Arc<State>)>>);

impl HeldStates {
    /// Holds a state from now on; those that were not used for longest go if there are more than `most`.
    pub(crate) fn hold(&self, state: &Arc<State>, now: Duration, most: usize) {
        let mut held = self.0.lock();
        held.retain(|(_, other)| !Arc::ptr_eq(other, state));
        held.push((now, Arc::clone(state)));
        let excess = held.len().saturating_sub(most);
        let old: Vec<_> = held.drain(..excess).collect();
        drop(held);
        // Freed here, where nobody waits for the lock.
        drop(old);
    }

    /// The state of a version.
    pub(crate) fn find(&self, version: u64) -> Option<Arc<State>> {
        let held = self.0.lock();
        let found = held
            .iter()
            .rev()
            .find(|(_, state)| state.version() == version);
        found.map(|(_, state)| Arc::clone(state))
    }

    /// Lets go of states that were not used since a time.
    pub(crate) fn let_go(&self, before: Duration) {
        let mut held = self.0.lock();
        let old: Vec<_> = held.extract_if(.., |(used, _)| *used < before).collect();
        drop(held);
        drop(old);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grotto::engine::state::HashSeed;

    fn states(held: &HeldStates) -> Vec<u64> {
        let held = held.0.lock();
        held.iter().map(|(_, state)| state.version()).collect()
    }

    #[test]
    fn the_least_used_goes_first_and_each_after_its_time() {
        let held = HeldStates::default();
        let empty = State::empty(HashSeed::new([1, 2]));
        let state = |version| Arc::new(empty.at_version(version));
        let (one, two, three) = (state(1), state(2), state(3));
        let at = Duration::from_secs;
        held.hold(&one, at(1), 2);
        held.hold(&two, at(2), 2);
        held.hold(&one, at(3), 2);
        assert_eq!(states(&held), [2, 1]);
        held.hold(&three, at(4), 2);
        assert_eq!(states(&held), [1, 3]);
        assert_eq!(held.find(1).map(|state| state.version()), Some(1));
        assert!(held.find(2).is_none());
        held.let_go(at(4));
        assert_eq!((states(&held), held.count()), (vec![3], 1));
        held.hold(&one, at(5), 0);
        assert_eq!(held.count(), 0);
    }
}
