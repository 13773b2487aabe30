//! What a refresh did.
//!
//! Owns: the report's shape, and the states that it lies between. Never: computes what changed; that is
//! `changes` for ordinals, and the state for records.

use crate::error::Result;
use grotto_state::{Change, Difference, Record, RecordType, State, TypeChanges};
use grotto_store::plan::Step;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// A refresh: its [report](RefreshReport), to which it dereferences, and the states before and after it.
///
/// ```no_run
/// # use grotto_consumer::Refresh;
/// # use grotto_state::RecordType;
/// # fn each<Product: RecordType>(refresh: &Refresh) -> grotto_consumer::Result<()>
/// # where for<'a> Product::Ref<'a>: std::fmt::Debug {
/// println!("version {} instead of {}", refresh.to, refresh.from);
/// for change in refresh.changes::<Product>()? {
///     println!("{:?} instead of {:?}", change.after(), change.before());
/// }
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone. It keeps both states for as long as it is held; who only wants to know what was done
/// keeps the report.
#[derive(Clone)]
pub struct Refresh {
    before: Arc<State>,
    after: Arc<State>,
    report: Arc<RefreshReport>,
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report.fmt(f)
    }
}

impl Deref for Refresh {
    type Target = RefreshReport;

    fn deref(&self) -> &RefreshReport {
        &self.report
    }
}

impl Refresh {
    pub(crate) fn new(before: Arc<State>, after: Arc<State>, report: RefreshReport) -> Self {
        let report = Arc::new(report);
        Self {
            before,
            after,
            report,
        }
    }

    /// The state served before: the empty one if this is the first load.
    #[must_use]
    pub fn before(&self) -> &Arc<State> {
        &self.before
    }

    /// The state served after it.
    #[must_use]
    pub fn after(&self) -> &Arc<State> {
        &self.after
    }

    /// What was done, without the states.
    #[must_use]
    pub fn into_report(self) -> RefreshReport {
        Arc::unwrap_or_clone(self.report)
    }

    /// The records of a Rust type that changed, whatever way led here: first those that went or changed,
    /// then those that came. Costs what changed.
    ///
    /// A record is told once by its primary key, also where it moved, and not at all if it says what it
    /// said before: going back and forth between versions leaves nothing out and tells nothing twice.
    /// A record does not change with those it refers to by a key, and changes with whatever else is in
    /// it, also what the Rust type does not read. Records without a key are told apart by where they
    /// are. Of a first load all are told as added, and of a type that is gone all as removed.
    ///
    /// # Errors
    /// When neither state has the type, or one of them has a field of another type.
    pub fn changes<T: RecordType>(&self) -> Result<impl Iterator<Item = Change<T::Ref<'_>>>> {
        let ordinals = self.ordinals.get(T::TYPE);
        self.difference().typed::<T>(ordinals)
    }

    /// The same of a type that is known by its name only.
    ///
    /// # Errors
    /// When neither state has the type.
    pub fn changes_of(&self, type_name: &str) -> Result<impl Iterator<Item = Change<Record<'_>>>> {
        let ordinals = self.ordinals.get(type_name);
        self.difference().records(type_name, ordinals)
    }

    fn difference(&self) -> Difference<'_> {
        Difference::new(&self.before, &self.after)
    }
}

/// What a refresh did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
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
    /// [`Refresh::changes`] gives the records.
    pub ordinals: BTreeMap<String, TypeChanges>,
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
#[non_exhaustive]
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
#[non_exhaustive]
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

/// One line for a log: `version 7 instead of 6 by delta, 1204 bytes in 3.1ms`.
impl fmt::Display for RefreshReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {} instead of {}", self.to, self.from)?;
        for (at, step) in self.steps.iter().enumerate() {
            let word = if at == 0 { " by" } else { "," };
            write!(f, "{word} {}", step.kind)?;
        }
        write!(f, ", {} bytes in {:.1?}", self.bytes(), self.duration)
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
