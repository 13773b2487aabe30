//! One cycle: records in, difference out.
//!
//! Owns: what callers do during a cycle. The committed state is only read, so dropping a cycle is
//! rolling it back.

use super::Children;
use super::admission::{check_changeable, check_top_level};
use super::as_is::Compared;
use super::bulk::Bulk;
use super::flatkey::{FlatKey, key_bytes};
use super::intern::{Resolve, Scratch, Source};
use super::latest::Latest;
use super::sources::Sources;
use super::stage::Stage;
use crate::error::{StateError, StateResult};
use crate::key::{self, Key};
use crate::segment::SegmentOptions;
use crate::state::State;
use grotto_format::schema::{Schema, TypeId, evolve};
use hashbrown::HashSet;
use std::sync::Arc;

/// What a cycle is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// All records; what is not added is removed.
    Full,
    /// Only changes: upserts and deletes by key.
    Incremental,
}

/// A change by key, kept until the cycle ends so that the last one for a key counts.
#[derive(Debug)]
pub(super) struct Op {
    pub(super) id: TypeId,
    pub(super) key: Vec<u8>,
    /// Private hash of the key.
    pub(super) hash: u64,
    /// Span of the flat record in `op_bytes`; `None` deletes.
    pub(super) record: Option<(usize, usize)>,
    pub(super) position: u64,
}

/// A cycle in progress.
#[derive(Debug)]
pub struct Cycle {
    pub(super) mode: Mode,
    /// The committed state as it is, and under the schema of the cycle.
    pub(super) before: Arc<State>,
    pub(super) base: Arc<State>,
    pub(super) schema: Arc<Schema>,
    pub(crate) children: Arc<Vec<Children>>,
    /// New type to old type and back.
    pub(super) old_of: Vec<Option<usize>>,
    pub(super) new_of: Vec<Option<TypeId>>,
    pub(crate) stages: Vec<Stage>,
    pub(super) scratch: Scratch,
    pub(super) ops: Vec<Op>,
    pub(super) latest: Latest,
    pub(super) op_bytes: Vec<u8>,
    /// Base records that must be dead in the end: replaced or deleted ones of incremental cycles.
    pub(super) doomed: HashSet<(TypeId, u32)>,
    /// Types whose records keep their ordinal for as long as their key lives, as others refer to them.
    pub(super) anchored: Arc<[bool]>,
    /// Base records that were named as they are within others.
    pub(super) compared: Arc<Compared>,
    pub(super) sources: Sources,
    pub(super) bulk: Bulk,
    /// How the segments of the next state are kept.
    pub(super) segments: SegmentOptions,
    top_level: Vec<bool>,
}

impl Cycle {
    pub(super) fn new(
        before: Arc<State>,
        children: Arc<Vec<Children>>,
        schema: Arc<Schema>,
        mode: Mode,
    ) -> StateResult<Self> {
        let same = before.schema().as_ref() == schema.as_ref();
        let base = if same {
            Arc::clone(&before)
        } else {
            Arc::new(before.evolved(&schema)?)
        };
        let schema = Arc::clone(base.schema());
        let evolution = evolve(before.schema(), &schema)
            .map_err(|e| StateError::Incompatible(e.to_string()))?;
        if let (Some(first), Mode::Incremental) = (evolution.removed_fields.first(), mode) {
            let more = match evolution.removed_fields.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            return Err(StateError::Incompatible(format!(
                "the new schema lacks {first}{more}: removing a field changes every record that has it; \
                 run a full-state cycle with the new schema"
            )));
        }
        let old_of: Vec<Option<usize>> = evolution
            .types
            .iter()
            .map(|t| t.old.map(TypeId::index))
            .collect();
        let mut new_of = vec![None; before.types.len()];
        for (new, old) in old_of.iter().enumerate() {
            if let Some(place) = old.and_then(|old| new_of.get_mut(old)) {
                *place = Some(TypeId(new as u16));
            }
        }
        let stages = base
            .infos
            .iter()
            .map(|info| Stage::new(&info.kinds))
            .collect();
        let anchored: Arc<[bool]> = schema.anchored().into();
        let compared = Arc::new(Compared::new(&base, &anchored, mode));
        let top_level = schema.ids().map(|id| schema.is_top_level(id)).collect();
        Ok(Self {
            mode,
            before,
            base,
            schema,
            children,
            old_of,
            new_of,
            stages,
            scratch: Scratch::default(),
            ops: Vec::new(),
            latest: Latest::default(),
            op_bytes: Vec::new(),
            doomed: HashSet::new(),
            anchored,
            compared,
            sources: Sources::default(),
            bulk: Bulk::default(),
            segments: SegmentOptions::default(),
            top_level,
        })
    }

    /// Names where records come from, for messages: positions are then lines of it.
    pub fn set_source(&mut self, source: &str) {
        self.take_in_of_source();
        self.sources.begin(source);
    }

    /// The name that was given last to where records come from; empty if there was none.
    #[must_use]
    pub fn source(&self) -> &str {
        self.sources.present()
    }

    /// The schema of the cycle.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The committed state the cycle started from.
    #[must_use]
    pub fn before(&self) -> &Arc<State> {
        &self.before
    }

    pub(super) fn duplicate(
        &self,
        id: TypeId,
        key: &FlatKey<'_>,
        first: u64,
        second: u64,
    ) -> StateError {
        let info = self
            .base
            .infos
            .get(id.index())
            .and_then(|info| info.key.as_ref());
        StateError::DuplicateKey {
            type_name: self.schema.get(id).name.clone(),
            key: info.map_or(String::new(), |info| key::show(info, key.parts())),
            first: self.sources.show(first),
            second: self.sources.show(second),
        }
    }

    pub(super) fn is_top_level(&self, id: TypeId) -> bool {
        self.top_level.get(id.index()) == Some(&true)
    }

    /// References to a record of the base, counting this cycle's changes.
    pub(super) fn references(&self, id: TypeId, ordinal: u32) -> i64 {
        let committed = self.old_of[id.index()]
            .and_then(|old| Some(self.children.get(old)?.references.count(ordinal)));
        let recount = self.stages[id.index()]
            .recount
            .get(&ordinal)
            .copied()
            .unwrap_or(0);
        i64::from(committed.unwrap_or(0)) + recount
    }

    pub(super) fn check(&self, id: TypeId, mode: Mode, what: &str) -> StateResult<()> {
        if self.mode != mode {
            return Err(StateError::Invalid(format!(
                "expected no {what} in a cycle of mode {:?}",
                self.mode
            )));
        }
        match mode {
            Mode::Full => check_top_level(&self.schema, id, self.is_top_level(id)),
            Mode::Incremental => check_changeable(&self.schema, id, self.is_top_level(id)),
        }
    }

    /// Full cycles: adds a record in flat form. `position` is its number in the source.
    ///
    /// # Errors
    /// When the record does not follow the schema, has no key, or its key was added before. The
    /// cycle cannot go on after an error.
    pub fn add(&mut self, id: TypeId, flat: &[u8], position: u64) -> StateResult<()> {
        self.check(id, Mode::Full, "added record")?;
        if !self.bulk.is_empty() {
            self.take_in()?;
        }
        let position = self.sources.number(position);
        self.add_numbered(id, flat, position)
    }

    pub(super) fn add_numbered(
        &mut self,
        id: TypeId,
        flat: &[u8],
        position: u64,
    ) -> StateResult<()> {
        let base = Arc::clone(&self.base);
        if let Some(info) = base.infos[id.index()].key.as_ref()
            && base.count(id) > 0
        {
            let show = || self.sources.show(position);
            let key = FlatKey::read(&self.schema, id, info, flat, &show)?;
            if let Some(record) = base.find_hashed(id, info, &key, info.secret.of_key(&key)) {
                let ordinal = record.ordinal();
                if let Some(first) = self.stages[id.index()].see(ordinal, position) {
                    return Err(self.duplicate(id, &key, first, position));
                }
                if self.equals_base(&record, flat, position)? {
                    self.stages[id.index()].kept.insert(ordinal);
                    return self.refuse_changed(id, ordinal, position);
                }
            }
        }
        self.add_new(id, flat, position)
    }

    fn add_new(&mut self, id: TypeId, flat: &[u8], position: u64) -> StateResult<()> {
        let rows = self.stages[id.index()].batch.rows as u32;
        let Some(ordinal) =
            self.resolve(id, flat, Resolve::Create, Source { position, depth: 0 })?
        else {
            return Ok(());
        };
        let Some(row) = self.staged_row(id, ordinal) else {
            let stage = &mut self.stages[id.index()];
            stage.kept.insert(ordinal);
            stage.resolved.insert(ordinal);
            return Ok(());
        };
        let stage = &self.stages[id.index()];
        if row < rows && stage.named.contains(row) {
            let first = stage.positions[row as usize];
            if let Some(info) = self.base.infos[id.index()].key.as_ref() {
                let show = || self.sources.show(position);
                let key = FlatKey::read(&self.schema, id, info, flat, &show)?;
                return Err(self.duplicate(id, &key, first, position));
            }
        }
        self.stages[id.index()].named.insert(row);
        Ok(())
    }

    /// Incremental cycles: adds a record in flat form, or replaces the one with its key.
    ///
    /// # Errors
    /// When the record does not follow the schema or has no key. Nothing was changed then.
    pub fn upsert(&mut self, id: TypeId, flat: &[u8], position: u64) -> StateResult<()> {
        self.check(id, Mode::Incremental, "upsert")?;
        grotto_format::flat::validate(&self.schema, id, flat)
            .map_err(|e| super::flatkey::flat_error(&self.schema, id, e))?;
        let Some(info) = self.base.infos[id.index()].key.as_ref() else {
            return Ok(());
        };
        let position = self.sources.number(position);
        let show = || self.sources.show(position);
        let key = FlatKey::read(&self.schema, id, info, flat, &show)?;
        let (hash, key) = (info.secret.of_key(&key), key_bytes(&key));
        let start = self.op_bytes.len();
        self.op_bytes.extend_from_slice(flat);
        self.ops.push(Op {
            id,
            key,
            hash,
            record: Some((start, flat.len())),
            position,
        });
        Ok(())
    }

    /// Incremental cycles: deletes the record with a key. Whether there was one: in the committed
    /// state, or upserted by this cycle, and not deleted by it.
    ///
    /// # Errors
    /// When the type has no such key.
    pub fn delete<K: Key>(&mut self, id: TypeId, key: K, position: u64) -> StateResult<bool> {
        self.check(id, Mode::Incremental, "delete")?;
        let base = &self.base;
        let Some(info) = base.infos[id.index()].key.as_ref() else {
            return Ok(false);
        };
        key::check(info, &key, &self.schema, id)?;
        let (hash, bytes) = (info.secret.of_key(&key), key_bytes(&key));
        let there = match self.latest.find(&self.ops, id, &bytes) {
            Some(op) => op.record.is_some(),
            None => base.find_hashed(id, info, &key, hash).is_some(),
        };
        let position = self.sources.number(position);
        self.ops.push(Op {
            id,
            key: bytes,
            hash,
            record: None,
            position,
        });
        Ok(there)
    }
}

/// A point of an incremental cycle to return to.
#[derive(Clone, Copy, Debug)]
pub struct Savepoint {
    ops: usize,
    bytes: usize,
}

impl Cycle {
    /// Where an incremental cycle stands.
    #[must_use]
    pub fn savepoint(&self) -> Savepoint {
        Savepoint {
            ops: self.ops.len(),
            bytes: self.op_bytes.len(),
        }
    }

    /// Forgets the upserts and deletes since a savepoint.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        self.latest.forget_from(&self.ops, savepoint.ops);
        self.ops.truncate(savepoint.ops);
        self.op_bytes.truncate(savepoint.bytes);
    }
}
