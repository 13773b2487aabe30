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

mod once;

pub(crate) use once::Once;

use crate::error::{StateError, StateResult};
use crate::hash::Secret;
use crate::index::{Directory, Line};
use crate::key::{self, Key, KeyInfo, KeyParts};
use crate::layout::{Layout, Slots};
use crate::record::Record;
use crate::segment::{Loc, Segment};
use crate::state::State;
use grotto_error::Result;
use grotto_format::schema::{FieldType, TypeId};

/// The way from the hash of a key of one field to the first candidate.
trait Way<'a> {
    /// What keys are hashed with.
    fn secret(&self) -> &'a Secret;
    /// The line that keys with this hash belong to; `None` while there is no page.
    fn line(&self, hash: u64) -> Option<Line<'a>>;
    /// The record at an ordinal of the index, and where in it the key is.
    fn keyed(&self, ordinal: u32) -> Option<(Record<'a>, &'a Slots)>;
}

/// What the first candidate says.
enum First<'a> {
    /// It is the record.
    Found(Record<'a>),
    /// There is no record with this key.
    Absent,
    /// Others have to be looked at.
    Other,
}

#[inline(always)]
fn first<'a, K: Key + ?Sized>(way: &impl Way<'a>, key: &K) -> First<'a> {
    let part = key.part(0);
    let hash = way.secret().of_part(part);
    let Some(line) = way.line(hash) else {
        return First::Absent;
    };
    let first = line.first(hash);
    match first.and_then(|ordinal| way.keyed(ordinal)) {
        Some((record, key)) if record.holds_at(key, part) => First::Found(record),
        None if first.is_none() && !line.overflows() => First::Absent,
        _ => First::Other,
    }
}

/// Where lookups of one type go, with all resolved that does not depend on the key. For many lookups; for one
/// there is [`Once`].
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
    /// Column and type of a key that is one field of the record itself, as most are.
    single: Option<(u16, FieldType)>,
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

impl<'a> Way<'a> for Finder<'a> {
    #[inline(always)]
    fn secret(&self) -> &'a Secret {
        self.secret
    }

    #[inline(always)]
    fn line(&self, hash: u64) -> Option<Line<'a>> {
        self.directory.line(self.segments, hash)
    }

    #[inline(always)]
    fn keyed(&self, ordinal: u32) -> Option<(Record<'a>, &'a Slots)> {
        let loc = self.blocks.get((ordinal >> self.shift) as usize)?;
        let KeyLayout { layout, key } = match self.only {
            Some(only) => only,
            None => KeyLayout::new(self.layouts.get(usize::from(loc.tag))?, self.single?.0)?,
        };
        Some((record_at(self.of(), ordinal, *loc, layout)?, key))
    }
}

impl<'a> Finder<'a> {
    /// Lookups in a type.
    pub(crate) fn new(state: &'a State, type_id: TypeId) -> Self {
        let (info, ty) = (state.infos.get(type_id.index()), state.ty(type_id));
        let single = info.and_then(|info| info.key.as_ref()?.single);
        let index = ty.and_then(|ty| ty.index.as_ref());
        Self {
            state,
            secret: info.map_or(&Secret::NONE, |info| &info.secret),
            directory: index.map_or(Directory::EMPTY, |index| index.directory()),
            segments: &state.segments,
            blocks: ty.map_or(&[], |ty| &ty.blocks),
            layouts: ty.map_or(&[], |ty| &ty.layouts),
            only: match (ty.map(|ty| &*ty.layouts), single) {
                (Some([only]), Some((column, _))) => KeyLayout::new(only, column),
                _ => None,
            },
            shift: ty.map_or(0, |ty| ty.shift),
            single,
            refused: None,
            type_id,
        }
    }

    /// The same, but if there is a reason, every lookup is refused with it.
    pub(crate) fn refusing(mut self, reason: Option<&'a str>) -> Self {
        if reason.is_some() {
            (self.refused, self.single) = (reason, None);
        }
        self
    }

    #[inline(always)]
    pub(crate) fn find<K: Key + ?Sized>(&self, key: &K) -> StateResult<Option<Record<'a>>> {
        if self.is_usual(key) {
            match first(self, key) {
                First::Found(record) => return Ok(Some(record)),
                First::Absent => return Ok(None),
                First::Other => {}
            }
        }
        search(self.state, self.type_id, self.refused, key)
    }

    /// Whether the key is one field of the record itself, as most are, and this one fits it.
    #[inline(always)]
    pub(crate) fn is_usual<K: Key + ?Sized>(&self, key: &K) -> bool {
        is_usual(self.single, key)
    }

    pub(crate) fn state(&self) -> &'a State {
        self.state
    }

    pub(crate) fn type_id(&self) -> TypeId {
        self.type_id
    }

    /// The key of the type.
    pub(crate) fn info(&self) -> StateResult<&'a KeyInfo> {
        key_of(self.state, self.type_id, self.refused)
    }

    /// Refuses a key of the wrong shape, which could never be found.
    #[inline(always)]
    pub(crate) fn check<K: Key + ?Sized>(&self, info: &KeyInfo, key: &K) -> StateResult<()> {
        if self.is_usual(key) {
            return Ok(());
        }
        key::check(info, key, self.state.schema(), self.type_id)
    }

    /// The first record that may have a key with this hash, if it is where it belongs.
    #[inline(always)]
    pub(crate) fn first(&self, hash: u64) -> Option<Record<'a>> {
        self.row(self.line(hash)?.first(hash)?)
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

    #[inline(always)]
    fn of(&self) -> (&'a State, &'a [Segment], TypeId) {
        (self.state, self.segments, self.type_id)
    }

    /// The record at an ordinal of the index.
    #[inline(always)]
    pub(crate) fn row(&self, ordinal: u32) -> Option<Record<'a>> {
        let loc = self.blocks.get((ordinal >> self.shift) as usize)?;
        let layout = self.layouts.get(usize::from(loc.tag))?;
        record_at(self.of(), ordinal, *loc, layout)
    }
}

/// The key of a type, unless lookups by it are refused for a reason.
fn key_of<'a>(
    state: &'a State,
    type_id: TypeId,
    refused: Option<&str>,
) -> StateResult<&'a KeyInfo> {
    let info = state.infos.get(type_id.index());
    info.and_then(|info| info.key.as_ref())
        .filter(|_| refused.is_none())
        .ok_or_else(|| no_key(state, type_id, refused))
}

#[cold]
fn no_key(state: &State, type_id: TypeId, refused: Option<&str>) -> StateError {
    if let Some(reason) = refused {
        return StateError::Invalid(reason.to_owned());
    }
    let name = &state.schema().get(type_id).name;
    StateError::Invalid(format!("type {name} has no primary key"))
}

/// Whether a key is the only field of a key of one field.
#[inline(always)]
fn is_usual<K: Key + ?Sized>(single: Option<(u16, FieldType)>, key: &K) -> bool {
    single.is_some_and(|(_, leaf)| key.fields() == 1 && key.field(0).fits(leaf))
}

#[inline(always)]
fn record_at<'a>(
    (state, segments, type_id): (&'a State, &'a [Segment], TypeId),
    ordinal: u32,
    loc: Loc,
    layout: &'a Layout,
) -> Option<Record<'a>> {
    let segment = segments.get(usize::from(loc.segment))?;
    Some(Record::new(
        state,
        type_id,
        ordinal,
        segment.bytes.get(loc.start()..)?,
        layout,
        ordinal & layout.mask,
    ))
}

/// A lookup by a key of any shape, past the first candidate.
#[inline(always)]
fn search<'a, K: Key + ?Sized>(
    state: &'a State,
    type_id: TypeId,
    refused: Option<&str>,
    key: &K,
) -> StateResult<Option<Record<'a>>> {
    // An ordinal comes back in a register; a record would make the fast way in front of this go through
    // memory as well.
    let found = search_ordinal(state, type_id, refused, key)?;
    Ok(found.and_then(|ordinal| state.row(type_id, ordinal)))
}

/// What it is called with comes in registers: were a finder lent to it, it would have to lie in memory, and every
/// lookup would write it there.
#[inline(never)]
fn search_ordinal<K: Key + ?Sized>(
    state: &State,
    type_id: TypeId,
    refused: Option<&str>,
    key: &K,
) -> StateResult<Option<u32>> {
    let info = key_of(state, type_id, refused)?;
    if !is_usual(info.single, key) {
        key::check(info, key, state.schema(), type_id)?;
    }
    let found = state.find_hashed(type_id, info, key, info.secret.of_key(key));
    Ok(found.map(|record| record.ordinal()))
}

impl State {
    /// The record with a primary key.
    ///
    /// # Errors
    /// When the type has no primary key, or the key is not of its fields: the message names the
    /// field, the type expected and the type found.
    #[inline(always)]
    pub fn find<K: Key>(&self, type_id: TypeId, key: K) -> Result<Option<Record<'_>>> {
        let info = self.infos.get(type_id.index());
        let single = info.and_then(|info| info.key.as_ref()?.single);
        Ok(Once::new(self, type_id, single, None).find(&key)?)
    }

    /// The record with a key of the shape of `info` that hashes to `hash`, past the first candidate too.
    pub(crate) fn find_hashed<K: KeyParts + ?Sized>(
        &self,
        type_id: TypeId,
        info: &KeyInfo,
        key: &K,
        hash: u64,
    ) -> Option<Record<'_>> {
        let index = self.ty(type_id)?.index.as_ref()?;
        let candidates = index.candidates(&self.segments, hash);
        let mut records = candidates.filter_map(|ordinal| self.row(type_id, ordinal));
        records.find(|record| key::matches(record, info, key))
    }
}
