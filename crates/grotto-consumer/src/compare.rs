//! Comparing two states record by record.
//!
//! Owns: which ordinals hold another record than before. A record is the same if all that can be
//! read through it is, up to records with a key: a reference to one of those means the record with
//! that key, whatever it holds. Ordinals alone do not tell, as they are used again over time. Costs a
//! pass over both states when asked for all of them: only for refreshes that loaded a snapshot.

mod columns;

use columns::{Columns, Content};
use grotto_state::format::schema::{FieldType, TypeId};
use grotto_state::{Record, State, TypeChanges};
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

/// Records within records that are followed. No publisher nests as deep; damaged states may.
const MOST_DEPTH: usize = 128;

/// Compares the records of two states.
pub(crate) struct Comparison<'a> {
    first: &'a State,
    last: &'a State,
    /// By type of `last`.
    types: Vec<Pair>,
    /// By type of `last`: whether its records keep their ordinal for as long as their key lives.
    anchored: Vec<bool>,
}

/// A type of `last` and the type of `first` that has its name.
#[derive(Default)]
struct Pair {
    /// `None` inside if there was no such type.
    old: OnceCell<Option<(TypeId, Columns)>>,
    /// What is known of each ordinal; empty until something is.
    verdicts: RefCell<Vec<Verdict>>,
}

/// What is known of an ordinal: a byte, zero first, as untouched zeroes cost no memory.
type Verdict = u8;
const SAME: Verdict = 1;
/// Also while it is being found out: a record that leads to itself is damaged.
const DIFFERENT: Verdict = 2;

impl<'a> Comparison<'a> {
    /// Costs nothing until something is asked.
    pub(crate) fn new(first: &'a State, last: &'a State) -> Self {
        let types = last.schema().ids().map(|_| Pair::default()).collect();
        let mut anchored = last.full_schema().anchored();
        // Also where others referred to them at first.
        for (old, is) in first.schema().ids().zip(first.full_schema().anchored()) {
            let now = last.schema().find(&first.schema().get(old).name);
            if let Some(now) = now.and_then(|now| anchored.get_mut(now.index())) {
                *now |= is;
            }
        }
        Self {
            first,
            last,
            types,
            anchored,
        }
    }

    /// The changes of all types of `last`.
    pub(crate) fn all(&self) -> BTreeMap<String, TypeChanges> {
        let schema = self.last.schema();
        let name = |ty: TypeId| schema.get(ty).name.clone();
        let types = schema.ids();
        types.map(|ty| (name(ty), self.changes_of(ty))).collect()
    }

    /// Whether an ordinal of a type of `last` holds the same record in both states. Fields that only
    /// one of the schemas has count as null in the other.
    pub(crate) fn is_same(&self, ty: TypeId, ordinal: u32) -> bool {
        self.is_same_within(ty, ordinal, MOST_DEPTH)
    }

    /// Whether an ordinal of a type of `last` holds a record in both states that is one and the same,
    /// whatever it holds: others refer to it by its key.
    pub(crate) fn is_same_by_key(&self, ty: TypeId, ordinal: u32) -> bool {
        self.anchored.get(ty.index()) == Some(&true) && self.has_same_key(ty, ordinal)
    }

    fn has_same_key(&self, ty: TypeId, ordinal: u32) -> bool {
        let old = self.pair(ty).map(|(old, _)| *old);
        let before = old.and_then(|old| self.first.record(old, ordinal));
        let records = before.zip(self.last.record(ty, ordinal));
        records.is_some_and(|(before, after)| after.has_key_of(&before))
    }

    /// The changes of a type of `last`.
    pub(crate) fn changes_of(&self, ty: TypeId) -> TypeChanges {
        let mut change = TypeChanges::default();
        let Some((old, _)) = self.pair(ty) else {
            change.added = self.last.ordinals(ty).collect();
            return change;
        };
        let mut before = self.first.ordinals(*old).peekable();
        for ordinal in self.last.ordinals(ty) {
            while let Some(gone) = before.next_if(|old| *old < ordinal) {
                change.removed.push(gone);
            }
            if before.next_if_eq(&ordinal).is_none() {
                change.added.push(ordinal);
            } else if self.is_same(ty, ordinal) {
                continue;
            } else if self.is_same_by_key(ty, ordinal) {
                change.modified.push(ordinal);
            } else {
                change.removed.push(ordinal);
                change.added.push(ordinal);
            }
        }
        change.removed.extend(before);
        change
    }

    fn pair(&self, ty: TypeId) -> Option<&(TypeId, Columns)> {
        let pair = self.types.get(ty.index())?;
        let find = || {
            let (first, last) = (self.first.schema(), self.last.schema());
            let old = first.find(&last.get(ty).name)?;
            Some((old, Columns::match_up((first, old), (last, ty))))
        };
        pair.old.get_or_init(find).as_ref()
    }

    fn is_same_within(&self, ty: TypeId, ordinal: u32, depth: usize) -> bool {
        let (Some(pair), Some(depth)) = (self.types.get(ty.index()), depth.checked_sub(1)) else {
            return false;
        };
        let at = ordinal as usize;
        // Not held while other records are looked at, which may be of the same type.
        {
            let mut verdicts = pair.verdicts.borrow_mut();
            if verdicts.is_empty() {
                *verdicts = vec![0; self.last.ordinal_limit(ty) as usize];
            }
            match verdicts.get_mut(at) {
                Some(verdict @ 0) => *verdict = DIFFERENT,
                Some(verdict) => return *verdict == SAME,
                // The new state has no record there.
                None => return false,
            }
        }
        let same = self.find_out(ty, ordinal, depth);
        if let Some(verdict) = pair.verdicts.borrow_mut().get_mut(at).filter(|_| same) {
            *verdict = SAME;
        }
        same
    }

    fn find_out(&self, ty: TypeId, ordinal: u32, depth: usize) -> bool {
        let Some((old, columns)) = self.pair(ty) else {
            return false;
        };
        match (
            self.first.record(*old, ordinal),
            self.last.record(ty, ordinal),
        ) {
            (Some(old), Some(new)) => self.is_equal(columns, &old, &new, depth),
            // A reference that leads nowhere: damage.
            _ => false,
        }
    }

    fn is_equal(
        &self,
        columns: &Columns,
        old: &Record<'_>,
        new: &Record<'_>,
        depth: usize,
    ) -> bool {
        let schema = self.last.schema();
        let leads_to_same = |target: TypeId, ordinal: u32| match schema.get(target).key() {
            Some(_) => self.has_same_key(target, ordinal),
            None => self.is_same_within(target, ordinal, depth),
        };
        let equal = |(a, b, content): &(usize, usize, Content)| {
            if old.is_null(*a) || new.is_null(*b) {
                return old.is_null(*a) && new.is_null(*b);
            }
            match content {
                Content::Scalar(FieldType::String | FieldType::Bytes) => old.var(*a) == new.var(*b),
                Content::Scalar(_) => old.word(*a) == new.word(*b),
                Content::Reference(to) => {
                    let ordinal = new.word(*b);
                    old.word(*a) == ordinal && leads_to_same(*to, ordinal as u32)
                }
                Content::Elements(targets) => {
                    let targets = targets.iter().cycle();
                    old.elements(*a).eq(new.elements(*b))
                        && targets
                            .zip(new.elements(*b))
                            .all(|(to, ordinal)| leads_to_same(*to, ordinal))
                }
            }
        };
        columns.common.iter().all(equal)
            && columns.only_old.iter().all(|column| old.is_null(*column))
            && columns.only_new.iter().all(|column| new.is_null(*column))
    }
}
