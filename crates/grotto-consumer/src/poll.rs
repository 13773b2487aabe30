//! Polling in the background.
//!
//! Owns: when to look, and at what. Never: what to do about news.
//!
//! A poll is one small request: for the next entry as a rule, now and then for something that tells
//! whether the next entry is what has to be waited for. An entry may be collected or lost, and a dataset
//! may vanish or be created anew; none of this shows where the next entry would be.

use crate::shared::Shared;
use crate::target::{Glance, Goal};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Longest wait while the store does not answer.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// How often to ask for something else than the next entry.
const GLANCE_INTERVAL: Duration = Duration::from_secs(1);

/// Refreshes until `stop` is dropped: at once after news, else every `interval`; rarer while
/// refreshes fail. A refresh that panics is one that failed.
pub(crate) async fn run(shared: Arc<Shared>, pace: Pace, mut stop: watch::Receiver<()>) {
    let clock = Arc::clone(&shared.env.clock);
    let mut looks = Looks::new(pace.check_interval);
    let mut failures = 0_u32;
    // The sender never sends: the channel changes when it is dropped.
    while stop.has_changed().is_ok() {
        let now = clock.monotonic();
        let goal = looks.next(now);
        let wait = match shared.refresh(goal).await {
            Ok(report) => {
                failures = 0;
                looks.succeeded(goal, now);
                report.map_or(pace.interval, |_| Duration::ZERO)
            }
            Err(_) if shared.has_ended() => return,
            Err(error) => {
                failures = failures.saturating_add(1);
                // A store that is down for a day must not fill the disk with its log.
                if failures.is_power_of_two() {
                    let dataset = shared.dataset.name();
                    tracing::warn!(%error, kind = %error.kind(), dataset, failures, "refresh failed; serving on");
                }
                backoff(pace.interval, failures)
            }
        };
        tokio::select! {
            biased; // the same seed of a simulation must take the same branch
            _ = stop.changed() => return,
            () = shared.env.sleep(wait) => {}
        }
    }
}

/// How often to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// For the next entry.
    pub(crate) interval: Duration,
    /// For the head of the log, and whether it is that of the served dataset.
    pub(crate) check_interval: Duration,
}

/// Chooses what to look at.
#[derive(Debug)]
struct Looks {
    check_interval: Duration,
    /// When the last whole check succeeded.
    checked_at: Option<Duration>,
    glanced_at: Duration,
    last: Glance,
}

impl Looks {
    fn new(check_interval: Duration) -> Self {
        Self {
            check_interval,
            checked_at: None,
            glanced_at: Duration::ZERO,
            last: Glance::Hint,
        }
    }

    fn next(&self, now: Duration) -> Goal {
        let since = |at: Duration| now.saturating_sub(at);
        if self
            .checked_at
            .is_none_or(|at| since(at) >= self.check_interval)
        {
            return Goal::Start;
        }
        if since(self.glanced_at) < GLANCE_INTERVAL {
            return Goal::Glance(Glance::Next);
        }
        Goal::Glance(match self.last {
            Glance::Own => Glance::Hint,
            Glance::Hint | Glance::Next => Glance::Own,
        })
    }

    /// One that failed is due again, so that trouble that only it shows is not forgotten.
    fn succeeded(&mut self, goal: Goal, now: Duration) {
        match goal {
            Goal::Glance(Glance::Next) => return,
            Goal::Glance(glance) => self.last = glance,
            _ => self.checked_at = Some(now),
        }
        self.glanced_at = now;
    }
}

/// Doubles from twice the interval up to the limit; never less than the interval.
fn backoff(interval: Duration, failures: u32) -> Duration {
    let doubled = interval
        .max(Duration::from_millis(1))
        .saturating_mul(1 << failures.min(16));
    doubled
        .min(MAX_BACKOFF)
        .max(interval + Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_failures_up_to_the_limit() {
        let interval = Duration::from_millis(100);
        let waits: Vec<u128> = (1..=7).map(|n| backoff(interval, n).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert!(backoff(Duration::from_secs(9), 1) > Duration::from_secs(9));
    }

    #[test]
    fn the_next_entry_is_asked_for_most_of_the_time_and_everything_else_in_turn() {
        let mut looks = Looks::new(Duration::from_secs(30));
        let mut turns = Vec::new();
        for tenth in 0..=300 {
            let now = Duration::from_millis(tenth * 100);
            let goal = looks.next(now);
            looks.succeeded(goal, now);
            if goal != Goal::Glance(Glance::Next) {
                turns.push((tenth, goal));
            }
        }
        let (own, hint) = (Goal::Glance(Glance::Own), Goal::Glance(Glance::Hint));
        assert_eq!(
            turns[..4],
            [(0, Goal::Start), (10, own), (20, hint), (30, own)]
        );
        assert_eq!(turns.last(), Some(&(300, Goal::Start)));
        assert_eq!(turns.len(), 31);
    }

    #[test]
    fn a_look_that_failed_is_due_again() {
        let mut looks = Looks::new(Duration::from_secs(30));
        assert_eq!(looks.next(Duration::ZERO), Goal::Start);
        assert_eq!(looks.next(Duration::from_secs(1)), Goal::Start);
        looks.succeeded(Goal::Start, Duration::from_secs(1));
        let own = Goal::Glance(Glance::Own);
        assert_eq!(looks.next(Duration::from_secs(2)), own);
        assert_eq!(looks.next(Duration::from_secs(3)), own);
    }
}
