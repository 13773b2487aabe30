//! The circuit breaker: stops asking a store that does not answer, and probes when it may again.
//!
//! Owns: when to pass. Never: calls anything or sleeps; it is pure over its clock.
//!
//! "Not found" and other answers are successes here: only [outages](crate::ErrorKind::is_outage) count as
//! failures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grotto_env::Clock;
use parking_lot::Mutex;

use crate::error::{Error, Result};

/// When the breaker opens and how it closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerOptions {
    /// Failures in a row that open it; 0 counts as 1.
    pub failures: u32,
    /// How long it stays open before it lets a probe pass.
    pub open_for: Duration,
    /// Successful probes in a row that close it; 0 counts as 1.
    pub probes: u32,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self {
            failures: 10,
            open_for: Duration::from_secs(10),
            probes: 1,
        }
    }
}

/// What the breaker does with the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Passes it.
    Closed,
    /// Refuses it.
    Open,
    /// Passes one at a time, as a probe.
    HalfOpen,
}

#[derive(Clone, Copy, Debug)]
enum Inner {
    Closed {
        failures: u32,
    },
    Open {
        until: Duration,
    },
    HalfOpen {
        successes: u32,
        probing_until: Option<Duration>,
    },
}

/// A breaker; share it between all callers of one store.
#[derive(Debug)]
pub struct CircuitBreaker {
    clock: Arc<dyn Clock>,
    options: BreakerOptions,
    inner: Mutex<Inner>,
    /// What went wrong last.
    reason: Mutex<String>,
    /// Times that it opened.
    trips: AtomicU64,
}

impl CircuitBreaker {
    /// A closed breaker.
    pub fn new(clock: Arc<dyn Clock>, options: BreakerOptions) -> Self {
        Self {
            clock,
            options,
            inner: Mutex::new(Inner::Closed { failures: 0 }),
            reason: Mutex::default(),
            trips: AtomicU64::new(0),
        }
    }

    /// How often it opened, failed probes included.
    pub fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }

    /// The state now; an open breaker whose time is over reports half-open.
    pub fn state(&self) -> BreakerState {
        match *self.inner.lock() {
            Inner::Closed { .. } => BreakerState::Closed,
            Inner::Open { until } if self.clock.monotonic() < until => BreakerState::Open,
            Inner::Open { .. } | Inner::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Asks to make a call. After `Ok`, report with [`CircuitBreaker::record`] how it went.
    ///
    /// A probe that never reports (its task died) stops counting after the open time, so that the
    /// breaker cannot hang half-open.
    ///
    /// # Errors
    /// `Unavailable` while the breaker is open, or half-open with a probe under way.
    pub fn try_pass(&self) -> Result<()> {
        let now = self.clock.monotonic();
        let mut inner = self.inner.lock();
        let probing = Some(now.saturating_add(self.options.open_for));
        match *inner {
            Inner::Closed { .. } => Ok(()),
            Inner::Open { until } if now < until => Err(self.refusal()),
            Inner::HalfOpen {
                probing_until: Some(until),
                ..
            } if now < until => Err(self.refusal()),
            Inner::Open { .. } => {
                *inner = Inner::HalfOpen {
                    successes: 0,
                    probing_until: probing,
                };
                Ok(())
            }
            Inner::HalfOpen { successes, .. } => {
                *inner = Inner::HalfOpen {
                    successes,
                    probing_until: probing,
                };
                Ok(())
            }
        }
    }

    /// Reports how a passed call went.
    pub fn record<T>(&self, answer: &Result<T>) {
        match answer {
            Err(e) if e.kind().is_outage() => {
                *self.reason.lock() = told(e);
                self.failed();
            }
            _ => self.succeeded(),
        }
    }

    /// Says what the store failed with: that is what has to be mended.
    fn refusal(&self) -> Error {
        Error::unavailable(format!(
            "the store failed repeatedly and is left alone for a while: {}",
            self.reason.lock()
        ))
    }

    fn succeeded(&self) {
        let mut inner = self.inner.lock();
        let was_open = !matches!(*inner, Inner::Closed { .. });
        *inner = match *inner {
            Inner::Closed { .. } => Inner::Closed { failures: 0 },
            Inner::HalfOpen { successes, .. } if successes + 1 < self.options.probes => {
                Inner::HalfOpen {
                    successes: successes + 1,
                    probing_until: None,
                }
            }
            Inner::HalfOpen { .. } => Inner::Closed { failures: 0 },
            // A call that passed before the breaker opened says nothing about now.
            open @ Inner::Open { .. } => open,
        };
        if was_open && matches!(*inner, Inner::Closed { .. }) {
            tracing::info!("the breaker closed: the store answers");
        }
    }

    fn failed(&self) {
        let until = self.clock.monotonic().saturating_add(self.options.open_for);
        let mut inner = self.inner.lock();
        let was_closed = matches!(*inner, Inner::Closed { .. });
        *inner = match *inner {
            Inner::Closed { failures } if failures + 1 < self.options.failures => Inner::Closed {
                failures: failures + 1,
            },
            Inner::Closed { .. } | Inner::HalfOpen { .. } => {
                self.trips.fetch_add(1, Ordering::Relaxed);
                Inner::Open { until }
            }
            open @ Inner::Open { .. } => open,
        };
        // A probe that fails changes nothing: an outage is told of once.
        if was_closed && matches!(*inner, Inner::Open { .. }) {
            tracing::warn!(
                failures = self.options.failures.max(1),
                open_ms = u64::try_from(self.options.open_for.as_millis()).unwrap_or(u64::MAX),
                error = self.reason.lock().as_str(),
                "the breaker opened: the store is left alone"
            );
        }
    }
}

/// What an error says, and its first cause: the words of the system that did not answer.
fn told(error: &Error) -> String {
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    match cause {
        Some(cause) => format!("{}: {cause}", error.message()),
        None => error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use grotto_env::ManualClock;

    use super::*;
    use crate::error::ErrorKind;

    const OPTIONS: BreakerOptions = BreakerOptions {
        failures: 3,
        open_for: Duration::from_secs(10),
        probes: 2,
    };

    fn breaker() -> (Arc<ManualClock>, CircuitBreaker) {
        let clock = Arc::new(ManualClock::new(0));
        (clock.clone(), CircuitBreaker::new(clock, OPTIONS))
    }

    fn call(breaker: &CircuitBreaker, outcome: Option<ErrorKind>) -> bool {
        let passed = breaker.try_pass().is_ok();
        if passed {
            breaker.record(&outcome.map_or(Ok(()), |kind| Err(Error::new(kind, "scripted"))));
        }
        passed
    }

    const DOWN: Option<ErrorKind> = Some(ErrorKind::Unavailable);

    #[test]
    fn it_refuses_with_the_words_of_what_failed() {
        let (_clock, breaker) = breaker();
        for _ in 0..3 {
            let cause = std::io::Error::other("no route to host");
            let error = Error::new(ErrorKind::Unavailable, "cannot create x").with_source(cause);
            breaker.record::<()>(&Err(error));
        }
        let refused = breaker.try_pass().unwrap_err();
        let expected = "cannot create x: no route to host";
        assert!(refused.message().ends_with(expected), "{refused}");
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_refuses() {
        let (_clock, breaker) = breaker();
        assert!(call(&breaker, DOWN) && call(&breaker, DOWN));
        assert!(call(&breaker, None), "a success starts the count again");
        assert!(call(&breaker, DOWN) && call(&breaker, DOWN));
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(breaker.trips(), 0);
        assert!(call(&breaker, DOWN));
        assert_eq!((breaker.state(), breaker.trips()), (BreakerState::Open, 1));
        let refusal = breaker.try_pass().unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::Unavailable);
        assert!(refusal.message().ends_with("scripted"), "{refusal}");
    }

    #[test]
    fn answers_that_are_not_outages_do_not_count() {
        let (_clock, breaker) = breaker();
        for kind in [ErrorKind::Missing, ErrorKind::Corrupt, ErrorKind::Fenced] {
            (0..5).for_each(|_| assert!(call(&breaker, Some(kind))));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn it_closes_after_the_probes_succeed() {
        let (clock, breaker) = breaker();
        (0..3).for_each(|_| assert!(call(&breaker, DOWN)));
        clock.advance(Duration::from_secs(10));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(call(&breaker, None));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(call(&breaker, None));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_failed_probe_opens_it_again_for_the_whole_time() {
        let (clock, breaker) = breaker();
        (0..3).for_each(|_| assert!(call(&breaker, DOWN)));
        clock.advance(Duration::from_secs(11));
        assert!(call(&breaker, DOWN));
        assert_eq!(breaker.trips(), 2);
        clock.advance(Duration::from_secs(9));
        assert!(!call(&breaker, None));
        clock.advance(Duration::from_secs(1));
        assert!(call(&breaker, None));
    }

    #[test]
    fn one_probe_passes_at_a_time_and_a_lost_probe_does_not_block_forever() {
        let (clock, breaker) = breaker();
        (0..3).for_each(|_| assert!(call(&breaker, DOWN)));
        clock.advance(Duration::from_secs(10));
        assert!(breaker.try_pass().is_ok());
        assert!(breaker.try_pass().is_err(), "a probe is under way");
        clock.advance(Duration::from_secs(10));
        assert!(
            breaker.try_pass().is_ok(),
            "the lost probe stopped counting"
        );
    }
}
