//! How old an object is, by the time of the store.
//!
//! Owns: what a listing and the reader's own clock tell about that time. Never: asks the clock of whoever
//! wrote. Spec: `docs/format/spec.md`, section "Leases".

use std::time::Duration;

/// By how much the reader's clock may be ahead of the store's without any harm, in milliseconds.
const AHEAD_MS: u64 = 60_000;

/// What the time of the store is now, at least, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreTime(u64);

impl StoreTime {
    /// From the times of what was just listed, and the time of the reader's clock. A time in the future of
    /// that clock may be that of a host whose clock was wrong for a while: it must not make all others old.
    pub(crate) fn of(listed: impl Iterator<Item = u64>, wall_ms: u64) -> Self {
        let credible = listed.filter(|time| *time <= wall_ms.saturating_add(AHEAD_MS));
        let newest = credible.max().unwrap_or(0);
        Self(newest.max(wall_ms.saturating_sub(AHEAD_MS)))
    }

    /// As the store itself said.
    pub(crate) fn told(ms: u64) -> Self {
        Self(ms)
    }

    /// In milliseconds since 1970.
    pub(crate) fn ms(self) -> u64 {
        self.0
    }

    /// How old an object of that time is, at least.
    pub(crate) fn age(self, time_ms: u64) -> Duration {
        Duration::from_millis(self.0.saturating_sub(time_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;
    const MINUTE: u64 = 60_000;

    fn ages(listed: &[u64], wall_ms: u64) -> Vec<u64> {
        let time = StoreTime::of(listed.iter().copied(), wall_ms);
        let age = |listed: &u64| time.age(*listed).as_millis() as u64;
        listed.iter().map(age).collect()
    }

    #[test]
    fn one_that_lives_tells_how_old_the_others_are_whatever_the_clock_of_the_reader() {
        let listed = [NOW, NOW - 45_000];
        for wall in [NOW - MINUTE, NOW, NOW + MINUTE] {
            assert_eq!(ages(&listed, wall), [0, 45_000], "{wall}");
        }
    }

    #[test]
    fn where_none_lives_the_clock_of_the_reader_tells_less_a_minute() {
        assert_eq!(ages(&[NOW], NOW + 5 * MINUTE), [4 * MINUTE]);
        assert_eq!(ages(&[NOW], NOW + 10), [0]);
        assert_eq!(ages(&[0], NOW), [NOW - MINUTE]);
    }

    #[test]
    fn one_from_the_future_makes_no_other_old() {
        let listed = [NOW, NOW - 3_000, NOW + 365 * 24 * 60 * MINUTE];
        assert_eq!(ages(&listed, NOW), [0, 3_000, 0]);
    }

    #[test]
    fn a_reader_whose_clock_is_behind_takes_none_for_old() {
        assert_eq!(ages(&[NOW, NOW - 2 * MINUTE], NOW - 10 * MINUTE), [0, 0]);
        assert_eq!(ages(&[], 0), Vec::<u64>::new());
    }
}
