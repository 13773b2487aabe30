//! The latest change of each key, while an incremental cycle is being told.
//!
//! Owns: finding it, so that a delete can say whether there is something to delete, and that the last change of
//! a key counts. Never applies a change. Changes are taken in when one is looked for.

use super::cycle::Op;
use grotto_format::schema::TypeId;
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

/// Positions of changes in the list of a cycle.
#[derive(Debug, Default)]
pub(super) struct Latest {
    table: HashTable<usize>,
    /// Per change that was taken in: the one before it with its key, to return to.
    earlier: Vec<Option<usize>>,
    hasher: DefaultHashBuilder,
}

impl Latest {
    fn hash(&self, id: TypeId, key: &[u8]) -> u64 {
        self.hasher.hash_one((id, key))
    }

    /// The latest change of a key in `ops`, to which changes may have been appended since last time.
    pub(super) fn find<'o>(&mut self, ops: &'o [Op], id: TypeId, key: &[u8]) -> Option<&'o Op> {
        ops.get(self.position(ops, id, key)?)
    }

    /// Whether a change is the latest one of its key.
    pub(super) fn is(&mut self, ops: &[Op], position: usize) -> bool {
        let Some(op) = ops.get(position) else {
            return false;
        };
        self.position(ops, op.id, &op.key) == Some(position)
    }

    fn position(&mut self, ops: &[Op], id: TypeId, key: &[u8]) -> Option<usize> {
        for position in self.earlier.len()..ops.len() {
            self.take_in(ops, position);
        }
        let same = |at: &usize| is_of(ops, *at, id, key);
        self.table.find(self.hash(id, key), same).copied()
    }

    fn take_in(&mut self, ops: &[Op], position: usize) {
        let Some(op) = ops.get(position) else { return };
        let hash = self.hash(op.id, &op.key);
        let hasher = &self.hasher;
        let rehash = |at: &usize| match ops.get(*at) {
            Some(op) => hasher.hash_one((op.id, op.key.as_slice())),
            None => 0,
        };
        let same = |at: &usize| is_of(ops, *at, op.id, &op.key);
        let earlier = match self.table.entry(hash, same, rehash) {
            Entry::Occupied(mut found) => Some(std::mem::replace(found.get_mut(), position)),
            Entry::Vacant(free) => {
                free.insert(position);
                None
            }
        };
        self.earlier.push(earlier);
    }

    /// Forgets the changes from a position on; `ops` still has them.
    pub(super) fn forget_from(&mut self, ops: &[Op], first: usize) {
        while self.earlier.len() > first {
            let position = self.earlier.len() - 1;
            let earlier = self.earlier.pop().flatten();
            let Some(op) = ops.get(position) else {
                continue;
            };
            let hash = self.hash(op.id, &op.key);
            if let Ok(mut found) = self.table.find_entry(hash, |at| *at == position) {
                match earlier {
                    Some(earlier) => *found.get_mut() = earlier,
                    None => drop(found.remove()),
                }
            }
        }
    }
}

fn is_of(ops: &[Op], at: usize, id: TypeId, key: &[u8]) -> bool {
    ops.get(at).is_some_and(|op| op.id == id && op.key == key)
}
