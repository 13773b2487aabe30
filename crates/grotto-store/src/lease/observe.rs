//! What a reader of leases learns by looking again.
//!
//! Owns: when each lease was last seen to change, by the reader's own monotonic clock. Never: compares the
//! clocks of two hosts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Leases;
use crate::layout::ConsumerId;

/// What differs from one renewal to the next: the time of the store, which may be coarse, and for how long
/// the consumer runs.
type Mark = (u64, Option<u64>);

/// Remembers leases from one look to the next, so that their ages depend on no clock but the reader's own.
#[derive(Clone, Debug, Default)]
pub struct LeaseObserver {
    seen: BTreeMap<ConsumerId, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    mark: Mark,
    /// When it was first seen like this.
    at: Duration,
    /// Whether it was something else before.
    changed: bool,
}

impl LeaseObserver {
    /// Puts right how old the leases of a listing made at `now` are, by a monotonic clock. A lease that was
    /// renewed between two looks lives, whatever clocks say; one that was not is at least as old as that.
    pub fn observe(&mut self, leases: &mut Leases, now: Duration) {
        let mut seen = BTreeMap::new();
        for lease in &mut leases.found {
            let running_ms = lease.lease().map(|told| told.running_ms);
            let mark = (lease.renewed_ms, running_ms);
            let fresh = Seen {
                mark,
                at: now,
                changed: self.seen.contains_key(&lease.consumer),
            };
            let known = self.seen.get(&lease.consumer).copied();
            let known = known.filter(|known| known.mark == mark);
            let known = known.unwrap_or(fresh);
            let since = now.saturating_sub(known.at);
            lease.age = match known.changed {
                true => since,
                false => lease.age.max(since),
            };
            seen.insert(lease.consumer.clone(), known);
        }
        self.seen = seen;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FoundLease, LeaseContent};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// One lease, renewed at that time and of that age by a listing.
    fn listed(renewed_ms: u64, age: Duration) -> Leases {
        let consumer = ConsumerId::parse("web-1").unwrap();
        let content = LeaseContent::Damaged(String::new());
        let lease = FoundLease {
            consumer,
            content,
            age,
            renewed_ms,
        };
        Leases {
            found: vec![lease],
            complete: true,
        }
    }

    fn age(observer: &mut LeaseObserver, mut leases: Leases, now: u32) -> Duration {
        observer.observe(&mut leases, SECOND * now);
        leases.found[0].age
    }

    #[test]
    fn one_that_is_renewed_lives_though_the_clock_of_the_reader_is_far_ahead() {
        let mut observer = LeaseObserver::default();
        let hour = 3_600 * SECOND;
        assert_eq!(age(&mut observer, listed(1_000, hour), 100), hour);
        assert_eq!(
            age(&mut observer, listed(11_000, hour), 110),
            Duration::ZERO
        );
        assert_eq!(age(&mut observer, listed(11_000, hour), 114), 4 * SECOND);
    }

    #[test]
    fn one_that_is_not_renewed_grows_old_though_the_clock_of_the_reader_is_behind() {
        let mut observer = LeaseObserver::default();
        let none = Duration::ZERO;
        for (now, expected) in [(100, none), (120, 20 * SECOND), (400, 300 * SECOND)] {
            assert_eq!(age(&mut observer, listed(1_000, none), now), expected);
        }
    }

    #[test]
    fn one_that_was_gone_meanwhile_is_known_by_the_listing_again() {
        let mut observer = LeaseObserver::default();
        let none = Duration::ZERO;
        age(&mut observer, listed(1_000, none), 100);
        observer.observe(&mut Leases::default(), 110 * SECOND);
        assert_eq!(age(&mut observer, listed(1_000, SECOND), 120), SECOND);
    }
}
