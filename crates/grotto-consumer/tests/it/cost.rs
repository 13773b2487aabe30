//! What consumers ask of a store in an hour, counted in virtual time, and what the notes say of it.

use crate::faults::FaultStore;
use crate::kit::{DATASET, Kit, VirtualClock};
use grotto_consumer::{Consumer, ConsumerBuilder};
use grotto_env::{Env, SeededRandom};
use grotto_store::{Announcement, announcements};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: u32 = 3_600;
/// Consumers of the fleet, and hours of a month.
const FLEET: f64 = 10_000.0;
const MONTH: f64 = 730.0;
/// Dollars for a thousand requests: to read, and to write or list.
const READ: f64 = 0.0004;
const WRITE: f64 = 0.005;

/// A consumer of the table.
struct Case {
    /// Its row, by the first two cells.
    dataset: &'static str,
    settings: &'static str,
    set: fn(ConsumerBuilder) -> ConsumerBuilder,
    /// Seconds between two versions; 0 for none.
    every: u32,
    /// Seconds that are counted.
    counted: u32,
    /// Whether versions are announced.
    pushed: bool,
}

const CASES: [Case; 12] = [
    Case {
        dataset: "no news",
        settings: "as they are",
        set: |builder| builder,
        every: 0,
        counted: HOUR,
        pushed: false,
    },
    Case {
        dataset: "no news",
        settings: "`max_backoff: 60s`",
        set: |builder| builder.max_backoff(60 * SECOND),
        every: 0,
        counted: HOUR,
        pushed: false,
    },
    Case {
        dataset: "no news",
        settings: "`max_backoff: 60s`, `health_check_interval: 10m`",
        set: |builder| {
            builder
                .max_backoff(60 * SECOND)
                .check_interval(600 * SECOND)
        },
        every: 0,
        counted: HOUR,
        pushed: false,
    },
    Case {
        dataset: "no news",
        settings: "with a lease",
        set: |builder| builder.lease("web-1"),
        every: 0,
        counted: HOUR,
        pushed: false,
    },
    Case {
        dataset: "a version a minute",
        settings: "as they are",
        set: |builder| builder,
        every: 60,
        counted: HOUR / 6,
        pushed: false,
    },
    Case {
        dataset: "a version a minute",
        settings: "`poll_interval: 1s`",
        set: |builder| builder.poll_interval(SECOND),
        every: 60,
        counted: HOUR / 6,
        pushed: false,
    },
    Case {
        dataset: "a version a minute",
        settings: "`poll_interval: 10s`, `max_backoff: 60s`",
        set: |builder| builder.poll_interval(10 * SECOND).max_backoff(60 * SECOND),
        every: 60,
        counted: HOUR / 6,
        pushed: false,
    },
    Case {
        dataset: "a version a second",
        settings: "as they are",
        set: |builder| builder,
        every: 1,
        counted: HOUR / 60,
        pushed: false,
    },
    Case {
        dataset: "no news",
        settings: "with push",
        set: |builder| builder,
        every: 0,
        counted: HOUR,
        pushed: true,
    },
    Case {
        dataset: "a version a minute",
        settings: "with push",
        set: |builder| builder,
        every: 60,
        counted: HOUR / 6,
        pushed: true,
    },
    Case {
        dataset: "a version a minute",
        settings: "with push, `max_backoff: 60s`",
        set: |builder| builder.max_backoff(60 * SECOND),
        every: 60,
        counted: HOUR / 6,
        pushed: true,
    },
    Case {
        dataset: "a version a second",
        settings: "with push",
        set: |builder| builder,
        every: 1,
        counted: HOUR / 60,
        pushed: true,
    },
];

/// Requests in an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    reads: u32,
    listings: u32,
    writes: u32,
}

impl Counts {
    /// What a fleet pays for them in a month.
    fn dollars(self) -> f64 {
        let reads = f64::from(self.reads) * READ;
        let writes = f64::from(self.listings + self.writes) * WRITE;
        FLEET * MONTH * (reads + writes) / 1_000.0
    }
}

async fn count(case: &Case) -> Counts {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let env = Env {
        random: Arc::new(SeededRandom::new(1)),
        ..VirtualClock::env()
    };
    let builder = Consumer::builder(DATASET, store.store().with_env(env));
    let (feed, heard) = announcements(DATASET);
    let builder = match case.pushed {
        true => builder.push(heard),
        false => builder,
    };
    feed.up();
    let consumer = (case.set)(builder).start().await.unwrap();
    // Nothing happens at the moment of anything else, so that no order of threads decides what is counted.
    tokio::time::sleep(SECOND.mul_f64(0.37)).await;
    let mut left = 120 + case.counted;
    let step = if case.every == 0 { 60 } else { case.every };
    while left > 0 {
        if left == case.counted {
            store.take_asked();
        }
        if case.every > 0 {
            let entry = publisher.publish(7).await;
            let told = Announcement::new(DATASET, entry.dataset_id, entry.version);
            feed.message(&told.encode().unwrap());
        }
        tokio::time::sleep(step * SECOND).await;
        left -= step;
    }
    let asked = store.take_asked();
    assert_eq!(consumer.version(), publisher.state().version());
    let hourly = |fits: &dyn Fn(&str) -> bool| {
        let counted = asked.iter().filter(|what| fits(what)).count() as u32;
        counted * (HOUR / case.counted)
    };
    Counts {
        reads: hourly(&|what| {
            !["LIST ", "PUT ", "DELETE "]
                .iter()
                .any(|verb| what.starts_with(verb))
        }),
        listings: hourly(&|what| what.starts_with("LIST ")),
        writes: hourly(&|what| what.starts_with("PUT ")),
    }
}

fn number(cell: &str) -> f64 {
    let digits: String = cell.chars().filter(char::is_ascii_digit).collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number: {cell}"))
}

/// The row of the notes, without its first two cells.
fn row(page: &str, case: &Case) -> Vec<f64> {
    let start = format!("| {} | {} |", case.dataset, case.settings);
    let row = page
        .lines()
        .find_map(|line| line.strip_prefix(start.as_str()));
    let row = row.unwrap_or_else(|| panic!("no row {start}"));
    let cells = row.trim_end_matches('|').split('|');
    cells.map(number).collect()
}

#[tokio::test(start_paused = true)]
async fn consumers_ask_as_much_as_the_notes_say_and_a_fleet_pays_as_much() {
    let page = include_str!("../../../../docs/operating/sizing.md");
    let mut wrong = Vec::new();
    for case in &CASES {
        let counts = count(case).await;
        let told = row(page, case);
        let expected = [
            f64::from(counts.reads),
            f64::from(counts.listings),
            f64::from(counts.writes),
            counts.dollars(),
        ];
        // Chance moves waits by a tenth at most, and dollars are round.
        let is_near = |(told, found): (&f64, &f64)| (told - found).abs() <= found * 0.03 + 0.5;
        if told.len() != 4 || !told.iter().zip(&expected).all(is_near) {
            let (dataset, settings) = (case.dataset, case.settings);
            wrong.push(format!(
                "| {dataset} | {settings} |: told {told:?}, counted {expected:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
