//! Requests that mean harm, or go wrong: refused within bounds, and others do not notice.

use super::kit::*;
use crate::daemon::kit::{Daemon, told};
use serde_json::json;
use std::io::{Read as _, Write as _};

/// Most memory that a sidecar of a small dataset may take in these tests, far below what careless reading would.
const MEMORY: u64 = 400 << 20;

fn peak_memory(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    kib * 1024
}

#[test]
fn requests_that_mean_harm_are_refused_within_bounds() {
    let bench = published(0..100);
    configure(&bench, "");
    let sidecar = serving(&bench);
    let batch = format!("{RECORDS}:batch");
    let large = format!("[{}1]", "1,".repeat(1 << 20));
    assert_eq!(
        sidecar.post(&batch, large.as_bytes()).refused(413).0,
        "too_large"
    );
    let bomb = zstd::encode_all(vec![b' '; 1 << 30].as_slice(), 1).unwrap();
    let unpacked = sidecar.ask("POST", &batch, &["content-encoding: zstd"], &bomb);
    assert_eq!(unpacked.refused(413).0, "too_large");
    let nested = format!("{}1{}", "[".repeat(400_000), "]".repeat(400_000));
    let many = format!("[{}1]", "1,".repeat(100_000));
    let odd: &[&[u8]] = &[
        nested.as_bytes(),
        many.as_bytes(),
        b"[\"\xff\xfe\"]",
        b"\x00\x01\x02",
        b"[1e400]",
        b"[99999999999999999999]",
        b"{\"keys\":[1]}",
    ];
    for body in odd {
        assert_eq!(sidecar.post(&batch, body).refused(400).0, "invalid");
    }
    let long = "a".repeat(60_000);
    for path in [
        format!("{RECORDS}/{long}"),
        format!("{RECORDS}?name={long}&name={long}x")
            .chars()
            .take(60_000)
            .collect(),
        format!("{RECORDS}?after={long}"),
        format!("{RECORDS}/%00%0a%0d"),
        format!("{RECORDS}?limit=99999999999999999999"),
        "/v1/datasets/%2e%2e%2f/types/Item/records/1".to_owned(),
    ] {
        let told = sidecar.get(&path);
        assert!((200..500).contains(&told.status), "{told:?}");
        let split = told.head.lines().any(|line| line.starts_with("x-evil"));
        assert!(!split);
    }
    for head in [
        "GET /health HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n".to_owned(),
        format!(
            "GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n",
            "a".repeat(100_000)
        ),
        format!(
            "GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n",
            "a: b\r\n".repeat(1_000)
        ),
        "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(),
    ] {
        let mut stream = sidecar.connect();
        let _ = stream.write_all(head.as_bytes());
        let told = told(stream);
        assert!((400..500).contains(&told.status), "{told:?}");
    }
    assert_eq!(sidecar.post(&batch, b"[1]").status, 200);
    let peak = peak_memory(&sidecar);
    assert!(peak < MEMORY, "{peak}");
}

#[test]
fn connections_that_stall_are_ended_and_keep_nobody_else_waiting() {
    let bench = published(0..100);
    let limits = "  listeners: {max_connections: 64, header_timeout: 1s, body_timeout: 1s}\n";
    configure(&bench, limits);
    let sidecar = serving(&bench);
    let silent: Vec<_> = (0..20).map(|_| sidecar.connect()).collect();
    let begun = |head: &str| {
        let mut stream = sidecar.connect();
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let headless: Vec<_> = (0..20).map(|_| begun("GET /v1/data")).collect();
    let slow = format!(
        "POST {RECORDS}:batch HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9999\r\n\r\n[1,"
    );
    let slow: Vec<_> = (0..20).map(|_| begun(&slow)).collect();
    // Others are answered meanwhile.
    assert_eq!(sidecar.get(&format!("{RECORDS}/1")).status, 200);
    for stream in slow {
        assert_eq!(told(stream).refused(408).0, "timeout");
    }
    for stream in silent.into_iter().chain(headless) {
        let told = told(stream);
        assert!(told.status == 0 || told.status == 408, "{told:?}");
    }
    assert_eq!(sidecar.get(&format!("{RECORDS}/1")).status, 200);
}

/// Records of some thirty megabytes together, more than the buffers of a connection hold, of which nobody reads the
/// answers.
#[test]
fn answers_that_nobody_reads_take_no_more_memory_than_the_limit() {
    let bench = crate::kit::Bench::with_schema();
    let name = "n".repeat(30_000);
    let lines: String = (0..1000)
        .map(|id| format!("{{\"id\":{id},\"name\":\"{name}\"}}\n"))
        .collect();
    bench.publish(&lines, "").ok();
    configure(
        &bench,
        "  listeners: {max_answer_memory: 64MiB, body_timeout: 24h}\n  limits: {max_answer_size: 32MiB}\n",
    );
    let sidecar = serving(&bench);
    let keys = json!((0..1000).collect::<Vec<u64>>()).to_string();
    let length = keys.len();
    let head = format!(
        "POST {RECORDS}:batch HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{keys}"
    );
    let mut statuses = Vec::new();
    let streams: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = sidecar.connect();
            stream.write_all(head.as_bytes()).unwrap();
            let mut first = [0; 12];
            stream.read_exact(&mut first).unwrap();
            statuses.push(String::from_utf8_lossy(&first[9..]).into_owned());
            stream
        })
        .collect();
    let count = |status: &str| statuses.iter().filter(|one| *one == status).count();
    assert!((1..=4).contains(&count("200")), "{statuses:?}");
    assert_eq!(count("200") + count("429"), 40, "{statuses:?}");
    let peak = peak_memory(&sidecar);
    assert!(peak < MEMORY, "{peak}");
    drop(streams);
}

#[test]
fn bodies_take_no_memory_while_a_version_is_waited_for() {
    let bench = published(1..4);
    configure(
        &bench,
        "  listeners: {max_body_memory: 256KiB, max_body_size: 128KiB}\n",
    );
    let sidecar = serving(&bench);
    let body = |length: usize| format!("[1{}]", " ".repeat(length));
    let waits: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = sidecar.connect();
            let body = body(110_000);
            let head = format!(
                "POST {RECORDS}:batch?version=2&wait=60s HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body.as_bytes()).unwrap();
            stream
        })
        .collect();
    // Both of them together would leave too little for this one.
    for _ in 0..50 {
        let told = sidecar.post(&format!("{RECORDS}:batch"), body(60_000).as_bytes());
        assert_eq!(told.status, 200, "{told:?}");
    }
    publish(&bench, 1..5);
    served(&sidecar, 1);
    for mut stream in waits {
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head[9..], b"200");
    }
}
