//! Polling in the background.
//!
//! Owns: at what to look, and the loop. Never: what to do about news; how long to wait is for `pace`.
//!
//! A poll is one small request: for the next entry as a rule, now and then for something that tells
//! whether the next entry is what has to be waited for. An entry may be collected or lost, and a dataset
//! may vanish or be created anew; none of this shows where the next entry would be.

pub(crate) use crate::pace::Pace;
use crate::pace::Waits;
use crate::shared::Shared;
use crate::target::{Glance, Goal};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often to ask for something else than the next entry, at least.
const GLANCE_INTERVAL: Duration = Duration::from_secs(1);
/// The same in waits: who asks rarely for the next entry asks rarer for the rest.
const GLANCE_WAITS: u32 = 4;

/// Refreshes until `stop` is dropped: every so often as `pace` says, and whenever somebody asks for it. A
/// refresh that panics is one that failed.
pub(crate) async fn run(shared: Arc<Shared>, pace: Pace, mut stop: watch::Receiver<()>) {
    let clock = Arc::clone(&shared.env.clock);
    let mut looks = Looks::new(pace.check_interval);
    let mut waits = Waits::new(pace, clock.monotonic());
    // The sender never sends: the channel changes when it is dropped.
    while stop.has_changed().is_ok() {
        let now = clock.monotonic();
        if let Some((interval, max_backoff)) = shared.vitals.new_pace.lock().take() {
            waits.change(interval, max_backoff, now);
        }
        let goal = looks.next(now, waits.last());
        let random = &*shared.env.random;
        let wait = match shared.refresh(goal).await {
            Ok(Some(_)) => {
                looks.succeeded(goal, now);
                waits.after_news(clock.monotonic())
            }
            // The next entry was not asked for yet.
            Ok(None) if !goal.sees_news() => {
                // As of its end: where an answer takes longer than a glance is due, the next entry has its turn too.
                looks.succeeded(goal, clock.monotonic());
                Duration::ZERO
            }
            Ok(None) => {
                looks.succeeded(goal, now);
                waits.after_nothing(now, random)
            }
            Err(_) if shared.has_ended() => return,
            Err(error) => {
                let wait = waits.after_failure(random);
                let failures = waits.failures();
                // A store that is down for a day must not fill the disk with its log.
                if failures.is_power_of_two() {
                    let dataset = shared.dataset.name();
                    tracing::warn!(%error, kind = %error.kind(), dataset, failures, "refresh failed; serving on");
                }
                wait
            }
        };
        shared.vitals.note_wait(waits.last());
        tokio::select! {
            biased; // the same seed of a simulation must take the same branch
            _ = stop.changed() => return,
            () = shared.vitals.wake.notified() => waits.woken(clock.monotonic()),
            () = shared.env.sleep(wait) => {}
        }
    }
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

    /// What is due, where looks are so far apart.
    fn next(&self, now: Duration, wait: Duration) -> Goal {
        let since = |at: Duration| now.saturating_sub(at);
        if self
            .checked_at
            .is_none_or(|at| since(at) >= self.check_interval)
        {
            return Goal::Start;
        }
        let interval = GLANCE_INTERVAL.max(wait.saturating_mul(GLANCE_WAITS));
        if since(self.glanced_at) < interval {
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

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(100);

    /// What was looked at beside the next entry, and when, with looks `every` so often.
    fn turns(every: Duration, for_: Duration) -> Vec<(u128, Goal)> {
        let mut looks = Looks::new(Duration::from_secs(30));
        let (mut turns, mut now) = (Vec::new(), Duration::ZERO);
        while now <= for_ {
            let goal = looks.next(now, every);
            looks.succeeded(goal, now);
            if goal != Goal::Glance(Glance::Next) {
                turns.push((now.as_millis(), goal));
            }
            now += every;
        }
        turns
    }

    #[test]
    fn the_next_entry_is_asked_for_most_of_the_time_and_everything_else_in_turn() {
        let turns = turns(INTERVAL, Duration::from_secs(30));
        let (own, hint) = (Goal::Glance(Glance::Own), Goal::Glance(Glance::Hint));
        assert_eq!(
            turns[..4],
            [(0, Goal::Start), (1_000, own), (2_000, hint), (3_000, own)]
        );
        assert_eq!(turns.last(), Some(&(30_000, Goal::Start)));
        assert_eq!(turns.len(), 31);
    }

    #[test]
    fn whoever_looks_rarely_glances_rarer_and_checks_as_often() {
        let turns = turns(Duration::from_secs(5), Duration::from_secs(120));
        let checks = turns.iter().filter(|(_, goal)| *goal == Goal::Start);
        let checks: Vec<u128> = checks.map(|(at, _)| *at).collect();
        assert_eq!(checks, [0, 30_000, 60_000, 90_000, 120_000]);
        assert_eq!(turns.len() - checks.len(), 4, "{turns:?}");
    }

    #[test]
    fn a_look_that_failed_is_due_again() {
        let mut looks = Looks::new(Duration::from_secs(30));
        assert_eq!(looks.next(Duration::ZERO, INTERVAL), Goal::Start);
        assert_eq!(looks.next(Duration::from_secs(1), INTERVAL), Goal::Start);
        looks.succeeded(Goal::Start, Duration::from_secs(1));
        let own = Goal::Glance(Glance::Own);
        assert_eq!(looks.next(Duration::from_secs(2), INTERVAL), own);
        assert_eq!(looks.next(Duration::from_secs(3), INTERVAL), own);
    }
}
