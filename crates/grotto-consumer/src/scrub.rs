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
use tokio::sync::watch;

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

/// Where a pass goes on.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    segment: u64,
    chunk: usize,
}

/// Makes one pass after the other until `stop` is dropped.
pub(crate) async fn run(shared: Arc<Shared>, pace: ScrubPace, mut stop: watch::Receiver<()>) {
    let mut wait = pace.interval;
    let mut place = Place::default();
    loop {
        tokio::select! {
            biased; // the same seed of a simulation must take the same branch
            _ = stop.changed() => return,
            () = shared.env.sleep(wait) => {}
        }
        let scrubber = Arc::clone(&shared);
        let scrubbed = blocking(&shared.env, move || scrubber.scrub(place)).await;
        let next = scrubbed.unwrap_or_else(|error| {
            tracing::error!(%error, dataset = shared.dataset.name(), "a check in the background ended early");
            None
        });
        (place, wait) = match next {
            Some((next, bytes)) => (next, time_for(bytes, pace.rate)),
            None => (Place::default(), pace.interval),
        };
    }
}

fn time_for(bytes: u64, rate: u64) -> Duration {
    Duration::from_secs(bytes) / u32::try_from(rate.max(1)).unwrap_or(u32::MAX)
}

impl Shared {
    /// Verifies a part of what is served. Gives where to go on and how many bytes were read; `None` at the
    /// end, or where there is damage.
    fn scrub(&self, from: Place) -> Option<(Place, u64)> {
        let state = self.served();
        let rest = state.segments().filter(|at| at.name() >= from.segment);
        let segment = rest.min_by_key(|at| at.name())?;
        let name = segment.name();
        let chunk = if name == from.segment { from.chunk } else { 0 };
        let checked = self.keeper().place.check_part(name, segment.bytes(), chunk);
        match checked {
            Ok(Some(bytes)) => {
                self.metrics.scrubbed(bytes);
                let chunk = chunk + 1;
                Some((
                    Place {
                        segment: name,
                        chunk,
                    },
                    bytes,
                ))
            }
            Ok(None) => {
                let segment = name.checked_add(1)?;
                Some((Place { segment, chunk: 0 }, 0))
            }
            Err(damage) => {
                self.drop_damaged(&Error::corrupt(damage));
                None
            }
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
}
