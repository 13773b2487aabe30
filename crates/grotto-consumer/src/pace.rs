//! How long to wait between two looks at the log.
//!
//! Owns: the wait, from what the last look found. Never: waits, or looks.

use grotto_env::Random;
use std::time::Duration;

/// Looks that find nothing before a dataset counts as idle, where that is shorter than the longest wait.
const PATIENCE: u32 = 50;

/// Longest wait while the store does not answer, where the longest wait without news is shorter.
const FAILURE_BACKOFF: Duration = Duration::from_secs(5);

/// How often to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// For the next entry, while the dataset is active.
    pub(crate) interval: Duration,
    /// The longest wait without news.
    pub(crate) max_backoff: Duration,
    /// For the head of the log, and whether it is that of the served dataset.
    pub(crate) check_interval: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            check_interval: Duration::from_secs(30),
        }
    }
}

impl Pace {
    pub(crate) fn longest_wait(self) -> Duration {
        self.max_backoff.max(self.interval)
    }

    /// How long after news a dataset counts as active.
    fn active_for(self) -> Duration {
        let looks = self.interval.saturating_mul(PATIENCE);
        self.longest_wait().min(looks)
    }
}

/// The waits so far.
#[derive(Debug)]
pub(crate) struct Waits {
    pace: Pace,
    /// When there was news, or somebody said so.
    active_at: Duration,
    /// Looks without news since it counts as idle.
    idle: u32,
    /// Looks in a row that failed.
    failures: u32,
    last: Duration,
}

impl Waits {
    pub(crate) fn new(pace: Pace, now: Duration) -> Self {
        Self {
            pace,
            active_at: now,
            idle: 0,
            failures: 0,
            last: pace.interval,
        }
    }

    /// Waits otherwise from now on, as if there had been news.
    pub(crate) fn change(&mut self, interval: Duration, max_backoff: Duration, now: Duration) {
        (self.pace.interval, self.pace.max_backoff) = (interval, max_backoff);
        self.woken(now);
    }

    /// The wait that the last look led to.
    pub(crate) fn last(&self) -> Duration {
        self.last
    }

    /// How long after news a dataset counts as active.
    pub(crate) fn active_for(&self) -> Duration {
        self.pace.active_for()
    }

    /// The shortest wait.
    pub(crate) fn interval(&self) -> Duration {
        self.pace.interval
    }

    /// The wait of whoever is told of news, after a look that went well: the longest one, in case that is not told.
    pub(crate) fn relying(&mut self, random: &dyn Random) -> Duration {
        self.last = self.doubled(u32::MAX, self.pace.longest_wait(), random);
        self.last
    }

    /// Looks in a row that failed.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn after_news(&mut self, now: Duration) -> Duration {
        self.failures = 0;
        self.woken(now)
    }

    /// Somebody says that there is news: what is looked for next is treated as if there was.
    pub(crate) fn woken(&mut self, now: Duration) -> Duration {
        self.active_at = now;
        self.idle = 0;
        self.last = self.pace.interval;
        self.last
    }

    pub(crate) fn after_nothing(&mut self, now: Duration, random: &dyn Random) -> Duration {
        self.failures = 0;
        if now.saturating_sub(self.active_at) < self.pace.active_for() {
            self.last = self.pace.interval;
            return self.last;
        }
        self.idle = self.idle.saturating_add(1);
        self.last = self.doubled(self.idle, self.pace.longest_wait(), random);
        self.last
    }

    /// Neither forgets how idle the dataset is nor makes it idler: that is known again when the store answers.
    pub(crate) fn after_failure(&mut self, random: &dyn Random) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let longest = self.pace.longest_wait().max(FAILURE_BACKOFF);
        self.last = self.doubled(self.failures, longest, random);
        self.last
    }

    /// The interval doubled so often, at most `longest`, the last fifth of it by chance; never less than the
    /// interval.
    fn doubled(&self, times: u32, longest: Duration, random: &dyn Random) -> Duration {
        let interval = self.pace.interval.max(Duration::from_millis(1));
        let full = interval.saturating_mul(1 << times.min(16)).min(longest);
        full.mul_f64(0.8 + random.fraction() / 5.0).max(interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grotto_env::SeededRandom;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Whether a wait is the full one, but for what chance takes.
    fn is_about(wait: Duration, full_ms: u64) -> bool {
        wait <= ms(full_ms) && wait >= ms(full_ms * 4 / 5)
    }

    #[test]
    fn waits_double_once_a_dataset_is_idle_and_news_resets_them() {
        let random = SeededRandom::new(1);
        let mut waits = Waits::new(Pace::default(), ms(0));
        for now in (0..5_000).step_by(100) {
            assert_eq!(waits.after_nothing(ms(now), &random), ms(100));
        }
        for full in [200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000] {
            let wait = waits.after_nothing(ms(60_000), &random);
            assert!(is_about(wait, full), "{full}: {wait:?}");
        }
        assert_eq!(waits.after_news(ms(60_000)), ms(100));
        assert_eq!(waits.after_nothing(ms(64_900), &random), ms(100));
        assert!(is_about(waits.after_nothing(ms(65_000), &random), 200));
    }

    #[test]
    fn failures_have_a_scale_of_their_own_and_leave_that_of_idleness_alone() {
        let random = SeededRandom::new(1);
        let mut waits = Waits::new(Pace::default(), ms(0));
        for full in [200, 400] {
            assert!(is_about(waits.after_nothing(ms(9_000), &random), full));
        }
        for (failures, full) in [200, 400, 800, 1_600, 3_200, 5_000, 5_000]
            .iter()
            .enumerate()
        {
            let wait = waits.after_failure(&random);
            assert!(is_about(wait, *full), "{failures}: {wait:?}");
        }
        assert_eq!(waits.failures(), 7);
        assert!(is_about(waits.after_nothing(ms(9_000), &random), 800));
        assert_eq!(waits.failures(), 0);
        assert!(is_about(waits.after_failure(&random), 200));
    }

    #[test]
    fn waits_differ_so_that_a_fleet_does_not_ask_all_at_once() {
        let random = SeededRandom::new(1);
        let mut waits = Waits::new(Pace::default(), ms(0));
        let mut seen: Vec<Duration> = (0..20)
            .map(|_| waits.after_nothing(ms(90_000), &random))
            .skip(6)
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 10, "{seen:?}");
    }

    #[test]
    fn no_wait_is_shorter_than_the_interval() {
        let random = SeededRandom::new(1);
        let pace = Pace {
            interval: ms(9_000),
            max_backoff: ms(1_000),
            ..Pace::default()
        };
        let mut waits = Waits::new(pace, ms(0));
        for _ in 0..9 {
            assert_eq!(waits.after_nothing(ms(900_000), &random), ms(9_000));
            assert_eq!(waits.after_failure(&random), ms(9_000));
        }
    }
}
