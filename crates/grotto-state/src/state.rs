//! The read state: a dataset at one version.
//!
//! Owns: the tables of a version and how an ordinal is found through them.
//! Never changes after it was built.
//!
//! **Invariant:** every address in a table points into a segment of the same state, so a state that
//! is held keeps alive exactly what it reads.

use crate::bitmap::{self, Ordinals};
use crate::block::BlockRef;
use crate::compact::Cursor;
use crate::error::{StateError, StateResult};
use crate::filter::TypeFilter;
use crate::hash::HashSeed;
use crate::index::Index;
use crate::known::{Known, TypeInfo};
use crate::layout::Layout;
use crate::record::Record;
use crate::segment::{Loc, Segment};
use grotto_error::Result;
use grotto_format::schema::{Schema, TypeId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One type at one version.
#[derive(Clone, Debug)]
pub(crate) struct TypeState {
    /// Entries of the tables stand for `1 << shift` ordinals each.
    pub(crate) shift: u8,
    /// Blocks are written for `1 << span` ordinals, which is never less. Those written before may be
    /// of another size, which their layout tells.
    pub(crate) span: u8,
    pub(crate) blocks: Arc<[Loc]>,
    pub(crate) bitmaps: Arc<[Loc]>,
    pub(crate) layouts: Arc<[Layout]>,
    pub(crate) index: Option<Index>,
    pub(crate) live: u64,
    pub(crate) checksum: u64,
    /// Bytes and rows of its blocks, dead ones included: what a row takes decides the size of blocks.
    pub(crate) stored: Stored,
}

/// What blocks take up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(crate) struct Stored {
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
}

impl TypeState {
    pub(crate) fn empty(shift: u8, keyed: bool) -> Self {
        Self {
            shift,
            span: shift,
            stored: Stored::default(),
            blocks: Arc::default(),
            bitmaps: Arc::default(),
            layouts: Arc::default(),
            index: keyed.then(Index::default),
            live: 0,
            checksum: 0,
        }
    }
}

/// Size of blocks of a type that has no record yet, as a power of two.
pub(crate) const DEFAULT_SHIFT: u8 = 11;

/// A dataset at one version.
#[derive(Debug)]
pub struct State {
    pub(crate) version: u64,
    /// What its indexes are hashed with, and those of all states that come from it.
    pub(crate) seed: HashSeed,
    /// Of what it keeps: all types, and the fields that are left of them.
    pub(crate) schema: Arc<Schema>,
    pub(crate) known: Arc<Known>,
    pub(crate) infos: Arc<[TypeInfo]>,
    pub(crate) types: Vec<TypeState>,
    pub(crate) segments: Vec<Segment>,
    /// The segment that is being emptied, and how far.
    pub(crate) emptying: Option<Cursor>,
    damaged: AtomicBool,
}

impl State {
    /// The empty state at version 0: no types, no records. Every dataset starts here.
    ///
    /// All states that come from it hash keys with `seed`, so it must be random and kept to oneself.
    #[must_use]
    pub fn empty(seed: HashSeed) -> Self {
        Self::empty_of(seed, None)
    }

    /// The empty state that keeps only what a filter says, and so do all states that come from it.
    #[must_use]
    pub fn empty_of(seed: HashSeed, filter: Option<Arc<TypeFilter>>) -> Self {
        let known = Known::new(Arc::new(Schema::default()), filter, seed);
        Self::assemble(0, seed, known, Vec::new(), Vec::new())
    }

    pub(crate) fn assemble(
        version: u64,
        seed: HashSeed,
        known: Arc<Known>,
        types: Vec<TypeState>,
        segments: Vec<Segment>,
    ) -> Self {
        Self {
            version,
            seed,
            schema: Arc::clone(&known.schema),
            infos: Arc::clone(&known.infos),
            known,
            types,
            segments,
            emptying: None,
            damaged: AtomicBool::new(false),
        }
    }

    /// The empty state that all states of this line come from: of the same seed, keeping the same types.
    #[must_use]
    pub fn origin(&self) -> Self {
        Self::empty_of(self.seed, self.known.filter.clone())
    }

    /// Which types and fields it keeps; `None` for all.
    #[must_use]
    pub fn filter(&self) -> Option<&Arc<TypeFilter>> {
        self.known.filter.as_ref()
    }

    /// Whether it has the records of a type, and not only its schema.
    #[must_use]
    pub fn keeps(&self, type_id: TypeId) -> bool {
        self.known.keeps(type_id)
    }

    /// The same records at another version: what a log entry without blobs leads to.
    #[must_use]
    pub fn at_version(&self, version: u64) -> Self {
        Self {
            version,
            seed: self.seed,
            schema: Arc::clone(&self.schema),
            known: Arc::clone(&self.known),
            infos: Arc::clone(&self.infos),
            types: self.types.clone(),
            segments: self.segments.clone(),
            emptying: self.emptying,
            damaged: AtomicBool::new(self.is_damaged()),
        }
    }

    /// What its indexes are hashed with.
    #[must_use]
    pub fn seed(&self) -> HashSeed {
        self.seed
    }

    /// Its version: the position in the commit log.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Its schema: all types, and of those that are kept by field the fields that are kept.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The schema as it was published, whatever is kept of it.
    #[must_use]
    pub fn full_schema(&self) -> &Arc<Schema> {
        &self.known.full
    }

    /// Hash of the schema as it was published.
    #[must_use]
    pub fn schema_hash(&self) -> u64 {
        self.known.schema_hash
    }

    /// The state checksum: the wrapping sum over all records of a hash of type, ordinal and content.
    #[must_use]
    pub fn checksum(&self) -> u64 {
        self.types
            .iter()
            .fold(0, |sum, ty| sum.wrapping_add(ty.checksum))
    }

    /// The checksum of what can be read here: that of the state, unless fields are left out of types that are kept. States
    /// of one version that keep other types or other fields have another one.
    #[must_use]
    pub fn content_checksum(&self) -> u64 {
        self.checksum().wrapping_add(self.known.left_out)
    }

    /// Number of live records of a type.
    #[must_use]
    pub fn count(&self, type_id: TypeId) -> u64 {
        self.types.get(type_id.index()).map_or(0, |ty| ty.live)
    }

    /// Live records of all types.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.types.iter().map(|ty| ty.live).sum()
    }

    /// One more than the largest ordinal a type has room for.
    #[must_use]
    pub fn ordinal_limit(&self, type_id: TypeId) -> u32 {
        self.types
            .get(type_id.index())
            .map_or(0, |ty| (ty.blocks.len() as u32) << ty.shift)
    }

    /// Its segments, free slots left out.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments
            .iter()
            .filter(|segment| !segment.bytes.is_empty())
    }

    /// The position of a type.
    ///
    /// # Errors
    /// When the schema has no such type, or this state does not keep its records.
    pub fn type_id(&self, name: &str) -> Result<TypeId> {
        Ok(self.position_of(name)?)
    }

    pub(crate) fn position_of(&self, name: &str) -> StateResult<TypeId> {
        let found = self.schema.require(name);
        let found = found
            .map_err(|error| StateError::Invalid(format!("version {}: {error}", self.version)))?;
        self.check_kept(found)?;
        Ok(found)
    }

    /// Refuses a type whose records were left out: that one is not there would be a wrong answer.
    pub(crate) fn check_kept(&self, type_id: TypeId) -> StateResult<()> {
        match self.filter() {
            Some(filter) if !self.keeps(type_id) => Err(StateError::Invalid(format!(
                "version {}: type {} is left out here, where only {filter} and what belongs to them is kept",
                self.version,
                self.schema.get(type_id).name
            ))),
            _ => Ok(()),
        }
    }

    /// Whether a read met bytes that contradict each other; such a state should be loaded again.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    #[cold]
    pub(crate) fn report_damage(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn ty(&self, type_id: TypeId) -> Option<&TypeState> {
        self.types.get(type_id.index())
    }

    pub(crate) fn block_of<'a>(&'a self, ty: &'a TypeState, block: usize) -> Option<BlockRef<'a>> {
        block_in(&self.segments, ty, block)
    }

    pub(crate) fn bitmap_page(&self, ty: &TypeState, block: usize) -> &[u8] {
        bitmap::page(&self.segments, &ty.bitmaps, block, ty.shift)
    }

    /// Whether an ordinal of a type lives.
    #[must_use]
    pub fn is_live(&self, type_id: TypeId, ordinal: u32) -> bool {
        self.ty(type_id).is_some_and(|ty| {
            let page = self.bitmap_page(ty, (ordinal >> ty.shift) as usize);
            bitmap::is_set(page, ordinal & ((1 << ty.shift) - 1))
        })
    }

    /// Live ordinals of a type, rising.
    #[must_use]
    pub fn ordinals(&self, type_id: TypeId) -> Ordinals<'_> {
        match self.ty(type_id) {
            Some(ty) => Ordinals::new(&self.segments, &ty.bitmaps, ty.shift),
            None => Ordinals::new(&self.segments, &[], DEFAULT_SHIFT),
        }
    }

    /// The record at a live ordinal.
    #[must_use]
    pub fn record(&self, type_id: TypeId, ordinal: u32) -> Option<Record<'_>> {
        if self.is_live(type_id, ordinal) {
            self.row(type_id, ordinal)
        } else {
            None
        }
    }

    /// The record at an ordinal that is known to live: from an index, a bitmap or a reference.
    #[inline]
    pub(crate) fn row(&self, type_id: TypeId, ordinal: u32) -> Option<Record<'_>> {
        let ty = self.types.get(type_id.index())?;
        let loc = *ty.blocks.get((ordinal >> ty.shift) as usize)?;
        let segment = self.segments.get(usize::from(loc.segment))?;
        let layout = ty.layouts.get(usize::from(loc.tag))?;
        Some(Record::new(
            self,
            type_id,
            ordinal,
            segment.bytes.get(loc.start()..)?,
            layout,
            ordinal & layout.mask,
        ))
    }
}

pub(crate) fn block_in<'a>(
    segments: &'a [Segment],
    ty: &'a TypeState,
    block: usize,
) -> Option<BlockRef<'a>> {
    let loc = *ty.blocks.get(block)?;
    let segment = segments.get(usize::from(loc.segment))?;
    let layout = ty.layouts.get(usize::from(loc.tag))?;
    Some(BlockRef {
        bytes: &segment.bytes,
        start: loc.start(),
        layout,
    })
}
