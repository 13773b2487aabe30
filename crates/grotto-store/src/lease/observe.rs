//! What a reader of leases learns by looking again.
//!
//! Owns: when each lease was last seen to change, by the reader's own monotonic clock. Never: compares the
//! clocks of two hosts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{FoundLease, Leases};
use crate::layout::ConsumerId;

/// Remembers leases from one look to the next, so that their ages depend on no clock but the reader's own.
///
/// **Invariant**: only a renewal makes a lease younger. One that cannot be read any more, as it is too old for that by
/// the listing or damaged, is the one that was read before.
#[derive(Clone, Debug, Default)]
pub struct LeaseObserver {
    seen: BTreeMap<ConsumerId, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The time of the store, which may be coarse.
    renewed_ms: u64,
    /// For how long the consumer runs, where that was read, and for how long the lease is believed then.
    told: Option<(u64, Duration)>,
    /// When it was first seen like this.
    at: Duration,
    /// Whether it was something else before.
    changed: bool,
}

impl Seen {
    fn of(lease: &FoundLease, at: Duration, changed: bool) -> Self {
        let told = lease.lease().map(|told| told.running_ms);
        Self {
            renewed_ms: lease.renewed_ms,
            told: told.map(|running_ms| (running_ms, lease.expires_after)),
            at,
            changed,
        }
    }

    /// Whether no renewal lies between the two.
    fn is_same(&self, later: &Self) -> bool {
        let running = |seen: &Self| seen.told.map(|(running_ms, _)| running_ms);
        let both = running(self).zip(running(later));
        self.renewed_ms == later.renewed_ms && both.is_none_or(|(first, then)| first == then)
    }
}

impl LeaseObserver {
    /// Puts right how old the leases of a listing made at `now` are, by a monotonic clock. A lease that was
    /// renewed between two looks lives, whatever clocks say; one that was not is at least as old as that.
    pub fn observe(&mut self, leases: &mut Leases, now: Duration) {
        let mut seen = BTreeMap::new();
        for lease in &mut leases.found {
            let known = self.seen.get(&lease.consumer).copied();
            let fresh = Seen::of(lease, now, known.is_some());
            let same = known.filter(|known| known.is_same(&fresh));
            let mut latest = same.unwrap_or(fresh);
            latest.told = fresh.told.or(latest.told);
            let since = now.saturating_sub(latest.at);
            lease.age = match latest.changed {
                true => since,
                false => lease.age.max(since),
            };
            if let Some((_, expires_after)) = latest.told {
                lease.expires_after = expires_after;
            }
            seen.insert(lease.consumer.clone(), latest);
        }
        self.seen = seen;
    }
}

#[cfg(test)]
mod tests {
    use super::super::LeaseContent;
    use super::*;
    use grotto_format::log::{FORMAT, Lease};

    const SECOND: Duration = Duration::from_secs(1);

    /// One lease, renewed at that time and of that age by a listing.
    fn listed(renewed_ms: u64, age: Duration) -> Leases {
        found(renewed_ms, age, LeaseContent::Damaged(String::new()))
    }

    fn found(renewed_ms: u64, age: Duration, content: LeaseContent) -> Leases {
        let lease = FoundLease {
            consumer: ConsumerId::parse("web-1").unwrap(),
            expires_after: content.expires_after(),
            content,
            age,
            renewed_ms,
        };
        Leases {
            found: vec![lease],
            complete: true,
        }
    }

    /// What a consumer wrote that runs for so long, to be believed for half a minute.
    fn written(running_ms: u64) -> LeaseContent {
        LeaseContent::Lease(Box::new(Lease {
            format: FORMAT,
            dataset: "cities".to_owned(),
            dataset_id: "id".to_owned(),
            consumer: "web-1".to_owned(),
            host: "host".to_owned(),
            process: "1".to_owned(),
            version: 1,
            newest: 1,
            pinned: None,
            channel: None,
            told: None,
            held: None,
            health: "ready".to_owned(),
            health_ms: 0,
            reasons: Vec::new(),
            staleness_ms: 0,
            running_ms,
            expires_after_s: 30,
            time_ms: 0,
        }))
    }

    /// Whether one is expired that lies as `content` since `renewed_ms`.
    fn is_dead(
        observer: &mut LeaseObserver,
        (renewed_ms, content): (u64, LeaseContent),
        age: Duration,
        now: Duration,
    ) -> bool {
        let mut leases = found(renewed_ms, age, content);
        observer.observe(&mut leases, now);
        leases.found[0].is_expired()
    }

    #[test]
    fn one_that_died_stays_dead_when_it_is_too_old_to_be_read_or_damaged() {
        let day = 86_400 * SECOND;
        let damaged = || LeaseContent::Damaged(String::new());
        for (unread, later) in [
            (LeaseContent::Old, day),
            (LeaseContent::Old, 300 * SECOND),
            (damaged(), 300 * SECOND),
        ] {
            let mut observer = LeaseObserver::default();
            let looks = [
                (1_000, written(5), 0, false),
                // Renewed while it was watched: from then on only its own time counts.
                (11_000, written(10_005), 10, false),
                (11_000, written(10_005), 100, true),
            ];
            for (renewed_ms, content, now, dead) in looks {
                let found = (renewed_ms, content);
                let is_dead = is_dead(&mut observer, found, Duration::ZERO, SECOND * now);
                assert_eq!(is_dead, dead, "after {now} s");
            }
            for look in 1..=3 {
                // By the listing it is older than any lease is read.
                let (age, now) = (day + SECOND, later + 10 * SECOND * look);
                let found = (11_000, unread.clone());
                assert!(
                    is_dead(&mut observer, found, age, now),
                    "{unread:?} after {now:?}"
                );
            }
            // And lives again when its consumer does.
            let again = (200_000, written(1));
            let now = later + 100 * SECOND;
            assert!(!is_dead(&mut observer, again, Duration::ZERO, now));
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
    fn one_that_says_something_else_was_renewed_though_the_store_tells_the_same_time() {
        let mut observer = LeaseObserver::default();
        for (running_ms, now, expected) in [(5, 0, 0), (10_005, 100, 0), (10_005, 104, 4)] {
            let leases = found(1_000, Duration::ZERO, written(running_ms));
            let found = age(&mut observer, leases, now);
            assert_eq!(found, SECOND * expected, "after {now} s");
        }
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
