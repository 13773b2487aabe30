//! The daemon under a load while it is killed and its store comes and goes: what was acknowledged is in the end
//! published, once, with the last value of each key.
//!
//! Small here; `GROTTO_CHAOS_RECORDS=1000000 cargo test --release -p grotto-cli --test it chaos` is the long one.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "weather passes beside the daemon, in the time of the host; figures of a long run are for people"
)]

use super::kit::{Daemon, PATIENCE, told};
use crate::kit::Bench;
use serde_json::Value;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const SENDERS: u64 = 4;
const PER_BATCH: u64 = 100;

/// Number of records that are sent.
fn size() -> u64 {
    let asked = std::env::var("GROTTO_CHAOS_RECORDS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(60_000)
}

/// A port that nobody has now, so that a daemon that is started again has the same one.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn configure(bench: &Bench, port: u16, more: &str) {
    let text = format!(
        "producer:
  dataset: items
  schema: item.schema
  store: store
  dead_letter: {{dir: dead}}
  monitoring: {{health_check_port: {port}}}
  reliability: {{retry_backoff: 20ms, circuit_breaker_threshold: 3, circuit_breaker_reset: 100ms, max_retry_attempts: 1}}
{more}"
    );
    bench.write("c.yaml", &text);
}

/// The store's folder, which goes away and comes back as a mount does.
struct Mount {
    there: PathBuf,
    away: PathBuf,
    /// Held while it must not change.
    lock: Mutex<()>,
}

impl Mount {
    fn new(bench: &Bench) -> Arc<Self> {
        std::fs::create_dir_all(bench.path("store")).unwrap();
        Arc::new(Self {
            there: bench.path("store"),
            away: bench.path("store.away"),
            lock: Mutex::default(),
        })
    }

    fn leave(&self) {
        std::fs::rename(&self.there, &self.away).unwrap();
    }

    fn come_back(&self) {
        std::fs::rename(&self.away, &self.there).unwrap();
    }

    /// Is away for a fifth of the time, until told to stop.
    fn come_and_go(self: &Arc<Self>, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
        let (mount, stop) = (Arc::clone(self), Arc::clone(stop));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                {
                    let _held = mount.lock.lock().unwrap();
                    mount.leave();
                    std::thread::sleep(Duration::from_millis(40));
                    mount.come_back();
                }
                std::thread::sleep(Duration::from_millis(160));
            }
        })
    }
}

/// Sends a batch until it is acknowledged; how often that took.
fn send(port: u16, key: &str, body: &str) -> u64 {
    let begin = Instant::now();
    for tries in 1.. {
        let head = format!(
            "POST /v1/datasets/items/records HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             idempotency-key: {key}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            // The daemon may be killed at any of these.
            let sent = stream.write_all(head.as_bytes());
            if sent
                .and_then(|()| stream.write_all(body.as_bytes()))
                .is_ok()
            {
                let answer = told(stream);
                if answer.status == 200 {
                    assert_eq!(answer.json()["refused_lines"], 0, "{answer:?}");
                    return tries;
                }
                assert!([0, 429, 503].contains(&answer.status), "{answer:?}");
            }
        }
        assert!(begin.elapsed() < PATIENCE, "{key} is never acknowledged");
        std::thread::sleep(Duration::from_millis(10));
    }
    0
}

/// The records of one sender's batch, and its counter, whose value is that of its last batch.
fn lines(sender: u64, batch: u64) -> String {
    let first = (batch * SENDERS + sender) * PER_BATCH;
    let ids = first..first + PER_BATCH;
    let mut lines: String = ids
        .map(|id| format!("{{\"id\":{id},\"name\":\"n{id}\"}}\n"))
        .collect();
    let counter = COUNTERS + sender;
    lines.push_str(&format!("{{\"id\":{counter},\"name\":\"{batch}\"}}\n"));
    lines
}

const COUNTERS: u64 = 1 << 40;

fn senders(port: u16, batches: u64, tries: &Arc<AtomicU64>) -> Vec<JoinHandle<()>> {
    let sender = |sender| {
        let tries = Arc::clone(tries);
        std::thread::spawn(move || {
            for batch in 0..batches {
                let key = format!("{sender}-{batch}");
                let took = send(port, &key, &lines(sender, batch));
                tries.fetch_add(took, Ordering::Relaxed);
            }
        })
    };
    (0..SENDERS).map(sender).collect()
}

/// What the newest version has is what the senders' own list has: each record once.
fn check_published(bench: &Bench, batches: u64) {
    let mut found = published(bench);
    found.sort_unstable();
    let all = batches * SENDERS * PER_BATCH;
    let records = (0..all).map(|id| (id, format!("n{id}")));
    let counters = (0..SENDERS).map(|sender| (COUNTERS + sender, (batches - 1).to_string()));
    assert!(
        found.iter().cloned().eq(records.chain(counters)),
        "{} records",
        found.len()
    );
}

fn published(bench: &Bench) -> Vec<(u64, String)> {
    let run = bench.run("export --store store --dataset items --type Item");
    let record = |value: &Value| {
        let name = value["name"].as_str().unwrap_or_default().to_owned();
        (value["id"].as_u64().unwrap(), name)
    };
    run.values().iter().map(record).collect()
}

#[test]
fn killed_again_and_again_beside_a_store_that_fails_it_loses_nothing() {
    let bench = Bench::with_schema();
    let (port, mount) = (free_port(), Mount::new(&bench));
    configure(
        &bench,
        port,
        "  wal: {dir: wal, segment_size: 256KiB}\n  batching: {batch_timeout: 5ms, max_batch_size: 500}\n",
    );
    let (stop, tries) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let batches = size() / SENDERS / PER_BATCH;
    let mut daemon = Daemon::start(&bench);
    wait_for(&daemon, |status| status["condition"] != "opening");
    let weather = mount.come_and_go(&stop);
    let senders = senders(port, batches, &tries);
    let (begin, mut kills) = (Instant::now(), 0);
    let lives = if batches > 1_000 {
        1_000..4_000
    } else {
        20..100
    };
    while senders.iter().any(|sender| !sender.is_finished()) {
        let life = lives.start + u64::from(daemon.id()) * 37 % (lives.end - lives.start);
        std::thread::sleep(Duration::from_millis(life));
        // Whoever starts makes the folder of the store if it is missing.
        let _held = mount.lock.lock().unwrap();
        daemon.kill();
        kills += 1;
        daemon = Daemon::start(&bench);
        wait_for(&daemon, |status| status["condition"] != "opening");
    }
    for sender in senders {
        sender.join().unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    weather.join().unwrap();
    let flushed = flush(&daemon);
    println!(
        "{} records, {kills} kills, {} requests, {:.1} s, version {flushed}",
        batches * SENDERS * PER_BATCH,
        tries.load(Ordering::Relaxed),
        begin.elapsed().as_secs_f64()
    );
    check_published(&bench, batches);
    daemon.kill();
}

/// Waits until all that is acknowledged is published; the version.
#[track_caller]
fn flush(daemon: &Daemon) -> u64 {
    let told = daemon.post("/v1/datasets/items/flush", b"").ok();
    told["version"].as_u64().unwrap()
}

#[test]
fn a_store_that_is_away_for_a_while_stops_nobody_from_sending() {
    let bench = Bench::with_schema();
    let (port, mount) = (free_port(), Mount::new(&bench));
    configure(
        &bench,
        port,
        "  wal: {dir: wal}\n  batching: {batch_timeout: 5ms, max_pending_records: 1000, memory_pressure_threshold: 800}\n",
    );
    let daemon = Daemon::start(&bench);
    send(port, "first", &lines(0, 0));
    flush(&daemon);
    let before = versions(&bench);
    let _held = mount.lock.lock().unwrap();
    mount.leave();
    let tries = Arc::default();
    let batches = size() / SENDERS / PER_BATCH;
    for sender in senders(port, batches, &tries) {
        sender.join().unwrap();
    }
    // All is acknowledged without the store.
    let status = wait_for(&daemon, |status| status["breaker"] == "open");
    assert_eq!(
        (&status["condition"], &status["spilled"]),
        (&"degraded".into(), &true.into())
    );
    assert!(
        status["pending_records"].as_u64() <= Some(1_000),
        "{status}"
    );
    let ready = daemon.get("/ready");
    assert_eq!(ready.json()["status"], "degraded", "{ready:?}");
    assert_eq!(versions(&bench), 0);
    mount.come_back();
    flush(&daemon);
    wait_for(&daemon, |status| {
        status["condition"] == "running" && status["breaker"] == "closed"
    });
    check_published(&bench, batches);
    // No more than there were submissions, so none was published twice.
    let found = versions(&bench) - before;
    assert!(found > 0 && found <= batches * SENDERS, "{found} versions");
    daemon.kill();
}

#[track_caller]
fn wait_for(daemon: &Daemon, wanted: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let status = daemon.get("/v1/datasets/items/status").ok();
        if wanted(&status) {
            return status;
        }
        assert!(begin.elapsed() < PATIENCE, "{status}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Entries of the log.
fn versions(bench: &Bench) -> u64 {
    let log = std::fs::read_dir(bench.path("store/items/log"));
    log.map_or(0, |entries| entries.count() as u64)
}

#[test]
fn a_burst_beyond_the_disk_budget_is_refused_and_what_was_taken_is_published_in_order() {
    let bench = Bench::with_schema();
    let (port, mount) = (free_port(), Mount::new(&bench));
    configure(
        &bench,
        port,
        "  wal: {dir: wal, segment_size: 64KiB, max_size: 1MiB}\n  batching: {batch_timeout: 5ms, max_batch_size: 50, max_pending_records: 100, memory_pressure_threshold: 80}\n",
    );
    let daemon = Daemon::start(&bench);
    send(port, "first", &lines(0, 0));
    flush(&daemon);
    let _held = mount.lock.lock().unwrap();
    mount.leave();
    let mut taken = 0;
    let refused = loop {
        // The same keys again and again: the last value counts.
        let ids = 0..PER_BATCH;
        let body: String = ids
            .map(|id| format!("{{\"id\":{id},\"name\":\"{taken}\"}}\n"))
            .collect();
        let told = daemon.post("/v1/datasets/items/records", body.as_bytes());
        match told.status {
            200 => taken += 1,
            _ => break told,
        }
        assert!(taken < 10_000, "the budget is never reached");
    };
    assert_eq!(refused.refused(429).0, "overloaded");
    assert!(
        refused
            .head
            .to_ascii_lowercase()
            .contains("\r\nretry-after: "),
        "{}",
        refused.head
    );
    assert!(
        taken * PER_BATCH > 1_000,
        "more than ten times what memory takes: {taken}"
    );
    mount.come_back();
    flush(&daemon);
    let found = published(&bench);
    let last = (taken - 1).to_string();
    assert_eq!(found.len() as u64, PER_BATCH + 1);
    assert!(
        found
            .iter()
            .filter(|(id, _)| *id < PER_BATCH)
            .all(|(_, name)| *name == last)
    );
    daemon.kill();
}
