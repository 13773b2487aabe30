//! Watching a refresh: what each step does to the size of the state.
//!
//! Owns: whether the state at the end, or at a point where the way breaks off, may be served. Never: stops a
//! step on the way: what one does the next may undo.

use super::{Guards, Refusal};
use grotto_state::State;
use parking_lot::Mutex;
use std::sync::Arc;

/// Of one refresh.
#[derive(Debug)]
pub(crate) struct Watch {
    guards: Guards,
    /// What is served and compared with; `None` where everything is accepted.
    served: Option<Arc<State>>,
    /// The first step that was past a limit.
    jump: Mutex<Option<Refusal>>,
}

impl Watch {
    pub(crate) fn new(guards: Guards, served: Option<Arc<State>>) -> Self {
        Self {
            guards,
            served,
            jump: Mutex::default(),
        }
    }

    /// Takes note of a step. One that loads a whole state is compared with what is served.
    pub(crate) fn see(&self, before: Option<&State>, built: &State) {
        let Some(served) = &self.served else { return };
        let before = before.unwrap_or(served);
        let Some(reason) = self.guards.judge_state(before, built) else {
            return;
        };
        self.jump.lock().get_or_insert_with(|| Refusal {
            version: built.version(),
            reason,
            memory: false,
        });
    }

    /// Why a state that was reached may not be served; `None` if it may: it is within the limits of what is
    /// served, or was reached by steps that each are.
    pub(crate) fn verdict(&self, built: &State) -> Option<Refusal> {
        let served = self.served.as_ref()?;
        self.guards.judge_state(served, built)?;
        self.jump.lock().clone()
    }
}
