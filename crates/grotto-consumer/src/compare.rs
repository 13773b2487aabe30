//! Comparing two states record by record.
//!
//! Owns: which ordinals hold another record than before. Costs a pass over both states: only for
//! refreshes that loaded a snapshot.

use grotto_state::format::batch::{ColumnKind, columns_of};
use grotto_state::format::schema::{TypeId, TypeSchema};
use grotto_state::{Record, State, TypeChanges};
use std::collections::BTreeMap;

/// The changes of all types of `last`.
pub(crate) fn states(first: &State, last: &State) -> BTreeMap<String, TypeChanges> {
    let types = last.schema().types().iter();
    types
        .map(|ty| (ty.name.clone(), changes_of(&ty.name, first, last)))
        .collect()
}

fn changes_of(name: &str, first: &State, last: &State) -> TypeChanges {
    let mut change = TypeChanges::default();
    let Some(new) = last.schema().find(name) else {
        return change;
    };
    let Some(compare) = Comparison::new(name, first, last) else {
        change.added = last.ordinals(new).collect();
        return change;
    };
    let mut before = first.ordinals(compare.old).peekable();
    for ordinal in last.ordinals(new) {
        while let Some(gone) = before.next_if(|old| *old < ordinal) {
            change.removed.push(gone);
        }
        if before.next_if_eq(&ordinal).is_none() {
            change.added.push(ordinal);
        } else if !compare.is_same(ordinal) {
            change.removed.push(ordinal);
            change.added.push(ordinal);
        }
    }
    change.removed.extend(before);
    change
}

/// Compares the records of a type that both states have.
pub(crate) struct Comparison<'a> {
    first: &'a State,
    last: &'a State,
    old: TypeId,
    new: TypeId,
    columns: Columns,
}

/// Which column is which, and what it holds.
struct Columns {
    common: Vec<(usize, usize, ColumnKind)>,
    only_old: Vec<usize>,
    only_new: Vec<usize>,
}

impl<'a> Comparison<'a> {
    pub(crate) fn new(name: &str, first: &'a State, last: &'a State) -> Option<Self> {
        let (old, new) = (first.schema().find(name)?, last.schema().find(name)?);
        let columns = Columns::match_up(first.schema().get(old), last.schema().get(new));
        Some(Self {
            first,
            last,
            old,
            new,
            columns,
        })
    }

    /// Whether an ordinal holds the same record in both states. Fields that only one of the
    /// schemas has count as null in the other.
    pub(crate) fn is_same(&self, ordinal: u32) -> bool {
        match (
            self.first.record(self.old, ordinal),
            self.last.record(self.new, ordinal),
        ) {
            (Some(old), Some(new)) => self.columns.is_same(&old, &new),
            (old, new) => old.is_none() && new.is_none(),
        }
    }
}

impl Columns {
    fn match_up(old: &TypeSchema, new: &TypeSchema) -> Self {
        let (names, new_names) = (names_of(old), names_of(new));
        let kinds = columns_of(new);
        let mut columns = Self {
            common: Vec::new(),
            only_old: Vec::new(),
            only_new: Vec::new(),
        };
        for (position, kind) in kinds.into_iter().enumerate() {
            let name = new_names.get(position);
            match names.iter().position(|other| Some(other) == name) {
                Some(before) => columns.common.push((before, position, kind)),
                None => columns.only_new.push(position),
            }
        }
        let dropped = names
            .iter()
            .enumerate()
            .filter(|(_, name)| !new_names.contains(name));
        columns.only_old = dropped.map(|(position, _)| position).collect();
        columns
    }

    fn is_same(&self, old: &Record<'_>, new: &Record<'_>) -> bool {
        let equal = |(a, b, kind): &(usize, usize, ColumnKind)| {
            old.is_null(*a) == new.is_null(*b)
                && match kind {
                    ColumnKind::Fixed(_) => old.word(*a) == new.word(*b),
                    ColumnKind::Var(_) => old.var(*a) == new.var(*b),
                    ColumnKind::Elements(_) => old.elements(*a).eq(new.elements(*b)),
                }
        };
        self.common.iter().all(equal)
            && self.only_old.iter().all(|column| old.is_null(*column))
            && self.only_new.iter().all(|column| new.is_null(*column))
    }
}

/// Names of a type's columns: those of its fields, or one without a name for the elements.
fn names_of(ty: &TypeSchema) -> Vec<&str> {
    match ty.object() {
        Some(object) => object
            .fields
            .iter()
            .map(|field| field.name.as_str())
            .collect(),
        None => vec![""],
    }
}
