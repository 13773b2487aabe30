//! Where a refresh goes that cannot go straight to its target.
//!
//! Owns: what is looked at past a version that is held, refused, or that nothing leads to. Never: lets a version be
//! served that is held; the guards say which is.

use super::Run;
use crate::error::{Error, ErrorKind, Result};
use crate::guards::Admitted;
use crate::shared::Shared;
use crate::target::Goal;
use grotto_state::State;
use grotto_store::LogEntry;

impl Shared {
    /// Goes to the target of a refresh, or to another one where that is refused or nothing leads to it.
    pub(super) async fn arrive(
        &self,
        (asked, goal): (Goal, Goal),
        run: &mut Run<'_>,
    ) -> Result<()> {
        let mut refused = None;
        loop {
            let Err(error) = run.drive().await else {
                return Ok(());
            };
            let refusal = run.refusal_in(&error);
            let is_refused = refusal.is_some();
            refused = refusal
                .map(|refusal| (run.target.clone(), refusal))
                .or(refused);
            match self.around((asked, goal), &error, run).await {
                Ok(Some(around)) if run.is_untried(&around) => run.turn_to(around),
                Ok(Some(_)) if !is_refused && let Some((target, refusal)) = refused => {
                    let held = self.hold(asked, &target, refusal);
                    return Err(held.err().map_or(error.clone(), |held| error.and(&held)));
                }
                Ok(_) => return Err(error),
                Err(held) => return Err(error.and(&held)),
            }
        }
    }

    /// Where a refresh may go instead that did not get to its target. A version that cannot be judged is no way around:
    /// the error of the way is told.
    ///
    /// # Errors
    /// When that would be a version that is held: `Invalid`. With the error of the way it says what a person can do.
    async fn around(
        &self,
        (asked, goal): (Goal, Goal),
        error: &Error,
        run: &Run<'_>,
    ) -> Result<Option<Admitted>> {
        let target = &run.target;
        let Some(refusal) = run.refusal_in(error) else {
            let Some(head) = self.past_blocked(goal, error, target).await else {
                return Ok(None);
            };
            let (served, blocked) = (self.served(), Some(target.version));
            let admitted = self.admit(asked, goal, &served, head, blocked).await;
            return match admitted {
                Err(error) if error.kind() != ErrorKind::Invalid => Ok(None),
                admitted => admitted,
            };
        };
        // Past a limit that only its blobs told of.
        if !refusal.memory
            && !run.watch.accepts()
            && let Some(accepted) = self.admit_accepted(goal, target, refusal.version).await
        {
            return Ok(Some(accepted));
        }
        let Some(head) = self.head_past(goal, target).await else {
            return Ok(self.damaged(goal, target).await);
        };
        let instead = self.admit_instead((asked, goal), head, target.version);
        Ok(instead.await)
    }

    /// What is served, where that is to be loaded afresh and the only version past it was refused.
    async fn damaged(&self, goal: Goal, refused: &LogEntry) -> Option<Admitted> {
        // Who asks for one version is not given another one instead.
        if matches!(goal, Goal::Pin(_)) {
            return None;
        }
        let own = self.own_afresh(&self.served(), refused, None).await;
        own.ok().flatten()
    }

    /// Where a refresh may go. Entries are read one by one up to one that is lost or damaged: where that one is held,
    /// what lies behind the gap may not be.
    pub(super) async fn admit_or_pass(
        &self,
        asked: Goal,
        goal: Goal,
        served: &State,
        target: LogEntry,
    ) -> Result<Option<Admitted>> {
        let held = match self.admit(asked, goal, served, target.clone(), None).await {
            Err(error) if error.kind() == ErrorKind::Invalid => error,
            other => return other,
        };
        match self.head_past(goal, &target).await {
            Some(head) => self.admit(asked, goal, served, head, None).await,
            None => Err(held),
        }
    }
}

impl Run<'_> {
    /// Whether this refresh has not gone there yet.
    fn is_untried(&mut self, admitted: &Admitted) -> bool {
        self.tried.insert(admitted.tried())
    }

    /// Goes on to another target, from what is served.
    fn turn_to(&mut self, admitted: Admitted) {
        self.go_back();
        self.watch = self.shared.watch(&admitted);
        self.target = admitted.target;
    }
}
