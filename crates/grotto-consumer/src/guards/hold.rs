//! Holding a version back, and letting it go.
//!
//! Owns: which version is held and why, and what a refresh goes to instead. Never: fetches a blob.
//!
//! Versions are compared with the one before them: a dataset that grew step by step while nobody looked is not
//! held. Where one step is past the limits, the version before it is gone to, and the one it leads to is held,
//! with all that follow it until one is within the limits of what is served.

use super::{Guards, Watch};
use crate::error::{Error, Result};
use crate::shared::Shared;
use crate::status::HeldVersion;
use crate::target::{Goal, was_written};
use grotto_state::State;
use grotto_store::{LogEntry, Outline};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Versions behind the newest one up to which each step is looked at; who is further behind compares the newest
/// with what it serves.
const MOST_STEPS: u64 = 64;

/// What is held back, and the limits.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    pub(crate) guards: Guards,
    /// Most bytes that a state may take.
    pub(crate) memory_limit: Option<u64>,
    held: Mutex<Option<Held>>,
}

#[derive(Clone, Debug)]
struct Held {
    told: HeldVersion,
    dataset_id: String,
    /// The newest version that was judged, and is held with the first one.
    judged: u64,
    /// What states took when one was refused for what it would take; `None` where that was not why.
    used: Option<u64>,
}

/// Where a refresh may go.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) target: LogEntry,
    /// Whether it may differ from what is served however much.
    pub(crate) accepted: bool,
}

/// Why a version is held.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) version: u64,
    pub(crate) reason: String,
    /// Whether it is for what the state takes: nobody can accept that for others.
    pub(crate) memory: bool,
}

impl Holding {
    pub(crate) fn held(&self) -> Option<HeldVersion> {
        self.held.lock().as_ref().map(|held| held.told.clone())
    }

    pub(crate) fn is_holding(&self) -> bool {
        self.held.lock().is_some()
    }

    /// Of this dataset.
    fn known(&self, target: &LogEntry) -> Option<Held> {
        let held = self.held.lock().clone();
        held.filter(|held| held.dataset_id == target.dataset_id)
    }
}

impl Shared {
    /// Where a refresh to `target` may go; `None` if what is held is known and nobody asked for an answer.
    ///
    /// # Errors
    /// When the version is held: `Invalid`, with the figures. When the store does not answer.
    pub(crate) async fn admit(
        &self,
        asked: Goal,
        goal: Goal,
        served: &State,
        target: LogEntry,
    ) -> Result<Option<Admitted>> {
        if matches!(goal, Goal::Pin(_)) {
            return Ok(Some(Admitted::whatever(target)));
        }
        let known = self.holding.known(&target);
        let again = known.filter(|held| held.judged == target.version);
        if let Some(used) = again.as_ref().and_then(|held| held.used) {
            // Readers may have let go of what was in the way.
            let waits = asked.is_background() && self.mapped_bytes() >= used;
            return Ok((!waits).then(|| Admitted::whatever(target)));
        }
        let refusal = match again {
            Some(held) => Refusal {
                version: held.told.version,
                reason: held.told.reason,
                memory: false,
            },
            None => match self.judge(served, &target).await? {
                Judged::Within { gradual } => {
                    let accepted = gradual;
                    return Ok(Some(Admitted { target, accepted }));
                }
                Judged::Until(entry) => return Ok(Some(Admitted::whatever(*entry))),
                Judged::Past(refusal) => refusal,
            },
        };
        match self.accepted(served, &target).await? {
            Some(entry) => Ok(Some(Admitted::whatever(entry))),
            None => self.hold(asked, &target, refusal).map(|()| None),
        }
    }

    /// What watches over a refresh.
    pub(crate) fn watch(&self, admitted: &Admitted) -> Arc<Watch> {
        let served = self.served();
        let compared = !admitted.accepted && was_written(&served);
        Arc::new(Watch::new(self.holding.guards, compared.then_some(served)))
    }

    /// Holds a version back. Said once; later only to whoever asks for an answer.
    ///
    /// # Errors
    /// `Invalid`: what is held, and why.
    pub(crate) fn hold(&self, asked: Goal, target: &LogEntry, refusal: Refusal) -> Result<()> {
        let (dataset, served) = (self.dataset.name(), self.served().version());
        let known = self.holding.known(target);
        let told = match &known {
            Some(held) if held.used.is_some() == refusal.memory => held.told.clone(),
            _ => HeldVersion {
                version: refusal.version,
                reason: refusal.reason,
            },
        };
        let mend = match refusal.memory {
            true => "give it more memory, or serve fewer records",
            false => "if it is right, release it with `grotto accept`",
        };
        let (version, reason) = (told.version, &told.reason);
        let message = format!(
            "dataset {dataset}: version {version} is held and version {served} stays served: {reason}; {mend}"
        );
        *self.holding.held.lock() = Some(Held {
            told: told.clone(),
            dataset_id: target.dataset_id.clone(),
            judged: target.version,
            used: refusal.memory.then(|| self.mapped_bytes()),
        });
        self.metrics.holding(version);
        if known.is_some() && asked.is_background() {
            return Ok(());
        }
        Err(Error::invalid(message))
    }

    /// Nothing is held any more.
    pub(crate) fn let_go(&self) {
        let held = self.holding.held.lock().take();
        if let Some(held) = held {
            let (dataset, served) = (self.dataset.name(), self.served().version());
            let version = held.told.version;
            tracing::info!(dataset, version, served, "no version is held any more");
            self.metrics.holding(0);
        }
    }

    /// What the log says of the way to a version.
    async fn judge(&self, served: &State, target: &LogEntry) -> Result<Judged> {
        let guards = &self.holding.guards;
        let reason = match was_written(served) {
            true => guards.judge_entry(served, target),
            false => return Ok(Judged::Within { gradual: true }),
        };
        let Some(reason) = reason else {
            return Ok(Judged::Within { gradual: false });
        };
        let behind = target.version.saturating_sub(served.version());
        let version = target.version;
        let past = Refusal {
            version,
            reason,
            memory: false,
        };
        if behind == 0 || behind > MOST_STEPS || !self.is_same_dataset(target) {
            return Ok(Judged::Past(past));
        }
        let steps = self.dataset.outlines(served.version() + 1..=version);
        let steps = steps.await?;
        match first_jump(guards, super::counts(served), &steps) {
            None => Ok(Judged::Within { gradual: true }),
            Some((0, reason)) => {
                let version = steps.first().map_or(version, |step| step.entry().version);
                Ok(Judged::Past(Refusal {
                    version,
                    reason,
                    ..past
                }))
            }
            Some((at, _)) => {
                let before = steps.get(at - 1).map(|step| step.entry().version);
                let before = before.unwrap_or(version);
                match self.dataset.read_entry(before).await? {
                    Some(entry) => Ok(Judged::Until(Box::new(entry))),
                    None => Ok(Judged::Past(past)),
                }
            }
        }
    }

    /// The newest version up to the target that somebody accepted.
    async fn accepted(&self, served: &State, target: &LogEntry) -> Result<Option<LogEntry>> {
        let first = match self.is_same_dataset(target) {
            true => served.version().saturating_add(1),
            false => 1,
        };
        let found = self.dataset.accepted_within(first..=target.version).await?;
        let found = found.filter(|(accepted, _)| accepted.dataset_id == target.dataset_id);
        Ok(found.map(|(accepted, entry)| {
            let (dataset, version) = (self.dataset.name(), entry.version);
            let (by, reason) = (&accepted.by, &accepted.reason);
            tracing::info!(dataset, version, by, reason, "going to an accepted version");
            entry
        }))
    }
}

/// What a look at the log found.
enum Judged {
    Within {
        /// Only step by step: as a whole it is past a limit.
        gradual: bool,
    },
    /// The version before the first that is past a limit.
    Until(Box<LogEntry>),
    Past(Refusal),
}

impl Admitted {
    fn whatever(target: LogEntry) -> Self {
        Self {
            target,
            accepted: true,
        }
    }
}

/// The position of the first step that is past a limit, and which.
fn first_jump(
    guards: &Guards,
    mut before: BTreeMap<String, u64>,
    steps: &[Outline],
) -> Option<(usize, String)> {
    for (at, step) in steps.iter().enumerate() {
        let types = step.entry().types.iter();
        // Types that came meanwhile, and those that are not kept, have nothing to be compared with.
        let types = types.filter(|(name, _)| before.get(*name).is_some_and(|count| *count > 0));
        let after = types.map(|(name, ty)| (name.clone(), ty.records));
        let after: BTreeMap<String, u64> = after.collect();
        if let Some(reason) = guards.judge_records(&before, &after) {
            return Some((at, reason));
        }
        before = after;
    }
    None
}
