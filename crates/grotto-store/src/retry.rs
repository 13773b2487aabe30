//! Trying again: exponential backoff with jitter, bounded.
//!
//! Owns: how often and how long. Never: retries anything but an outage ([`ErrorKind::is_outage`]), and
//! never decides whether an operation may be repeated; that is the caller's knowledge.

use std::future::Future;
use std::time::Duration;

use grotto_env::{Env, Random};

use crate::error::{ErrorKind, Result};

/// How often to try and how long to wait between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first included; 0 counts as 1.
    pub tries: u32,
    /// Longest wait before the second try; doubles from there.
    pub first_delay: Duration,
    /// Longest wait before any try.
    pub max_delay: Duration,
}

impl RetryPolicy {
    /// For reads and polls: short, as the caller polls again anyway.
    pub const READS: Self = Self {
        tries: 3,
        first_delay: Duration::from_millis(50),
        max_delay: Duration::from_millis(500),
    };
    /// For uploads and commits: a little longer, as giving up costs a cycle.
    pub const WRITES: Self = Self {
        tries: 4,
        first_delay: Duration::from_millis(100),
        max_delay: Duration::from_secs(2),
    };

    /// The wait after try number `tried` (from 1) failed: between half and all of the doubled
    /// delay, so that clients that failed together do not come back together.
    pub fn delay(&self, tried: u32, random: &dyn Random) -> Duration {
        let doublings = tried.saturating_sub(1).min(20);
        let full = self.first_delay.saturating_mul(1 << doublings);
        full.min(self.max_delay)
            .mul_f64(0.5 + random.fraction() / 2.0)
    }

    /// The wait after an outage: of a store that asks for less, the longest one at once.
    fn delay_after(&self, outage: ErrorKind, tried: u32, random: &dyn Random) -> Duration {
        match outage {
            ErrorKind::Overloaded => self.delay(u32::MAX, random),
            _ => self.delay(tried, random),
        }
    }

    /// Runs `operation` until it succeeds, fails for another reason than an outage, or has used its
    /// tries. Returns its last answer.
    ///
    /// # Errors
    /// That of the last try.
    pub async fn run<T, F, Fut>(&self, env: &Env, mut operation: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let mut tried = 1;
        loop {
            match operation().await {
                Err(error) if error.kind().is_outage() && tried < self.tries => {
                    let delay = self.delay_after(error.kind(), tried, &*env.random);
                    tracing::debug!(%error, tried, delay_ms = delay.as_millis(), "trying again");
                    env.sleep(delay).await;
                    tried += 1;
                }
                answer => return answer,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use grotto_env::SeededRandom;

    use super::*;
    use crate::error::Error;

    async fn run(answers: &[Option<ErrorKind>]) -> (Result<()>, usize) {
        let turn = Cell::new(0);
        let result = RetryPolicy::READS
            .run(&Env::simulated(1), || {
                let answer = answers[turn.get()];
                turn.set(turn.get() + 1);
                async move { answer.map_or(Ok(()), |kind| Err(Error::new(kind, "scripted"))) }
            })
            .await;
        (result, turn.get())
    }

    #[tokio::test(start_paused = true)]
    async fn an_unavailable_store_is_tried_again_until_it_answers() {
        let down = Some(ErrorKind::Unavailable);
        let (result, tries) = run(&[down, down, None]).await;
        assert!(result.is_ok());
        assert_eq!(tries, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn tries_are_bounded() {
        let (result, tries) = run(&[Some(ErrorKind::Unavailable); 9]).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(tries, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn other_kinds_are_not_tried_again() {
        for kind in [ErrorKind::Corrupt, ErrorKind::Fenced, ErrorKind::Missing] {
            let (result, tries) = run(&[Some(kind), None]).await;
            assert_eq!(result.unwrap_err().kind(), kind);
            assert_eq!(tries, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_asks_for_less_is_tried_again_only_after_the_longest_wait() {
        let (result, tries) = run(&[Some(ErrorKind::Overloaded), None]).await;
        assert!(result.is_ok());
        assert_eq!(tries, 2);
        let (policy, random) = (RetryPolicy::READS, SeededRandom::new(3));
        let after = |outage| policy.delay_after(outage, 1, &random);
        assert!(after(ErrorKind::Overloaded) >= policy.max_delay / 2);
        assert!(after(ErrorKind::Unavailable) <= policy.first_delay);
    }

    #[test]
    fn delays_double_up_to_the_limit_and_keep_their_jitter_in_bounds() {
        let random = SeededRandom::new(3);
        let policy = RetryPolicy::READS;
        for (tried, full_ms) in [(1, 50), (2, 100), (3, 200), (4, 400), (5, 500), (99, 500)] {
            let full = Duration::from_millis(full_ms);
            let delay = policy.delay(tried, &random);
            assert!(delay >= full / 2 && delay <= full, "{tried}: {delay:?}");
        }
    }
}
