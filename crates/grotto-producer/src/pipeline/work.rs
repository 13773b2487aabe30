//! One batch becomes one cycle.
//!
//! Owns: filling the cycle with a batch, and finding what cannot be in it. Runs on threads for the processor.
//! Never: publishes, and never waits.

use super::letters::{self, Letter};
use super::queue::Queued;
use crate::cycle::IncrementalCycle;
use crate::producer::Shared;
use crate::run::{Trouble, Worked};
use crate::wal::{WalChange, WalEntry};
use crate::{Error, ErrorKind, Result};
use grotto_format::json::KeyPart;
use grotto_format::schema::{Schema, TypeId};
use grotto_state::KeyValue;
use std::sync::Arc;
use std::time::Duration;

/// A batch on its way to a version.
pub(super) struct Batched {
    pub(super) entries: Vec<Queued>,
    /// Source of the numbers of entries; `None` without a log.
    pub(super) source: Option<Arc<str>>,
    /// Whether the number has to be committed even if nothing changes.
    pub(super) commit_position: bool,
    /// What its types are numbers of.
    pub(super) schema: Arc<Schema>,
}

/// What became of it.
pub(super) struct Cycled {
    pub(super) worked: Worked,
    /// What is no part of it and never will be.
    pub(super) letters: Vec<Letter>,
    /// Entries of which nothing is part of it.
    pub(super) failed: Vec<(u64, Error)>,
}

/// What is applied whole: an atomic entry, or a single change.
#[derive(Clone, Copy)]
struct Unit {
    entry: usize,
    /// `None` for all of an atomic entry.
    change: Option<usize>,
}

/// Makes a cycle of a batch; `begin` begins one, as often as it takes.
pub(super) fn work(
    shared: &Shared,
    batch: &Batched,
    began: Duration,
    begin: &dyn Fn() -> Result<IncrementalCycle>,
) -> Result<Cycled, Trouble> {
    let mut attempt = Attempt {
        shared,
        batch,
        began,
        begin,
        refused: Vec::new(),
    };
    let units = units_of(&batch.entries);
    let worked = match attempt.finish(units.clone()) {
        Err(Trouble::Records(error)) if error.kind() == ErrorKind::Invalid => {
            let mut accepted = Vec::with_capacity(units.len());
            attempt.sift(&mut accepted, &units)?;
            attempt.finish(accepted)?
        }
        finished => finished?,
    };
    let worked = shared.validated(worked).map_err(Trouble::Version)?;
    Ok(attempt.tell(worked))
}

fn units_of(entries: &[Queued]) -> Vec<Unit> {
    let mut units = Vec::new();
    for (entry, queued) in entries.iter().enumerate() {
        match queued.entry.atomic {
            true => units.push(Unit {
                entry,
                change: None,
            }),
            false => units.extend((0..queued.entry.changes.len()).map(|change| Unit {
                entry,
                change: Some(change),
            })),
        }
    }
    units
}

struct Attempt<'a> {
    shared: &'a Shared,
    batch: &'a Batched,
    began: Duration,
    begin: &'a dyn Fn() -> Result<IncrementalCycle>,
    refused: Vec<(Unit, Error)>,
}

impl Attempt<'_> {
    /// A cycle of these units, without those that it refuses at once.
    fn finish(&mut self, units: Vec<Unit>) -> Result<Worked, Trouble> {
        let mut cycle = (self.begin)().map_err(Trouble::Version)?;
        let mut at = None;
        for unit in units {
            let Some(queued) = self.batch.entries.get(unit.entry) else {
                continue;
            };
            if at.replace(unit.entry) != Some(unit.entry) {
                cycle.set_source(&queued.entry.source);
            }
            if let Err(error) = apply(&mut cycle, &queued.entry, unit.change) {
                self.refused.push((unit, error));
            }
        }
        self.note_positions(&mut cycle);
        let filled = cycle.filled();
        self.shared
            .finish(filled, self.began)
            .map_err(Trouble::Records)
    }

    fn note_positions(&self, cycle: &mut IncrementalCycle) {
        let mut moved = self.batch.commit_position;
        for queued in &self.batch.entries {
            for (source, position) in &queued.entry.positions {
                cycle.set_position(source, *position);
                moved = true;
            }
        }
        if let (Some(source), Some(last)) = (&self.batch.source, self.batch.entries.last()) {
            match moved {
                true => cycle.set_position(source, last.number),
                false => cycle.set_rider(source, last.number),
            }
        }
    }

    /// Adds to `accepted` what of `units` can be in one cycle with it; the rest is refused. A cycle tells that
    /// something is wrong at its end, and not always with what: so halves are tried.
    fn sift(&mut self, accepted: &mut Vec<Unit>, units: &[Unit]) -> Result<(), Trouble> {
        self.refused.clear();
        self.sift_part(accepted, units)
    }

    fn sift_part(&mut self, accepted: &mut Vec<Unit>, units: &[Unit]) -> Result<(), Trouble> {
        let before = self.refused.len();
        let together = accepted.iter().chain(units).copied().collect();
        match self.finish(together) {
            Ok(_) => {
                // What was refused at once is so by every attempt, and noted by the last one.
                self.refused.truncate(before);
                accepted.extend(units);
                Ok(())
            }
            Err(Trouble::Records(error)) if error.kind() == ErrorKind::Invalid => {
                self.refused.truncate(before);
                match units {
                    [] => Err(Trouble::Records(error)),
                    [only] => {
                        self.refused.push((*only, error));
                        Ok(())
                    }
                    several => {
                        let (first, second) = several.split_at(several.len() / 2);
                        self.sift_part(accepted, first)?;
                        self.sift_part(accepted, second)
                    }
                }
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// What became of all units.
    fn tell(self, worked: Worked) -> Cycled {
        let schema = &self.batch.schema;
        let entries = &self.batch.entries;
        let mut left: Vec<usize> = entries.iter().map(|q| q.entry.changes.len()).collect();
        let mut reasons: Vec<Option<Error>> = vec![None; entries.len()];
        let mut found = Vec::new();
        for (unit, error) in self.refused {
            let entry = &entries[unit.entry].entry;
            let changes = match unit.change {
                Some(change) => &entry.changes[change..=change],
                None => &entry.changes[..],
            };
            left[unit.entry] = left[unit.entry].saturating_sub(changes.len());
            let letter = |change| letters::of_change(schema, entry, change, &error);
            found.extend(changes.iter().map(letter));
            reasons[unit.entry] = Some(error);
        }
        for queued in entries {
            found.extend(
                queued
                    .rejected
                    .iter()
                    .map(|r| letters::of_rejected(&queued.entry, r)),
            );
        }
        let whole = reasons.into_iter().zip(left).zip(entries);
        let failed = whole.filter_map(|((reason, left), queued)| {
            reason
                .filter(|_| left == 0)
                .map(|reason| (queued.number, reason))
        });
        Cycled {
            failed: failed.collect(),
            worked,
            letters: found,
        }
    }
}

/// Applies a change of an entry, or all of them or none.
fn apply(cycle: &mut IncrementalCycle, entry: &WalEntry, change: Option<usize>) -> Result<()> {
    match change {
        Some(change) => entry
            .changes
            .get(change)
            .map_or(Ok(()), |c| apply_one(cycle, c)),
        None => cycle.transaction(|cycle| {
            for change in &entry.changes {
                apply_one(cycle, change)?;
            }
            Ok(())
        }),
    }
}

fn apply_one(cycle: &mut IncrementalCycle, change: &WalChange) -> Result<()> {
    match change {
        WalChange::Upsert {
            type_id,
            position,
            flat,
        } => cycle.upsert_flat(TypeId(*type_id), flat, *position),
        WalChange::Delete { type_id, key, .. } => {
            let parts: Vec<KeyPart> = key.iter().cloned().map(KeyPart::from).collect();
            let key: Vec<KeyValue<'_>> = parts.iter().map(KeyValue::from).collect();
            cycle
                .delete_of(TypeId(*type_id), key.as_slice())
                .map(|_| ())
        }
    }
}
