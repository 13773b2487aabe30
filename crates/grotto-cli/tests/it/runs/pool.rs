//! Many tasks that read the same dataset, each for itself.
//!
//! Owns: what a read is, and how long reads take. Never: talks with another process.

use super::editions::check;
use grotto::consumer::Consumer;
use grotto::engine::env::Env;
use grotto::{Attached, State};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Items of one read, besides as many marks.
const ITEMS: usize = 16;
/// How often it is looked whether all have read something.
const LOOK: Duration = Duration::from_millis(1);

/// Where states come from.
#[derive(Debug)]
pub(super) enum Source {
    Attached(Attached),
    Consumer(Consumer),
}

impl Source {
    pub(super) fn state(&self) -> Arc<State> {
        match self {
            Self::Attached(attached) => attached.state(),
            Self::Consumer(consumer) => consumer.state(),
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        match self {
            Self::Attached(attached) => attached.trouble().map(|error| error.to_string()),
            Self::Consumer(_) => None,
        }
    }

    /// Series of metrics.
    pub(super) fn series(&self) -> usize {
        match self {
            Self::Attached(_) => 0,
            Self::Consumer(consumer) => series(&consumer.metrics_text()),
        }
    }
}

/// Series of a text of metrics.
pub(super) fn series(text: &str) -> usize {
    let lines = text.lines();
    lines
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .count()
}

/// Tasks that read.
pub(super) struct Pool {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    env: Env,
    source: Arc<Source>,
    items: i64,
    pause: Duration,
    /// The edition that each task read last; 0 before its first read.
    seen: Vec<AtomicI64>,
    times: Times,
    /// Reads of different tasks that are far apart in time all the same may be of one edition; the greatest number of
    /// editions that a task read nothing of.
    skipped: AtomicI64,
    /// Longest time from one read of a task to its next, the pause aside, in nanoseconds.
    gap_ns: AtomicU64,
    stop: AtomicBool,
}

impl Pool {
    pub(super) fn start(
        runtime: &Runtime,
        source: Arc<Source>,
        readers: usize,
        items: i64,
        pause: Duration,
    ) -> Self {
        let shared = Arc::new(Shared {
            env: Env::system(),
            source,
            items,
            pause,
            seen: (0..readers).map(|_| AtomicI64::new(0)).collect(),
            times: Times::default(),
            skipped: AtomicI64::new(0),
            gap_ns: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        for number in 0..readers {
            tasks.spawn_on(Arc::clone(&shared).read(number), runtime.handle());
        }
        Self { shared, tasks }
    }

    /// Waits until each task has read this edition or a later one; the one that all have read.
    pub(super) async fn reach(&self, edition: i64) -> i64 {
        loop {
            let seen = self
                .shared
                .seen
                .iter()
                .map(|seen| seen.load(Ordering::Acquire));
            let least = seen.min().unwrap_or(i64::MAX);
            if least >= edition {
                return least;
            }
            self.shared.env.sleep(LOOK).await;
        }
    }

    pub(super) fn figures(&self) -> Value {
        let us = |nanoseconds: u64| nanoseconds as f64 / 1e3;
        let times = &self.shared.times;
        json!({
            "reads": times.count(),
            "p50_us": us(times.quantile(0.5)),
            "p99_us": us(times.quantile(0.99)),
            "p999_us": us(times.quantile(0.999)),
            "longest_us": us(times.quantile(1.0)),
            "longest_gap_ms": self.shared.gap_ns.load(Ordering::Relaxed) as f64 / 1e6,
            "most_skipped": self.shared.skipped.load(Ordering::Relaxed),
        })
    }

    pub(super) async fn end(mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

impl Shared {
    async fn read(self: Arc<Self>, number: usize) {
        let mut random = number as u64 + 1;
        let (mut last, mut ended) = (0, self.env.clock.monotonic());
        while !self.stop.load(Ordering::Relaxed) {
            let ids = std::array::from_fn::<_, ITEMS, _>(|_| self.draw(&mut random));
            let begun = self.env.clock.monotonic();
            let state = self.source.state();
            let edition = fatal(check(&state, ids));
            drop(state);
            let now = self.env.clock.monotonic();
            self.times.note(now - begun);
            if edition < last {
                fatal(Err(format!("edition {edition} after {last}")));
            }
            if last > 0 {
                self.skipped
                    .fetch_max(edition - last - 1, Ordering::Relaxed);
                let gap = begun.saturating_sub(ended + self.pause);
                self.gap_ns.fetch_max(nanoseconds(gap), Ordering::Relaxed);
            }
            (last, ended) = (edition, now);
            self.seen[number].store(edition, Ordering::Release);
            match self.pause.is_zero() {
                true => tokio::task::yield_now().await,
                false => self.env.sleep(self.pause).await,
            }
        }
    }

    /// The number of an item, by a xorshift.
    fn draw(&self, random: &mut u64) -> i64 {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        i64::try_from(*random >> 1).unwrap() % self.items
    }
}

/// Ends the process at once where a read was wrong: nothing else may hide it.
fn fatal(read: Result<i64, String>) -> i64 {
    read.unwrap_or_else(|error| {
        super::tell(format_args!("a reader read something wrong: {error}"));
        std::process::exit(9)
    })
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Steps between two powers of two.
const STEPS: u64 = 16;

/// Times, to a sixteenth of each.
struct Times(Vec<AtomicU64>);

impl Default for Times {
    fn default() -> Self {
        Self((0..64 * STEPS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Times {
    fn note(&self, time: Duration) {
        let at = Self::place(nanoseconds(time));
        self.0[at].fetch_add(1, Ordering::Relaxed);
    }

    fn place(nanoseconds: u64) -> usize {
        let power = nanoseconds.max(STEPS).ilog2();
        let step = (nanoseconds >> (power - STEPS.ilog2())) % STEPS;
        usize::try_from(u64::from(power) * STEPS + step).unwrap()
    }

    fn count(&self) -> u64 {
        self.0
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }

    /// The time that this share of all took no longer than, in nanoseconds.
    fn quantile(&self, share: f64) -> u64 {
        let most = (self.count() as f64 * share).ceil() as u64;
        let mut counted = 0;
        for (at, count) in self.0.iter().enumerate() {
            counted += count.load(Ordering::Relaxed);
            if counted >= most && counted > 0 {
                let (power, step) = (at as u64 / STEPS, at as u64 % STEPS);
                return (STEPS + step + 1) << (power - u64::from(STEPS.ilog2()));
            }
        }
        0
    }
}

#[test]
fn times_are_known_to_a_sixteenth() {
    let times = Times::default();
    for microseconds in 1..=1000 {
        times.note(Duration::from_micros(microseconds));
    }
    assert_eq!(times.count(), 1000);
    for (share, exact) in [(0.5, 500_000.0), (0.99, 990_000.0), (1.0, 1_000_000.0)] {
        let ratio = times.quantile(share) as f64 / exact;
        assert!(
            (1.0..=1.0 + 1.0 / 16.0).contains(&ratio),
            "{share}: {ratio}"
        );
    }
}
