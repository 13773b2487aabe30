//! Senders that go on while the daemon is killed and its store goes away, again and again.
//!
//! Every record is sent in rounds, each round after the one before was acknowledged: a record that was lost, or applied
//! again after a later round, ends with another round than the last.

use super::kit::{Daemon, Told, configure, told};
use crate::kit::Bench;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// How much is sent, and how often something ends.
struct Storm {
    senders: u64,
    /// Records of each sender.
    records: u64,
    rounds: u64,
    batch: u64,
    kills: u64,
}

/// The daemon's address, which changes with every start.
type Address = Mutex<Option<SocketAddr>>;

/// Sends until it is acknowledged. The same request under the same key counts once.
fn send(address: &Address, key: &str, body: &str, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let present = *address.lock().unwrap();
        let Some(present) = present else {
            std::thread::yield_now();
            continue;
        };
        if try_to_send(present, key, body).is_some_and(|told| told.status == 200) {
            return;
        }
    }
}

fn try_to_send(address: SocketAddr, key: &str, body: &str) -> Option<Told> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .ok()?;
    let head = format!(
        "POST /v1/datasets/items/records HTTP/1.1\r\nhost: x\r\nconnection: close\r\nidempotency-key: {key}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    Some(told(stream))
}

impl Storm {
    fn sender(&self, number: u64, address: &Address, acknowledged: &Sender<()>, over: &AtomicBool) {
        let first = number * self.records;
        for round in 1..=self.rounds {
            for begin in (0..self.records).step_by(usize::try_from(self.batch).unwrap()) {
                let mut body = String::new();
                for id in begin..(begin + self.batch).min(self.records) {
                    writeln!(body, "{{\"id\":{},\"size\":{round}}}", first + id).unwrap();
                }
                send(address, &format!("{number}-{round}-{begin}"), &body, over);
                // Nobody may be counting any more.
                let _ = acknowledged.send(());
            }
        }
    }

    fn requests(&self) -> u64 {
        self.senders * self.rounds * self.records.div_ceil(self.batch)
    }

    /// Runs it; how often the daemon was killed, and the store was away.
    fn rage(&self, bench: &Bench) -> (u64, u64) {
        let (address, over) = (Address::default(), AtomicBool::new(false));
        let (acknowledged, acknowledgements) = channel();
        // A failed assertion must not leave senders behind.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        std::thread::scope(|scope| {
            let _over = Over(&over);
            for number in 0..self.senders {
                let (acknowledged, address, over) = (acknowledged.clone(), &address, &over);
                scope.spawn(move || self.sender(number, address, &acknowledged, over));
            }
            drop(acknowledged);
            let every = self.requests() / (self.kills + 1);
            let (mut kills, mut away) = (0, 0);
            let mut daemon = Daemon::start(bench);
            *address.lock().unwrap() = Some(daemon.address);
            let mut count = 0;
            while acknowledgements.recv().is_ok() {
                count += 1;
                match count % every {
                    // A fifth of the time.
                    n if n == every / 2 => {
                        away += u64::from(take_away(bench));
                    }
                    n if n == every / 2 + every / 5 => bring_back(bench),
                    0 => {
                        *address.lock().unwrap() = None;
                        daemon.kill();
                        kills += 1;
                        daemon = Daemon::start(bench);
                        *address.lock().unwrap() = Some(daemon.address);
                    }
                    _ => {}
                }
            }
            bring_back(bench);
            daemon.signal("TERM");
            assert_eq!(daemon.ended(), 0);
            (kills, away)
        })
    }

    /// The records that the store has, with the round that each is of.
    fn check(&self, bench: &Bench) {
        let found = bench
            .run("export --store store --dataset items --type Item")
            .values();
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        let found: BTreeMap<u64, u64> = found
            .iter()
            .map(|record| (number(&record["id"]), number(&record["size"])))
            .collect();
        let expected = (0..self.senders * self.records).map(|id| (id, self.rounds));
        assert_eq!(found, expected.collect());
    }
}

/// The store goes: whether it was there.
fn take_away(bench: &Bench) -> bool {
    let gone = std::fs::rename(bench.path("store/items"), bench.path("away")).is_ok();
    if gone {
        bench.write("store/items", "no folder");
    }
    gone
}

fn bring_back(bench: &Bench) {
    if bench.path("away").exists() {
        std::fs::remove_file(bench.path("store/items")).unwrap();
        std::fs::rename(bench.path("away"), bench.path("store/items")).unwrap();
    }
}

fn run(storm: &Storm) {
    let bench = Bench::with_schema();
    let quick = "  reliability: {retry_backoff: 20ms, circuit_breaker_reset: 100ms, shutdown_timeout: 10m}\n";
    configure(
        &bench,
        &format!("  batching: {{batch_timeout: 20ms}}\n  sources: {{}}\n{quick}"),
    );
    let (kills, away) = storm.rage(&bench);
    assert!(
        kills >= storm.kills && away > 0,
        "{kills} kills, {away} times away"
    );
    storm.check(&bench);
}

#[test]
fn every_acknowledged_record_is_published_once_whatever_ends_meanwhile() {
    run(&Storm {
        senders: 4,
        records: 500,
        rounds: 10,
        batch: 50,
        kills: 6,
    });
}

/// A million records, which takes minutes: `cargo test -p grotto-cli --test it -- --ignored a_million`.
#[test]
#[ignore = "takes minutes"]
fn a_million_acknowledged_records_are_published_once_whatever_ends_meanwhile() {
    run(&Storm {
        senders: 8,
        records: 12_500,
        rounds: 10,
        batch: 500,
        kills: 40,
    });
}
