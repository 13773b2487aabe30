//! The end of a cycle: the difference, encoded and checked.
//!
//! Owns: delta and reverse delta blobs, the integrity check (both are applied the way consumers will
//! and the results compared), what the write state must remember. Never publishes.

use super::cycle::{Cycle, Mode};
use super::room;
use super::size;
use super::stage::Stage;
use super::value_hash;
use crate::apply::{Changes, Effort};
use crate::encode::{EncodeOptions, Origin, Part, encode_all, jobs, over, type_infos};
use crate::error::{StateError, StateResult};
use crate::segment::{HeapSeal, SegmentOptions};
use crate::state::State;
use grotto_format::batch::encode_ordinals;
use grotto_format::blob::{Blob, BlobHeader, BlobKind, BlobWriter, SectionKind, TypeInfo};
use grotto_format::checksum;
use grotto_format::schema::TypeId;
use grotto_format::{Limits, OverLimit};
use std::sync::Arc;

/// Records of one type, and what a cycle did to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Name of the type.
    pub type_name: String,
    /// Live records after the cycle.
    pub live: u64,
    /// New records without a predecessor of the same key.
    pub added: u64,
    /// Records that are gone without a successor of the same key.
    pub removed: u64,
    /// Records whose key stayed and whose content changed (keyed types).
    pub modified: u64,
}

/// Outcome of a cycle that changed something: not yet published, not yet committed.
#[derive(Debug)]
pub struct Encoded {
    /// The delta blob.
    pub delta: Vec<u8>,
    /// The way back; `None` from the first version, before which there is no schema to return to.
    pub reverse: Option<Vec<u8>>,
    /// The state that consumers will hold.
    pub next: Arc<State>,
    /// Ordinals added and removed per type.
    pub changes: Changes,
    /// Per type.
    pub counts: Vec<Counts>,
    pub(super) advance: Vec<Advance>,
}

/// What the write state must remember about one type.
#[derive(Debug)]
pub(super) struct Advance {
    pub(super) old: Option<usize>,
    /// Ordinal and value hash of records that leave or enter the content index.
    pub(super) forget: Vec<(u32, u64)>,
    pub(super) remember: Vec<(u32, u64)>,
    pub(super) recount: Vec<(u32, i64)>,
}

impl Cycle {
    /// Finds, encodes and checks the difference. `None` when there is none.
    ///
    /// # Errors
    /// When two records have one key, the encoded delta does not lead to the staged records, or what
    /// is to be published would pass a limit of the format, so that nobody could read it.
    pub fn finish(self, options: &EncodeOptions) -> StateResult<Option<Encoded>> {
        self.finish_within(options, &Limits::FORMAT)
    }

    /// The same under other limits than those of the format.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_within(
        mut self,
        options: &EncodeOptions,
        limits: &Limits,
    ) -> StateResult<Option<Encoded>> {
        self.take_in()?;
        if self.mode == Mode::Incremental {
            self.apply_ops()?;
        }
        self.check_compared()?;
        self.count_references();
        self.bury()?;
        let quiet = self
            .stages
            .iter()
            .all(|s| s.batch.rows == 0 && s.removed.is_empty());
        if quiet && Arc::ptr_eq(&self.before, &self.base) {
            return Ok(None);
        }
        let staged: Vec<Sorted> = self.stages.iter().map(Sorted::of).collect();
        let delta = self.encode_delta(&staged, options, limits)?;
        let blob = Blob::parse_within(delta.into(), limits)?;
        let mut seal = HeapSeal::with_options(self.segments);
        let (next, changes) = self.before.apply(&blob, &mut seal)?;
        room::check(&self.before, &next, limits)?;
        let next = Arc::new(next);
        let reverse = match self.before.schema().types().is_empty() {
            true => None,
            false => Some(self.encode_reverse(&next, &changes, options, limits)?),
        };
        let counts = self.counts(&next);
        let advance = self.advance();
        Ok(Some(Encoded {
            delta: blob.into_bytes().into(),
            reverse,
            next,
            changes,
            counts,
            advance,
        }))
    }

    fn encode_delta(
        &self,
        staged: &[Sorted],
        options: &EncodeOptions,
        limits: &Limits,
    ) -> StateResult<Vec<u8>> {
        let mut types = Vec::new();
        let mut to_checksum = 0_u64;
        let mut removed = Vec::new();
        let mut parts = Vec::new();
        for (position, (stage, sorted)) in self.stages.iter().zip(staged).enumerate() {
            let id = TypeId(position as u16);
            let ty = &self.base.types[position];
            let shift = size::of_blocks(&self.base, ty, stage);
            // Saturating: a damaged state may count fewer records than it holds.
            let new = stage.batch.rows as u64 - stage.updates.len() as u64;
            let live = (ty.live + new).saturating_sub(stage.removed.len() as u64);
            types.push(TypeInfo { shift, live });
            to_checksum = to_checksum.wrapping_add(self.checksum_after(id, stage));
            removed.push((position as u16, stage.left()));
            parts.push(Part {
                type_id: position as u16,
                name: &self.schema.get(id).name,
                kinds: &self.base.infos[position].kinds,
                shift,
                ordinals: &sorted.ordinals,
                origin: Origin::Staged(&stage.batch, &sorted.rows),
            });
        }
        let header = BlobHeader {
            kind: BlobKind::Delta,
            dataset: options.dataset.clone(),
            from: self.before.version(),
            to: options.version,
            from_checksum: self.before.checksum(),
            to_checksum,
            from_schema_hash: self.before.schema_hash(),
            schema_hash: self.base.schema_hash(),
            schema_text: self.schema_text(&self.before, &self.base),
            types,
            sections: Vec::new(),
        };
        write(header, &removed, &parts, options, limits)
    }

    fn schema_text(&self, from: &State, to: &State) -> Option<String> {
        (from.schema_hash() != to.schema_hash()).then(|| to.schema().to_string())
    }

    /// State checksum of a type after the cycle, from what was staged and not from what was encoded.
    fn checksum_after(&self, id: TypeId, stage: &Stage) -> u64 {
        let mut sum = self.base.types[id.index()].checksum;
        for (ordinal, hash) in stage.ordinals.iter().zip(&stage.hashes) {
            sum = sum.wrapping_add(checksum::record(*hash, *ordinal));
        }
        for ordinal in stage.removed.iter().chain(stage.updates.keys()) {
            let content = self
                .base
                .row(id, *ordinal)
                .map_or(0, |record| record.content_hash());
            sum = sum.wrapping_sub(checksum::record(content, *ordinal));
        }
        sum
    }

    /// The reverse delta; applied to the next state, it must give the one before.
    fn encode_reverse(
        &self,
        next: &Arc<State>,
        changes: &Changes,
        options: &EncodeOptions,
        limits: &Limits,
    ) -> StateResult<Vec<u8>> {
        let before = &self.before;
        // What goes and what comes on the way back, by type.
        let back = before
            .schema()
            .ids()
            .map(|old| match self.new_of[old.index()] {
                Some(new) => changes
                    .types
                    .get(new.index())
                    .map_or_else(Default::default, |change| {
                        (change.added_or_modified(), change.removed_or_modified())
                    }),
                None => (Vec::new(), before.ordinals(old).collect()),
            });
        let back: Vec<(Vec<u32>, Vec<u32>)> = back.collect();
        let (mut removed, mut parts) = (Vec::new(), Vec::new());
        for (old, (gone, added)) in before.schema().ids().zip(&back) {
            let position = old.index();
            removed.push((old.0, gone.clone()));
            parts.push(Part {
                type_id: old.0,
                name: &before.schema().get(old).name,
                kinds: &before.infos[position].kinds,
                shift: before.types[position].span,
                ordinals: added,
                origin: Origin::Stored(before, old),
            });
        }
        let header = BlobHeader {
            kind: BlobKind::Reverse,
            dataset: options.dataset.clone(),
            from: next.version(),
            to: before.version(),
            from_checksum: next.checksum(),
            to_checksum: before.checksum(),
            from_schema_hash: next.schema_hash(),
            schema_hash: before.schema_hash(),
            schema_text: self.schema_text(next, before),
            types: type_infos(before),
            sections: Vec::new(),
        };
        let bytes = write(header, &removed, &parts, options, limits)?;
        let blob = Blob::parse_within(bytes.into(), limits)?;
        lead_back(next, &blob)?;
        Ok(blob.into_bytes().into())
    }

    fn counts(&self, next: &State) -> Vec<Counts> {
        let types = self.stages.iter().zip(self.schema.types()).enumerate();
        types
            .map(|(position, (stage, ty))| {
                let moved = stage.replaces.len() as u64;
                let changed = stage.updates.len() as u64;
                Counts {
                    type_name: ty.name.clone(),
                    live: next.count(TypeId(position as u16)),
                    added: stage.batch.rows as u64 - moved - changed,
                    removed: stage.removed.len() as u64 - moved,
                    modified: moved + changed,
                }
            })
            .collect()
    }

    fn advance(self) -> Vec<Advance> {
        let base = self.base;
        let old_of = self.old_of;
        let stages = self.stages.into_iter().enumerate();
        stages
            .map(|(position, stage)| {
                let id = TypeId(position as u16);
                let unkeyed = base.infos[position].key.is_none();
                let hash = |ordinal: &u32| value_hash(&base, id, *ordinal);
                let mut recount: Vec<(u32, i64)> = stage.recount.into_iter().collect();
                let new = stage
                    .ordinals
                    .iter()
                    .zip(&stage.references)
                    .filter(|(_, count)| **count > 0);
                recount.extend(new.map(|(ordinal, count)| (*ordinal, i64::from(*count))));
                let (forget, remember) = match unkeyed {
                    true => (
                        stage.removed.iter().map(|o| (*o, hash(o))).collect(),
                        stage
                            .ordinals
                            .iter()
                            .copied()
                            .zip(stage.lookups.iter().copied())
                            .collect(),
                    ),
                    false => (Vec::new(), Vec::new()),
                };
                Advance {
                    old: old_of[position],
                    forget,
                    remember,
                    recount,
                }
            })
            .collect()
    }
}

/// Applies a reverse delta to see that it leads back. The result is given up at once, so nothing is
/// moved into its segments.
fn lead_back(next: &State, blob: &Blob) -> StateResult<Effort> {
    let mut seal = HeapSeal::with_options(SegmentOptions::NEVER_MOVE);
    Ok(next.apply(blob, &mut seal)?.1.effort)
}

/// Staged records by rising ordinal.
struct Sorted {
    ordinals: Vec<u32>,
    rows: Vec<u32>,
}

impl Sorted {
    fn of(stage: &Stage) -> Self {
        let mut rows: Vec<u32> = (0..stage.ordinals.len() as u32).collect();
        if !stage.ordinals.is_sorted() {
            rows.sort_unstable_by_key(|row| stage.ordinals[*row as usize]);
        }
        let ordinals = rows
            .iter()
            .map(|row| stage.ordinals[*row as usize])
            .collect();
        Self { ordinals, rows }
    }
}

fn write(
    header: BlobHeader,
    removed: &[(u16, Vec<u32>)],
    parts: &[Part<'_>],
    options: &EncodeOptions,
    limits: &Limits,
) -> StateResult<Vec<u8>> {
    let mut writer = BlobWriter::new(header, options.level).within(limits);
    let others = removed.iter().filter(|(_, o)| !o.is_empty()).count() as u64;
    let jobs = jobs(parts, others, limits)?;
    let mut sections = encode_all(&jobs, options, limits)?.into_iter();
    let mut jobs = jobs.iter().peekable();
    for (part, (type_id, ordinals)) in parts.iter().zip(removed) {
        if !ordinals.is_empty() {
            let mut raw = Vec::new();
            encode_ordinals(ordinals, &mut raw);
            OverLimit::check("bytes", raw.len() as u64, limits.section).map_err(|over| {
                let (name, count) = (part.name, ordinals.len());
                StateError::Limit(format!(
                    "type {name}, the list of {count} removed records: {over}: remove them in several cycles"
                ))
            })?;
            writer.section(*type_id, 0, SectionKind::Removed, raw);
        }
        while let Some(job) = jobs.next_if(|job| job.type_id == *type_id) {
            sections
                .by_ref()
                .take(1 + job.kinds.len())
                .for_each(|section| writer.packed(section));
        }
    }
    writer.finish().map_err(over)
}

#[cfg(test)]
mod tests;
