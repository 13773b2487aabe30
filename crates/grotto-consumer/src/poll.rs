//! Polling in the background.
//!
//! Owns: when to look. Never: what to do about news.

use crate::shared::Shared;
use crate::target::Goal;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Longest wait while the store does not answer.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// How often to make sure that the dataset is still the one that is served: one that was removed and
/// created again may never reach the version that is served.
const IDENTITY_INTERVAL: Duration = Duration::from_secs(30);

/// Refreshes until `stop` is dropped: at once after news, else every `interval`; rarer while
/// refreshes fail.
pub(crate) async fn run(shared: Arc<Shared>, interval: Duration, mut stop: watch::Receiver<()>) {
    let clock = Arc::clone(&shared.env.clock);
    let mut checked_at: Option<Duration> = None;
    let mut failures = 0_u32;
    // The sender never sends: the channel changes when it is dropped.
    while stop.has_changed().is_ok() {
        let now = clock.monotonic();
        let fresh = checked_at.is_some_and(|at| now.saturating_sub(at) < IDENTITY_INTERVAL);
        let goal = if fresh { Goal::Newest } else { Goal::Start };
        let wait = match shared.refresh_in_turn(goal).await {
            Ok(Some(_)) => Duration::ZERO,
            Ok(None) => interval,
            Err(error) => {
                failures = failures.saturating_add(1);
                // A store that is down for a day must not fill the disk with its log.
                if failures.is_power_of_two() {
                    let dataset = shared.dataset.name();
                    tracing::warn!(%error, kind = %error.kind(), dataset, failures, "refresh failed; serving on");
                }
                backoff(interval, failures)
            }
        };
        if wait <= interval {
            failures = 0;
            checked_at = if fresh { checked_at } else { Some(now) };
        }
        tokio::select! {
            _ = stop.changed() => return,
            () = tokio::time::sleep(wait) => {}
        }
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
}
