//! The served state, and the swap that replaces it.
//!
//! Owns: the one pointer that readers follow, and when replaced states are freed. Never: blocks a
//! reader, has it allocate or free anything, or knows how a state came about.
//!
//! # Why a reader sees one whole version
//!
//! A [`State`] is immutable: tables, indexes and segments of all types are complete before its `Arc`
//! exists, and nothing reachable from it is written afterwards (a damaged-bytes flag aside, which
//! says something about the bytes and is not part of them). The refresh builds the next state from
//! copies of what it touches, and its segments are files that are never written again after they were
//! sealed, or memory that nobody else has. [`Served::replace`] then publishes one pointer. A reader
//! loads that pointer once, in [`Served::hold`], and follows it from there; there is no second
//! pointer that could belong to another version, not for another type and not for an index. So two
//! reads through one held state cannot mix versions, whatever refreshes do in between.
//!
//! The swap releases and the load acquires, so who sees the pointer sees everything that was written
//! before it was swapped. All loads and swaps of the one pointer have one order, and refreshes take
//! turns and swap rising versions (unless asked to go back), so versions never fall for any reader,
//! nor for two readers one of which tells the other what it saw.
//!
//! # Why nobody waits
//!
//! - **A reader never waits for a refresh.** `hold` takes no lock. It marks the pointer in a slot of
//!   its own thread, adds one to the state's count and clears the slot: a bounded number of steps,
//!   also while the pointer is swapped under it. (`arc-swap` calls this wait-free. A thread's first
//!   load allocates its slots.)
//! - **A refresh never waits for a reader.** `replace` swaps the pointer, then visits every thread's
//!   slots once and adds the counts that readers had not added yet. It waits neither for a slot to
//!   clear nor for a state to be let go of: a reader that holds a version for an hour costs the memory
//!   that only this version uses, and nothing else.
//!
//! # What reclamation costs a reader: one decrement
//!
//! The last `Arc` to go frees tables and unmaps segments: system calls that take the lock of the
//! whole address space, on which page faults of all other threads wait. A reader must not be the
//! one to do this in the middle of a request, so every replaced state is kept in `retired` as well.
//! A reader that lets go is then never the last, and the refresh frees what nobody else holds: before
//! each version it builds, so that a long way does not hold all versions it leads over, and at its
//! end, also when there was no news. What is held when the consumer itself goes is its readers' alone,
//! and then the last of them frees it.
//!
//! **Invariant:** a state with a count of one in `retired` can gain no holder. The count is looked at
//! after the swap; since then no load returns this pointer, loads from before have been counted by
//! the swap, and a clone needs a holder. (Who upgrades a `Weak` of its own may become the last
//! holder; that costs time, and nothing else.) So freeing it takes nothing from anybody.
//!
//! The tests below hold this file to the last part; `grotto-sim` has readers of a real consumer check
//! what they see, and count their allocations, while versions are swapped.

use arc_swap::ArcSwap;
use grotto_state::{Segment, State};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// The state that is served, and those that were.
#[derive(Debug)]
pub(crate) struct Served {
    current: ArcSwap<State>,
    /// The same with what dataset it is of. Locked for a copy of both, never by readers and never for as long as
    /// something is built.
    identified: Mutex<Identified>,
    /// Replaced states, until nobody else holds them. Never locked by readers.
    retired: Mutex<Vec<Arc<State>>>,
    /// States of other versions, which somebody holds in memory of this process.
    visited: Mutex<Vec<Weak<State>>>,
}

/// A state, and the dataset that it is of.
#[derive(Clone, Debug)]
pub(crate) struct Identified {
    pub(crate) state: Arc<State>,
    /// Identity of the dataset; empty for the empty state.
    pub(crate) dataset_id: Arc<str>,
}

impl Served {
    pub(crate) fn new(state: State, dataset_id: &str) -> Self {
        let state = Arc::new(state);
        Self {
            current: ArcSwap::new(Arc::clone(&state)),
            identified: Mutex::new(Identified {
                state,
                dataset_id: dataset_id.into(),
            }),
            retired: Mutex::default(),
            visited: Mutex::default(),
        }
    }

    /// The state that is served with the dataset that it is of, for whoever has to know both. Waits for no refresh.
    pub(crate) fn identified(&self) -> Identified {
        self.identified.lock().clone()
    }

    /// The newest state, to be read for as long as it is held. Wait-free.
    pub(crate) fn hold(&self) -> Arc<State> {
        self.current.load_full()
    }

    /// Serves another state. The replaced one is freed by [`Self::reclaim`], never by a reader.
    pub(crate) fn replace(&self, next: Arc<State>, dataset_id: &str) {
        let mut retired = self.retired.lock();
        let mut identified = self.identified.lock();
        let old = self.current.swap(Arc::clone(&next));
        if *identified.dataset_id != *dataset_id {
            identified.dataset_id = dataset_id.into();
        }
        identified.state = next;
        // Once: two entries would each keep the other from being the last holder.
        if !retired.iter().any(|known| Arc::ptr_eq(known, &old)) {
            retired.push(old);
        }
    }

    /// Takes note of a state of another version that was built for somebody.
    pub(crate) fn visited(&self, state: &Arc<State>) {
        let mut visited = self.visited.lock();
        visited.retain(|held| held.strong_count() > 0);
        visited.push(Arc::downgrade(state));
    }

    /// Bytes of the segments of all states that are held, each counted once.
    pub(crate) fn segment_bytes(&self) -> u64 {
        let current = self.hold();
        self.segment_bytes_with(&current)
    }

    /// The same with one that is not served yet.
    pub(crate) fn segment_bytes_with(&self, built: &State) -> u64 {
        let mut sizes = self.served_sizes();
        sizes.extend(built.segments().map(size));
        sizes.values().sum()
    }

    /// Bytes of the segments of all states that are in memory of this process where served ones are, too: with those
    /// of other versions, and one that is being built.
    pub(crate) fn memory_with(&self, built: &State) -> u64 {
        let mut sizes = self.served_sizes();
        sizes.extend(self.visited_sizes());
        sizes.extend(built.segments().map(size));
        sizes.values().sum()
    }

    /// The same where served ones are files.
    pub(crate) fn visited_bytes_with(&self, built: &State) -> u64 {
        let mut sizes = self.visited_sizes();
        sizes.extend(built.segments().map(size));
        let files = self.served_sizes();
        sizes.retain(|at, _| !files.contains_key(at));
        sizes.values().sum()
    }

    /// Lengths of segments by where they are: of the served state, and of those before it that are held.
    fn served_sizes(&self) -> BTreeMap<usize, u64> {
        let current = self.hold();
        let retired = self.retired.lock();
        let states = retired.iter().chain([&current]);
        states
            .flat_map(|state| state.segments())
            .map(size)
            .collect()
    }

    fn visited_sizes(&self) -> BTreeMap<usize, u64> {
        let visited = self.visited.lock();
        let held: Vec<_> = visited.iter().filter_map(Weak::upgrade).collect();
        drop(visited);
        held.iter()
            .flat_map(|state| state.segments())
            .map(size)
            .collect()
    }

    /// Whether replaced states wait to be freed that nobody holds.
    pub(crate) fn has_garbage(&self) -> bool {
        self.retired.lock().iter().any(is_free)
    }

    /// Frees replaced states that nobody holds any more: unmaps files and returns memory, so not for
    /// a thread that has others waiting for it.
    pub(crate) fn reclaim(&self) {
        let free: Vec<_> = {
            let mut retired = self.retired.lock();
            retired.extract_if(.., |state| is_free(state)).collect()
        };
        drop(free);
    }
}

/// Where a segment is in memory, and its length. Names tell apart only those of one place.
fn size(segment: &Segment) -> (usize, u64) {
    let bytes = segment.bytes();
    (bytes.as_ptr().addr(), bytes.len() as u64)
}

/// Whether the list is the last holder.
fn is_free(state: &Arc<State>) -> bool {
    Arc::strong_count(state) == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use grotto_state::HashSeed;

    fn empty() -> State {
        State::empty(HashSeed::new([1, 2]))
    }

    fn at(version: u64) -> Arc<State> {
        Arc::new(empty().at_version(version))
    }

    fn replace(served: &Served, version: u64) -> Weak<State> {
        let next = at(version);
        let weak = Arc::downgrade(&next);
        served.replace(next, "id");
        weak
    }

    #[test]
    fn a_reader_is_never_the_one_to_free_a_state() {
        let served = Served::new(empty(), "");
        let first = replace(&served, 1);
        let held = served.hold();
        replace(&served, 2);
        served.reclaim();
        assert_eq!(held.version(), 1);
        drop(held);
        assert!(first.upgrade().is_some(), "freed by its reader");
        assert!(served.has_garbage());
        served.reclaim();
        assert!(first.upgrade().is_none(), "kept for nobody");
        assert!(!served.has_garbage());
    }

    #[test]
    fn what_is_served_is_not_garbage() {
        let served = Served::new(empty(), "");
        let first = replace(&served, 1);
        served.reclaim();
        assert!(first.upgrade().is_some());
        assert_eq!(served.hold().version(), 1);
    }

    #[test]
    fn serving_the_same_state_again_frees_it_once_it_is_replaced() {
        let served = Served::new(empty(), "");
        let first = replace(&served, 1);
        served.replace(served.hold(), "id");
        served.reclaim();
        assert_eq!(served.hold().version(), 1);
        replace(&served, 2);
        served.reclaim();
        served.reclaim();
        assert!(first.upgrade().is_none());
    }

    #[test]
    fn states_are_freed_in_any_order() {
        let served = Served::new(empty(), "");
        let held: Vec<_> = (1..=4)
            .map(|version| (replace(&served, version), served.hold()))
            .collect();
        replace(&served, 5);
        let (second, third) = (held[1].0.clone(), held[2].0.clone());
        let mut holders: Vec<_> = held.into_iter().map(|(_, holder)| holder).collect();
        holders.remove(2);
        served.reclaim();
        assert!(third.upgrade().is_none());
        assert!(second.upgrade().is_some());
        drop(holders);
        served.reclaim();
        assert_eq!(served.retired.lock().len(), 0);
    }
}
