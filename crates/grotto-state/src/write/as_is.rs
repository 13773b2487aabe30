//! Records that a cycle names with the content they have.
//!
//! Owns: noticing that a cycle says two things of one record. A record that others refer to may be
//! named by itself and within any of them, so it may be named as it is by one record and changed by
//! another. Never decides about records that nothing refers to: each is named once.

use super::Cycle;
use super::bits::{Bits, SharedBits};
use super::cycle::Mode;
use super::for_each_reference;
use crate::error::{StateError, StateResult};
use crate::state::State;
use grotto_format::schema::{Schema, TypeId};
use std::sync::Arc;

/// Committed records that were found within committed ones while those were compared with what was
/// given, and were equal to the last value. Records that change are few and those that do not may be
/// all, so this is a bit each; which record it was is found out where it matters.
#[derive(Debug, Default)]
pub(crate) struct Compared(Vec<SharedBits>);

impl Compared {
    /// Room for the records of types that keep their ordinals.
    pub(super) fn new(base: &State, anchored: &[bool], mode: Mode) -> Self {
        let room = |(id, anchored): (TypeId, &bool)| match mode {
            Mode::Full if *anchored => SharedBits::below(base.ordinal_limit(id)),
            _ => SharedBits::default(),
        };
        Self(base.schema().ids().zip(anchored).map(room).collect())
    }

    pub(crate) fn insert(&self, id: TypeId, ordinal: u32) {
        if let Some(bits) = self.0.get(id.index()) {
            bits.insert(ordinal);
        }
    }

    fn contains(&self, id: TypeId, ordinal: u32) -> bool {
        let bits = self.0.get(id.index());
        bits.is_some_and(|bits| bits.contains(ordinal))
    }
}

impl Cycle {
    /// Takes note that a record of the base is named as it is; refuses it if another record of the
    /// cycle changed it.
    pub(super) fn name_as_is(
        &mut self,
        id: TypeId,
        ordinal: u32,
        position: u64,
    ) -> StateResult<()> {
        // Deleted by an earlier change, brought back by this one.
        self.doomed.remove(&(id, ordinal));
        self.refuse_changed(id, ordinal, position)?;
        if self.anchored[id.index()] {
            let named = &mut self.stages[id.index()].as_is;
            named.entry(ordinal).or_insert(position);
        }
        Ok(())
    }

    /// Refuses a record of the base that is named as it is and that another record of the cycle
    /// changed.
    pub(super) fn refuse_changed(
        &self,
        id: TypeId,
        ordinal: u32,
        position: u64,
    ) -> StateResult<()> {
        match self.stages[id.index()].changed_at(ordinal) {
            Some(first) => Err(self.told_twice(id, ordinal, first, position)),
            None => Ok(()),
        }
    }

    /// Refuses records that a full cycle changed and named as they were within others that it named
    /// without a change.
    pub(super) fn check_compared(&self) -> StateResult<()> {
        for (id, stage) in self.schema.ids().zip(&self.stages) {
            let twice = |(ordinal, _): &(&u32, &u32)| self.compared.contains(id, **ordinal);
            let first = stage
                .updates
                .iter()
                .filter(twice)
                .min_by_key(|(_, row)| **row);
            if let Some((ordinal, row)) = first {
                let changed = stage.positions[*row as usize];
                let (a, b) = match self.who_compared(id, *ordinal) {
                    Some(named) => (named.min(changed), named.max(changed)),
                    None => (super::sources::UNKNOWN, changed),
                };
                return Err(self.told_twice(id, *ordinal, a, b));
            }
        }
        Ok(())
    }

    pub(super) fn told_twice(&self, id: TypeId, ordinal: u32, a: u64, b: u64) -> StateError {
        StateError::DuplicateKey {
            type_name: self.schema.get(id).name.clone(),
            key: self.key_of_base(id, ordinal),
            first: self.sources.show(a),
            second: self.sources.show(b),
        }
    }

    /// Position of the first record that a full cycle named as it is and from which a record of the
    /// base can be reached.
    fn who_compared(&self, id: TypeId, ordinal: u32) -> Option<u64> {
        let above = above(&self.base, id, ordinal);
        let named = self.schema.ids().zip(&above).flat_map(|(id, above)| {
            let stage = &self.stages[id.index()];
            let compared = move |o: &u32| above.contains(*o) && stage.is_compared(*o);
            self.base
                .ordinals(id)
                .filter(compared)
                .filter_map(move |o| stage.seen_at(o))
        });
        named.min()
    }
}

/// Records from which one can be reached, by type. Reads all records: for messages only.
fn above(base: &State, id: TypeId, ordinal: u32) -> Vec<Bits> {
    let schema = Arc::clone(base.schema());
    let mut above = vec![Bits::default(); schema.types().len()];
    above[id.index()].insert(ordinal);
    let mut reached = vec![false; above.len()];
    reached[id.index()] = true;
    loop {
        let mut more = false;
        for id in schema.ids() {
            if schema
                .get(id)
                .kind
                .references()
                .any(|to| reached[to.index()])
            {
                more |= add_parents(base, &schema, id, &mut above);
                reached[id.index()] = true;
            }
        }
        if !more {
            return above;
        }
    }
}

/// Adds records of a type that refer to one of `above`; tells whether there are new ones.
fn add_parents(base: &State, schema: &Schema, id: TypeId, above: &mut [Bits]) -> bool {
    let mut more = false;
    for ordinal in base
        .ordinals(id)
        .filter(|o| !above[id.index()].contains(*o))
        .collect::<Vec<_>>()
    {
        let Some(record) = base.row(id, ordinal) else {
            continue;
        };
        let mut leads = false;
        for_each_reference(schema, &record, &mut |to, child| {
            leads |= above[to.index()].contains(child);
        });
        if leads {
            above[id.index()].insert(ordinal);
            more = true;
        }
    }
    more
}
