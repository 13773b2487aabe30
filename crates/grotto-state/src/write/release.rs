//! What dies in a cycle.
//!
//! Owns: removing records and, through reference counts, the nested ones nobody refers to any more.
//!
//! Records of keyed types live until they are deleted by key, or are missing from a full cycle.
//! Records of other types that something refers to live exactly as long as that lasts.

use super::cycle::{Cycle, Mode, Op};
use super::flatkey::{FlatKey, key_parts};
use super::for_each_reference;
use super::intern::{Resolve, Source};
use crate::error::{StateError, StateResult};
use crate::find::Finder;
use crate::key::{self, KeyPart};
use crate::state::State;
use grotto_format::schema::TypeId;
use std::sync::Arc;

/// How many changes lie between asking for the line of a key, its row and its values.
const AHEAD: usize = 8;

/// Asks for what the next changes are compared with: it is all over memory, and each step waits for the one
/// before.
fn look_ahead(base: &State, ops: &[Op], at: usize) {
    let ahead = |steps: usize| {
        let op = ops.get(at + steps * AHEAD)?;
        Some((Finder::new(base, op.id), op))
    };
    if let Some((finder, op)) = ahead(3) {
        finder.prefetch_line(op.hash);
    }
    if let Some((finder, op)) = ahead(2) {
        finder.prefetch_first(op.hash);
    }
    if let Some((finder, op)) = ahead(1)
        && let Some(record) = finder.first(op.hash)
    {
        record.prefetch_values();
    }
}

impl Cycle {
    /// Resolves the changes of an incremental cycle, the last one of each key.
    pub(super) fn apply_ops(&mut self) -> StateResult<()> {
        let ops = std::mem::take(&mut self.ops);
        let bytes = std::mem::take(&mut self.op_bytes);
        let mut latest = std::mem::take(&mut self.latest);
        let base = Arc::clone(&self.base);
        for (i, op) in ops.iter().enumerate() {
            look_ahead(&base, &ops, i);
            if !latest.is(&ops, i) {
                continue;
            }
            let Some(info) = base.infos[op.id.index()].key.as_ref() else {
                continue;
            };
            let parts = key_parts(&op.key);
            let found = base.find_hashed(op.id, info, parts.as_slice(), op.hash);
            match (op.record, found) {
                (Some((start, length)), found) => {
                    let flat = &bytes[start..start + length];
                    let same = match &found {
                        Some(record) => self.equals_base(record, flat, op.position)?,
                        None => false,
                    };
                    match found.filter(|_| same) {
                        Some(record) => self.name_as_is(op.id, record.ordinal(), op.position)?,
                        None => {
                            let source = Source {
                                position: op.position,
                                depth: 0,
                            };
                            self.resolve(op.id, flat, Resolve::Create, source)?;
                        }
                    }
                }
                (None, found) => {
                    self.refuse_staged(op.id, parts)?;
                    self.doomed
                        .extend(found.map(|record| (op.id, record.ordinal())));
                }
            }
        }
        self.doom_replaced();
        Ok(())
    }

    /// Refuses to delete a key that an earlier change of the cycle brought within another record. A
    /// later one would bring it back.
    fn refuse_staged(&self, id: TypeId, parts: Vec<KeyPart<'_>>) -> StateResult<()> {
        let key = FlatKey::of(parts);
        let Some(info) = self.base.infos[id.index()].key.as_ref() else {
            return Ok(());
        };
        if self
            .staged_with_key(id, &key, info.secret.of_key(&key))
            .is_none()
        {
            return Ok(());
        }
        let shown = key::show(info, key.parts());
        Err(StateError::Invalid(format!(
            "type {}: key {shown} cannot be deleted: other records of the cycle refer to it",
            self.schema.get(id).name
        )))
    }

    /// Records whose key was taken over must die.
    fn doom_replaced(&mut self) {
        for (id, stage) in self.schema.ids().zip(&self.stages) {
            let replaced = stage.replaces.iter().map(|(_, ordinal)| (id, *ordinal));
            self.doomed.extend(replaced);
        }
    }

    /// Finds everything that dies.
    pub(super) fn bury(&mut self) -> StateResult<()> {
        self.leave_removed_types();
        self.leave_changed();
        let roots: Vec<(TypeId, u32)> = match self.mode {
            Mode::Incremental => self.doomed.iter().copied().chain(self.orphans()).collect(),
            Mode::Full => self.missing(),
        };
        for (id, ordinal) in roots {
            if self.references(id, ordinal) <= 0 {
                self.release(id, ordinal);
            }
        }
        for stage in &mut self.stages {
            stage.removed.sort_unstable();
        }
        self.check_gone()
    }

    /// Records of the base that a full cycle did not name. Nested ones are found through those
    /// that refer to them, unless the schema changed what refers to what.
    fn missing(&self) -> Vec<(TypeId, u32)> {
        let changed = !Arc::ptr_eq(&self.before, &self.base);
        let types = self
            .schema
            .ids()
            .filter(|id| changed || self.is_top_level(*id));
        types
            .flat_map(|id| {
                let stage = &self.stages[id.index()];
                self.base
                    .ordinals(id)
                    .filter(move |o| !stage.stays(*o))
                    .map(move |o| (id, o))
            })
            .collect()
    }

    /// Records of types that used to stand by themselves and now live only by being referred to.
    fn orphans(&self) -> Vec<(TypeId, u32)> {
        let before = self.before.schema();
        let newly = |id: &TypeId| {
            let old = self.old_of[id.index()].map(|old| TypeId(old as u16));
            !self.is_top_level(*id) && old.is_some_and(|old| before.is_top_level(old))
        };
        let changed = !Arc::ptr_eq(&self.before, &self.base);
        let types = self.schema.ids().filter(|id| changed && newly(id));
        types
            .flat_map(|id| self.base.ordinals(id).map(move |ordinal| (id, ordinal)))
            .collect()
    }

    /// Takes back the references of records whose type the new schema lacks.
    fn leave_removed_types(&mut self) {
        let before = Arc::clone(&self.before);
        for (position, new) in self.new_of.clone().into_iter().enumerate() {
            let id = TypeId(position as u16);
            if new.is_some() {
                continue;
            }
            for ordinal in before.ordinals(id) {
                self.leave(id, ordinal);
            }
        }
    }

    /// Takes back the references that changed records had; those they have now are counted already.
    fn leave_changed(&mut self) {
        for position in 0..self.stages.len() {
            let Some(old) = self.old_of[position] else {
                continue;
            };
            let mut changed: Vec<u32> = self.stages[position].updates.keys().copied().collect();
            // The order decides in which order children die, and nothing else may.
            changed.sort_unstable();
            for ordinal in changed {
                self.leave(TypeId(old as u16), ordinal);
            }
        }
    }

    /// Takes back the references of a record of the committed state.
    fn leave(&mut self, old: TypeId, ordinal: u32) {
        for (to, child) in self.references_of(old, ordinal) {
            self.stages[to.index()].recount(child, -1);
            if self.references(to, child) == 0 && self.may_die(to, child) {
                self.release(to, child);
            }
        }
    }

    /// References of a record of the committed state, as types of the new schema.
    fn references_of(&self, old: TypeId, ordinal: u32) -> Vec<(TypeId, u32)> {
        let mut all = Vec::new();
        if let Some(record) = self.before.row(old, ordinal) {
            for_each_reference(self.before.schema(), &record, &mut |to, child| {
                if let Some(new) = self.new_of.get(to.index()).copied().flatten() {
                    all.push((new, child));
                }
            });
        }
        all
    }

    fn may_die(&self, id: TypeId, ordinal: u32) -> bool {
        let keyed = self.schema.get(id).key().is_some();
        match self.mode {
            Mode::Full => !self.stages[id.index()].stays(ordinal),
            Mode::Incremental if keyed => self.doomed.contains(&(id, ordinal)),
            Mode::Incremental => !self.is_top_level(id),
        }
    }

    fn release(&mut self, id: TypeId, ordinal: u32) {
        let mut pending = vec![(id, ordinal)];
        while let Some((id, ordinal)) = pending.pop() {
            let stage = &mut self.stages[id.index()];
            if !stage.dead.insert(ordinal) {
                continue;
            }
            stage.removed.push(ordinal);
            let Some(old) = self.old_of[id.index()] else {
                continue;
            };
            for (to, child) in self.references_of(TypeId(old as u16), ordinal) {
                self.stages[to.index()].recount(child, -1);
                if self.references(to, child) == 0 && self.may_die(to, child) {
                    pending.push((to, child));
                }
            }
        }
    }

    /// A record whose key was taken over or deleted must be gone; another one may still refer to it.
    fn check_gone(&self) -> StateResult<()> {
        let replaced = self.schema.ids().zip(&self.stages);
        let replaced =
            replaced.flat_map(|(id, stage)| stage.replaces.iter().map(move |r| (id, r.1)));
        // The first one, so that a failure is the same each time.
        let doomed = self.doomed.iter().copied().chain(replaced);
        let left = doomed
            .filter(|(id, o)| !self.stages[id.index()].dead.contains(o))
            .min();
        match left {
            Some((id, ordinal)) => Err(self.still_needed(id, ordinal)),
            None => Ok(()),
        }
    }

    /// The key of a record of the base, for messages.
    pub(super) fn key_of_base(&self, id: TypeId, ordinal: u32) -> String {
        let info = self.base.infos[id.index()].key.as_ref();
        let shown = info.zip(self.base.row(id, ordinal)).map(|(info, record)| {
            let parts: Vec<_> = info
                .paths
                .iter()
                .filter_map(|path| key::read_part(&record, path))
                .collect();
            key::show(info, &parts)
        });
        shown.unwrap_or_default()
    }
}
