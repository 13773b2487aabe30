//! The end of a cycle: the difference, encoded and checked.
//!
//! Owns: the integrity check (both blobs are applied the way consumers will and the results compared), what
//! the write state must remember. Never encodes a blob, never publishes.

use super::cycle::{Cycle, Mode};
use super::room;
use super::value_hash;
use crate::apply::{Changes, Effort};
use crate::encode::EncodeOptions;
use crate::error::StateResult;
use crate::segment::{HeapSeal, SegmentOptions};
use crate::state::State;
use grotto_format::Limits;
use grotto_format::blob::Blob;
use grotto_format::log::{RecordChanges, TypeSummary};
use grotto_format::schema::TypeId;
use std::collections::BTreeMap;
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

impl Counts {
    /// What the log tells of it; `None` where nothing changed.
    fn changed(&self) -> Option<RecordChanges> {
        let changed = RecordChanges {
            added: self.added,
            removed: self.removed,
            modified: self.modified,
        };
        (changed != RecordChanges::default()).then_some(changed)
    }
}

impl Encoded {
    /// What a log entry tells of the types: how they are, and what the cycle did to them.
    #[must_use]
    pub fn summary(&self) -> BTreeMap<String, TypeSummary> {
        let mut types = self.next.summary();
        for counts in &self.counts {
            if let Some(summary) = types.get_mut(&counts.type_name) {
                summary.changed = counts.changed();
            }
        }
        types
    }
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
        let (delta, reverse) = self.encode(options, limits)?;
        let blob = Blob::parse_within(delta.into(), limits)?;
        let mut seal = HeapSeal::with_options(self.segments);
        let (next, changes) = self.before.apply_on(&blob, &mut seal, options.threads)?;
        room::check(&self.before, &next, limits)?;
        let next = Arc::new(next);
        let reverse = reverse
            .map(|bytes| Blob::parse_within(bytes.into(), limits))
            .transpose()?;
        if let Some(blob) = &reverse {
            lead_back(&next, blob)?;
        }
        let counts = self.counts(&next);
        let advance = self.advance();
        Ok(Some(Encoded {
            delta: blob.into_bytes().into(),
            reverse: reverse.map(|blob| blob.into_bytes().into()),
            next,
            changes,
            counts,
            advance,
        }))
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

#[cfg(test)]
mod tests;
