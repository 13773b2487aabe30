//! Polling in the background.
//!
//! Owns: at what to look, and the loop. Never: what to do about news; how long to wait is for `pace`.
//!
//! A poll is one small request: for the next entry as a rule, now and then for something that tells
//! whether the next entry is what has to be waited for. An entry may be collected or lost, and a dataset
//! may vanish or be created anew; none of this shows where the next entry would be. A listing shows all of it, and
//! the next entry too: it takes the turn of a poll. Where polls are many, listings are few, as they cost a store more,
//! and small requests between the polls tell the rest sooner.

pub(crate) use crate::pace::Pace;
use crate::pace::Waits;
use crate::push::{Hints, Look};
use crate::shared::Shared;
use crate::target::{Glance, Goal};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often to ask for something else between two polls, at least, and in waits: who polls rarely asks rarer for the
/// rest.
const GLANCE_INTERVAL: Duration = Duration::from_secs(1);
const GLANCE_WAITS: u32 = 4;
/// Whoever waits for so long asks for nothing between two polls: one of so many of them lists, and not more often than
/// this.
const LONG_WAIT: Duration = Duration::from_secs(1);
const LISTING_TURNS: u32 = 4;
const LISTING_INTERVAL: Duration = Duration::from_secs(10);

/// Refreshes until `stop` is dropped: every so often as `pace` says, and whenever somebody asks for it. A
/// refresh that panics is one that failed.
pub(crate) async fn run(shared: Arc<Shared>, pace: Pace, mut stop: watch::Receiver<()>) {
    let clock = Arc::clone(&shared.env.clock);
    let mut looks = Looks::new(pace.check_interval);
    let mut waits = Waits::new(pace, clock.monotonic());
    let mut hints = Hints::default();
    // The sender never sends: the channel changes when it is dropped.
    while stop.has_changed().is_ok() {
        let now = clock.monotonic();
        if let Some((interval, max_backoff)) = shared.vitals.new_pace.lock().take() {
            waits.change(interval, max_backoff, now);
        }
        let is_told = hints.take(&shared);
        let goal = looks.next(now, waits.last(), is_told);
        let random = &*shared.env.random;
        let (look, wait) = match shared.refresh(goal).await {
            Ok(Some(_)) => {
                looks.succeeded(goal, now);
                (Look::News, waits.after_news(clock.monotonic()))
            }
            // The next entry was not asked for yet.
            Ok(None) if !goal.sees_news() => {
                // As of its end: where an answer takes longer than a glance is due, the next entry has its turn too.
                looks.succeeded(goal, clock.monotonic());
                (Look::Elsewhere, Duration::ZERO)
            }
            Ok(None) => {
                looks.succeeded(goal, now);
                (Look::Nothing, waits.after_nothing(now, random))
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
                (Look::Failed, wait)
            }
        };
        let wait = hints.after(&shared, look, (&mut waits, wait), random);
        shared.vitals.note_wait(waits.last());
        tokio::select! {
            biased; // the same seed of a simulation must take the same branch
            _ = stop.changed() => return,
            () = shared.vitals.wake.notified() => { waits.woken(clock.monotonic()); }
            () = hints.wait(&shared) => {}
            () = shared.env.sleep(wait) => {}
        }
    }
}

/// Chooses what to look at.
#[derive(Debug)]
struct Looks {
    check_interval: Duration,
    /// When the last look succeeded that shows everything.
    checked_at: Option<Duration>,
    /// Polls for the next entry since then.
    polls: u32,
    glanced_at: Duration,
    last: Glance,
}

impl Looks {
    fn new(check_interval: Duration) -> Self {
        Self {
            check_interval,
            checked_at: None,
            polls: 0,
            glanced_at: Duration::ZERO,
            last: Glance::Hint,
        }
    }

    /// What is due, where looks are so far apart. Whoever was told of news looks for that, as long as it can.
    fn next(&self, now: Duration, wait: Duration, is_told: bool) -> Goal {
        let since = |at: Duration| now.saturating_sub(at);
        let Some(checked_at) = self.checked_at else {
            return Goal::Start;
        };
        let (rarely, age) = (wait >= LONG_WAIT, since(checked_at));
        let in_turn = self.polls.saturating_add(1) >= LISTING_TURNS && age >= LISTING_INTERVAL;
        if (rarely && in_turn && !is_told) || age >= self.check_interval {
            return Goal::Glance(Glance::List);
        }
        let interval = GLANCE_INTERVAL.max(wait.saturating_mul(GLANCE_WAITS));
        if rarely || is_told || since(self.glanced_at) < interval {
            return Goal::Glance(Glance::Next);
        }
        Goal::Glance(match self.last {
            Glance::Own => Glance::Hint,
            Glance::Hint | Glance::Next | Glance::List => Glance::Own,
        })
    }

    /// One that failed is due again, so that trouble that only it shows is not forgotten.
    fn succeeded(&mut self, goal: Goal, now: Duration) {
        match goal {
            Goal::Glance(Glance::Next) => {
                self.polls = self.polls.saturating_add(1);
                return;
            }
            Goal::Glance(glance @ (Glance::Own | Glance::Hint)) => self.last = glance,
            _ => (self.checked_at, self.polls) = (Some(now), 0),
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
            let goal = looks.next(now, every, false);
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
        assert_eq!(turns.last(), Some(&(30_000, Goal::Glance(Glance::List))));
        assert_eq!(turns.len(), 31);
    }

    #[test]
    fn whoever_looks_rarely_asks_for_nothing_beside_its_polls() {
        let list = Goal::Glance(Glance::List);
        let seconds = |every: u64, for_: u64| -> Vec<u128> {
            let turns = turns(Duration::from_secs(every), Duration::from_secs(for_));
            assert_eq!(turns[0], (0, Goal::Start));
            let listings = turns[1..].iter().map(|(at, goal)| {
                assert_eq!(*goal, list, "{turns:?}");
                at / 1_000
            });
            listings.collect()
        };
        assert_eq!(seconds(5, 100), [20, 40, 60, 80, 100]);
        assert_eq!(seconds(1, 40), [10, 20, 30, 40]);
        // Not less often than everything is to be looked at.
        assert_eq!(seconds(20, 100), [40, 80]);
        assert_eq!(seconds(60, 200), [60, 120, 180]);
    }

    #[test]
    fn whoever_is_told_of_news_looks_for_it_but_not_for_ever_for_nothing_else() {
        let mut looks = Looks::new(Duration::from_secs(30));
        looks.succeeded(Goal::Start, Duration::ZERO);
        let next = Goal::Glance(Glance::Next);
        for ms in (0..30_000).step_by(500) {
            for wait in [INTERVAL, Duration::from_secs(5)] {
                let now = Duration::from_millis(ms);
                assert_eq!(looks.next(now, wait, true), next, "{ms}");
                looks.succeeded(next, now);
            }
        }
        let now = Duration::from_secs(30);
        assert_eq!(looks.next(now, INTERVAL, true), Goal::Glance(Glance::List));
    }

    #[test]
    fn a_look_that_failed_is_due_again() {
        let mut looks = Looks::new(Duration::from_secs(30));
        assert_eq!(looks.next(Duration::ZERO, INTERVAL, false), Goal::Start);
        assert_eq!(
            looks.next(Duration::from_secs(1), INTERVAL, false),
            Goal::Start
        );
        looks.succeeded(Goal::Start, Duration::from_secs(1));
        let own = Goal::Glance(Glance::Own);
        assert_eq!(looks.next(Duration::from_secs(2), INTERVAL, false), own);
        assert_eq!(looks.next(Duration::from_secs(3), INTERVAL, false), own);
        let list = Goal::Glance(Glance::List);
        for seconds in [31, 32] {
            assert_eq!(
                looks.next(Duration::from_secs(seconds), INTERVAL, false),
                list
            );
        }
        looks.succeeded(list, Duration::from_secs(32));
        assert_ne!(looks.next(Duration::from_secs(33), INTERVAL, false), list);
    }
}
