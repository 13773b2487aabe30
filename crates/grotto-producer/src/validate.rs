//! Validators: the last word before a version is committed.
//!
//! Owns: the trait and the ones that count records. Duplicate and null keys are refused by the engine
//! itself, in every cycle. A failure keeps the last version and says why.

use grotto_state::format::schema::TypeId;
use grotto_state::{Changes, Counts, State};

/// A version that is about to be committed.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The committed state.
    pub before: &'a State,
    /// The state as consumers would hold it.
    pub next: &'a State,
    /// Ordinals added and removed per type.
    pub changes: &'a Changes,
    /// Records per type, and what changed.
    pub counts: &'a [Counts],
}

/// Decides whether a version may be committed.
pub trait Validator: Send + Sync {
    /// Name, for messages.
    fn name(&self) -> &str;

    /// Looks at the candidate.
    ///
    /// # Errors
    /// Why it must not be committed.
    fn validate(&self, candidate: &Candidate<'_>) -> Result<(), String>;
}

/// Refuses a version whose number of records of a type differs too much from the last one's. Does
/// not apply while the type had no record.
#[derive(Clone, Debug)]
pub struct RecordCountDrift {
    /// The type; `None` for every keyed type.
    pub type_name: Option<String>,
    /// Largest change in percent, up or down.
    pub max_percent: f64,
}

impl Validator for RecordCountDrift {
    fn name(&self) -> &str {
        "record count drift"
    }

    fn validate(&self, candidate: &Candidate<'_>) -> Result<(), String> {
        for id in candidate.next.schema().ids() {
            let ty = candidate.next.schema().get(id);
            let wanted = self
                .type_name
                .as_ref()
                .map_or(ty.key().is_some(), |name| *name == ty.name);
            let before = candidate
                .before
                .schema()
                .find(&ty.name)
                .map_or(0, |old| candidate.before.count(old));
            let after = candidate.next.count(id);
            let percent = (after as f64 - before as f64).abs() / before as f64 * 100.0;
            if wanted && before > 0 && percent > self.max_percent {
                return Err(format!(
                    "type {}: expected a change of at most {} %, found {percent:.1} % (from {before} to {after} records)",
                    ty.name, self.max_percent
                ));
            }
        }
        Ok(())
    }
}

/// Refuses a version with too few records of a type.
#[derive(Clone, Debug)]
pub struct MinimumCount {
    /// The type.
    pub type_name: String,
    /// Fewest records.
    pub minimum: u64,
}

impl Validator for MinimumCount {
    fn name(&self) -> &str {
        "minimum count"
    }

    fn validate(&self, candidate: &Candidate<'_>) -> Result<(), String> {
        let found = candidate
            .next
            .schema()
            .find(&self.type_name)
            .map_or(0, |id: TypeId| candidate.next.count(id));
        if found >= self.minimum {
            return Ok(());
        }
        Err(format!(
            "type {}: expected at least {} records, found {found}",
            self.type_name, self.minimum
        ))
    }
}
