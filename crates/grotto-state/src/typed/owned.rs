//! A record together with its state.
//!
//! Owns: the handle for code that cannot borrow a state: tasks, caches, fields of structs. Never copies
//! the record.

use super::bind::Bound;
use super::cursor::Cursor;
use super::value::{Element, RecordType};
use crate::state::State;
use grotto_error::Result;
use std::marker::PhantomData;
use std::sync::Arc;

/// A record that keeps its state: as long as it lives, so does that version of the dataset.
pub struct OwnedRef<T> {
    state: Arc<State>,
    bound: &'static Bound,
    ordinal: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for OwnedRef<T> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            ..*self
        }
    }
}

impl<T: RecordType> std::fmt::Debug for OwnedRef<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.cursor().fmt(f)
    }
}

impl<T: RecordType> OwnedRef<T> {
    fn cursor(&self) -> Cursor<'_> {
        let record = self.state.row(self.bound.type_id(), self.ordinal);
        let node = self.bound.root_node();
        record.map_or(Cursor::ABSENT, |record| {
            Cursor::new(record, node, self.bound)
        })
    }

    /// The record, to be read in place.
    #[must_use]
    pub fn get(&self) -> T::Ref<'_> {
        <T as Element>::read(self.cursor(), 0)
    }

    /// The state it is of.
    #[must_use]
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }
}

impl State {
    /// The record of a Rust type with a primary key, together with this state.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_owned<T: RecordType>(
        self: &Arc<Self>,
        key: T::Key<'_>,
    ) -> Result<Option<OwnedRef<T>>> {
        let typed = self.typed::<T>()?;
        let found = typed.find(key)?;
        Ok(found.map(|record| OwnedRef {
            ordinal: record.ordinal(),
            state: Arc::clone(self),
            bound: typed.bound(),
            of: PhantomData,
        }))
    }
}
