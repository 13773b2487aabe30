//! Lookups by primary key.
//!
//! Owns: the way from a key to its record: hash, index line, row. Never answers with a record that
//! has another key.
//!
//! A lookup waits for memory twice, for the line and for the row. What keeps it fast is that a
//! processor runs ahead into the next lookups meanwhile, as far as its window of a few hundred
//! instructions reaches and no branch depends on what has not arrived. So: few instructions, all
//! that does not depend on the key resolved beforehand, and one data-dependent branch, which is
//! predicted: the first candidate is the record. Everything else is out of line.

use crate::error::{StateError, StateResult};
use crate::hash::Secret;
use crate::index::{Directory, Line};
use crate::key::{self, Key, KeyInfo, KeyParts, KeyValue};
use crate::layout::{Layout, Slots};
use crate::record::Record;
use crate::segment::{Loc, Segment};
use crate::state::State;
use grotto_format::schema::{FieldType, TypeId};

/// What the primary key of a type consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// One field of the record itself, of this type.
    Field(FieldType),
    /// Anything else.
    Other,
    /// It has none.
    Keyless,
}

/// Where lookups of one type go.
#[derive(Clone, Copy)]
pub(crate) struct Finder<'a> {
    state: &'a State,
    directory: Directory<'a>,
    secret: &'a Secret,
    segments: &'a [Segment],
    blocks: &'a [Loc],
    layouts: &'a [Layout],
    /// The layout of all blocks, if they have but one. What it says then needs not wait for the
    /// line.
    only: Option<KeyLayout<'a>>,
    shift: u8,
    shape: Shape,
    /// Of a key of one field.
    column: u16,
    /// Why nothing can be looked up, though the type has a key.
    refused: Option<&'a str>,
    type_id: TypeId,
}

/// A layout, and where in its rows the key is.
#[derive(Clone, Copy)]
struct KeyLayout<'a> {
    layout: &'a Layout,
    key: &'a Slots,
}

impl<'a> KeyLayout<'a> {
    #[inline(always)]
    fn new(layout: &'a Layout, column: u16) -> Option<Self> {
        let key = layout.slots.get(usize::from(column))?;
        Some(Self { layout, key })
    }
}

impl<'a> Finder<'a> {
    /// Lookups in a type.
    #[inline(always)]
    pub(crate) fn new(state: &'a State, type_id: TypeId) -> Self {
        let info = state
            .infos
            .get(type_id.index())
            .and_then(|i| i.key.as_ref());
        let index = state.ty(type_id).and_then(|ty| ty.index.as_ref());
        let (shape, column) = match info.map(|info| info.single) {
            Some(Some((column, leaf))) => (Shape::Field(leaf), column),
            Some(None) => (Shape::Other, 0),
            None => (Shape::Keyless, 0),
        };
        let ty = state.ty(type_id);
        Self {
            state,
            secret: info.map_or(&Secret::NONE, |info| &info.secret),
            directory: index.map_or(Directory::EMPTY, |index| index.directory()),
            segments: &state.segments,
            blocks: ty.map_or(&[], |ty| &ty.blocks),
            layouts: ty.map_or(&[], |ty| &ty.layouts),
            only: match ty.map(|ty| ty.layouts.as_slice()) {
                Some([only]) => KeyLayout::new(only, column),
                _ => None,
            },
            shift: ty.map_or(0, |ty| ty.shift),
            shape,
            column,
            refused: None,
            type_id,
        }
    }

    /// The same, but if there is a reason, every lookup is refused with it.
    #[inline]
    pub(crate) fn refusing(mut self, reason: Option<&'a str>) -> Self {
        if reason.is_some() {
            (self.refused, self.shape) = (reason, Shape::Other);
        }
        self
    }

    #[inline(always)]
    pub(crate) fn find<K: Key + ?Sized>(&self, key: &K) -> StateResult<Option<Record<'a>>> {
        if self.is_usual(key) {
            let part = key.part(0);
            let hash = self.secret.of_part(part);
            let Some(line) = self.line(hash) else {
                return Ok(None);
            };
            let first = line.first(hash);
            if let Some((record, key)) = first.and_then(|ordinal| self.keyed(ordinal))
                && record.holds_at(key, part)
            {
                return Ok(Some(record));
            }
            if first.is_none() && !line.overflows() {
                return Ok(None);
            }
        }
        // An ordinal comes back in a register; a record would make the fast way above go through
        // memory as well.
        let found = self.search(key)?;
        Ok(found.and_then(|ordinal| self.row(ordinal)))
    }

    /// Whether the key is one field of the record itself, as most are, and this one fits it.
    #[inline(always)]
    pub(crate) fn is_usual<K: Key + ?Sized>(&self, key: &K) -> bool {
        let fits =
            |value: KeyValue<'_>| matches!(self.shape, Shape::Field(leaf) if value.fits(leaf));
        key.fields() == 1 && fits(key.field(0))
    }

    /// The key of the type.
    #[inline]
    pub(crate) fn info(&self) -> StateResult<&'a KeyInfo> {
        let info = self.state.infos.get(self.type_id.index());
        info.and_then(|info| info.key.as_ref())
            .filter(|_| self.refused.is_none())
            .ok_or_else(|| self.no_key())
    }

    /// Refuses a key of the wrong shape, which could never be found.
    #[inline]
    pub(crate) fn check<K: Key + ?Sized>(&self, key: &K) -> StateResult<&'a KeyInfo> {
        let info = self.info()?;
        key::check(info, key, self.state.schema(), self.type_id)?;
        Ok(info)
    }

    /// A lookup by a key of any shape, past the first candidate.
    #[inline(never)]
    pub(crate) fn search<K: Key + ?Sized>(&self, key: &K) -> StateResult<Option<u32>> {
        let info = self.check(key)?;
        let mut records = self.records(info.secret.of_key(key));
        let found = records.find(|record| key::matches(record, info, key));
        Ok(found.map(|record| record.ordinal()))
    }

    /// The first record that may have a key with this hash, if it is where it belongs.
    #[inline(always)]
    pub(crate) fn first(&self, hash: u64) -> Option<Record<'a>> {
        self.row(self.line(hash)?.first(hash)?)
    }

    /// Records that may have a key with this hash, in all lines.
    fn records(&self, hash: u64) -> impl Iterator<Item = Record<'a>> {
        let index = self.state.ty(self.type_id).and_then(|ty| ty.index.as_ref());
        let ordinals = index.map(|index| index.candidates(self.segments, hash));
        ordinals
            .into_iter()
            .flatten()
            .filter_map(|ordinal| self.row(ordinal))
    }

    #[inline(always)]
    fn line(&self, hash: u64) -> Option<Line<'a>> {
        self.directory.line(self.segments, hash)
    }

    #[inline(always)]
    pub(crate) fn prefetch_line(&self, hash: u64) {
        self.directory.prefetch(self.segments, hash);
    }

    /// Asks for the row of the first record that may have a key with this hash.
    pub(crate) fn prefetch_first(&self, hash: u64) {
        let first = self.line(hash).and_then(|line| line.first(hash));
        if let Some((ty, ordinal)) = self.state.ty(self.type_id).zip(first) {
            self.state.prefetch_row(ty, ordinal);
        }
    }

    /// The record at an ordinal of the index.
    #[inline(always)]
    pub(crate) fn row(&self, ordinal: u32) -> Option<Record<'a>> {
        let loc = self.blocks.get((ordinal >> self.shift) as usize)?;
        let layout = self.layouts.get(usize::from(loc.tag))?;
        self.record(ordinal, *loc, layout)
    }

    /// The record at an ordinal of the index, and where in it the key is; of a key of one field.
    #[inline(always)]
    fn keyed(&self, ordinal: u32) -> Option<(Record<'a>, &'a Slots)> {
        let loc = self.blocks.get((ordinal >> self.shift) as usize)?;
        let KeyLayout { layout, key } = match self.only {
            Some(only) => only,
            None => KeyLayout::new(self.layouts.get(usize::from(loc.tag))?, self.column)?,
        };
        Some((self.record(ordinal, *loc, layout)?, key))
    }

    #[inline(always)]
    fn record(&self, ordinal: u32, loc: Loc, layout: &'a Layout) -> Option<Record<'a>> {
        let segment = self.segments.get(usize::from(loc.segment))?;
        Some(Record::new(
            self.state,
            self.type_id,
            ordinal,
            segment.bytes.get(loc.start()..)?,
            layout,
            ordinal & layout.mask,
        ))
    }

    #[cold]
    fn no_key(&self) -> StateError {
        if let Some(reason) = self.refused {
            return StateError::Invalid(reason.to_owned());
        }
        let name = &self.state.schema().get(self.type_id).name;
        StateError::Invalid(format!("type {name} has no primary key"))
    }
}

impl State {
    /// The record with a primary key.
    ///
    /// # Errors
    /// When the type has no primary key, or the key is not of its fields: the message names the
    /// field, the type expected and the type found.
    #[inline(always)]
    pub fn find<K: Key>(&self, type_id: TypeId, key: K) -> StateResult<Option<Record<'_>>> {
        Finder::new(self, type_id).find(&key)
    }

    /// The record with a key of the shape of `info` that hashes to `hash`.
    pub(crate) fn find_hashed<K: KeyParts + ?Sized>(
        &self,
        type_id: TypeId,
        info: &KeyInfo,
        key: &K,
        hash: u64,
    ) -> Option<Record<'_>> {
        let finder = Finder::new(self, type_id);
        finder
            .records(hash)
            .find(|record| key::matches(record, info, key))
    }
}
