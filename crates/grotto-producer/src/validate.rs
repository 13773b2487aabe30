//! Validators: the last word before a version is committed.
//!
//! Owns: the trait and the ones that count records. Duplicate and null keys are refused by the engine
//! itself, in every cycle. A failure keeps the last version and says why.

use crate::{AnyError, Error, Result};
use grotto_state::format::schema::TypeId;
use grotto_state::{Change, Changes, Counts, Difference, Record, RecordType, State, TypeChanges};
use std::error::Error as StdError;

/// A version that is about to be committed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Candidate<'a> {
    /// The committed state.
    pub before: &'a State,
    /// The state as consumers would hold it.
    pub after: &'a State,
    /// Ordinals that changed, per type of the schema after; [`changes`](Self::changes) gives the records.
    pub ordinals: &'a Changes,
    /// Records per type, and what changed.
    pub counts: &'a [Counts],
}

impl<'a> Candidate<'a> {
    /// The records of a Rust type that the version changes: first those that go or change, then those
    /// that come. Costs what changes.
    ///
    /// A record is told once by its primary key. It does not change with those it refers to by a key,
    /// and changes with whatever else is in it. Records without a key go and
    /// come, and never change.
    ///
    /// # Errors
    /// When neither state has the type, or one of them has a field of another type.
    pub fn changes<T: RecordType>(
        &self,
    ) -> Result<impl Iterator<Item = Change<T::Ref<'a>>> + use<'a, T>> {
        self.difference().typed::<T>(self.ordinals_of(T::TYPE))
    }

    /// The same of a type that is known by its name only.
    ///
    /// # Errors
    /// When neither state has the type.
    pub fn changes_of(
        &self,
        type_name: &str,
    ) -> Result<impl Iterator<Item = Change<Record<'a>>> + use<'a>> {
        let ordinals = self.ordinals_of(type_name);
        self.difference().records(type_name, ordinals)
    }

    fn difference(&self) -> Difference<'a> {
        Difference::new(self.before, self.after)
    }

    fn ordinals_of(&self, type_name: &str) -> Option<&'a TypeChanges> {
        let id = self.after.schema().find(type_name)?;
        self.ordinals.types.get(id.index())
    }
}

/// Decides whether a version may be committed.
pub trait Validator: Send + Sync {
    /// Name, for messages.
    fn name(&self) -> &str;

    /// Looks at the candidate. The cycle waits for it.
    ///
    /// # Errors
    /// Why it must not be committed: text, which the error of the cycle then tells, or an error of any type,
    /// which is its source. The cycle fails as `Invalid`.
    fn validate(&self, candidate: &Candidate<'_>) -> Result<(), AnyError>;
}

/// The error of a cycle whose version a validator refused: with the reason in its message if that is text,
/// otherwise with the reason as its source.
pub(crate) fn refused(validator: &str, reason: AnyError) -> Error {
    let reason = reason.into_inner();
    if is_text(reason.as_ref()) {
        return Error::invalid(format!("{validator}: {reason}; nothing was published"));
    }
    let message = format!("{validator} refused the version; nothing was published");
    Error::invalid(message).with_source(reason)
}

/// Whether there is no more to an error than text: the type that text becomes as an error is private to
/// the standard library, and prints as text does.
fn is_text(error: &(dyn StdError + 'static)) -> bool {
    let text = error.to_string();
    error.source().is_none() && format!("{error:?}") == format!("{text:?}")
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

    fn validate(&self, candidate: &Candidate<'_>) -> Result<(), AnyError> {
        for id in candidate.after.schema().ids() {
            let ty = candidate.after.schema().get(id);
            let wanted = self
                .type_name
                .as_ref()
                .map_or(ty.key().is_some(), |name| *name == ty.name);
            let before = candidate
                .before
                .schema()
                .find(&ty.name)
                .map_or(0, |old| candidate.before.count(old));
            let after = candidate.after.count(id);
            let percent = (after as f64 - before as f64).abs() / before as f64 * 100.0;
            if wanted && before > 0 && percent > self.max_percent {
                let (name, most) = (&ty.name, self.max_percent);
                return Err(AnyError::from(format!(
                    "type {name}: expected a change of at most {most} %, found {percent:.1} % (from {before} to {after} records)"
                )));
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

    fn validate(&self, candidate: &Candidate<'_>) -> Result<(), AnyError> {
        let found = candidate
            .after
            .schema()
            .find(&self.type_name)
            .map_or(0, |id: TypeId| candidate.after.count(id));
        if found >= self.minimum {
            return Ok(());
        }
        let (name, minimum) = (&self.type_name, self.minimum);
        Err(AnyError::from(format!(
            "type {name}: expected at least {minimum} records, found {found}"
        )))
    }
}
