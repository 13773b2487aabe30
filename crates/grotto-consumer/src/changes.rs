//! What changed between two states: composed from the steps between them, or found by comparing.
//!
//! Owns: net added, removed and modified ordinals. Never: costs more than the steps changed, unless a
//! snapshot lies between and both states must be compared.

use crate::compare::Comparison;
use grotto_state::format::schema::{Schema, TypeId};
use grotto_state::{Changes, State, TypeChanges};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Collects the changes of a refresh, step by step, or of several refreshes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Composer {
    types: BTreeMap<String, TypeChanges>,
    /// Steps that changed a record.
    steps: usize,
    /// A snapshot broke the line of steps.
    compare: bool,
    /// The schemas on the way.
    schemas: Vec<Arc<Schema>>,
}

impl Composer {
    /// Adds the changes of a step to `schema`.
    pub(crate) fn step(&mut self, schema: &Arc<Schema>, changes: Changes) {
        if self.compare {
            return;
        }
        self.pass(schema);
        self.steps += usize::from(changes.types.iter().any(|change| !change.is_empty()));
        for (ty, change) in schema.types().iter().zip(changes.types) {
            self.then(&ty.name, change);
        }
    }

    /// Comes through a version of this schema: types that it lacks are gone, with what they changed.
    fn pass(&mut self, schema: &Arc<Schema>) {
        let last = self.schemas.last();
        if last.is_none_or(|last| !Arc::ptr_eq(last, schema)) {
            self.schemas.push(Arc::clone(schema));
        }
        self.types.retain(|name, _| schema.find(name).is_some());
    }

    /// Adds what a whole refresh changed, which ended with `schema`; beyond `most` ordinals, only a comparison
    /// tells from then on.
    pub(crate) fn refresh(
        &mut self,
        schema: &Arc<Schema>,
        types: &BTreeMap<String, TypeChanges>,
        most: usize,
    ) {
        let known = self.types.values().chain(types.values());
        let ordinals = known.map(|ty| ty.added.len() + ty.removed.len() + ty.modified.len());
        if self.compare || ordinals.sum::<usize>() > most {
            return self.snapshot();
        }
        self.pass(schema);
        self.steps += 1;
        for (name, change) in types {
            self.then(name, change.clone());
        }
    }

    /// Whether only a comparison tells.
    #[cfg(test)]
    pub(crate) fn compares(&self) -> bool {
        self.compare
    }

    /// The way back: what came went, and the other way round.
    pub(crate) fn reversed(mut self) -> Self {
        for change in self.types.values_mut() {
            std::mem::swap(&mut change.added, &mut change.removed);
        }
        self
    }

    fn then(&mut self, name: &str, change: TypeChanges) {
        if change.is_empty() {
            return;
        }
        match self.types.get_mut(name) {
            Some(before) => follow(before, &change),
            None => {
                self.types.insert(name.to_owned(), change);
            }
        }
    }

    /// From here on only a comparison tells.
    pub(crate) fn snapshot(&mut self) {
        self.compare = true;
        self.types.clear();
        self.schemas.clear();
    }

    /// The net changes from `first` to `last`.
    pub(crate) fn finish(self, first: &State, last: &State) -> BTreeMap<String, TypeChanges> {
        let comparison = Comparison::new(first, last);
        let mut types = if self.compare {
            comparison.all()
        } else {
            self.types
        };
        // One step alone tells what it changed.
        let several = !self.compare && self.steps > 1;
        for (id, ty) in last.schema().ids().zip(last.schema().types()) {
            if was_gone(&self.schemas, &ty.name) {
                // The steps say nothing of what went with the type, which has come back.
                types.insert(ty.name.clone(), comparison.changes_of(id));
            } else if let Some(change) = types.get_mut(&ty.name).filter(|_| several) {
                settle(id, change, &comparison);
            }
        }
        // A way back ends where its beginning was, which may lack a type of its end.
        types.retain(|name, change| !change.is_empty() && last.schema().find(name).is_some());
        types
    }
}

/// Whether a type was missing on the way.
fn was_gone(schemas: &[Arc<Schema>], name: &str) -> bool {
    schemas.iter().any(|schema| schema.find(name).is_none())
}

/// `then` after `net`, into `net`: a record that came and went never was, and one that came and
/// changed is one that came.
fn follow(net: &mut TypeChanges, then: &TypeChanges) {
    let changed = minus(&then.modified, &net.added);
    net.modified = union(&minus(&net.modified, &then.removed), &changed);
    let gone = minus(&then.removed, &net.added);
    net.removed = union(&net.removed, &gone);
    net.added = union(&minus(&net.added, &then.removed), &then.added);
}

/// Looks at ordinals that live in both states: one that holds the record it held has not changed, and
/// one whose record others refer to by the key it had is modified, whichever way it got there.
fn settle(ty: TypeId, change: &mut TypeChanges, comparison: &Comparison<'_>) {
    let (added, removed) = (&change.added, &change.removed);
    let both = match added.is_empty() || removed.is_empty() {
        // A load adds everything: nothing to look through.
        true => Vec::new(),
        false => minus(added, &minus(added, removed)),
    };
    let is_new = |ordinal: &u32| !comparison.is_same(ty, *ordinal);
    let by_key = |ordinal: &u32| comparison.is_same_by_key(ty, *ordinal);
    let (modified, other): (Vec<u32>, Vec<u32>) = both.into_iter().partition(by_key);
    let same = minus(
        &other,
        &other.iter().copied().filter(is_new).collect::<Vec<_>>(),
    );
    let gone = union(&modified, &same);
    if !gone.is_empty() {
        change.added = minus(&change.added, &gone);
        change.removed = minus(&change.removed, &gone);
    }
    change.modified = union(&change.modified, &modified);
    change.modified.retain(is_new);
}

/// Members of `a` that are not in `b`; all rising.
fn minus(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut b = b.iter().peekable();
    let keep = |x: &&u32| {
        while b.next_if(|y| *y < *x).is_some() {}
        b.peek() != Some(x)
    };
    a.iter().filter(keep).copied().collect()
}

/// Members of either; all rising.
fn union(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut all = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let next = match (a.peek(), b.peek()) {
            (Some(x), Some(y)) if x == y => {
                a.next();
                b.next()
            }
            (Some(x), Some(y)) if x < y => a.next(),
            (Some(_), None) => a.next(),
            _ => b.next(),
        };
        match next {
            Some(ordinal) => all.push(*ordinal),
            None => return all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(added: &[u32], removed: &[u32]) -> TypeChanges {
        TypeChanges {
            added: added.to_vec(),
            removed: removed.to_vec(),
            modified: Vec::new(),
        }
    }

    fn modified(ordinals: &[u32], of: TypeChanges) -> TypeChanges {
        TypeChanges {
            modified: ordinals.to_vec(),
            ..of
        }
    }

    fn check(steps: &[TypeChanges], expected: &TypeChanges) {
        let mut net = steps[0].clone();
        steps[1..].iter().for_each(|then| follow(&mut net, then));
        assert_eq!(&net, expected);
    }

    #[test]
    fn a_record_that_came_and_went_never_was() {
        check(
            &[change(&[3, 5], &[]), change(&[], &[5])],
            &change(&[3], &[]),
        );
    }

    #[test]
    fn an_ordinal_that_was_freed_and_used_again_is_in_both_lists() {
        check(&[change(&[], &[4]), change(&[4], &[])], &change(&[4], &[4]));
    }

    #[test]
    fn a_replaced_record_that_goes_leaves_only_the_removal() {
        let steps = [change(&[], &[4]), change(&[4], &[]), change(&[9], &[4])];
        check(&steps, &change(&[9], &[4]));
    }

    #[test]
    fn a_record_that_came_and_changed_came_and_one_that_changed_and_went_went() {
        check(
            &[change(&[3], &[]), modified(&[3, 5, 8], change(&[], &[]))],
            &modified(&[5, 8], change(&[3], &[])),
        );
        check(
            &[modified(&[3, 5], change(&[], &[])), change(&[], &[3])],
            &modified(&[5], change(&[], &[3])),
        );
    }

    #[test]
    fn a_record_that_changed_twice_changed() {
        let once = modified(&[4], change(&[], &[]));
        check(&[once.clone(), once.clone()], &once);
    }

    #[test]
    fn an_ordinal_used_again_by_a_record_that_then_changed_is_in_both_lists() {
        let steps = [
            change(&[], &[4]),
            change(&[4], &[]),
            modified(&[4], change(&[], &[])),
        ];
        check(&steps, &change(&[4], &[4]));
        let steps = [
            modified(&[4], change(&[], &[])),
            change(&[], &[4]),
            change(&[4], &[]),
        ];
        check(&steps, &change(&[4], &[4]));
    }

    #[test]
    fn what_waits_takes_no_more_room_for_versions_of_one_schema() {
        let schema = Arc::new(Schema::default());
        let mut changes = Composer::default();
        for _ in 0..9 {
            changes.refresh(&schema, &BTreeMap::new(), 8);
        }
        assert_eq!(changes.schemas.len(), 1);
    }

    #[test]
    fn lists_stay_in_order() {
        check(
            &[change(&[1, 9], &[0, 7]), change(&[2, 7], &[3, 9])],
            &change(&[1, 2, 7], &[0, 3, 7]),
        );
    }
}
