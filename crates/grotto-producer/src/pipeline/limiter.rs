//! How much is taken in a second.
//!
//! Owns: the two rates, of records and of bytes. Never: waits; it says how long to.

use super::options::RateLimit;
use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use grotto_env::Clock;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Time as the pipeline sees it.
#[derive(Clone, Debug)]
struct PipelineClock(Arc<dyn Clock>);

impl GovernorClock for PipelineClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.monotonic().into()
    }
}

type Rate = RateLimiter<NotKeyed, InMemoryState, PipelineClock, NoOpMiddleware<Nanos>>;

/// Limits of what is taken in a second.
#[derive(Debug)]
pub(super) struct Limiter {
    clock: PipelineClock,
    records: Option<(Rate, NonZeroU32)>,
    kib: Option<(Rate, NonZeroU32)>,
}

impl Limiter {
    pub(super) fn new(limit: RateLimit, clock: Arc<dyn Clock>) -> Self {
        let clock = PipelineClock(clock);
        let rate = |per_second: NonZeroU32| {
            let quota = Quota::per_second(per_second);
            (
                RateLimiter::direct_with_clock(quota, clock.clone()),
                per_second,
            )
        };
        Self {
            records: limit.records_per_second.map(rate),
            kib: limit.kib_per_second.map(rate),
            clock: clock.clone(),
        }
    }

    /// Takes so many records, or says how long to wait before asking again. What is larger than the quota of a
    /// second counts as that: it could never pass otherwise.
    pub(super) fn take_records(&self, records: usize) -> Result<(), Duration> {
        self.take(self.records.as_ref(), records)
    }

    /// The same of bytes.
    pub(super) fn take_bytes(&self, bytes: usize) -> Result<(), Duration> {
        self.take(self.kib.as_ref(), bytes.div_ceil(1 << 10))
    }

    fn take(&self, rate: Option<&(Rate, NonZeroU32)>, amount: usize) -> Result<(), Duration> {
        let Some((rate, most)) = rate else {
            return Ok(());
        };
        let amount = u32::try_from(amount).unwrap_or(u32::MAX).min(most.get());
        let Some(amount) = NonZeroU32::new(amount) else {
            return Ok(());
        };
        match rate.check_n(amount) {
            Ok(Err(later)) => Err(later.wait_time_from(self.clock.now())),
            // It is never more than the quota.
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grotto_env::ManualClock;

    fn limiter(records: u32, kib: u32) -> (Arc<ManualClock>, Limiter) {
        let clock = Arc::new(ManualClock::new(0));
        let limit = RateLimit {
            records_per_second: NonZeroU32::new(records),
            kib_per_second: NonZeroU32::new(kib),
        };
        (Arc::clone(&clock), Limiter::new(limit, clock))
    }

    #[test]
    fn what_is_over_the_rate_is_told_how_long_to_wait() {
        let (clock, limiter) = limiter(100, 0);
        assert_eq!(limiter.take_records(100), Ok(()));
        let wait = limiter.take_records(50).unwrap_err();
        assert!(
            wait > Duration::from_millis(400) && wait <= Duration::from_millis(500),
            "{wait:?}"
        );
        clock.advance(wait);
        assert_eq!(limiter.take_records(50), Ok(()));
    }

    #[test]
    fn bytes_count_too_and_a_submission_of_more_than_a_second_passes_in_the_end() {
        let (clock, limiter) = limiter(0, 10);
        assert_eq!(limiter.take_bytes(1 << 20), Ok(()));
        assert!(limiter.take_bytes(1).is_err());
        clock.advance(Duration::from_secs(1));
        assert_eq!(limiter.take_bytes(1 << 20), Ok(()));
    }

    #[test]
    fn without_a_rate_all_passes() {
        let (_clock, limiter) = limiter(0, 0);
        assert!((0..1_000).all(|_| limiter.take_records(usize::MAX).is_ok()));
        assert_eq!(limiter.take_bytes(usize::MAX), Ok(()));
    }
}
