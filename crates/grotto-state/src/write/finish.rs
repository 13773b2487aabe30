//! The end of a cycle: the difference, encoded and checked.
//!
//! Owns: delta and reverse delta blobs, the integrity check (both are applied the way consumers will
//! and the results compared), what the write state must remember. Never publishes.

use super::cycle::{Cycle, Mode};
use super::stage::Stage;
use crate::apply::{Changes, Effort};
use crate::block::estimate_bytes;
use crate::encode::{
    EncodeOptions, Job, Origin, chunks, encode_all, type_infos, weight_of_record, weight_of_row,
};
use crate::error::StateResult;
use crate::segment::{HeapSeal, SegmentOptions};
use crate::state::{State, TypeState};
use grotto_format::batch::{Batch, Column, ColumnData, encode_ordinals};
use grotto_format::blob::{Blob, BlobHeader, BlobKind, BlobWriter, SectionKind, TypeInfo};
use grotto_format::checksum;
use grotto_format::schema::TypeId;
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
    /// Ordinal and content hash of records that leave or enter the content index.
    pub(super) forget: Vec<(u32, u64)>,
    pub(super) remember: Vec<(u32, u64)>,
    pub(super) recount: Vec<(u32, i64)>,
}

impl Cycle {
    /// Finds, encodes and checks the difference. `None` when there is none.
    ///
    /// # Errors
    /// When two records have one key, or the encoded delta does not lead to the staged records.
    pub fn finish(mut self, options: &EncodeOptions) -> StateResult<Option<Encoded>> {
        self.take_in()?;
        if self.mode == Mode::Incremental {
            self.apply_ops()?;
        }
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
        let delta = self.encode_delta(&staged, options)?;
        let blob = Blob::parse(delta.into())?;
        let mut seal = HeapSeal::with_options(self.segments);
        let (next, changes) = self.before.apply(&blob, &mut seal)?;
        let next = Arc::new(next);
        let reverse = match self.before.schema().types().is_empty() {
            true => None,
            false => Some(self.encode_reverse(&next, &changes, options)?),
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

    fn encode_delta(&self, staged: &[Sorted], options: &EncodeOptions) -> StateResult<Vec<u8>> {
        let mut types = Vec::new();
        let mut to_checksum = 0_u64;
        let mut removed = Vec::new();
        let mut jobs = Vec::new();
        for (position, (stage, sorted)) in self.stages.iter().zip(staged).enumerate() {
            let id = TypeId(position as u16);
            let ty = &self.base.types[position];
            let shift = block_shift(ty, stage);
            // Saturating: a damaged state may count fewer records than it holds.
            let live =
                (ty.live + stage.batch.rows as u64).saturating_sub(stage.removed.len() as u64);
            types.push(TypeInfo { shift, live });
            to_checksum = to_checksum.wrapping_add(self.checksum_after(id, stage));
            removed.push((position as u16, stage.removed.as_slice()));
            let weight = |at: usize| weight_of_row(&stage.batch, sorted.rows[at]);
            for (chunk, range) in chunks(&sorted.ordinals, shift, weight)
                .into_iter()
                .enumerate()
            {
                jobs.push(Job {
                    type_id: position as u16,
                    chunk: chunk as u32,
                    kinds: &self.base.infos[position].kinds,
                    ordinals: &sorted.ordinals[range.clone()],
                    origin: Origin::Staged(&stage.batch, &sorted.rows[range]),
                });
            }
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
        write(header, &removed, &jobs, options)
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
        for ordinal in &stage.removed {
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
    ) -> StateResult<Vec<u8>> {
        let before = &self.before;
        let nothing = Vec::new();
        let whole: Vec<Vec<u32>> = before
            .schema()
            .ids()
            .map(|old| match self.new_of[old.index()] {
                Some(_) => Vec::new(),
                None => before.ordinals(old).collect(),
            })
            .collect();
        let (mut removed, mut jobs) = (Vec::new(), Vec::new());
        for old in before.schema().ids() {
            let position = old.index();
            let change = self.new_of[position].and_then(|new| changes.types.get(new.index()));
            removed.push((
                old.0,
                change.map_or(nothing.as_slice(), |c| c.added.as_slice()),
            ));
            let added = change.map_or(whole[position].as_slice(), |c| c.removed.as_slice());
            let weight =
                |at: usize| weight_of_record(before, old, added[at], &before.infos[position].kinds);
            for (chunk, range) in chunks(added, before.types[position].shift, weight)
                .into_iter()
                .enumerate()
            {
                jobs.push(Job {
                    type_id: old.0,
                    chunk: chunk as u32,
                    kinds: &before.infos[position].kinds,
                    ordinals: &added[range],
                    origin: Origin::Stored(before, old),
                });
            }
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
        let bytes = write(header, &removed, &jobs, options)?;
        let blob = Blob::parse(bytes.into())?;
        lead_back(next, &blob)?;
        Ok(blob.into_bytes().into())
    }

    fn counts(&self, next: &State) -> Vec<Counts> {
        let types = self.stages.iter().zip(self.schema.types()).enumerate();
        types
            .map(|(position, (stage, ty))| {
                let modified = stage.replaces.len() as u64;
                Counts {
                    type_name: ty.name.clone(),
                    live: next.count(TypeId(position as u16)),
                    added: stage.batch.rows as u64 - modified,
                    removed: stage.removed.len() as u64 - modified,
                    modified,
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
                let hash = |ordinal: &u32| {
                    base.row(id, *ordinal)
                        .map_or(0, |record| record.content_hash())
                };
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
                            .zip(stage.hashes.iter().copied())
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

/// Ordinals per block as a power of two: blocks of 64 to 128 KB, decided when the first records of a
/// type come and kept from then on.
fn block_shift(ty: &TypeState, stage: &Stage) -> u8 {
    if ty.live > 0 || stage.batch.rows == 0 {
        return ty.shift;
    }
    let each = (estimate_bytes(&stage.batch) / stage.batch.rows as u64).max(1);
    let mut shift = ((128 * 1024 / each).max(1).ilog2() as u8).clamp(9, 16);
    // Large records may come in a row: no block may be far from the others.
    while shift > 9 && heaviest(&stage.batch, 1 << shift) > HEAVIEST {
        shift -= 1;
    }
    shift
}

/// Most bytes of text and elements of a block, where its size can be chosen.
const HEAVIEST: usize = 4 << 20;

/// Most values' bytes of `size` rows side by side, of any one column.
fn heaviest(batch: &Batch, size: usize) -> usize {
    let of_ends = |ends: &[usize], each: usize| {
        let starts = std::iter::once(0).chain(ends.iter().skip(size - 1).step_by(size).copied());
        let stops = ends.iter().skip(size - 1).step_by(size).chain(ends.last());
        stops
            .zip(starts)
            .map(|(stop, start)| (stop - start) * each)
            .max()
            .unwrap_or(0)
    };
    let of_column = |column: &Column| match &column.data {
        ColumnData::Fixed(_) => 0,
        ColumnData::Var { ends, .. } => of_ends(ends, 1),
        ColumnData::Elements { ends, .. } => of_ends(ends, 3),
    };
    batch.columns.iter().map(of_column).max().unwrap_or(0)
}

fn write(
    header: BlobHeader,
    removed: &[(u16, &[u32])],
    jobs: &[Job<'_>],
    options: &EncodeOptions,
) -> StateResult<Vec<u8>> {
    let mut writer = BlobWriter::new(header, options.level);
    let mut sections = encode_all(jobs, options)?.into_iter();
    let mut jobs = jobs.iter().peekable();
    for (type_id, ordinals) in removed {
        if !ordinals.is_empty() {
            let mut raw = Vec::new();
            encode_ordinals(ordinals, &mut raw);
            writer.section(*type_id, 0, SectionKind::Removed, raw);
        }
        while let Some(job) = jobs.next_if(|job| job.type_id == *type_id) {
            sections
                .by_ref()
                .take(1 + job.kinds.len())
                .for_each(|section| writer.packed(section));
        }
    }
    Ok(writer.finish())
}

#[cfg(test)]
mod tests;
