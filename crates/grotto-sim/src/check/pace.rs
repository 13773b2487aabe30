//! How often a reader that polls looks for a version that is not there.
//!
//! Owns: the bound. Never: knows why somebody looks: whoever polls may do so once in each interval, whoever is told of
//! versions no more often than that, or once in a second, whatever it is told.

use std::collections::VecDeque;
use std::time::Duration;

/// Over so long it is counted.
const WINDOW: Duration = Duration::from_secs(20);
/// Looks that have a reason of their own: a start, a call of the program, a request that is made anew.
const FREE: usize = 6;
/// Longest time for which whoever is told of nothing may not be kept from looking.
const LONGEST: Duration = Duration::from_secs(1);

/// What one process looked for.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    /// When it asked for an entry that was not there.
    nothing: VecDeque<Duration>,
    /// When it found one that it did not just have.
    found: VecDeque<Duration>,
    last: Option<u64>,
}

impl Pace {
    /// Of one that polls so often where versions come.
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval: interval.min(LONGEST),
            nothing: VecDeque::new(),
            found: VecDeque::new(),
            last: None,
        }
    }

    /// It found the entry of a version.
    pub(crate) fn found(&mut self, version: u64, now: Duration) {
        if self.last.replace(version) != Some(version) {
            self.found.push_back(now);
        }
    }

    /// It asked for an entry that is not there.
    ///
    /// # Errors
    /// When it does so too often.
    pub(crate) fn nothing(&mut self, now: Duration) -> Result<(), String> {
        self.nothing.push_back(now);
        for row in [&mut self.nothing, &mut self.found] {
            while row.front().is_some_and(|at| now - *at > WINDOW) {
                row.pop_front();
            }
        }
        let polls = WINDOW
            .as_millis()
            .div_ceil(self.interval.as_millis().max(1)) as usize;
        let (asked, most) = (self.nothing.len(), polls + self.found.len() + FREE);
        if asked <= most {
            return Ok(());
        }
        let (interval, found) = (self.interval, self.found.len());
        self.nothing.clear();
        Err(format!(
            "asks {asked} times within {WINDOW:?} for a version that is not there, at most {most} with an interval of \
             {interval:?} and {found} that were"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn whoever_looks_once_in_an_interval_may_and_twice_may_not() {
        let mut pace = Pace::new(ms(400));
        for look in 0..500 {
            assert_eq!(pace.nothing(ms(400 * look)), Ok(()));
        }
        let mut pace = Pace::new(ms(400));
        let told = (0..500).find_map(|look| pace.nothing(ms(200 * look)).err());
        assert!(told.is_some_and(|told| told.contains("asks 57 times")));
        // Each version that is found is a reason to look whether there is another one.
        let mut pace = Pace::new(ms(400));
        for look in 0..500 {
            pace.found(look, ms(200 * look));
            assert_eq!(pace.nothing(ms(200 * look)), Ok(()));
        }
        // What it has is none.
        let mut pace = Pace::new(ms(400));
        let told = (0..500).find_map(|look| {
            pace.found(7, ms(200 * look));
            pace.nothing(ms(200 * look)).err()
        });
        assert!(told.is_some());
    }

    #[test]
    fn whoever_polls_rarely_may_be_told_to_look_once_in_a_second() {
        let mut pace = Pace::new(ms(12_000));
        for look in 0..500 {
            assert_eq!(pace.nothing(ms(1_000 * look)), Ok(()));
        }
    }
}
