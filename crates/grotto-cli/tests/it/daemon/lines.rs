//! What becomes of lines, row by row, and of records that a whole state lacks.

use super::hostile::peak_memory;
use super::kit::{Daemon, configure, published, records, told};
use crate::kit::Bench;
use serde_json::json;
use std::io::Write as _;

const RECORDS: &str = "/v1/datasets/items/records";
const CYCLE: &str = "/v1/datasets/items/cycle";
const CSV: &[&str] = &["content-type: text/csv"];

fn quick(bench: &Bench) -> Daemon {
    configure(bench, "  batching: {batch_timeout: 10ms}\n");
    Daemon::start(bench)
}

#[test]
fn a_whole_state_of_nothing_but_names_of_columns_removes_nothing() {
    let bench = Bench::with_schema();
    let daemon = quick(&bench);
    daemon.accepted("?wait=published", &records(1..4));
    for body in ["id,name\n", "id,name\n\n\n"] {
        let told = daemon.ask("POST", CYCLE, CSV, body.as_bytes());
        let (_, message) = told.refused(422);
        assert!(message.contains("allow_empty"), "{message}");
    }
    assert_eq!(published(&bench), [1, 2, 3]);
    let allowed = format!("{CYCLE}?allow_empty=true");
    daemon.ask("POST", &allowed, CSV, b"id,name\n").ok();
    assert_eq!(published(&bench), [0; 0]);
}

#[test]
fn a_whole_state_has_records_of_every_type_unless_none_are_meant() {
    let bench = Bench::with_schema();
    let both = format!("{}Box @PrimaryKey(id) {{ long id; }}\n", crate::kit::SCHEMA);
    bench.write("item.schema", &both);
    let daemon = quick(&bench);
    let whole = "{\"type\":\"Item\",\"record\":{\"id\":1}}\n{\"op\":\"upsert\",\"type\":\"Box\",\"record\":{\"id\":7}}\n";
    daemon.post(CYCLE, whole.as_bytes()).ok();
    let (_, message) = daemon
        .post(&format!("{CYCLE}?type=Item"), b"{\"id\":2}\n")
        .refused(422);
    assert!(message.contains("expected records of Box"), "{message}");
    let boxes = "get --store store --dataset items Box 7";
    bench.run(boxes).ok();
    // Lines of a type beside those that name theirs.
    let mixed = "{\"id\":2}\n{\"type\":\"Box\",\"record\":{\"id\":7}}\n";
    daemon
        .post(&format!("{CYCLE}?type=Item"), mixed.as_bytes())
        .ok();
    assert_eq!(published(&bench), [2]);
    bench.run(boxes).ok();
    let deletes = "{\"op\":\"delete\",\"type\":\"Box\",\"record\":{\"id\":7}}\n";
    let (_, message) = daemon.post(CYCLE, deletes.as_bytes()).refused(422);
    assert!(
        message.contains("http line 1: expected op upsert"),
        "{message}"
    );
    let only = format!("{CYCLE}?type=Item&allow_empty=true");
    daemon.post(&only, b"{\"id\":3}\n").ok();
    assert_ne!(bench.run(boxes).code, 0, "none are left");
}

#[test]
fn rows_behind_a_bad_row_are_taken_in_and_the_bad_one_is_a_dead_letter() {
    let bench = Bench::with_schema();
    let daemon = quick(&bench);
    let body = b"id;name\n1;a\n2;b;c\n3;\xff\nx;d\n5;e\n";
    let path = format!("{RECORDS}?wait=published");
    let told = daemon.ask("POST", &path, CSV, body).ok();
    assert_eq!(
        (&told["accepted"], &told["refused_lines"]),
        (&json!(2), &json!(3))
    );
    let lines: Vec<_> = told["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["line"].as_u64())
        .collect();
    assert_eq!(lines, [Some(3), Some(4), Some(5)]);
    assert_eq!(published(&bench), [1, 5]);
    let letters = daemon.get("/v1/datasets/items/dead-letters").ok();
    let letter = &letters["dead_letters"][0];
    assert_eq!(
        (&letter["text"], &letter["is_cut"]),
        (&json!("2;b;c"), &json!(false))
    );
    let reason = letter["reason"].as_str().unwrap();
    assert!(reason.contains("expected 2 cells"), "{letter}");
    assert_eq!(letters["dead_letters"][1]["is_cut"], true);
}

#[test]
fn a_line_whose_bytes_were_replaced_is_not_sent_again() {
    let bench = Bench::with_schema();
    let daemon = quick(&bench);
    let told = daemon
        .post(RECORDS, b"{\"id\":1,\"name\":\"\xff\"}\n{\"id\":2}\n")
        .ok();
    assert_eq!(told["refused_lines"], 1);
    let letters = "/v1/datasets/items/dead-letters";
    assert_eq!(daemon.get(letters).ok()["dead_letters"][0]["is_cut"], true);
    let told = daemon.post(&format!("{letters}/replay"), b"").ok();
    assert_eq!(
        (&told["replayed"], &told["refused_letters"]),
        (&json!(0), &json!(1))
    );
    daemon.accepted("?wait=published", &records(3..4));
    assert_eq!(published(&bench), [2, 3]);
}

#[test]
fn texts_of_refused_lines_are_not_kept_while_an_answer_waits() {
    const REQUESTS: u64 = 30;
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 1h}\n");
    let daemon = Daemon::start(&bench);
    let bad = format!("{{\"id\":\"{}\"}}\n", "x".repeat(1_600)).repeat(9_000);
    let mut waiting = Vec::new();
    for id in 1..=REQUESTS {
        let body = format!("{bad}{{\"id\":{id}}}\n");
        let mut stream = daemon.connect();
        let head = format!(
            "POST {RECORDS}?wait=published HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        waiting.push(stream);
        // One after the other: texts that are being decoded count elsewhere.
        let taken = || daemon.get("/v1/datasets/items/status").ok()["pending_submissions"].as_u64();
        while taken() < Some(id) {
            std::thread::yield_now();
        }
    }
    let peak = peak_memory(&daemon);
    assert!(peak < super::hostile::MEMORY, "{} MiB", peak >> 20);
    daemon.post("/v1/datasets/items/flush", b"").ok();
    for stream in waiting {
        assert_eq!(told(stream).ok()["refused_lines"], 9_000);
    }
    assert_eq!(published(&bench).len() as u64, REQUESTS);
}
