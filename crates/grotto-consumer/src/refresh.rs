//! A refresh: from the served version to another.
//!
//! Owns: the order of things, what is tried again, and what is worked around. Never: replaces the
//! served state by anything that is not the whole and verified state of a version.
//!
//! **Invariants**: one refresh at a time. The served version never goes back, not even for a
//! moment, unless it is asked to. Versions on the way are neither served nor written as roots, but for
//! the one at which a way breaks off. A refresh that fails, whatever it fails in, leaves no file behind
//! that no root names. What failed is done without for the rest of this refresh only.

mod detour;
mod doubt;
mod travel;

pub(crate) use doubt::Doubts;

use crate::changes::Composer;
use crate::error::{Error, ErrorKind, Result};
use crate::guards::{Admitted, Refusal, Watch};
use crate::listeners::Event;
use crate::report::{Refresh, RefreshReport, StepKind, StepReport};
use crate::shared::{Shared, blocking};
use crate::step::Job;
use crate::target::Goal;
use grotto_state::{Changes, Promise, State};
use grotto_store::LogEntry;
use grotto_store::follow::{Fetched, Journey};
use grotto_store::plan::Step;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

impl Shared {
    /// Goes to `goal`, which is the pinned version where something else was `asked` for. Tells whether it
    /// is certain that what is served then is what it is to be.
    pub(crate) async fn move_to(
        self: &Arc<Self>,
        asked: Goal,
        goal: Goal,
        certain: &mut bool,
    ) -> Result<Option<Refresh>> {
        let checked = self.look_after(asked).await?;
        let served = self.served();
        let (goal, found) = self.find_way(goal, &served).await?;
        *certain = found.certain;
        let Some(target) = found.target else {
            // With a pin nothing is looked for: what is held stays held, and may be accepted.
            if goal.sees_news() && !matches!(goal, Goal::Pin(_)) {
                self.let_go();
            }
            return Ok(None);
        };
        let Some(admitted) = self.admit_or_pass(asked, goal, &served, target).await? else {
            return Ok(None);
        };
        if !checked {
            self.check_files().await?;
        }
        self.drop_flagged().await?;
        let mut run = Run::new(self, goal, served, admitted);
        let outcome = self.arrive((asked, goal), &mut run).await;
        let error = outcome.as_ref().err();
        let refusal = error.and_then(|error| run.refusal_in(error));
        let target = run.target.clone();
        let refresh = run.finish().await?;
        // Part of the way counts too: listeners must not miss what is served now.
        if let Some(refresh) = &refresh {
            self.metrics.refreshed(refresh);
            let told = self.tell_readers(refresh).await;
            self.listeners.enqueue(Event::Refreshed(refresh.clone()));
            told?;
        }
        if let Some(refusal) = refusal {
            self.hold(asked, &target, refusal)?;
            return Ok(refresh);
        }
        outcome.map(|()| refresh)
    }

    /// Readers of changes that it does not reach find out by comparing states at the next one.
    pub(crate) async fn tell_readers(self: &Arc<Self>, refresh: &Refresh) -> Result<()> {
        if self.subscriptions.is_empty() {
            return Ok(());
        }
        let (shared, refresh) = (Arc::clone(self), refresh.clone());
        let tell = move || shared.subscriptions.tell(&refresh, &shared.dataset_id());
        blocking(&self.env, tell).await
    }
}

/// A refresh under way.
struct Run<'a> {
    shared: &'a Arc<Shared>,
    target: LogEntry,
    /// All targets so far, and whether they were accepted: each is gone to once, or one that no blobs lead to and one
    /// that is refused would name each other for ever.
    tried: BTreeSet<(u64, bool)>,
    /// Whether what is reached may be served.
    watch: Arc<Watch>,
    /// Why states on the way may not.
    refusals: Arc<Mutex<Vec<Refusal>>>,
    /// Served before.
    first: Arc<State>,
    /// Where we are.
    at: Arc<State>,
    /// Whether that is beyond the last published state: its segments are of use to this run only.
    ahead: bool,
    /// Whether that was built on what was served before.
    descends: bool,
    /// Whether something did not fit what was built on that.
    misfit: bool,
    /// Whether a part of the way is worth serving: not where a pin stays if the rest fails.
    keeps_parts: bool,
    /// The last version on the way that may be served where the way breaks off.
    part: Option<Arc<State>>,
    /// Where we were before: freed by the next step, away from the runtime's own threads.
    spent: Option<Arc<State>>,
    /// Why a version on the way was done without, for which there was no room.
    no_room: Option<Error>,
    /// What was served is of no use: it is damaged, or of another dataset.
    afresh: bool,
    /// The state that is then of no use.
    useless: Arc<State>,
    report: RefreshReport,
    changes: Composer,
    began: Duration,
}

impl<'a> Run<'a> {
    fn new(shared: &'a Arc<Shared>, goal: Goal, first: Arc<State>, admitted: Admitted) -> Self {
        let watch = shared.watch(&admitted);
        let tried = BTreeSet::from([admitted.tried()]);
        let target = admitted.target;
        let replaced = !shared.is_same_dataset(&target);
        let afresh = replaced || !shared.is_sound(&first);
        let mut recovered = Vec::new();
        if afresh {
            let (dataset, version) = (shared.dataset.name(), first.version());
            let reason = if replaced {
                format!(
                    "dataset {dataset} was created anew: identity {}, and {} at version {version}; loading afresh",
                    target.dataset_id,
                    shared.dataset_id()
                )
            } else {
                format!("version {version} is damaged or not what the log says: loading afresh")
            };
            tracing::warn!(dataset, reason);
            recovered.push(reason);
        }
        let mut changes = Composer::default();
        if afresh {
            changes.snapshot();
        }
        let report = RefreshReport {
            from: first.version(),
            to: first.version(),
            replaced,
            recovered,
            ..RefreshReport::default()
        };
        let at = if afresh {
            shared.origin()
        } else {
            Arc::clone(&first)
        };
        let began = shared.env.clock.monotonic();
        Self {
            shared,
            target,
            tried,
            watch,
            refusals: Arc::default(),
            descends: at.version() > 0,
            misfit: false,
            at,
            ahead: false,
            keeps_parts: goal.keeps_parts(),
            part: None,
            spent: None,
            no_room: None,
            useless: Arc::clone(&first),
            first,
            afresh,
            report,
            changes,
            began,
        }
    }

    /// Goes to the target, around blobs that are damaged or missing.
    async fn drive(&mut self) -> Result<()> {
        let mut outcome = self.journey().await;
        if let Err(error) = outcome {
            outcome = self.doubt_base(error).await;
        }
        if outcome.is_err() {
            self.keep_part().await;
            let keeper = Arc::clone(self.shared);
            let roll_back = move || keeper.keeper().place.roll_back(0);
            blocking(&self.shared.env, roll_back).await?;
        }
        outcome
    }

    async fn journey(&mut self) -> Result<()> {
        let shared = self.shared;
        let suspects = std::mem::take(&mut *shared.suspects.lock());
        let mut journey = Journey::new(&shared.dataset, &self.target.clone())
            .weights(shared.weights)
            .choosing(shared.choice())
            .suspects(suspects);
        let mut outcome = journey.travel(self).await;
        // No other way: it says what is to be done about it.
        if let Err(error) = &mut outcome
            && error.kind() == ErrorKind::Missing
            && let Some(no_room) = self.no_room.take()
        {
            *error = no_room;
        }
        *shared.suspects.lock() = journey.into_suspects();
        outcome
    }

    /// The refusal that an error tells, if it is one: a store that went away after one says nothing about the version.
    fn refusal_in(&self, error: &Error) -> Option<Refusal> {
        let refusals = self.refusals.lock();
        let told = refusals.iter().find(|refusal| refusal.is_told_by(error));
        told.cloned()
    }

    /// Whether a state is still the bytes that were written.
    async fn check(&self, state: Arc<State>) -> Result<()> {
        let shared = Arc::clone(self.shared);
        let check = move || shared.keeper().place.check(&state);
        blocking(&self.shared.env, check).await?
    }

    /// Looks for damage in what a blob did not fit: then the blob is not to blame.
    async fn is_damaged(&mut self) -> bool {
        if let Err(damage) = self.check(self.shared.served()).await {
            self.discard(damage).await;
            return true;
        }
        if !self.ahead {
            return false;
        }
        let damage = self.check(Arc::clone(&self.at)).await.err();
        if let Some(damage) = &damage {
            let (dataset, version) = (self.shared.dataset.name(), self.at.version());
            tracing::warn!(error = %damage, dataset, version, "what was built is damaged: going back");
            self.shared.note_error(damage.kind());
            self.report.recovered.push(damage.to_string());
            self.go_back();
        }
        damage.is_some()
    }

    /// What is served is damaged: nobody finds it in the state directory any more, it is loaded afresh, and no
    /// blob is to blame.
    async fn discard(&mut self, damage: Error) {
        self.report.recovered.push(damage.to_string());
        let shared = Arc::clone(self.shared);
        let dropped = blocking(&self.shared.env, move || shared.drop_damaged(&damage)).await;
        if let Err(error) = dropped {
            let dataset = self.shared.dataset.name();
            tracing::error!(%error, dataset, "dropping what is damaged ended early");
        }
        self.afresh = true;
        self.useless = self.shared.served();
        self.set_out_from(self.shared.origin());
    }

    /// Goes on from a state that does not need what was sealed since the last publication.
    fn set_out_from(&mut self, base: Arc<State>) {
        self.descends = base.version() > 0;
        self.at = base;
        self.ahead = false;
        self.part = None;
        self.changes.snapshot();
    }

    /// To the state that is served: what was built beyond it is gone.
    fn go_back(&mut self) {
        let served = self.shared.served();
        let base = if self.is_published(&served) {
            served
        } else {
            self.shared.origin()
        };
        if !Arc::ptr_eq(&base, &self.at) {
            self.set_out_from(base);
        }
    }

    /// Whether a state is one that this refresh may go on from.
    fn is_published(&self, served: &Arc<State>) -> bool {
        !self.afresh || !Arc::ptr_eq(served, &self.useless)
    }

    /// Serves the part of the way that was gone, so that it need not be gone again.
    async fn keep_part(&mut self) {
        let part = self.part.take();
        let Some(part) = part.filter(|part| self.watch.verdict_on_the_way(part).is_none()) else {
            return;
        };
        let (shared, kept) = (Arc::clone(self.shared), Arc::clone(&part));
        let id = self.target.dataset_id.clone();
        let publish = move || shared.publish(&mut shared.keeper(), &kept, &id);
        let published = blocking(&self.shared.env, publish).await;
        if let Err(error) = published.and_then(|done| done) {
            let (dataset, version) = (self.shared.dataset.name(), part.version());
            tracing::warn!(%error, dataset, version, "cannot keep a part of the way");
            self.shared.note_error(error.kind());
            self.go_back();
            return;
        }
        self.at = part;
        self.ahead = false;
        self.watch = Arc::new(self.watch.from(&self.at));
    }

    /// A step without a blob proves nothing: where the log lost its end and was written anew, it gives
    /// the number of a version to what is served and never was that version. Neither does a step of a state that
    /// leaves types out: blobs have one checksum for all of them, so only the log's of the target proves it.
    fn is_worth_keeping(&self, step: &StepReport) -> bool {
        let whole = self.first.filter().is_none();
        self.keeps_parts && whole && step.kind != StepKind::Skip && self.is_on_the_way(step.to)
    }

    /// Whether a version lies between what is served and the target: a snapshot on the way may be
    /// older than what is served, or below a version that we go back to.
    fn is_on_the_way(&self, version: u64) -> bool {
        let (from, to) = (self.shared.served().version(), self.target.version);
        !self.afresh && (from.min(to)..=from.max(to)).contains(&version) && version != from
    }

    fn job(&mut self, step: &Step, fetched: Fetched, last: bool) -> Job {
        Job {
            spent: self.spent.take(),
            base: Arc::clone(&self.at),
            continues: self.ahead,
            bytes: fetched.bytes,
            publish: last,
            promise: last.then(|| Promise::of(&self.target)),
            dataset_id: self.target.dataset_id.clone(),
            step: step.clone(),
            watch: Arc::clone(&self.watch),
            refusals: Arc::clone(&self.refusals),
        }
    }

    fn advance(
        &mut self,
        (state, changes): (Arc<State>, Changes),
        step: StepReport,
        published: bool,
    ) {
        self.shared
            .metrics
            .step(step.kind, step.bytes, step.apply.as_secs_f64());
        let from_nothing = self.first.total() == 0 && !self.afresh && self.report.steps.is_empty();
        if step.kind == StepKind::Snapshot && !from_nothing {
            self.changes.snapshot();
        } else if step.kind != StepKind::Skip {
            self.changes.step(state.schema(), changes);
        }
        self.descends &= step.kind != StepKind::Snapshot;
        self.spent = Some(std::mem::replace(&mut self.at, state));
        self.ahead = !published;
        if published {
            self.part = None;
        } else if self.is_worth_keeping(&step) {
            self.part = Some(Arc::clone(&self.at));
        }
        self.report.steps.push(step);
    }

    /// What was done, if another state is served than before.
    async fn finish(mut self) -> Result<Option<Refresh>> {
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
        let (before, after) = (Arc::clone(&self.first), Arc::clone(&served));
        let changes = self.changes;
        let finish = move || changes.finish(&before, &after);
        self.report.ordinals = blocking(&self.shared.env, finish).await?;
        Ok(Some(Refresh::new(self.first, served, self.report)))
    }
}
