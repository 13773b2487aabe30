//! What a refresh did.
//!
//! Owns: the report's shape. Never: computes what changed; that is `changes`.

use grotto_state::TypeChanges;
use grotto_store::plan::Step;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What a refresh did.
#[derive(Clone, Debug, Default)]
pub struct RefreshReport {
    /// The version served before.
    pub from: u64,
    /// The version served now.
    pub to: u64,
    /// What was applied, in order.
    pub steps: Vec<StepReport>,
    /// Per type of the schema now: ordinals whose record came, went or changed where it was between
    /// the two versions. An ordinal that is added and removed holds another record than before. A
    /// record does not change with those it refers to by a key. Types without change are left out.
    pub changes: BTreeMap<String, TypeChanges>,
    /// Whether the dataset was created anew under its name: what is served now has nothing to do
    /// with what was served before, and its versions count from the beginning.
    pub replaced: bool,
    /// What went wrong and was worked around: damaged or missing blobs, a state that had to be loaded
    /// afresh.
    pub recovered: Vec<String>,
    /// Time from the plan to the last swap.
    pub duration: Duration,
}

/// One applied step.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// What was applied.
    pub kind: StepKind,
    /// The version it led to.
    pub to: u64,
    /// Bytes fetched.
    pub bytes: u64,
    /// Time to fetch; overlaps with the application of the step before.
    pub fetch: Duration,
    /// Time to verify, apply, compare and publish.
    pub apply: Duration,
}

/// Kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// A whole state.
    Snapshot,
    /// One version forward.
    Delta,
    /// One version back.
    Reverse,
    /// Only the version moved.
    Skip,
}

impl StepKind {
    pub(crate) fn of(step: &Step) -> Self {
        match step {
            Step::Snapshot { .. } => Self::Snapshot,
            Step::Delta { .. } => Self::Delta,
            Step::Reverse { .. } => Self::Reverse,
            Step::Skip { .. } => Self::Skip,
        }
    }

    /// Its name in logs, metrics and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Delta => "delta",
            Self::Reverse => "reverse",
            Self::Skip => "skip",
        }
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl RefreshReport {
    /// Bytes fetched by all steps.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.steps.iter().map(|step| step.bytes).sum()
    }
}
