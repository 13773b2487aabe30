//! What changed between two states, record by record.
//!
//! Owns: which record of one state is which of the other. With a primary key that is the record with
//! the same key, wherever it lies; without one there is none, and a change is one that goes and one that comes.
//! Never: finds out which
//! ordinals to look at; whoever applied the changes knows ([`TypeChanges`]).

mod content;
mod interest;
#[cfg(test)]
mod tests;

use crate::apply::TypeChanges;
use crate::key::{KeyInfo, KeyPart, read_part};
use crate::record::Record;
use crate::state::State;
use crate::typed::{RecordType, Typed};
use content::Contents;
use grotto_error::Result;
use grotto_format::schema::TypeId;
pub use interest::Interest;
use interest::Wanted;
use std::vec;

/// A record that came, went or changed between two states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<R> {
    /// There was no record with its key.
    Added(R),
    /// There is no record with its key any more.
    Removed(R),
    /// There was and is a record with its key, and it says something else now.
    Modified {
        /// The record as it was.
        before: R,
        /// The record as it is.
        after: R,
    },
}

impl<R> Change<R> {
    /// The record as it was; `None` for one that came.
    pub fn before(self) -> Option<R> {
        match self {
            Self::Added(_) => None,
            Self::Removed(before) | Self::Modified { before, .. } => Some(before),
        }
    }

    /// The record as it is; `None` for one that went.
    pub fn after(self) -> Option<R> {
        match self {
            Self::Removed(_) => None,
            Self::Added(after) | Self::Modified { after, .. } => Some(after),
        }
    }

    fn of(before: Option<R>, after: Option<R>) -> Option<Self> {
        match (before, after) {
            (Some(before), Some(after)) => Some(Self::Modified { before, after }),
            (Some(before), None) => Some(Self::Removed(before)),
            (None, after) => after.map(Self::Added),
        }
    }
}

/// Two states of a dataset, to be told apart.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'a> {
    before: &'a State,
    after: &'a State,
}

impl<'a> Difference<'a> {
    /// Between the state that was and the one that is.
    #[must_use]
    pub fn new(before: &'a State, after: &'a State) -> Self {
        Self { before, after }
    }

    /// The records of a type that changed: first those that went or changed, then those that came,
    /// each by rising ordinal. `ordinals` tells where to look; without it, nothing changed.
    ///
    /// A record with a primary key is told once, also where it moved to another ordinal, and not at
    /// all if it says what it said. References to records with a key say which record is meant, not
    /// what is in it. A record without a key has no identity: one that moved is told as one that went
    /// and one that came. A type that one of the states lacks has no records there.
    ///
    /// # Errors
    /// When neither state has the type.
    pub fn records(
        self,
        type_name: &str,
        ordinals: Option<&TypeChanges>,
    ) -> Result<impl Iterator<Item = Change<Record<'a>>> + use<'a>> {
        self.changed(type_name, ordinals)
    }

    /// Those of them that somebody is interested in; none where neither state has the type, as it may come.
    pub fn of_interest(
        self,
        interest: &'a Interest,
        ordinals: Option<&TypeChanges>,
    ) -> impl Iterator<Item = Change<Record<'a>>> + use<'a> {
        let mut wanted = Wanted::new(interest, self.before, self.after);
        let changed = self.changed(interest.type_name(), ordinals).ok();
        let changed = changed.into_iter().flatten();
        changed.filter(move |change| wanted.has(change))
    }

    /// Changes of records as Rust values.
    ///
    /// # Errors
    /// When one of the states has the type with a field of another type.
    pub fn typed_of<T: RecordType>(
        self,
        changes: impl Iterator<Item = Change<Record<'a>>>,
    ) -> Result<impl Iterator<Item = Change<T::Ref<'a>>>> {
        let bind = |state: &'a State| -> Result<Option<Typed<'a, T>>> {
            let there = state.schema().find(T::TYPE);
            there.map(|_| state.typed::<T>()).transpose()
        };
        let (before, after) = (bind(self.before)?, bind(self.after)?);
        let read = |typed: Option<Typed<'a, T>>, record| Some(typed?.read(record?));
        Ok(changes.filter_map(move |change| {
            Change::of(read(before, change.before()), read(after, change.after()))
        }))
    }

    /// The same as Rust values.
    ///
    /// # Errors
    /// When neither state has the type, or one of them has a field of another type.
    pub fn typed<T: RecordType>(
        self,
        ordinals: Option<&TypeChanges>,
    ) -> Result<impl Iterator<Item = Change<T::Ref<'a>>> + use<'a, T>> {
        let changed = self.changed(T::TYPE, ordinals)?;
        self.typed_of::<T>(changed)
    }

    fn changed(self, name: &str, ordinals: Option<&TypeChanges>) -> Result<Changed<'a>> {
        let (before, after) = (Side::new(self.before, name), Side::new(self.after, name));
        let (gone, come) = match (before.ty, after.ty) {
            (Some(_), Some(_)) => ordinals.map_or_else(Default::default, |known| {
                (known.removed_or_modified(), known.added_or_modified())
            }),
            (None, None) => {
                self.after.type_id(name)?;
                Default::default()
            }
            _ => (before.ordinals(), after.ordinals()),
        };
        Ok(Changed {
            keyed: before.has_key_of(&after),
            before,
            after,
            gone: gone.into_iter(),
            come: come.into_iter(),
        })
    }
}

/// A type in one of the states.
struct Side<'a> {
    state: &'a State,
    /// `None` if the state lacks the type.
    ty: Option<TypeId>,
    key: Option<&'a KeyInfo>,
    contents: Contents<'a>,
}

impl<'a> Side<'a> {
    fn new(state: &'a State, name: &str) -> Self {
        let ty = state.schema().find(name).filter(|ty| state.keeps(*ty));
        let info = ty.and_then(|ty| state.infos.get(ty.index()));
        Self {
            state,
            ty,
            key: info.and_then(|info| info.key.as_ref()),
            contents: Contents::new(state),
        }
    }

    fn ordinals(&self) -> Vec<u32> {
        let all = self.ty.map(|ty| self.state.ordinals(ty).collect());
        all.unwrap_or_default()
    }

    fn record(&self, ordinal: u32) -> Option<Record<'a>> {
        self.state.record(self.ty?, ordinal)
    }

    /// Whether both have a primary key, of the same fields.
    fn has_key_of(&self, other: &Side<'_>) -> bool {
        let fields = |key: &KeyInfo| -> Vec<_> {
            let fields = key.paths.iter();
            fields.map(|path| (path.text.clone(), path.leaf)).collect()
        };
        let keys = self.key.zip(other.key);
        keys.is_some_and(|(one, other)| fields(one) == fields(other))
    }

    /// The record with the key of a record of the other side.
    fn counterpart(&self, other: &Side<'_>, record: &Record<'_>) -> Option<Record<'a>> {
        let (ty, key) = self.ty.zip(self.key)?;
        let parts = other.key?.paths.iter().map(|path| read_part(record, path));
        let parts: Vec<KeyPart<'_>> = parts.collect::<Option<_>>()?;
        let hash = key.secret.of_key(parts.as_slice());
        self.state.find_hashed(ty, key, parts.as_slice(), hash)
    }
}

/// The changed records of a type.
struct Changed<'a> {
    before: Side<'a>,
    after: Side<'a>,
    /// Whether a key says which record is which.
    keyed: bool,
    /// Ordinals of the state before that may hold another record now, or none.
    gone: vec::IntoIter<u32>,
    /// Ordinals of the state after that may have held another record, or none.
    come: vec::IntoIter<u32>,
}

impl<'a> Changed<'a> {
    /// What became of a record.
    fn fate(&mut self, before: Record<'a>) -> Option<Change<Record<'a>>> {
        let after = match self.keyed {
            true => self.after.counterpart(&self.before, &before),
            false => None,
        };
        let Some(after) = after else {
            return Some(Change::Removed(before));
        };
        let said = self.before.contents.of(before);
        let same = said.is_some() && said == self.after.contents.of(after);
        (!same).then_some(Change::Modified { before, after })
    }

    /// Where a record comes from: one that was there is told by its fate.
    fn origin(&self, after: Record<'a>) -> Option<Change<Record<'a>>> {
        let was_there = self.keyed && self.before.counterpart(&self.after, &after).is_some();
        (!was_there).then_some(Change::Added(after))
    }
}

impl<'a> Iterator for Changed<'a> {
    type Item = Change<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(ordinal) = self.gone.next() {
            let before = self.before.record(ordinal);
            if let Some(change) = before.and_then(|before| self.fate(before)) {
                return Some(change);
            }
        }
        while let Some(ordinal) = self.come.next() {
            let after = self.after.record(ordinal);
            if let Some(change) = after.and_then(|after| self.origin(after)) {
                return Some(change);
            }
        }
        None
    }
}
