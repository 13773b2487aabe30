//! Versions that a pin or a channel names.
//!
//! Owns: what is different about them. Never: lets one be served that is past a limit and that nobody accepted.
//!
//! On the way forward they are judged like any other, but nothing on the way is served in their place: that version was
//! not asked for. A way back is not judged: its end was out before, and whoever goes back has a reason. What it takes in
//! memory is judged in any case.

use super::way::{Counts, first_jump, kept_counts};
use super::{MOST_STEPS, recorded};
use crate::error::Result;
use crate::shared::Shared;
use crate::target::Goal;
use grotto_state::State;
use grotto_store::{LogEntry, Outline};

impl Shared {
    /// Whether a version is one that somebody wants to have back: nobody who follows the newest goes to an older one.
    pub(super) fn is_way_back(&self, served: &State, target: &LogEntry) -> bool {
        target.version < served.version() && self.is_same_dataset(target)
    }

    /// Where a refresh may go because somebody accepted a version: there, or to the version that is told, if that one or
    /// one at or past the first jump was accepted, and no jump follows.
    pub(super) async fn released(
        &self,
        goal: Goal,
        served: &State,
        target: &LogEntry,
        jump: u64,
    ) -> Result<Option<LogEntry>> {
        let accepted = self.accepted(served, target).await?;
        let is_told = matches!(goal, Goal::Told { .. });
        let Some(accepted) = accepted else {
            return Ok(None);
        };
        if !is_told || accepted.version == target.version {
            return Ok(Some(accepted));
        }
        let smooth = accepted.version >= jump && self.is_smooth(served, &accepted, target).await?;
        Ok(smooth.then(|| target.clone()))
    }

    /// Whether all steps from one version to another are within the limits, by what the log says of them.
    async fn is_smooth(&self, served: &State, from: &LogEntry, to: &LogEntry) -> Result<bool> {
        let kept = kept_counts(served);
        let counts = |entry: &LogEntry| -> Counts {
            let all = recorded(entry).into_iter();
            all.filter(|(name, _)| kept.contains_key(name)).collect()
        };
        let mut steps = Vec::new();
        if to.version - from.version <= MOST_STEPS {
            let between = from.version + 1..=to.version.saturating_sub(1);
            steps = self.dataset.outlines(between).await?;
        }
        let between = steps.iter().map(Outline::entry);
        let way = between.chain([to]).map(counts);
        Ok(first_jump(&self.holding.guards, counts(from), way).is_none())
    }
}
