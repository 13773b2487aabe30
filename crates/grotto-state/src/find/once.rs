//! One lookup.
//!
//! Owns: the way to the first candidate by references alone: to make a [`Finder`](super::Finder) for one key
//! costs more than the lookup.

use super::{First, Way, first, is_usual, record_at, search};
use crate::error::StateResult;
use crate::hash::Secret;
use crate::index::Line;
use crate::key::Key;
use crate::known::TypeInfo;
use crate::layout::Slots;
use crate::record::Record;
use crate::state::{State, TypeState};
use grotto_format::schema::{FieldType, TypeId};

/// A lookup in one type.
#[derive(Clone, Copy)]
pub(crate) struct Once<'a> {
    state: &'a State,
    /// Column and type of a key that is one field of the record itself; `None` if nothing can be looked up.
    single: Option<(u16, FieldType)>,
    /// Why nothing can be looked up, though the type has a key.
    refused: Option<&'a str>,
    type_id: TypeId,
}

/// The tables of the type.
struct Tables<'a> {
    state: &'a State,
    info: &'a TypeInfo,
    ty: &'a TypeState,
    type_id: TypeId,
    column: u16,
}

impl<'a> Once<'a> {
    /// A lookup in a type.
    #[inline(always)]
    pub(crate) fn new(
        state: &'a State,
        type_id: TypeId,
        single: Option<(u16, FieldType)>,
        refused: Option<&'a str>,
    ) -> Self {
        Self {
            state,
            single,
            refused,
            type_id,
        }
    }

    #[inline(always)]
    pub(crate) fn find<K: Key + ?Sized>(self, key: &K) -> StateResult<Option<Record<'a>>> {
        if is_usual(self.single, key)
            && let Some(tables) = self.tables()
        {
            match first(&tables, key) {
                First::Found(record) => return Ok(Some(record)),
                First::Absent => return Ok(None),
                First::Other => {}
            }
        }
        search(self.state, self.type_id, self.refused, key)
    }

    #[inline(always)]
    fn tables(self) -> Option<Tables<'a>> {
        Some(Tables {
            state: self.state,
            info: self.state.infos.get(self.type_id.index())?,
            ty: self.state.ty(self.type_id)?,
            type_id: self.type_id,
            column: self.single?.0,
        })
    }
}

impl<'a> Way<'a> for Tables<'a> {
    #[inline(always)]
    fn secret(&self) -> &'a Secret {
        &self.info.secret
    }

    #[inline(always)]
    fn line(&self, hash: u64) -> Option<Line<'a>> {
        let directory = self.ty.index.as_ref()?.directory();
        directory.line(&self.state.segments, hash)
    }

    #[inline(always)]
    fn keyed(&self, ordinal: u32) -> Option<(Record<'a>, &'a Slots)> {
        let ty = self.ty;
        let loc = ty.blocks.get((ordinal >> ty.shift) as usize)?;
        // If all blocks have the same layout, what it says needs not wait for the line.
        let layout = match &*ty.layouts {
            [only] => only,
            layouts => layouts.get(usize::from(loc.tag))?,
        };
        let key = layout.slots.get(usize::from(self.column))?;
        let of = (self.state, self.state.segments.as_slice(), self.type_id);
        let record = record_at(of, ordinal, *loc, layout)?;
        Some((record, key))
    }
}
