//! A refresh: from the served version to another.
//!
//! Owns: the order of things, what is tried again, and what is worked around. Never: replaces the
//! served state by anything that is not the whole and verified state of a version.
//!
//! **Invariants**: one refresh at a time. The served version never goes back, not even for a
//! moment, unless it is asked to. What failed is remembered for the rest of this refresh only.

use crate::changes::Composer;
use crate::error::{Error, ErrorKind, Result};
use crate::fault::Fault;
use crate::report::{RefreshReport, StepKind, StepReport};
use crate::route::Routes;
use crate::shared::{Shared, blocking};
use crate::step::{Job, Promise};
use crate::target::{Goal, was_written};
use bytes::Bytes;
use grotto_state::{Changes, State};
use grotto_store::LogEntry;
use grotto_store::plan::{Plan, Step};
use std::sync::Arc;
use std::time::Duration;

/// Blobs that are worked around within one refresh.
const MOST_FAULTS: usize = 64;

impl Shared {
    /// Refreshes on a task of its own: a caller that stops waiting does not stop it halfway.
    pub(crate) async fn refresh(self: &Arc<Self>, goal: Goal) -> Result<Option<RefreshReport>> {
        let shared = Arc::clone(self);
        let task = tokio::spawn(async move { shared.refresh_in_turn(goal).await });
        task.await
            .map_err(|e| Error::internal("the refresh ended early").with_source(e))?
    }

    /// Refreshes when it is this caller's turn.
    pub(crate) async fn refresh_in_turn(
        self: &Arc<Self>,
        goal: Goal,
    ) -> Result<Option<RefreshReport>> {
        let mut pin = self.gate.lock().await;
        let effective = match (goal, *pin) {
            (Goal::Newest | Goal::Start, Some(version)) => Goal::Pin(version),
            _ => goal,
        };
        let outcome = self.move_to(effective).await;
        if outcome.is_ok() {
            match goal {
                Goal::Pin(version) => *pin = Some(version),
                Goal::Follow => *pin = None,
                Goal::Newest | Goal::Start => {}
            }
        }
        self.account(&outcome);
        self.reclaim().await;
        outcome
    }

    async fn move_to(self: &Arc<Self>, goal: Goal) -> Result<Option<RefreshReport>> {
        let served = self.served();
        let Some(target) = self.find_target(goal, &served).await? else {
            return Ok(None);
        };
        let mut run = Run::new(self, served, target);
        let outcome = run.drive().await;
        let report = run.finish().await?;
        // Part of the way counts too: listeners must not miss what is served now.
        if let Some(report) = &report {
            self.metrics.refreshed(report);
            self.notify(report);
        }
        outcome.map(|()| report)
    }
}

/// A refresh under way.
struct Run<'a> {
    shared: &'a Arc<Shared>,
    target: LogEntry,
    /// Served before.
    first: Arc<State>,
    /// Where we are.
    at: Arc<State>,
    /// What was served is of no use: it is damaged, or of another dataset.
    afresh: bool,
    /// The state that is then of no use.
    useless: Arc<State>,
    report: RefreshReport,
    changes: Composer,
    began: Duration,
}

impl<'a> Run<'a> {
    fn new(shared: &'a Arc<Shared>, first: Arc<State>, target: LogEntry) -> Self {
        let afresh = !shared.is_sound(&first) || !shared.is_same_dataset(&target);
        if afresh {
            let dataset = shared.dataset.name();
            tracing::warn!(
                dataset,
                version = first.version(),
                "the served state is damaged, not what the log says, or of another dataset: loading afresh"
            );
        }
        let mut changes = Composer::default();
        if afresh {
            changes.snapshot();
        }
        let report = RefreshReport {
            from: first.version(),
            to: first.version(),
            ..RefreshReport::default()
        };
        let at = if afresh {
            Arc::new(State::empty(shared.seed))
        } else {
            Arc::clone(&first)
        };
        let began = shared.env.clock.monotonic();
        Self {
            shared,
            target,
            at,
            useless: Arc::clone(&first),
            first,
            afresh,
            report,
            changes,
            began,
        }
    }

    /// Plans and applies until the target is reached, around blobs that are damaged or missing.
    async fn drive(&mut self) -> Result<()> {
        let shared = self.shared;
        let mut routes = Routes::new(&shared.dataset, &self.target);
        let mut worst: Option<Error> = None;
        for _ in 0..MOST_FAULTS {
            let plan = match self.find_way(&mut routes).await {
                Ok(plan) => plan,
                // The blob that blocks the way says more than that there is none.
                Err(error) if error.kind() == ErrorKind::Missing => {
                    return Err(worst.unwrap_or(error));
                }
                Err(error) => return Err(error),
            };
            let Err(fault) = self.run(&plan).await else {
                return Ok(());
            };
            let Some(blob) = fault.blob else {
                return Err(fault.error);
            };
            if fault.misfit
                && !self.afresh
                && let Err(damage) = self.check_served().await
            {
                self.discard(damage);
                continue;
            }
            let dataset = shared.dataset.name();
            tracing::warn!(error = %fault.error, dataset, blob, "trying to do without a blob");
            shared.metrics.error(fault.error.kind());
            self.report.recovered.push(fault.error.to_string());
            routes.exclude(&blob);
            worst.get_or_insert(fault.error);
            self.go_back();
        }
        Err(worst.unwrap_or_else(|| Error::internal("the refresh made no progress")))
    }

    /// Whether the served state is still the bytes that were written.
    async fn check_served(&self) -> Result<()> {
        let shared = Arc::clone(self.shared);
        blocking(move || shared.keeper().place.check(&shared.served())).await?
    }

    /// What is served is damaged: it is loaded afresh, and no blob is to blame.
    fn discard(&mut self, damage: Error) {
        let dataset = self.shared.dataset.name();
        tracing::warn!(error = %damage, dataset, "the served state is damaged: loading afresh");
        self.shared.metrics.error(damage.kind());
        self.report.recovered.push(damage.to_string());
        self.afresh = true;
        self.useless = self.shared.served();
        self.at = Arc::new(State::empty(self.shared.seed));
        self.changes.snapshot();
    }

    /// A plan from where we are, or, when there is none, from nothing.
    async fn find_way(&mut self, routes: &mut Routes<'_>) -> Result<Plan> {
        match routes.plan(self.at.version()).await {
            Err(error) if error.kind() == ErrorKind::Missing && self.at.version() > 0 => {
                let plan = match routes.plan(0).await {
                    Err(none) if none.kind() == ErrorKind::Missing => return Err(error),
                    other => other?,
                };
                self.at = Arc::new(State::empty(self.shared.seed));
                self.changes.snapshot();
                Ok(plan)
            }
            other => other,
        }
    }

    /// To the state that is served: what was built beyond it is gone.
    fn go_back(&mut self) {
        let served = self.shared.served();
        let base = if self.is_published(&served) {
            served
        } else {
            Arc::new(State::empty(self.shared.seed))
        };
        if !Arc::ptr_eq(&base, &self.at) {
            self.changes.snapshot();
            self.at = base;
        }
    }

    /// Whether a state is one that this refresh may go on from.
    fn is_published(&self, served: &Arc<State>) -> bool {
        !self.afresh || !Arc::ptr_eq(served, &self.useless)
    }

    /// Applies the steps of a plan; the next blob is fetched while one is applied.
    async fn run(&mut self, plan: &Plan) -> Result<(), Fault> {
        let mut next = self.fetch(plan.steps.first()).await;
        for (position, step) in plan.steps.iter().enumerate() {
            let (bytes, fetch) = next?;
            let last = position + 1 == plan.steps.len();
            let length = bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
            let job = self.job(step, bytes, last);
            let began = self.shared.env.clock.monotonic();
            let shared = Arc::clone(self.shared);
            let work = blocking(move || shared.apply(job));
            let (applied, fetched) = tokio::join!(work, self.fetch(plan.steps.get(position + 1)));
            let applied = applied
                .and_then(|applied| applied)
                .map_err(|error| Fault::misfit(error, step));
            let apply = self.shared.env.clock.monotonic().saturating_sub(began);
            let done = StepReport {
                kind: StepKind::of(step),
                to: step.to(),
                bytes: length,
                fetch,
                apply,
            };
            self.advance(applied?, done);
            next = fetched;
        }
        Ok(())
    }

    /// The blob of a step, and how long it took.
    async fn fetch(&self, step: Option<&Step>) -> Result<(Option<Bytes>, Duration), Fault> {
        let Some((step, blob)) = step.and_then(|step| Some((step, step.blob()?))) else {
            return Ok((None, Duration::ZERO));
        };
        let clock = &self.shared.env.clock;
        let began = clock.monotonic();
        match self.shared.dataset.fetch_blob(blob).await {
            Ok(bytes) => Ok((Some(bytes), clock.monotonic().saturating_sub(began))),
            Err(error) => {
                let message = format!("version {}: {error}", step.to());
                Err(Fault::new(
                    Error::new(error.kind(), message).with_source(error),
                    step,
                ))
            }
        }
    }

    fn job(&self, step: &Step, bytes: Option<Bytes>, last: bool) -> Job {
        Job {
            base: Arc::clone(&self.at),
            bytes,
            publish: last || self.is_worth_serving(step),
            promise: last.then(|| Promise::of(&self.target)),
            dataset_id: self.target.dataset_id.clone(),
            step: step.clone(),
        }
    }

    /// A fence before the first commit is on the way too, but its empty state would only pretend that
    /// there is something.
    fn is_worth_serving(&self, step: &Step) -> bool {
        self.is_on_the_way(step.to()) && (step.blob().is_some() || was_written(&self.at))
    }

    /// Whether a version lies between what is served and the target: a snapshot on the way may be
    /// older than what is served, or below a version that we go back to.
    fn is_on_the_way(&self, version: u64) -> bool {
        let (from, to) = (self.first.version(), self.target.version);
        !self.afresh && (from.min(to)..=from.max(to)).contains(&version) && version != from
    }

    fn advance(&mut self, (state, changes): (Arc<State>, Changes), step: StepReport) {
        self.shared
            .metrics
            .step(step.kind, step.bytes, step.apply.as_secs_f64());
        let from_nothing = self.first.total() == 0 && !self.afresh && self.report.steps.is_empty();
        if step.kind == StepKind::Snapshot && !from_nothing {
            self.changes.snapshot();
        } else if step.kind != StepKind::Skip {
            self.changes.step(state.schema(), changes);
        }
        self.at = state;
        self.report.steps.push(step);
    }

    /// The report, if another state is served than before.
    async fn finish(mut self) -> Result<Option<RefreshReport>> {
        let served = self.shared.served();
        if Arc::ptr_eq(&served, &self.first) {
            return Ok(None);
        }
        self.report.to = served.version();
        let clock = &self.shared.env.clock;
        self.report.duration = clock.monotonic().saturating_sub(self.began);
        if served.version() == self.target.version && self.report.to > self.report.from {
            let latency_ms = clock.wall_ms().saturating_sub(self.target.time_ms);
            self.shared.metrics.latency(latency_ms as f64 / 1e3);
        }
        let (first, changes) = (self.first, self.changes);
        self.report.changes = blocking(move || changes.finish(&first, &served)).await?;
        Ok(Some(self.report))
    }
}
