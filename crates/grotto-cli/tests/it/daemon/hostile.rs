//! Requests that mean harm, or go wrong: refused within bounds, and others do not notice.

use super::kit::{Daemon, Told, configure, published, records, told};
use crate::kit::Bench;
use serde_json::json;
use std::io::Write as _;

const RECORDS: &str = "/v1/datasets/items/records";

/// Most memory that a daemon may take in these tests, far below what careless reading would.
pub(super) const MEMORY: u64 = 400 << 20;

pub(super) fn peak_memory(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
    kib * 1024
}

#[track_caller]
fn check_refused(told: &Told, status: u16, says: &str) {
    let (_, message) = told.refused(status);
    assert!(message.contains(says), "{message}");
}

#[test]
fn bodies_that_mean_harm_are_refused_within_bounds() {
    let bench = Bench::with_schema();
    configure(
        &bench,
        "  batching: {batch_timeout: 10ms}\n  listeners: {max_body_size: 16MiB}\n",
    );
    let daemon = Daemon::start(&bench);
    check_refused(
        &daemon.post(RECORDS, &vec![b' '; (16 << 20) + 1]),
        413,
        "16777216",
    );
    let nested = format!(
        "{{\"id\":1,\"name\":{}1{}}}",
        "[".repeat(1 << 20),
        "]".repeat(1 << 20)
    );
    check_refused(&daemon.post(RECORDS, nested.as_bytes()), 422, "line 1");
    let op = format!(
        "{{\"op\":\"upsert\",\"record\":{}",
        "{\"a\":".repeat(1 << 20)
    );
    check_refused(&daemon.post(RECORDS, op.as_bytes()), 422, "line 1");
    let keys: String = (0..1_000_000).map(|n| format!("\"k{n}\":1,")).collect();
    let keys = format!("{{{keys}\"id\":1}}");
    check_refused(&daemon.post(RECORDS, keys.as_bytes()), 422, "line 1");
    check_refused(
        &daemon.post(RECORDS, b"{\"id\":1,\"name\":\"\xff\xfe\"}"),
        422,
        "line 1",
    );
    let lines = "x\n".repeat(8 << 20);
    check_refused(
        &daemon.post(RECORDS, &lines.as_bytes()[..16 << 20]),
        422,
        "at most 10000 lines",
    );
    let bomb = zstd::encode_all(vec![b'a'; 1 << 30].as_slice(), 1).unwrap();
    let unpacked = daemon.ask("POST", RECORDS, &["content-encoding: zstd"], &bomb);
    check_refused(&unpacked, 413, "16777216");
    let settings = format!("{{{}\"a\":1}}", "\"b\":2,".repeat(100_000));
    check_refused(
        &daemon.post("/v1/settings", settings.as_bytes()),
        413,
        "65536",
    );
    for head in [
        "GET /health HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000)),
        format!(
            "GET / HTTP/1.1\r\nhost: x\r\n{}\r\n",
            "a: b\r\n".repeat(1_000)
        ),
        "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(),
    ] {
        let mut stream = daemon.connect();
        let _ = stream.write_all(head.as_bytes());
        let told = told(stream);
        assert!((400..500).contains(&told.status), "{told:?}");
    }
    daemon.accepted("?wait=published", &records(1..3));
    assert_eq!(published(&bench), [1, 2]);
    let peak = peak_memory(&daemon);
    assert!(peak < MEMORY, "{peak}");
}

#[test]
fn connections_that_stall_are_ended_and_keep_nobody_else_waiting() {
    let bench = Bench::with_schema();
    let limits = "  listeners: {max_connections: 64, header_timeout: 1s, body_timeout: 1s}\n";
    configure(
        &bench,
        &format!("  batching: {{batch_timeout: 10ms}}\n{limits}"),
    );
    let daemon = Daemon::start(&bench);
    let silent: Vec<_> = (0..20).map(|_| daemon.connect()).collect();
    let headless: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = daemon.connect();
            stream.write_all(b"POST /v1/data").unwrap();
            stream
        })
        .collect();
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = daemon.connect();
            let head = format!(
                "POST {RECORDS} HTTP/1.1\r\nhost: x\r\ncontent-length: 9999999\r\n\r\n{{\"id\":"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    // Others are served meanwhile.
    daemon.accepted("?wait=published", &records(1..3));
    assert_eq!(daemon.get("/health").status, 200);
    for stream in slow {
        assert_eq!(told(stream).refused(408).0, "timeout");
    }
    for stream in silent.into_iter().chain(headless) {
        let told = told(stream);
        assert!(told.status == 0 || told.status == 408, "{told:?}");
    }
    daemon.accepted("?wait=published", &records(3..5));
    assert_eq!(published(&bench), [1, 2, 3, 4]);
}

#[test]
fn malformed_lines_among_good_ones_become_dead_letters() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 10ms}\n");
    let daemon = Daemon::start(&bench);
    // Every 200th line has a field that the schema lacks.
    let line = |n: u64| match n % 200 {
        0 => format!("{{\"id\":{n},\"color\":\"red\"}}\n"),
        _ => format!("{{\"id\":{n}}}\n"),
    };
    let body: String = (1..=10_000).map(line).collect();
    let told = daemon
        .post(&format!("{RECORDS}?wait=published"), body.as_bytes())
        .ok();
    assert_eq!(
        (&told["accepted"], &told["refused_lines"]),
        (&json!(9_950), &json!(50))
    );
    assert_eq!(told["refused"][0]["line"], 200);
    let message = told["refused"][0]["message"].as_str().unwrap();
    assert!(message.contains("color"), "{message}");
    let good: Vec<u64> = (1..=10_000).filter(|n| n % 200 != 0).collect();
    assert_eq!(published(&bench), good);
    let letters = daemon.get("/v1/datasets/items/dead-letters").ok();
    let letters = letters["dead_letters"].as_array().unwrap().clone();
    assert_eq!(letters.len(), 50);
    for (letter, position) in letters.iter().zip((1..).map(|n| n * 200)) {
        assert_eq!(
            (&letter["position"], &letter["source"]),
            (&json!(position), &json!("http"))
        );
        assert_eq!(letter["text"], line(position).trim());
        assert!(
            letter["reason"].as_str().unwrap().contains("color"),
            "{letter}"
        );
    }
    // The schema is mended, and all of them are taken in.
    drop(daemon);
    let schema = crate::kit::SCHEMA.replace("int size;", "int size; string color;");
    bench.write("item.schema", &schema);
    let daemon = Daemon::start(&bench);
    let told = daemon
        .post("/v1/datasets/items/dead-letters/replay", b"")
        .ok();
    assert_eq!(
        (&told["replayed"], &told["refused_letters"]),
        (&json!(50), &json!(0))
    );
    daemon.accepted("?wait=published", "{\"id\":10001}\n");
    assert_eq!(published(&bench).len(), 10_001);
    let record = bench.run("get --store store --dataset items Item 200").ok();
    assert!(record.contains("\"color\":\"red\""), "{record}");
    let status = daemon.get("/v1/datasets/items/status").ok();
    assert_eq!(status["dead_letters"], 0);
}

#[test]
fn letters_that_are_refused_again_stay_until_they_are_purged() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 10ms}\n");
    let daemon = Daemon::start(&bench);
    let told = daemon
        .post(RECORDS, b"nonsense\n{\"id\":1}\n{\"id\":\"x\"}\n")
        .ok();
    assert_eq!(told["refused_lines"], 2);
    let letters = "/v1/datasets/items/dead-letters";
    let told = daemon.post(&format!("{letters}/replay"), b"").ok();
    assert_eq!(
        (&told["replayed"], &told["refused_letters"]),
        (&json!(0), &json!(2))
    );
    let listed = daemon.get(&format!("{letters}?limit=1")).ok();
    assert_eq!(
        (
            &listed["count"],
            listed["dead_letters"].as_array().unwrap().len()
        ),
        (&json!(2), 1)
    );
    let first = listed["dead_letters"][0]["id"].as_u64().unwrap();
    let behind = daemon.get(&format!("{letters}?after={first}")).ok();
    assert_eq!(behind["dead_letters"][0]["position"], 3);
    let purged = daemon
        .post(&format!("{letters}/purge?through={first}"), b"")
        .ok();
    assert_eq!(purged["removed"], 1);
    let purged = daemon.post(&format!("{letters}/purge"), b"").ok();
    assert_eq!(purged["removed"], 1);
    assert_eq!(daemon.get(letters).ok()["dead_letters"], json!([]));
}

#[test]
fn a_letter_of_which_only_the_start_is_kept_is_not_sent_again() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 10ms}\n");
    let daemon = Daemon::start(&bench);
    let long = format!("{{\"id\":1,\"color\":\"{}\"}}\n", "x".repeat(600_000));
    let lines = format!("{long}{{\"id\":2}}\n");
    daemon.post(RECORDS, lines.as_bytes()).ok();
    let letters = "/v1/datasets/items/dead-letters";
    let listed = daemon.get(letters).ok();
    let text = listed["dead_letters"][0]["text"].as_str().unwrap();
    assert!(
        text.len() < 600_000 && long.starts_with(text),
        "{}",
        text.len()
    );
    let told = daemon.post(&format!("{letters}/replay"), b"").ok();
    let message = told["refused"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("not all of its text"), "{told}");
    assert_eq!(daemon.get(letters).ok()["count"], 1, "it stays");
}

#[test]
fn letters_are_listed_replayed_and_purged_by_commands() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 10ms}\n");
    let daemon = Daemon::start(&bench);
    daemon
        .post(RECORDS, b"{\"id\":1,\"color\":2}\n{\"id\":2}\nnonsense\n")
        .ok();
    let at = format!("--producer http://{} --dataset items", daemon.address);
    let listed = bench
        .run(&format!("dead-letters list {at} --json"))
        .values();
    let of_folder = bench
        .run("dead-letters list --dir dead/items --json")
        .values();
    assert_eq!(listed, of_folder, "also while the daemon runs");
    let positions: Vec<_> = listed
        .iter()
        .map(|letter| letter["position"].as_u64())
        .collect();
    assert_eq!(positions, [Some(1), Some(3)]);
    let text = bench.run(&format!("dead-letters list {at}")).ok();
    assert!(
        text.contains("http line 3: ") && text.contains("\n    nonsense\n"),
        "{text}"
    );
    let text = bench.run(&format!("dead-letters replay {at}")).ok();
    assert!(
        text.contains("taken in: 0 dead letters\nrefused again: 2 dead letters\n"),
        "{text}"
    );
    let text = bench
        .run(&format!("dead-letters purge {at} --through 1"))
        .ok();
    assert_eq!(text, "removed 1 dead letter\n");
    let refused = bench.run("dead-letters purge --producer http://127.0.0.1:1 --dataset items");
    assert_eq!(refused.code, 4, "{}", refused.err);
    let hint = "hint: `grotto producer --config FILE` starts a daemon";
    assert!(refused.err.contains(hint), "{}", refused.err);
    let other = format!("--producer http://{} --dataset none", daemon.address);
    let refused = bench.run(&format!("dead-letters list {other}")).refused(3);
    assert!(refused.contains("no dataset \"none\" here"), "{refused}");
}

#[test]
fn beyond_the_disk_budget_senders_are_told_to_come_again_and_nothing_acknowledged_is_lost() {
    let bench = Bench::with_schema();
    let small = "  batching: {batch_timeout: 1h, max_batch_size: 10000}\n";
    configure(&bench, small);
    let text = std::fs::read_to_string(bench.path("c.yaml")).unwrap();
    let text = text.replace(
        "wal: {dir: wal}",
        "wal: {dir: wal, segment_size: 64KiB, max_size: 128KiB}",
    );
    bench.write("c.yaml", &text);
    let daemon = Daemon::start(&bench);
    let mut acknowledged = 0;
    let refused = loop {
        let told = daemon.post(
            RECORDS,
            records(acknowledged..acknowledged + 100).as_bytes(),
        );
        if told.status != 200 {
            break told;
        }
        acknowledged += 100;
    };
    assert_eq!(refused.refused(429).0, "overloaded");
    assert!(refused.head.contains("retry-after: "), "{}", refused.head);
    assert!(acknowledged >= 500, "{acknowledged}");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
    assert_eq!(published(&bench), (0..acknowledged).collect::<Vec<_>>());
}

#[test]
fn senders_that_are_too_fast_are_told_when_to_come_again() {
    let bench = Bench::with_schema();
    configure(&bench, "  rate_limit: {records_per_second: 100}\n");
    let daemon = Daemon::start(&bench);
    daemon.accepted("", &records(0..100));
    let refused = daemon.post(RECORDS, records(100..200).as_bytes());
    assert_eq!(refused.refused(429).0, "overloaded");
    assert!(
        refused.head.contains("retry-after: 1\r\n"),
        "{}",
        refused.head
    );
}
