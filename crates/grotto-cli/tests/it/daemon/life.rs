//! Starts, reloads, ends, and ends without a word.

use super::kit::{Daemon, configure, published, records};
use crate::kit::Bench;
use serde_json::json;

#[test]
fn what_is_acknowledged_is_published_at_the_end() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 1h}\n");
    let mut daemon = Daemon::start(&bench);
    daemon.accepted("", &records(1..100));
    daemon.signal("TERM");
    let ended = daemon.logged("dataset ended");
    assert_eq!(
        (&ended["left"], &ended["dataset"]),
        (&json!(0), &json!("items"))
    );
    daemon.logged("ended");
    assert_eq!(daemon.ended(), 0);
    assert_eq!(published(&bench), (1..100).collect::<Vec<_>>());
}

#[test]
fn what_is_acknowledged_survives_the_end_of_the_process_once() {
    let bench = Bench::with_schema();
    configure(
        &bench,
        "  batching: {batch_timeout: 20ms, max_batch_size: 10}\n",
    );
    let mut sent = 0;
    for _ in 0..5 {
        let daemon = Daemon::start(&bench);
        for _ in 0..20 {
            daemon.accepted("", &records(sent..sent + 7));
            sent += 7;
        }
        daemon.kill();
    }
    configure(&bench, "");
    let daemon = Daemon::start(&bench);
    daemon.accepted("?wait=published", &records(sent..sent + 1));
    assert_eq!(published(&bench), (0..=sent).collect::<Vec<_>>());
    // Nothing is applied again that a version has.
    let before = daemon.get("/v1/datasets/items/status").ok()["version"].clone();
    daemon.kill();
    let daemon = Daemon::start(&bench);
    let after = daemon.accepted("?wait=published", "{\"op\":\"delete\",\"key\":0}\n");
    assert!(after["version"].as_u64() > before.as_u64());
    assert_eq!(published(&bench), (1..=sent).collect::<Vec<_>>());
}

#[test]
fn a_hangup_takes_over_what_may_change_and_nothing_of_a_file_that_may_not() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 1h}\n");
    let mut daemon = Daemon::start(&bench);
    daemon.accepted("", &records(1..3));
    configure(
        &bench,
        "  batching: {batch_timeout: 10ms}\n  wal: {fsync: false}\n",
    );
    // The file has the section twice now.
    daemon.signal("HUP");
    let refused = daemon.logged("configuration not taken over");
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("duplicate key `wal`"), "{error}");
    configure(
        &bench,
        "  batching: {batch_timeout: 10ms}\n  performance: {worker_pool_size: 2}\n",
    );
    daemon.signal("HUP");
    let refused = daemon.logged("configuration not taken over");
    let error = refused["error"].as_str().unwrap();
    assert!(
        error.contains("a restart is needed to change producer.performance.worker_pool_size"),
        "{error}"
    );
    let settings = daemon.get("/v1/settings").ok();
    assert_eq!(
        settings["settings"]["producer.batching.batch_timeout"],
        "1h"
    );
    configure(&bench, "  batching: {batch_timeout: 10ms}\n");
    daemon.signal("HUP");
    let change = daemon.logged("setting changed");
    assert_eq!(
        (&change["key"], &change["to"]),
        (
            &json!("producer.batching.batch_timeout"),
            &json!("\"10ms\"")
        )
    );
    daemon.logged("published");
    assert_eq!(published(&bench), [1, 2]);
}

#[test]
fn datasets_of_a_daemon_do_not_harm_each_other() {
    let bench = Bench::with_schema();
    bench.write(
        "c.yaml",
        "
producer:
  schema: item.schema
  store: store
  wal: {dir: wal}
  dead_letter: {dir: dead}
  monitoring: {health_check_port: 0}
  batching: {batch_timeout: 10ms}
  datasets:
    - dataset: items
    - dataset: broken
      wal: {dir: item.schema}
    - dataset: others
",
    );
    let daemon = Daemon::start(&bench);
    daemon.accepted("?wait=published", &records(1..3));
    let told = daemon.post(
        "/v1/datasets/others/records?wait=published",
        records(5..6).as_bytes(),
    );
    assert_eq!(told.ok()["accepted"], 1);
    let told = daemon.post("/v1/datasets/broken/records", records(5..6).as_bytes());
    assert_eq!(told.refused(503).0, "unavailable");
    assert_eq!(published(&bench), [1, 2]);
    let ready = daemon.get("/ready").ok();
    assert_eq!(ready["status"], "degraded");
    assert_eq!(
        (
            &ready["datasets"][0]["dataset"],
            &ready["datasets"][0]["condition"]
        ),
        (&json!("broken"), &json!("failed"))
    );
    let metrics = daemon.get("/metrics").body;
    let family = "# TYPE grotto_producer_acknowledged_records_total counter\n";
    assert_eq!(metrics.matches(family).count(), 1);
}

#[test]
fn a_dataset_that_could_not_be_opened_for_a_while_is_opened_later() {
    let bench = Bench::with_schema();
    let with = |datasets: &str| {
        format!(
            "
producer:
  schema: item.schema
  store: store
  wal: {{dir: wal}}
  dead_letter: {{dir: dead}}
  monitoring: {{health_check_port: 0}}
  batching: {{batch_timeout: 10ms}}
  sources: {{poll_interval: 10ms}}
  datasets:
{datasets}"
        )
    };
    let others = "    - dataset: others\n      sources: {folder: in}\n";
    bench.write("c.yaml", &with(others));
    let before = Daemon::start(&bench);
    bench.write("c.yaml", &with(&format!("    - dataset: items\n{others}")));
    let mut daemon = Daemon::start(&bench);
    daemon.accepted("?wait=published", &records(1..3));
    let path = "/v1/datasets/others/records?wait=published";
    let told = daemon.post(path, records(5..6).as_bytes());
    assert!(told.refused(503).1.contains("did not start"), "{told:?}");
    before.kill();
    daemon.logged("the dataset started after all");
    daemon.post(path, records(5..6).as_bytes()).ok();
    // Its folder is looked at as well.
    bench.write("in/.a", &records(6..7));
    std::fs::rename(bench.path("in/.a"), bench.path("in/a.ndjson")).unwrap();
    daemon.logged("file taken in");
    assert_eq!(
        until_ready(&daemon, "ready")["datasets"][1]["reasons"],
        json!([])
    );
}

#[test]
fn what_cannot_start_says_why_and_ends() {
    let bench = Bench::with_schema();
    configure(&bench, "");
    let daemon = Daemon::start(&bench);
    // The log belongs to the other one.
    let second = bench.run("producer --config c.yaml");
    assert_eq!(second.code, 9, "{}", second.err);
    assert!(second.err.contains("error: "), "{}", second.err);
    daemon.kill();
    bench.write("item.schema", "Item {");
    let refused = bench.run("producer --config c.yaml");
    assert_eq!(refused.code, 2);
    assert!(
        refused.err.contains("item.schema: schema line 1"),
        "{}",
        refused.err
    );
    let refused = bench.run("producer --config none.yaml").refused(2);
    assert!(
        refused.contains("none.yaml: it does not exist"),
        "{refused}"
    );
}

/// What the service manager was told, word by word.
struct Manager(std::os::unix::net::UnixDatagram);

impl Manager {
    fn at(bench: &Bench) -> Self {
        let socket = std::os::unix::net::UnixDatagram::bind(bench.path("notify")).unwrap();
        socket
            .set_read_timeout(Some(std::time::Duration::from_secs(60)))
            .unwrap();
        Self(socket)
    }

    /// Waits until it is told this.
    fn told(&self, word: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self
                .0
                .recv(&mut buffer)
                .unwrap_or_else(|e| panic!("no {word}: {e}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|line| line.starts_with(word)) {
                return text;
            }
        }
    }
}

#[test]
fn the_service_manager_is_told_of_each_step() {
    let bench = Bench::with_schema();
    configure(&bench, "  reliability: {shutdown_timeout: 7s}\n");
    let manager = Manager::at(&bench);
    let socket = bench.path("notify").display().to_string();
    let set = [
        ("NOTIFY_SOCKET", socket.as_str()),
        ("WATCHDOG_USEC", "100000"),
    ];
    let daemon = Daemon::start_in(&bench, std::process::Stdio::null(), &set);
    manager.told("READY=1");
    manager.told("WATCHDOG=1");
    manager.told("WATCHDOG=1");
    daemon.signal("HUP");
    let reloading = manager.told("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    manager.told("READY=1");
    daemon.signal("TERM");
    let stopping = manager.told("STOPPING=1");
    assert!(
        stopping.contains("EXTEND_TIMEOUT_USEC=17000000"),
        "{stopping}"
    );
    assert_eq!(daemon.ended(), 0);
}

#[test]
fn the_service_manager_is_not_told_that_all_is_well_when_it_is_not() {
    let bench = Bench::with_schema();
    bench.write(
        "c.yaml",
        "
producer:
  schema: item.schema
  store: store
  wal: {dir: wal}
  monitoring: {health_check_port: 0}
  datasets:
    - dataset: items
    - dataset: broken
      wal: {dir: item.schema}
",
    );
    let manager = Manager::at(&bench);
    let socket = bench.path("notify").display().to_string();
    let set = [("NOTIFY_SOCKET", socket.as_str())];
    let daemon = Daemon::start_in(&bench, std::process::Stdio::null(), &set);
    let ready = manager.told("READY=1");
    assert!(ready.contains("STATUS=degraded"), "{ready}");
    daemon.signal("HUP");
    let ready = manager.told("READY=1");
    assert!(ready.contains("STATUS=degraded"), "{ready}");
}

/// Waits until a daemon says this of its readiness.
fn until_ready(daemon: &Daemon, says: &str) -> serde_json::Value {
    loop {
        let ready = daemon.get("/ready").ok();
        if ready["status"] == says {
            return ready;
        }
    }
}

#[test]
fn records_are_taken_in_while_the_store_is_gone_and_published_when_it_is_back() {
    let bench = Bench::with_schema();
    let quick = "  reliability: {retry_backoff: 10ms, circuit_breaker_threshold: 2, circuit_breaker_reset: 50ms}\n";
    configure(
        &bench,
        &format!("  batching: {{batch_timeout: 10ms}}\n{quick}"),
    );
    let daemon = Daemon::start(&bench);
    daemon.accepted("?wait=published", &records(0..10));
    until_ready(&daemon, "ready");
    std::fs::rename(bench.path("store/items"), bench.path("away")).unwrap();
    bench.write("store/items", "no folder");
    daemon.accepted("", &records(10..20));
    let ready = until_ready(&daemon, "degraded");
    let reason = ready["datasets"][0]["reasons"][0].as_str().unwrap();
    assert!(reason.contains("cannot create items/"), "{reason}");
    while daemon.get("/v1/datasets/items/status").ok()["breaker"] != "open" {}
    daemon.accepted("", &records(20..30));
    std::fs::remove_file(bench.path("store/items")).unwrap();
    std::fs::rename(bench.path("away"), bench.path("store/items")).unwrap();
    until_ready(&daemon, "ready");
    daemon.accepted("?wait=published", &records(30..31));
    assert_eq!(published(&bench), (0..31).collect::<Vec<_>>());
}

#[test]
fn a_version_that_validation_refuses_is_not_published_and_the_reason_is_told() {
    let bench = Bench::with_schema();
    let rules = "  validation: {minimum_count: {Item: 3}}\n  reliability: {retry_backoff: 10ms}\n";
    configure(
        &bench,
        &format!("  batching: {{batch_timeout: 10ms}}\n{rules}"),
    );
    let daemon = Daemon::start(&bench);
    daemon.accepted("", &records(0..1));
    let ready = until_ready(&daemon, "degraded");
    let mut reason = ready["datasets"][0]["reasons"][0].clone();
    while !reason.is_string() {
        reason = daemon.get("/ready").ok()["datasets"][0]["reasons"][0].clone();
    }
    let reason = reason.as_str().unwrap();
    assert!(
        reason.contains("expected at least 3 records, found 1"),
        "{reason}"
    );
    daemon.accepted("?wait=published", &records(1..3));
    assert_eq!(published(&bench), [0, 1, 2]);
    until_ready(&daemon, "ready");
}
