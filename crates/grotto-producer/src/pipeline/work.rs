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
use grotto_format::Schema;
use grotto_format::json::KeyPart;
use grotto_format::schema::TypeId;
use grotto_state::{KeyValue, WriteState};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What is applied whole, an atomic entry (`None`) or a single change, and became a dead letter: by the number of
/// the entry.
pub(super) type Buried = BTreeMap<(u64, Option<usize>), Error>;

/// A batch on its way to a version.
pub(super) struct Batched {
    pub(super) entries: Vec<Queued>,
    /// Source of the numbers of entries; `None` without a log.
    pub(super) source: Option<Arc<str>>,
    /// Whether the number has to be committed even if nothing changes.
    pub(super) commit_position: bool,
    /// What of the entries is a dead letter already.
    pub(super) buried: Buried,
    /// What its types are numbers of.
    pub(super) schema: Arc<Schema>,
    /// What goes on with it, for traces and logs.
    pub(super) span: tracing::Span,
}

/// What became of it.
pub(super) struct Cycled {
    pub(super) worked: Worked,
    /// What is no part of it and never will be, and what is told of it.
    pub(super) letters: Vec<Letter>,
    pub(super) refused: Buried,
    /// Entries of which nothing is part of it.
    pub(super) failed: Vec<(u64, Error)>,
}

/// What is applied whole: an atomic entry, or a single change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unit {
    entry: usize,
    /// `None` for all of an atomic entry.
    change: Option<usize>,
}

impl Batched {
    fn units(&self) -> Vec<Unit> {
        let mut units = Vec::new();
        for (entry, queued) in self.entries.iter().enumerate() {
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
        units.retain(|unit| !self.buried.contains_key(&self.name(*unit)));
        units
    }

    /// A unit beyond this batch.
    fn name(&self, unit: Unit) -> (u64, Option<usize>) {
        let number = self
            .entries
            .get(unit.entry)
            .map_or(0, |queued| queued.number);
        (number, unit.change)
    }

    /// The changes of a unit.
    fn changes(&self, number: u64, change: Option<usize>) -> Option<(usize, &[WalChange])> {
        let place = self
            .entries
            .iter()
            .position(|queued| queued.number == number)?;
        let changes = &self.entries.get(place)?.entry.changes;
        Some(match change {
            Some(change) => (place, changes.get(change..=change)?),
            None => (place, changes),
        })
    }
}

/// Makes a cycle of a batch on a state, and the state that it leads to.
pub(super) fn work(
    shared: &Shared,
    write: &WriteState,
    batch: &Batched,
    began: Duration,
) -> Result<Cycled, Trouble> {
    let mut attempt = Attempt {
        shared,
        write,
        batch,
        began,
        refused: Vec::new(),
    };
    let units = batch.units();
    let worked = match attempt.finish(&units) {
        Err(Trouble::Records(error)) if error.kind() == ErrorKind::Invalid => {
            attempt.sift(units)?
        }
        finished => finished?,
    };
    let mut worked = shared.validated(worked).map_err(Trouble::Version)?;
    worked.ahead = worked.encoded.as_ref().map(|encoded| write.ahead(encoded));
    Ok(attempt.tell(worked))
}

struct Attempt<'a> {
    shared: &'a Shared,
    write: &'a WriteState,
    batch: &'a Batched,
    began: Duration,
    refused: Vec<(Unit, Error)>,
}

impl Attempt<'_> {
    /// A cycle of these units, without those that it refuses at once.
    fn finish(&mut self, units: &[Unit]) -> Result<Worked, Trouble> {
        let form = &IncrementalCycle::FORM;
        let begun = self.shared.begin_on(self.write, &self.batch.schema, form);
        let mut cycle = begun.map_err(Trouble::Version)?;
        let mut at = None;
        for unit in units {
            let Some(queued) = self.batch.entries.get(unit.entry) else {
                continue;
            };
            if at.replace(unit.entry) != Some(unit.entry) {
                cycle.set_source(&queued.entry.source);
            }
            if let Err(error) = apply(&mut cycle, &queued.entry, unit.change) {
                self.refused.push((*unit, error));
            }
        }
        self.note_positions(&mut cycle);
        let filled = cycle.filled();
        self.shared
            .finish(filled, self.began)
            .map_err(Trouble::Records)
    }

    /// Positions of sources are worth a version, and so is that something was refused: it must not be tried again
    /// by the next process. The number of the last entry alone is not.
    fn note_positions(&self, cycle: &mut IncrementalCycle) {
        let is_rejected = |queued: &Queued| !queued.rejected.is_empty();
        let refuses = !self.refused.is_empty() || !self.batch.buried.is_empty();
        let mut moved = self.batch.commit_position || refuses;
        moved |= self.batch.entries.iter().any(is_rejected);
        let entries = self.batch.entries.iter();
        let positions = entries.flat_map(|queued| &queued.entry.positions);
        for (source, position) in positions {
            cycle.set_position(source, *position);
            moved = true;
        }
        if let (Some(source), Some(last)) = (&self.batch.source, self.batch.entries.last()) {
            match moved {
                true => cycle.set_position(source, last.number),
                false => cycle.set_rider(source, last.number),
            }
        }
    }

    /// Finds what of `units` can be in one cycle; the rest is refused. A cycle tells that something is wrong at
    /// its end, and not always with what: so halves are tried. What was refused for want of a later unit is tried
    /// again, until nothing more fits.
    fn sift(&mut self, mut units: Vec<Unit>) -> Result<Worked, Trouble> {
        let mut accepted = Vec::with_capacity(units.len());
        loop {
            self.refused.clear();
            let before = accepted.len();
            self.sift_part(&mut accepted, &units)?;
            units = self.refused.iter().map(|(unit, _)| *unit).collect();
            if accepted.len() == before || units.is_empty() {
                break;
            }
        }
        // In the order in which they came.
        accepted.sort_by_key(|unit| (unit.entry, unit.change));
        self.finish(&accepted)
    }

    fn sift_part(&mut self, accepted: &mut Vec<Unit>, units: &[Unit]) -> Result<(), Trouble> {
        if units.is_empty() {
            return Ok(());
        }
        let before = self.refused.len();
        let mut together: Vec<Unit> = accepted.iter().chain(units).copied().collect();
        together.sort_by_key(|unit| (unit.entry, unit.change));
        match self.finish(&together) {
            Ok(_) => {
                // What was refused at once is so by every attempt, and noted by the last one.
                self.refused.truncate(before);
                accepted.extend(units);
                Ok(())
            }
            Err(Trouble::Records(error)) if error.kind() == ErrorKind::Invalid => {
                self.refused.truncate(before);
                if let [only] = units {
                    self.refused.push((*only, error));
                    return Ok(());
                }
                let (first, second) = units.split_at(units.len() / 2);
                self.sift_part(accepted, first)?;
                self.sift_part(accepted, second)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// What became of all units.
    fn tell(self, worked: Worked) -> Cycled {
        let (schema, batch) = (&self.batch.schema, self.batch);
        let mut refused: Buried = self
            .refused
            .into_iter()
            .map(|(unit, error)| (batch.name(unit), error))
            .collect();
        let mut letters = Vec::new();
        for ((number, change), error) in &refused {
            if let Some((place, changes)) = batch.changes(*number, *change) {
                let entry = &batch.entries[place].entry;
                let letter = |change| letters::of_change(schema, entry, change, error);
                letters.extend(changes.iter().map(letter));
            }
        }
        let failed = failed(batch, &refused);
        for queued in &batch.entries {
            let Some(first) = queued.rejected.first() else {
                continue;
            };
            let name = (queued.number, REJECTED);
            if !batch.buried.contains_key(&name) {
                let of_rejected = |rejected| letters::of_rejected(&queued.entry, rejected);
                letters.extend(queued.rejected.iter().map(of_rejected));
                refused.insert(name, Error::invalid(first.reason.clone()));
            }
        }
        Cycled {
            failed,
            worked,
            letters,
            refused,
        }
    }
}

/// Stands for what the log gave back as not fitting the schema in use.
const REJECTED: Option<usize> = Some(usize::MAX);

/// Entries of which nothing was applied, and why.
fn failed(batch: &Batched, refused: &Buried) -> Vec<(u64, Error)> {
    let lengths = batch
        .entries
        .iter()
        .map(|queued| queued.entry.changes.len());
    let mut left: Vec<usize> = lengths.collect();
    let rejected = batch.entries.iter().map(|queued| queued.rejected.first());
    let reason = |rejected: &crate::wal::RejectedChange| Error::invalid(rejected.reason.clone());
    let mut reasons: Vec<Option<Error>> = rejected.map(|first| first.map(reason)).collect();
    for ((number, change), error) in refused.iter().chain(&batch.buried) {
        if let Some((place, changes)) = batch.changes(*number, *change) {
            left[place] = left[place].saturating_sub(changes.len());
            reasons[place] = Some(error.clone());
        }
    }
    let all = batch.entries.iter().zip(left).zip(reasons);
    let failed = all.filter(|((_, left), _)| *left == 0);
    failed
        .filter_map(|((queued, _), reason)| Some((queued.number, reason?)))
        .collect()
}

/// Applies a change of an entry, or all of them or none.
fn apply(cycle: &mut IncrementalCycle, entry: &WalEntry, change: Option<usize>) -> Result<()> {
    match change.map(|change| entry.changes.get(change)) {
        Some(change) => change.map_or(Ok(()), |change| apply_one(cycle, change)),
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
