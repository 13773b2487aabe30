//! Whose turn it is to refresh, and how a refresh ends for those who wait and listen.
//!
//! Owns: one refresh at a time, on a task of its own, and the version that a consumer is pinned to. Never:
//! knows what a refresh does.

use crate::error::{Error, Result};
use crate::listeners::Event;
use crate::report::Refresh;
use crate::shared::{Shared, shut_down};
use crate::target::Goal;
use std::sync::Arc;
use tokio::task::JoinError;

impl Shared {
    /// Refreshes on a task of its own: a caller that stops waiting does not stop it halfway.
    pub(crate) async fn refresh(self: &Arc<Self>, goal: Goal) -> Result<Option<Refresh>> {
        if self.has_ended() {
            return Err(shut_down());
        }
        let shared = Arc::clone(self);
        let task = tokio::spawn(async move { shared.refresh_to_end(goal).await });
        task.await.map_err(ended_early)?
    }

    /// Refreshes until the consumer ends; one that panics has failed.
    async fn refresh_to_end(self: &Arc<Self>, goal: Goal) -> Result<Option<Refresh>> {
        let shared = Arc::clone(self);
        let task = tokio::spawn(async move {
            tokio::select! {
                biased; // the same seed of a simulation must take the same branch
                outcome = shared.refresh_in_turn(goal) => outcome,
                () = shared.ended() => Err(shut_down()),
            }
        });
        match task.await {
            Ok(outcome) => outcome,
            Err(error) => {
                let error = ended_early(error);
                self.listeners.enqueue(Event::Failed(error.clone()));
                self.tell().await;
                Err(error)
            }
        }
    }

    /// Refreshes when it is this caller's turn.
    async fn refresh_in_turn(self: &Arc<Self>, goal: Goal) -> Result<Option<Refresh>> {
        let mut pin = self.gate.lock().await;
        let effective = match (goal, *pin) {
            (Goal::Newest | Goal::Glance(_) | Goal::Start, Some(version)) => Goal::Pin(version),
            _ => goal,
        };
        let (clock, mut certain) = (&self.env.clock, false);
        // What is found was so when it was looked for: answers may come late, and a way be long.
        let began = (clock.monotonic(), clock.wall_ms());
        let outcome = self.move_to(goal, effective, &mut certain).await;
        if outcome.is_ok() {
            match goal {
                Goal::Pin(version) => *pin = Some(version),
                Goal::Follow => *pin = None,
                Goal::Newest
                | Goal::Glance(_)
                | Goal::Start
                | Goal::Again(_)
                | Goal::Told { .. } => {}
            }
        }
        self.account(&outcome, began, certain);
        if let Err(error) = &outcome {
            self.listeners.enqueue(Event::Failed(error.clone()));
        }
        self.reclaim().await;
        drop(pin);
        self.tell().await;
        outcome
    }
}

fn ended_early(error: JoinError) -> Error {
    Error::internal("the refresh ended early").with_source(error)
}
