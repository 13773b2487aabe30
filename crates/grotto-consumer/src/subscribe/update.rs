//! An update: what a reader of changes gets.
//!
//! Owns: its shape, and which changes of it were asked for. Never: knows how it came about.

use super::pending::Pending;
use super::position::Position;
use crate::error::{Error, Result};
use grotto_state::{Change, Difference, Interest, Record, RecordType, State, TypeChanges};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What changed between two states, as far as it was asked for.
///
/// Keeps both states readable, and their memory, for as long as it is held.
#[derive(Clone)]
pub struct Update {
    before: Arc<State>,
    after: Arc<State>,
    position: Position,
    replaced: bool,
    ordinals: Arc<BTreeMap<String, TypeChanges>>,
    interests: Arc<[Interest]>,
}

impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "update from version {} to {}",
            self.from(),
            self.position
        )
    }
}

/// Changes of one type, in a box because those of an interest are another iterator than all of them.
type Changes<'a> = Box<dyn Iterator<Item = Change<Record<'a>>> + 'a>;

impl Update {
    pub(super) fn of(pending: &Pending, interests: Arc<[Interest]>) -> Self {
        Self {
            before: Arc::clone(&pending.before),
            after: Arc::clone(&pending.after),
            position: Position::of(&pending.after, pending.dataset_id.clone()),
            replaced: pending.replaced,
            ordinals: Arc::new(pending.ordinals()),
            interests,
        }
    }

    /// The version that it begins at: that of the update before, 0 for the first one of a reader from the beginning.
    #[must_use]
    pub fn from(&self) -> u64 {
        self.before.version()
    }

    /// The version that it leads to.
    #[must_use]
    pub fn to(&self) -> u64 {
        self.after.version()
    }

    /// Where a reader is that took it in, to go on there by [`Subscribe::after`](super::Subscribe::after).
    #[must_use]
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Whether the dataset was created anew in between: versions then count from the beginning.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        self.replaced
    }

    /// The state that it begins at.
    #[must_use]
    pub fn before(&self) -> &Arc<State> {
        &self.before
    }

    /// The state that it leads to.
    #[must_use]
    pub fn after(&self) -> &Arc<State> {
        &self.after
    }

    /// The records of a Rust type that changed, as far as they were asked for: first those that went or changed, then
    /// those that came. [`Refresh::changes`](crate::Refresh::changes) says what counts as a change.
    ///
    /// # Errors
    /// `Invalid` when the subscription is not to this type, when neither state has it, and when one of them has a field
    /// of another type.
    pub fn changes<T: RecordType>(&self) -> Result<impl Iterator<Item = Change<T::Ref<'_>>>> {
        self.difference().typed_of::<T>(self.changes_of(T::TYPE)?)
    }

    /// The same of a type that is known by its name only.
    ///
    /// # Errors
    /// `Invalid` when the subscription is not to this type, or neither state has it.
    pub fn changes_of(&self, type_name: &str) -> Result<Changes<'_>> {
        let ordinals = self.ordinals.get(type_name);
        if self.interests.is_empty() {
            return Ok(Box::new(self.difference().records(type_name, ordinals)?));
        }
        let mut interests = self.interests.iter();
        let Some(interest) = interests.find(|interest| interest.type_name() == type_name) else {
            let names: Vec<&str> = self.interests.iter().map(Interest::type_name).collect();
            return Err(Error::invalid(format!(
                "expected a type of this subscription, {}; found {type_name}",
                names.join(", ")
            )));
        };
        Ok(Box::new(self.difference().of_interest(interest, ordinals)))
    }

    /// The types in which something changed that was asked for, by name.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        let changed = |name: &&str| {
            let changes = self.changes_of(name);
            changes.is_ok_and(|mut changes| changes.next().is_some())
        };
        self.candidates().into_iter().filter(changed)
    }

    /// Types that may have changed, those that came or went with their version included.
    fn candidates(&self) -> Vec<&str> {
        if !self.interests.is_empty() {
            return self.interests.iter().map(Interest::type_name).collect();
        }
        let moved =
            one_sided(&self.before, &self.after).chain(one_sided(&self.after, &self.before));
        let mut names: Vec<&str> = moved
            .chain(self.ordinals.keys().map(String::as_str))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn difference(&self) -> Difference<'_> {
        Difference::new(&self.before, &self.after)
    }
}

/// Names of the types that only the first state has.
fn one_sided<'a>(one: &'a State, other: &'a State) -> impl Iterator<Item = &'a str> {
    let names = one.schema().types().iter().map(|ty| ty.name.as_str());
    names.filter(|name| other.schema().find(name).is_none())
}
