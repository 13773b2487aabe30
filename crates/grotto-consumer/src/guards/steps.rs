//! Watching a refresh: what each step does to the size of the state.
//!
//! Owns: whether the state at the end, or at a point where the way breaks off, may be served. Never: stops a
//! step on the way: what one does the next may undo.

use super::{Guards, Pass, Refusal};
use grotto_state::State;
use parking_lot::Mutex;
use std::sync::Arc;

/// Of one refresh.
#[derive(Debug)]
pub(crate) struct Watch {
    guards: Guards,
    /// What is served and compared with; `None` where nothing is.
    served: Option<Arc<State>>,
    pass: Pass,
    /// The first step that was past a limit.
    jump: Mutex<Option<Refusal>>,
}

impl Watch {
    pub(crate) fn new(guards: Guards, served: Option<Arc<State>>, pass: Pass) -> Self {
        Self {
            guards,
            served,
            pass,
            jump: Mutex::default(),
        }
    }

    /// The same once another state is served: what follows is compared with that.
    pub(crate) fn from(&self, served: &Arc<State>) -> Self {
        Self::new(self.guards, Some(Arc::clone(served)), self.pass)
    }

    /// Whether somebody wants the target, whatever it is.
    pub(crate) fn accepts(&self) -> bool {
        self.pass == Pass::Accepted
    }

    /// Takes note of a step. One that loads a whole state is compared with what is served.
    pub(crate) fn see(&self, before: Option<&State>, built: &State) {
        let Some(served) = &self.served else { return };
        let judged = match before {
            Some(before) => self.guards.judge_state(before, built),
            None if self.pass == Pass::Gradual => self.guards.judge_gradual(served, built),
            None => self.guards.judge_state(served, built),
        };
        let Some(reason) = judged else { return };
        self.jump.lock().get_or_insert_with(|| Refusal {
            version: built.version(),
            reason,
            memory: false,
        });
    }

    /// Why the state of the target may not be served; `None` if it may.
    pub(crate) fn verdict_at_target(&self, built: &State) -> Option<Refusal> {
        match self.pass {
            Pass::Accepted => None,
            Pass::Compared | Pass::Gradual => self.verdict(built),
        }
    }

    /// Why a state that was reached on the way may not be served; `None` if it may: it is within the limits of what
    /// is served, or was reached by steps that each are.
    pub(crate) fn verdict(&self, built: &State) -> Option<Refusal> {
        let served = self.served.as_ref()?;
        self.guards.judge_state(served, built)?;
        self.jump.lock().clone()
    }
}
