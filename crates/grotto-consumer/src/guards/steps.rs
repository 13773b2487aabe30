//! Watching a refresh: what each step does to the size of the state.
//!
//! Owns: whether the state at the end, or at a point where the way breaks off, may be served. Never: stops a
//! step on the way: what one does the next may undo.

use super::{Guards, Pass, Refusal};
use crate::target::was_written;
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
    seen: Mutex<Seen>,
}

/// What the steps showed.
#[derive(Debug, Default)]
struct Seen {
    /// The first one that was past a limit.
    jump: Option<Refusal>,
    /// Deltas lead from the empty state, or back: only what they lead to can be compared, as where a snapshot is loaded.
    from_nothing: bool,
    /// A whole state was loaded: no step led to it.
    loaded: bool,
}

impl Watch {
    pub(crate) fn new(guards: Guards, served: Option<Arc<State>>, pass: Pass) -> Self {
        Self {
            guards,
            served,
            pass,
            seen: Mutex::default(),
        }
    }

    /// The same once another state is served: what follows is compared with that.
    pub(crate) fn from(&self, served: &Arc<State>) -> Self {
        Self::new(self.guards, Some(Arc::clone(served)), self.pass)
    }

    /// The same for another way from nothing.
    pub(crate) fn anew(&self) -> Self {
        Self::new(self.guards, self.served.clone(), self.pass)
    }

    /// Whether somebody wants the target, whatever it is.
    pub(crate) fn accepts(&self) -> bool {
        self.pass == Pass::Accepted
    }

    /// Takes note of a step. One that loads a whole state is compared with what is served.
    pub(crate) fn see(&self, before: Option<&State>, built: &State) {
        let Some(served) = &self.served else { return };
        let mut seen = self.seen.lock();
        seen.loaded |= before.is_none();
        seen.from_nothing = match before {
            Some(before) => seen.from_nothing || !was_written(before),
            None => false,
        };
        // Back from a version that was loaded: what that one is like says nothing about this one.
        if before.is_some_and(|before| before.version() > built.version()) {
            (seen.from_nothing, seen.jump) = (true, None);
        }
        let judged = match before {
            Some(_) if seen.from_nothing => None,
            Some(before) => self.guards.judge_state(before, built),
            None => self.judge_loaded(served, built),
        };
        if let Some(reason) = judged {
            seen.jump
                .get_or_insert_with(|| Refusal::of(built.version(), reason));
        }
    }

    fn judge_loaded(&self, served: &State, built: &State) -> Option<String> {
        match self.pass {
            Pass::Gradual => self.guards.judge_gradual(served, built),
            Pass::Compared | Pass::Accepted => self.guards.judge_state(served, built),
        }
    }

    /// Why the state of the target may not be served; `None` if it may.
    pub(crate) fn verdict_at_target(&self, built: &State) -> Option<Refusal> {
        match self.pass {
            Pass::Accepted => None,
            Pass::Compared | Pass::Gradual => self.verdict(built),
        }
    }

    /// Why a state may not be served at which the way breaks off. Where the log told that all goes step by step, it may
    /// have lost the entry of one that was loaded: that is compared by itself.
    pub(crate) fn verdict_on_the_way(&self, built: &State) -> Option<Refusal> {
        let refusal = self.verdict(built);
        let untold = self.pass == Pass::Gradual && self.seen.lock().loaded;
        if refusal.is_some() || !untold {
            return refusal;
        }
        let reason = self.guards.judge_state(self.served.as_ref()?, built)?;
        Some(Refusal::of(built.version(), reason))
    }

    /// Why a state that was reached may not be served; `None` if it may: it is within the limits of what
    /// is served, or was reached by steps that each are.
    fn verdict(&self, built: &State) -> Option<Refusal> {
        let served = self.served.as_ref()?;
        self.guards.judge_state(served, built)?;
        let seen = self.seen.lock();
        if !seen.from_nothing {
            return seen.jump.clone();
        }
        let reason = self.judge_loaded(served, built)?;
        Some(Refusal::of(built.version(), reason))
    }
}
