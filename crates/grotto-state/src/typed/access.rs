//! Typed access to a state.
//!
//! Owns: the entry points. Never searches an index itself.

use super::bind::{Bound, Node};
use super::cursor::Cursor;
use super::value::{Element, RecordType};
use crate::error::{StateError, StateResult};
use crate::find::{Finder, Once};
use crate::record::Record;
use crate::state::State;
use grotto_error::Result;
use std::marker::PhantomData;

/// All records of one type, as Rust values. Bound once; every call after that is a lookup.
pub struct Typed<'a, T> {
    state: &'a State,
    bound: &'static Bound,
    /// Of the type itself.
    node: &'a Node,
    finder: Finder<'a>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Typed<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Typed<'_, T> {}

impl<T: RecordType> std::fmt::Debug for Typed<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at version {}", T::TYPE, self.state.version())
    }
}

impl<'a, T: RecordType> Typed<'a, T> {
    #[inline(always)]
    fn new(state: &'a State, bound: &'static Bound) -> Self {
        Self {
            state,
            bound,
            node: bound.root_node(),
            finder: Finder::new(state, bound.type_id()).refusing(bound.key_refusal()),
            of: PhantomData,
        }
    }

    /// The record with a primary key.
    ///
    /// # Errors
    /// When the dataset has another primary key than the struct, or none.
    #[inline(always)]
    pub fn get(&self, key: T::Key<'_>) -> Result<Option<T::Ref<'a>>> {
        let found = self.finder.find(&key)?;
        Ok(found.map(|record| self.read(record)))
    }

    /// The records with these primary keys, in their order. Faster than one [`get`](Self::get)
    /// after the other, the more so the larger the dataset.
    ///
    /// # Errors
    /// When the dataset has another primary key than the struct, or none.
    pub fn get_many(&self, keys: &[T::Key<'_>]) -> Result<Vec<Option<T::Ref<'a>>>> {
        let mut found = Vec::with_capacity(keys.len());
        self.finder.for_each(keys, |record| {
            found.push(record.map(|record| self.read(record)));
        })?;
        Ok(found)
    }

    /// All records, by rising ordinal.
    pub fn iter(&self) -> impl Iterator<Item = T::Ref<'a>> + use<'a, T> {
        let this = *self;
        let records = self.state.scan(self.bound.type_id());
        records.map(move |record| this.read(record))
    }

    pub(super) fn find(&self, key: T::Key<'_>) -> StateResult<Option<Record<'a>>> {
        self.finder.find(&key)
    }

    pub(super) fn state(&self) -> &'a State {
        self.state
    }

    pub(super) fn bound(&self) -> &'static Bound {
        self.bound
    }

    /// The record at an ordinal; `None` if none lives there.
    #[must_use]
    pub fn at(&self, ordinal: u32) -> Option<T::Ref<'a>> {
        let record = self.state.record(self.bound.type_id(), ordinal);
        record.map(|record| self.read(record))
    }

    #[inline(always)]
    pub(crate) fn read(&self, record: Record<'a>) -> T::Ref<'a> {
        read::<T>(record, self.node, self.bound)
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.state.count(self.bound.type_id())
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A record that was bound, as the accessor of its type.
#[inline(always)]
fn read<'a, T: RecordType>(record: Record<'a>, node: &'a Node, bound: &'a Bound) -> T::Ref<'a> {
    <T as Element>::read(Cursor::new(record, node, bound), 0)
}

impl State {
    #[inline(always)]
    fn bound<T: RecordType>(&self) -> StateResult<&'static Bound> {
        match T::bindings().reading(self.known.binding) {
            Some(bound) => Ok(bound),
            None => self.bind::<T>(),
        }
    }

    #[cold]
    fn bind<T: RecordType>(&self) -> StateResult<&'static Bound> {
        T::bindings().for_reading(self.known.binding, || {
            Bound::new::<T>(self.schema(), self.position_of(T::TYPE)?, false)
        })
    }

    /// The records of a Rust type.
    ///
    /// # Errors
    /// When the schema has no such type, or a field of another type.
    #[inline]
    pub fn typed<T: RecordType>(&self) -> Result<Typed<'_, T>> {
        let bound = self.bound::<T>()?;
        self.check_kept(bound.type_id())?;
        Ok(Typed::new(self, bound))
    }

    /// The records of a Rust type, if the dataset has all that the type reads:
    /// [`typed`](Self::typed) reads a field that was removed or renamed as its default.
    ///
    /// # Errors
    /// When the schema has no such type, lacks a field, has one of another type, or has another
    /// primary key than the struct. The message names type and field.
    pub fn typed_strict<T: RecordType>(&self) -> Result<Typed<'_, T>> {
        let bound = T::bindings().for_writing(self.known.binding, || {
            Bound::new::<T>(self.schema(), self.position_of(T::TYPE)?, true)
        })?;
        self.check_kept(bound.type_id())?;
        match bound.key_refusal() {
            Some(why) => Err(StateError::Invalid(why.to_owned()).into()),
            None => Ok(Typed::new(self, bound)),
        }
    }

    /// The record of a Rust type with a primary key: `state.get::<City>(7)`, or
    /// `state.get::<Place>(("DE", "Ulm"))` for a key of two fields.
    ///
    /// # Errors
    /// When the type does not fit the schema, or the dataset has another primary key than the struct.
    #[inline(always)]
    pub fn get<T: RecordType>(&self, key: T::Key<'_>) -> Result<Option<T::Ref<'_>>> {
        let bound = self.bound::<T>()?;
        let once = Once::new(self, bound.type_id(), bound.single(), bound.key_refusal());
        let found = once.find(&key)?;
        if found.is_none() {
            self.check_kept(bound.type_id())?;
        }
        Ok(found.map(|record| read::<T>(record, bound.root_node(), bound)))
    }

    /// The records of a Rust type with these primary keys, in their order.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_many<T: RecordType>(&self, keys: &[T::Key<'_>]) -> Result<Vec<Option<T::Ref<'_>>>> {
        self.typed::<T>()?.get_many(keys)
    }
}
