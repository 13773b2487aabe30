//! States that somebody is in the middle of.
//!
//! Owns: holding a state between two pages of a scan: a few, and for some time, however often pages are asked for.
//! Never: reads one.

use grotto::State;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// States that are held.
#[derive(Debug, Default)]
pub(crate) struct HeldStates(Mutex<Vec<Held>>);

#[derive(Debug)]
struct Held {
    state: Arc<State>,
    since: Duration,
    /// When a page of it was asked for.
    used: Duration,
}

impl HeldStates {
    /// Holds a state from now on; those that were not used for longest go if there are more than `most`.
    pub(crate) fn hold(&self, state: &Arc<State>, now: Duration, most: usize) {
        let mut held = self.0.lock();
        let known = held.iter().position(|one| Arc::ptr_eq(&one.state, state));
        let since = known.map_or(now, |at| held.remove(at).since);
        held.push(Held {
            state: Arc::clone(state),
            since,
            used: now,
        });
        let excess = held.len().saturating_sub(most);
        let old: Vec<_> = held.drain(..excess).collect();
        drop(held);
        // Freed here, where nobody waits for the lock.
        drop(old);
    }

    /// The state of a version.
    pub(crate) fn find(&self, version: u64) -> Option<Arc<State>> {
        let held = self.0.lock();
        let mut newest_first = held.iter().rev();
        let found = newest_first.find(|one| one.state.version() == version);
        found.map(|one| Arc::clone(&one.state))
    }

    /// Lets go of states that were not used for `idle`, and of those that have been held for `whole`.
    pub(crate) fn let_go(&self, now: Duration, idle: Duration, whole: Duration) {
        let is_over = |one: &Held| {
            now.saturating_sub(one.used) > idle || now.saturating_sub(one.since) > whole
        };
        self.remove(is_over);
    }

    /// Lets go of all but what is served; how many there were.
    pub(crate) fn let_go_of_older(&self, served: &Arc<State>) -> usize {
        self.remove(|one| !Arc::ptr_eq(&one.state, served))
    }

    fn remove(&self, which: impl Fn(&Held) -> bool) -> usize {
        let mut held = self.0.lock();
        let old: Vec<_> = held.extract_if(.., |one| which(one)).collect();
        drop(held);
        old.len()
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
        held.iter().map(|one| one.state.version()).collect()
    }

    fn numbered<const N: usize>(versions: [u64; N]) -> [Arc<State>; N] {
        let empty = State::empty(HashSeed::new([1, 2]));
        versions.map(|version| Arc::new(empty.at_version(version)))
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_least_used_goes_first_and_each_after_its_time() {
        let held = HeldStates::default();
        let [one, two, three] = numbered([1, 2, 3]);
        held.hold(&one, at(1), 2);
        held.hold(&two, at(2), 2);
        held.hold(&one, at(3), 2);
        assert_eq!(states(&held), [2, 1]);
        held.hold(&three, at(4), 2);
        assert_eq!(states(&held), [1, 3]);
        assert_eq!(held.find(1).map(|state| state.version()), Some(1));
        assert!(held.find(2).is_none());
        held.let_go(at(10), at(6), at(100));
        assert_eq!((states(&held), held.count()), (vec![3], 1));
        held.hold(&one, at(5), 0);
        assert_eq!(held.count(), 0);
    }

    #[test]
    fn none_is_held_for_ever_by_whoever_goes_on_asking() {
        let held = HeldStates::default();
        let [one] = numbered([1]);
        for second in 0..=10 {
            held.hold(&one, at(second), 2);
            held.let_go(at(second), at(5), at(10));
            assert_eq!(held.count(), 1, "after {second} s");
        }
        held.hold(&one, at(11), 2);
        held.let_go(at(11), at(5), at(10));
        assert_eq!(held.count(), 0);
    }

    #[test]
    fn older_ones_make_room_and_what_is_served_stays() {
        let held = HeldStates::default();
        let [one, two] = numbered([1, 2]);
        held.hold(&one, at(1), 4);
        held.hold(&two, at(1), 4);
        assert_eq!(held.let_go_of_older(&two), 1);
        assert_eq!(states(&held), [2]);
        assert_eq!(held.let_go_of_older(&two), 0);
    }
}
