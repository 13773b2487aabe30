//! What the daemon answers.

use super::kit::{Daemon, configure, published, records};
use crate::kit::Bench;
use serde_json::json;
use std::io::Write as _;

const RECORDS: &str = "/v1/datasets/items/records";

#[test]
fn records_are_published_and_can_be_read() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 10ms}\n");
    let mut daemon = Daemon::start(&bench);
    let told = daemon.accepted("?wait=published", &records(1..4));
    assert_eq!(
        (&told["accepted"], &told["dataset"]),
        (&json!(3), &json!("items"))
    );
    let version = told["version"].as_u64().unwrap();
    let line = daemon.logged("published");
    assert_eq!(
        (&line["dataset"], &line["version"]),
        (&json!("items"), &json!(version))
    );
    assert_eq!(published(&bench), [1, 2, 3]);
    // Changes that say what they are, of a type that is named.
    let changes = "{\"op\":\"delete\",\"key\":2}\n\n{\"op\":\"upsert\",\"record\":{\"id\":9}}\n";
    let told = daemon.accepted("?wait=published&type=Item", changes);
    assert_eq!(told["accepted"], 2);
    assert_eq!(published(&bench), [1, 3, 9]);
    let status = daemon.get("/v1/datasets/items/status").ok();
    assert_eq!(status["version"], told["version"]);
    assert_eq!(
        (&status["condition"], &status["pending_records"]),
        (&json!("running"), &json!(0))
    );
}

#[test]
fn csv_and_packed_bodies_are_taken_in() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 10ms}\n");
    let daemon = Daemon::start(&bench);
    let path = format!("{RECORDS}?wait=published");
    let csv = b"id,name\n1,\"a\nb\"\nx,c\n2,d\n";
    let told = daemon
        .ask(
            "POST",
            &path,
            &["content-type: text/csv; charset=utf-8"],
            csv,
        )
        .ok();
    assert_eq!(
        (&told["accepted"], &told["refused"][0]["line"]),
        (&json!(2), &json!(4))
    );
    let ndjson = zstd::encode_all(records(3..5).as_bytes(), 3).unwrap();
    let told = daemon
        .ask("POST", &path, &["content-encoding: zstd"], &ndjson)
        .ok();
    assert_eq!(told["accepted"], 2);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(records(5..7).as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let told = daemon
        .ask("POST", &path, &["content-encoding: gzip"], &gzip)
        .ok();
    assert_eq!(told["accepted"], 2);
    assert_eq!(published(&bench), [1, 2, 3, 4, 5, 6]);
    let form = ["content-type: application/x-www-form-urlencoded"];
    let (code, message) = daemon.ask("POST", &path, &form, b"{}").refused(415);
    assert!(
        code == "unsupported" && message.contains("-H 'content-type"),
        "{message}"
    );
}

#[test]
fn an_atomic_request_is_taken_in_whole_or_not_at_all() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 10ms}\n");
    let daemon = Daemon::start(&bench);
    let mixed = format!("{}{{\"id\":\"x\"}}\n{}", records(1..3), records(3..5));
    let path = format!("{RECORDS}?atomic=true&wait=published");
    let told = daemon.post(&path, mixed.as_bytes());
    let (code, message) = told.refused(422);
    assert_eq!(code, "invalid");
    assert!(
        message.starts_with("line 3: ") && message.contains("nothing was taken in"),
        "{message}"
    );
    assert_eq!(told.json()["error"]["line"], 3);
    daemon.accepted("?atomic=true&wait=published", &records(7..9));
    assert_eq!(published(&bench), [7, 8]);
    let letters = daemon.get("/v1/datasets/items/dead-letters").ok();
    assert_eq!(letters["dead_letters"], json!([]), "who sends it is told");
}

#[test]
fn a_request_that_is_sent_again_under_its_key_counts_once() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 1h}\n");
    let daemon = Daemon::start(&bench);
    let key = ["idempotency-key: order-7"];
    let first = daemon
        .ask("POST", RECORDS, &key, records(1..3).as_bytes())
        .ok();
    let again = daemon
        .ask("POST", RECORDS, &key, records(1..3).as_bytes())
        .ok();
    assert_eq!(first["entry"], again["entry"]);
    let other = daemon
        .ask(
            "POST",
            RECORDS,
            &["idempotency-key: order-8"],
            b"{\"id\":3}",
        )
        .ok();
    assert_ne!(first["entry"], other["entry"]);
    // Also after the end of the process.
    daemon.kill();
    let daemon = Daemon::start(&bench);
    let again = daemon
        .ask("POST", RECORDS, &key, records(1..3).as_bytes())
        .ok();
    assert_eq!(first["entry"], again["entry"]);
    let long = format!("idempotency-key: {}", "k".repeat(256));
    daemon
        .ask("POST", RECORDS, &[&long], b"{\"id\":1}")
        .refused(422);
}

#[test]
fn a_full_cycle_leaves_exactly_its_records() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 10ms}\n");
    let daemon = Daemon::start(&bench);
    daemon.accepted("?wait=published", &records(1..10));
    let cycle = "/v1/datasets/items/cycle";
    let told = daemon.post(cycle, records(5..12).as_bytes()).ok();
    assert_eq!(told["records"], 7);
    assert_eq!(published(&bench), [5, 6, 7, 8, 9, 10, 11]);
    let told = daemon.post(cycle, records(5..12).as_bytes()).ok();
    assert_eq!(told["unchanged"], true);
    let (code, message) = daemon.post(cycle, b"{\"id\":1}\n{\"id\":1}\n").refused(422);
    assert_eq!(code, "invalid");
    assert!(message.contains("duplicate key 1"), "{message}");
    assert_eq!(published(&bench).len(), 7);
    // An empty body is more often a mistake than a wish to remove everything.
    let (_, message) = daemon.post(cycle, b"\n").refused(400);
    assert!(message.contains("allow_empty"), "{message}");
    assert_eq!(published(&bench).len(), 7);
    daemon.post(&format!("{cycle}?allow_empty=true"), b"").ok();
    assert_eq!(published(&bench), [0; 0]);
    let snapshot = daemon.post("/v1/datasets/items/snapshot", b"").ok();
    assert!(
        snapshot["version"].as_u64() >= told["version"].as_u64(),
        "{snapshot}"
    );
}

#[test]
fn settings_that_may_change_do_and_others_are_refused_by_name() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 1h}\n");
    let daemon = Daemon::start(&bench);
    daemon.accepted("", &records(1..3));
    let (code, message) = daemon
        .post(
            "/v1/settings",
            b"{\"producer.batching.batch_timeout\":\"10ms\",\"producer.wal.fsync\":false}",
        )
        .refused(422);
    assert_eq!(code, "invalid");
    assert!(
        message.contains("a restart is needed to change producer.wal.fsync"),
        "{message}"
    );
    let settings = daemon.get("/v1/settings").ok();
    assert_eq!(
        settings["settings"]["producer.batching.batch_timeout"],
        "1h"
    );
    for wrong in [
        "{\"producer.batching.batch_timeout\":\"soon\"}",
        "{\"producer.batching.none\":1}",
        "{\"producer.batching.max_batch_size\":99999999}",
    ] {
        daemon.post("/v1/settings", wrong.as_bytes()).refused(422);
    }
    daemon.post("/v1/settings", b"[1]").refused(400);
    let told = daemon
        .post(
            "/v1/settings",
            b"{\"producer.batching.batch_timeout\":\"10ms\"}",
        )
        .ok();
    let change = json!({ "key": "producer.batching.batch_timeout", "from": "1h", "to": "10ms" });
    assert_eq!(told["changed"], json!([change]));
    // What waited for an hour is published.
    let flushed = daemon.accepted("?wait=published", &records(3..4));
    assert!(flushed["version"].is_u64(), "{flushed}");
    assert_eq!(published(&bench), [1, 2, 3]);
    let told = daemon.post("/v1/reload", b"").ok();
    assert_eq!(told["changed"][0]["to"], "1h", "the file counts again");
}

#[test]
fn health_metrics_and_the_description_are_served() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 10ms}\n");
    let daemon = Daemon::start(&bench);
    daemon.accepted("?wait=published", &records(1..4));
    assert_eq!(daemon.get("/health").ok()["status"], "ok");
    let ready = daemon.get("/ready").ok();
    assert_eq!(
        (&ready["status"], &ready["datasets"][0]["condition"]),
        (&json!("ready"), &json!("running"))
    );
    let classic = daemon.get("/metrics");
    assert!(
        classic.head.contains("text/plain; version=0.0.4"),
        "{}",
        classic.head
    );
    let counter = "# TYPE grotto_producer_acknowledged_records_total counter\n";
    assert!(classic.body.contains(counter), "{}", classic.body);
    let accept = ["accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.3"];
    let metrics = daemon.ask("GET", "/metrics", &accept, b"");
    assert!(
        metrics.head.contains("application/openmetrics-text"),
        "{}",
        metrics.head
    );
    for sample in [
        "grotto_producer_acknowledged_records_total{dataset=\"items\"} 3\n",
        "grotto_producer_submission_to_published_seconds_count{dataset=\"items\"}",
        "grotto_producer_process_memory_bytes ",
        "grotto_producer_http_requests_total{status=\"2xx\"}",
    ] {
        assert!(metrics.body.contains(sample), "{sample}: {}", metrics.body);
    }
    assert!(metrics.body.ends_with("# EOF\n"));
    let described = daemon.get("/openapi.json").ok();
    assert!(
        described["openapi"].as_str().unwrap().starts_with("3."),
        "{described}"
    );
    for (method, path, status, code) in [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/datasets/none/status", 404, "not_found"),
        ("GET", RECORDS, 405, "method_not_allowed"),
        ("POST", "/v1/datasets/items/records?wiat=1", 400, "invalid"),
        ("POST", "/v1/datasets/%ff/records", 400, "invalid"),
        ("POST", RECORDS, 400, "invalid"),
    ] {
        let told = daemon.ask(method, path, &[], b"");
        assert_eq!(told.refused(status).0, code, "{path}");
    }
}

#[test]
fn beyond_loopback_a_token_is_asked_for() {
    let bench = Bench::with_schema();
    let token = "  security: {token_file: token}\n  listeners: {address: 0.0.0.0}\n";
    configure(&bench, token);
    write_token(&bench, "0123456789abcdef");
    let mut daemon = Daemon::start(&bench);
    daemon.address = std::net::SocketAddr::from(([127, 0, 0, 1], daemon.address.port()));
    assert_eq!(daemon.get("/health").status, 200);
    assert_eq!(daemon.get("/metrics").refused(401).0, "unauthorized");
    assert_eq!(
        daemon.post(RECORDS, b"{\"id\":1}").refused(401).0,
        "unauthorized"
    );
    let bearer = ["authorization: Bearer 0123456789abcdef"];
    // Ready once it was published for the first time.
    let path = format!("{RECORDS}?wait=published");
    daemon.ask("POST", &path, &bearer, b"{\"id\":1}").ok();
    // Reasons name folders and stores.
    assert_eq!(daemon.get("/ready").ok(), json!({ "status": "ready" }));
    let ready = daemon.ask("GET", "/ready", &bearer, b"").ok();
    assert_eq!(ready["datasets"][0]["reasons"], json!([]));
    configure(&bench, "  listeners: {address: 0.0.0.0}\n");
    let refused = bench.run("producer --config c.yaml").refused(2);
    assert!(refused.contains("token_file"), "{refused}");
}

fn write_token(bench: &Bench, token: &str) {
    bench.write("token", &format!("{token}\n"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(bench.path("token"), mode).unwrap();
    }
}

#[test]
fn a_token_is_renewed_without_a_restart() {
    let bench = Bench::with_schema();
    configure(&bench, "  security: {token_file: token}\n");
    write_token(&bench, "0123456789abcdef");
    let mut daemon = Daemon::start(&bench);
    let status = |daemon: &Daemon, token: &str| {
        let bearer = format!("authorization: Bearer {token}");
        daemon.ask("GET", "/v1/settings", &[&bearer], b"").status
    };
    assert_eq!(status(&daemon, "0123456789abcdef"), 200);
    write_token(&bench, "short");
    daemon.signal("HUP");
    let refused = daemon.logged("configuration not taken over");
    assert!(refused["error"].as_str().unwrap().contains("token file"));
    assert_eq!(status(&daemon, "0123456789abcdef"), 200);
    write_token(&bench, "fedcba9876543210");
    daemon.signal("HUP");
    daemon.logged("configuration read again");
    assert_eq!(status(&daemon, "0123456789abcdef"), 401);
    assert_eq!(status(&daemon, "fedcba9876543210"), 200);
    // Reasons are for those with the token, on the loopback address too.
    assert!(daemon.get("/ready").json()["datasets"].is_null());
    let bearer = ["authorization: Bearer fedcba9876543210"];
    let told = daemon.ask("GET", "/ready", &bearer, b"").json();
    assert!(told["datasets"].is_array(), "{told}");
}

#[test]
fn without_a_log_an_answer_comes_once_the_records_are_published() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 10ms}\n");
    let text = std::fs::read_to_string(bench.path("c.yaml")).unwrap();
    let published_only = "wal: {dir: wal, durability: published}";
    bench.write("c.yaml", &text.replace("wal: {dir: wal}", published_only));
    let daemon = Daemon::start(&bench);
    for (id, query) in [(0, ""), (1, "?wait=durable")] {
        let told = daemon.accepted(query, &records(id..id + 1));
        assert!(told["version"].is_u64(), "{told}");
        assert_eq!(published(&bench), (0..=id).collect::<Vec<_>>());
    }
    daemon.kill();
    assert!(!bench.path("wal").exists());
    assert_eq!(published(&bench), [0, 1]);
}

#[test]
fn a_page_in_a_browser_changes_nothing() {
    let bench = Bench::with_schema();
    configure(&bench, "");
    let daemon = Daemon::start(&bench);
    daemon.accepted("?wait=published", &records(1..3));
    let cycle = "/v1/datasets/items/cycle?allow_empty=true";
    for origin in ["origin: http://evil.example", "origin: null"] {
        let told = daemon.ask("POST", cycle, &[origin], b"");
        assert_eq!(told.refused(403).0, "forbidden");
    }
    assert_eq!(published(&bench), [1, 2]);
}
