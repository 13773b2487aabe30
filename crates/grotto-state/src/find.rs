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
use crate::index::Line;
use crate::key::{self, Key, KeyInfo, KeyParts};
use crate::layout::{Layout, Slots};
use crate::record::Record;
use crate::segment::Loc;
use crate::state::{State, TypeInfo, TypeState};
use grotto_format::schema::{FieldType, TypeId};

/// Where lookups of one type go: references only, so that it costs next to nothing to make.
#[derive(Clone, Copy)]
pub(crate) struct Finder<'a> {
    state: &'a State,
    ty: Option<&'a TypeState>,
    /// If the key is one field of the record itself, as most are.
    usual: Option<Usual<'a>>,
    /// Why nothing can be looked up, though the type has a key.
    refused: Option<&'a str>,
    type_id: TypeId,
}

/// What lookups by a key of one field need.
#[derive(Clone, Copy)]
struct Usual<'a> {
    info: &'a TypeInfo,
    ty: &'a TypeState,
    /// The layout of all blocks, if they have but one. What it says then needs not wait for the
    /// line.
    only: Option<KeyLayout<'a>>,
    column: u16,
    leaf: FieldType,
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
        let info = state.infos.get(type_id.index());
        let single = info.and_then(|info| info.key.as_ref()?.single);
        Self::told(state, type_id, single, None)
    }

    /// Lookups in a type whose key is known beforehand to be one field of the record itself, or not to be,
    /// and, if there is a reason, to be refused.
    #[inline(always)]
    pub(crate) fn told(
        state: &'a State,
        type_id: TypeId,
        single: Option<(u16, FieldType)>,
        refused: Option<&'a str>,
    ) -> Self {
        let ty = state.ty(type_id);
        let usual = || {
            let ((column, leaf), ty) = (single?, ty?);
            Some(Usual {
                only: match &*ty.layouts {
                    [only] => KeyLayout::new(only, column),
                    _ => None,
                },
                ty,
                info: state.infos.get(type_id.index())?,
                column,
                leaf,
            })
        };
        Self {
            state,
            ty,
            usual: usual(),
            refused,
            type_id,
        }
    }

    #[inline(always)]
    pub(crate) fn find<K: Key + ?Sized>(&self, key: &K) -> StateResult<Option<Record<'a>>> {
        if let Some(usual) = self.usual(key) {
            let part = key.part(0);
            let hash = usual.info.secret.of_part(part);
            let Some(line) = self.line(usual.ty, hash) else {
                return Ok(None);
            };
            let first = line.first(hash);
            if let Some((record, key)) = first.and_then(|ordinal| self.keyed(usual, ordinal))
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
        let found = search(self.state, self.type_id, self.refused, key)?;
        Ok(found.and_then(|ordinal| self.row(ordinal)))
    }

    /// Whether the key is one field of the record itself, as most are, and this one fits it.
    #[inline(always)]
    pub(crate) fn is_usual<K: Key + ?Sized>(&self, key: &K) -> bool {
        self.usual(key).is_some()
    }

    #[inline(always)]
    fn usual<K: Key + ?Sized>(&self, key: &K) -> Option<Usual<'a>> {
        let usual = self.usual?;
        (key.fields() == 1 && key.field(0).fits(usual.leaf)).then_some(usual)
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
    pub(crate) fn search<K: Key + ?Sized>(&self, key: &K) -> StateResult<Option<u32>> {
        let info = match self.is_usual(key) {
            true => self.info()?,
            false => self.check(key)?,
        };
        Ok(self.search_hashed(info, key, info.secret.of_key(key)))
    }

    /// The same, of a key of the right shape and with this hash.
    fn search_hashed<K: KeyParts + ?Sized>(
        &self,
        info: &KeyInfo,
        key: &K,
        hash: u64,
    ) -> Option<u32> {
        let index = self.ty?.index.as_ref()?;
        let mut candidates = index.candidates(&self.state.segments, hash);
        candidates.find(|ordinal| {
            let record = self.row(*ordinal);
            record.is_some_and(|record| key::matches(&record, info, key))
        })
    }

    /// The first record that may have a key with this hash, if it is where it belongs.
    #[inline(always)]
    pub(crate) fn first(&self, hash: u64) -> Option<Record<'a>> {
        self.row(self.line(self.ty?, hash)?.first(hash)?)
    }

    #[inline(always)]
    fn line(&self, ty: &'a TypeState, hash: u64) -> Option<Line<'a>> {
        let directory = ty.index.as_ref()?.directory();
        directory.line(&self.state.segments, hash)
    }

    #[inline(always)]
    pub(crate) fn prefetch_line(&self, hash: u64) {
        if let Some(index) = self.ty.and_then(|ty| ty.index.as_ref()) {
            index.directory().prefetch(&self.state.segments, hash);
        }
    }

    /// Asks for the row of the first record that may have a key with this hash.
    pub(crate) fn prefetch_first(&self, hash: u64) {
        if let Some(ty) = self.ty
            && let Some(ordinal) = self.line(ty, hash).and_then(|line| line.first(hash))
        {
            self.state.prefetch_row(ty, ordinal);
        }
    }

    /// The record at an ordinal of the index.
    #[inline(always)]
    pub(crate) fn row(&self, ordinal: u32) -> Option<Record<'a>> {
        let ty = self.ty?;
        let loc = ty.blocks.get((ordinal >> ty.shift) as usize)?;
        let layout = ty.layouts.get(usize::from(loc.tag))?;
        self.record(ordinal, *loc, layout)
    }

    /// The record at an ordinal of the index, and where in it the key is.
    #[inline(always)]
    fn keyed(&self, usual: Usual<'a>, ordinal: u32) -> Option<(Record<'a>, &'a Slots)> {
        let ty = usual.ty;
        let loc = ty.blocks.get((ordinal >> ty.shift) as usize)?;
        let KeyLayout { layout, key } = match usual.only {
            Some(only) => only,
            None => KeyLayout::new(ty.layouts.get(usize::from(loc.tag))?, usual.column)?,
        };
        Some((self.record(ordinal, *loc, layout)?, key))
    }

    #[inline(always)]
    fn record(&self, ordinal: u32, loc: Loc, layout: &'a Layout) -> Option<Record<'a>> {
        let segment = self.state.segments.get(usize::from(loc.segment))?;
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

/// [`Finder::search`], from what comes in registers: were a finder lent to this call, it would have to lie in
/// memory, and every lookup in front of the call would write it there.
#[inline(never)]
fn search<K: Key + ?Sized>(
    state: &State,
    type_id: TypeId,
    refused: Option<&str>,
    key: &K,
) -> StateResult<Option<u32>> {
    let finder = match refused {
        Some(_) => Finder::told(state, type_id, None, refused),
        None => Finder::new(state, type_id),
    };
    finder.search(key)
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
        let found = finder.search_hashed(info, key, hash);
        found.and_then(|ordinal| finder.row(ordinal))
    }
}
