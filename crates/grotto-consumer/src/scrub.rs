//! Verifying what is served, in the background.
//!
//! Owns: which bytes are read again, when, and how fast. Never: hurries: a pass over everything takes as
//! long as its rate says, and reads a small part at a time.
//!
//! Whoever alters a file changes its times, which is seen at once; a disk that forgets does not.

use crate::error::Error;
use crate::shared::{Shared, blocking};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{MutexGuard, watch};

/// Held by whoever changes what the state directory holds.
type Turn<'a> = MutexGuard<'a, Option<u64>>;

/// How everything that is served is verified again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScrubPace {
    /// Between the end of a pass and the next.
    pub(crate) interval: Duration,
    /// Most bytes in a second.
    pub(crate) rate: u64,
}

impl Default for ScrubPace {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(3_600),
            rate: 8 << 20,
        }
    }
}

/// Shortest wait between two passes: one over nothing takes no time.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

impl ScrubPace {
    fn between_passes(&self) -> Duration {
        self.interval.max(MIN_INTERVAL)
    }
}

/// Where a pass goes on.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    segment: u64,
    chunk: usize,
}

/// What verifying a part showed.
#[derive(Clone, Copy, Debug)]
enum Scrubbed {
    /// So many bytes are right; it goes on there.
    Sound(Position, u64),
    /// The part at this position is damaged.
    Damaged(Position),
    /// There is nothing more.
    End,
}

/// Makes one pass after the other until `stop` is dropped.
pub(crate) async fn run(shared: Arc<Shared>, pace: ScrubPace, mut stop: watch::Receiver<()>) {
    let interval = pace.between_passes();
    let mut wait = interval;
    let mut position = Position::default();
    loop {
        tokio::select! {
            biased; // the same seed of a simulation must take the same branch
            _ = stop.changed() => return,
            () = shared.env.sleep(wait) => {}
        }
        let next = match shared.scrub_one(position).await {
            Scrubbed::Sound(next, bytes) => Some((next, time_for(bytes, pace.rate))),
            Scrubbed::Damaged(at) => {
                tokio::select! {
                    biased; // the same seed of a simulation must take the same branch
                    _ = stop.changed() => return,
                    // A refresh under way builds on files that would be gone.
                    turn = shared.gate.lock() => shared.drop_scrubbed(at, &turn).await,
                }
                None
            }
            Scrubbed::End => None,
        };
        (position, wait) = next.unwrap_or((Position::default(), interval));
    }
}

fn time_for(bytes: u64, rate: u64) -> Duration {
    Duration::from_secs(bytes) / u32::try_from(rate.max(1)).unwrap_or(u32::MAX)
}

impl Shared {
    async fn scrub_one(self: &Arc<Self>, from: Position) -> Scrubbed {
        let shared = Arc::clone(self);
        let scrubbed = blocking(&self.env, move || shared.scrub(from)).await;
        scrubbed.unwrap_or_else(|error| {
            tracing::error!(%error, dataset = self.dataset.name(), "a check in the background ended early");
            Scrubbed::End
        })
    }

    /// Verifies a part of what is served: that at a position, or the first one after it.
    fn scrub(&self, from: Position) -> Scrubbed {
        let state = self.served();
        let rest = state.segments().filter(|at| at.name() >= from.segment);
        let Some(segment) = rest.min_by_key(|at| at.name()) else {
            return Scrubbed::End;
        };
        let name = segment.name();
        let chunk = if name == from.segment { from.chunk } else { 0 };
        let at = |segment, chunk| Position { segment, chunk };
        let checked = self.keeper().place.check_part(name, segment.bytes(), chunk);
        match checked {
            Ok(Some(bytes)) => {
                self.metrics.scrubbed(bytes);
                Scrubbed::Sound(at(name, chunk + 1), bytes)
            }
            Ok(None) => name
                .checked_add(1)
                .map_or(Scrubbed::End, |next| Scrubbed::Sound(at(next, 0), 0)),
            Err(_) => Scrubbed::Damaged(at(name, chunk)),
        }
    }

    /// Drops what is served if a part of it is damaged: a refresh may have found it before this turn came.
    async fn drop_scrubbed(self: &Arc<Self>, at: Position, _turn: &Turn<'_>) {
        let shared = Arc::clone(self);
        let dropped = blocking(&self.env, move || shared.drop_if_damaged_at(at)).await;
        if let Err(error) = dropped {
            tracing::error!(%error, dataset = self.dataset.name(), "dropping what is damaged ended early");
        }
    }

    fn drop_if_damaged_at(&self, at: Position) {
        let state = self.served();
        let Some(segment) = state.segments().find(|s| s.name() == at.segment) else {
            return;
        };
        let (name, bytes) = (segment.name(), segment.bytes());
        let checked = self.keeper().place.check_part(name, bytes, at.chunk);
        if let Err(damage) = checked {
            self.drop_damaged(&Error::corrupt(damage));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_says_how_long_bytes_take() {
        assert_eq!(time_for(1_000, 500), Duration::from_secs(2));
        assert_eq!(time_for(256 << 10, 8 << 20), Duration::from_micros(31_250));
        assert_eq!(time_for(0, 7), Duration::ZERO);
        assert_eq!(time_for(3, 0), Duration::from_secs(3));
    }

    #[test]
    fn a_pass_over_nothing_is_not_followed_by_another_at_once() {
        let pace = |interval| ScrubPace { interval, rate: 1 };
        let (none, long) = (Duration::ZERO, Duration::from_secs(9));
        assert_eq!(pace(none).between_passes(), MIN_INTERVAL);
        assert_eq!(pace(long).between_passes(), long);
    }
}
