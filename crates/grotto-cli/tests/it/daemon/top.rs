//! `grotto top` beside a daemon that runs.

use super::kit::{Daemon, configure, records};
use crate::kit::{Bench, Run};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Child;

fn top(bench: &Bench, daemon: &Daemon, more: &[&str]) -> std::process::Command {
    let url = format!("http://{}", daemon.address);
    let mut args = vec!["top", "--producer", &url];
    args.extend(more);
    bench.command(&args)
}

#[test]
fn a_look_tells_what_every_dataset_does() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 1h}\n");
    let daemon = Daemon::start(&bench);
    daemon.accepted("?wait=durable", &records(0..5));
    daemon.post("/v1/datasets/items/flush", b"").ok();
    let lines = records(5..8) + "{\"id\":\"x\"}\n";
    let told = daemon
        .post("/v1/datasets/items/records", lines.as_bytes())
        .ok();
    assert_eq!(
        (&told["accepted"], &told["refused_lines"]),
        (&json!(3), &json!(1))
    );

    let run = Run::of(
        top(&bench, &daemon, &["--once", "--json"])
            .output()
            .unwrap(),
    );
    let [look] = &run.values()[..] else {
        panic!("expected one look");
    };
    let one = &look["datasets"][0];
    let expected = json!({
        "dataset": "items", "condition": "running", "reasons": [], "taken_in_records": 8.0,
        "published_records": 5.0, "taken_in_per_second": null, "pending_records": 3, "pending_submissions": 1,
        "waiting_records": 0, "spilled": false, "breaker": "closed", "failures": 0,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&one[name], value, "{name}: {look}");
    }
    let status = daemon.get("/v1/datasets/items/status").ok();
    for name in ["version", "published_ms", "wal_bytes", "dead_letters"] {
        assert!(
            one[name].is_u64() && one[name] == status[name],
            "{name}: {look}"
        );
    }
    assert_eq!(one["dead_letters"], 1);
    assert!(
        one["published_age_ms"].is_u64() && look["uptime_seconds"].is_f64(),
        "{look}"
    );

    let text = Run::of(top(&bench, &daemon, &["--once"]).output().unwrap()).ok();
    for row in [
        "items: running\n",
        "  taken in     8 records since the start\n",
        "  pending      3 records of 1 submission\n",
        "  breaker      closed\n",
        "  dead letters 1\n",
    ] {
        assert!(text.contains(row), "{row:?}: {text}");
    }
    assert!(!text.contains('\x1b') && !text.contains("\n\n"), "{text:?}");
}

/// A run that goes on; killed when the test ends.
struct Watched(Child);

impl Drop for Watched {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn looks_follow_each_other_with_rates_and_go_on_when_the_daemon_is_gone() {
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 10ms}\n");
    let daemon = Daemon::start(&bench);
    let mut command = top(&bench, &daemon, &["--json", "--interval", "20ms"]);
    let mut run = Watched(command.spawn().unwrap());
    let lines = BufReader::new(run.0.stdout.take().unwrap()).lines();
    let mut looks = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let first = looks.next().unwrap();
    assert!(
        first["datasets"][0]["taken_in_per_second"].is_null(),
        "{first}"
    );
    daemon.accepted("?wait=published", &records(0..50));
    let busy = |look: &Value, name: &str| look["datasets"][0][name].as_f64() > Some(0.0);
    let mut taken_in = false;
    // Both may be in one look, and the second never comes before the first.
    looks
        .by_ref()
        .find(|look| {
            taken_in |= busy(look, "taken_in_per_second");
            busy(look, "published_per_second")
        })
        .unwrap();
    assert!(taken_in);
    daemon.kill();
    let mut told = BufReader::new(run.0.stderr.take().unwrap()).lines();
    let told: Value = serde_json::from_str(&told.next().unwrap().unwrap()).unwrap();
    let message = told["note"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("no daemon answers at 127.0.0.1:"),
        "{message}"
    );
}

#[test]
fn looks_for_people_are_blocks_with_an_empty_line_between() {
    let bench = Bench::with_schema();
    configure(&bench, "");
    let daemon = Daemon::start(&bench);
    let mut run = Watched(
        top(&bench, &daemon, &["--interval", "10ms"])
            .spawn()
            .unwrap(),
    );
    let lines = BufReader::new(run.0.stdout.take().unwrap()).lines();
    let lines: Vec<String> = lines.map(Result::unwrap).take(30).collect();
    let blocks: Vec<&[String]> = lines.split(String::is_empty).collect();
    assert!(blocks.len() >= 3, "{lines:#?}");
    for block in &blocks[..blocks.len() - 1] {
        assert!(block[0].starts_with("http://127.0.0.1:"), "{lines:#?}");
        assert!(block[1].starts_with("items: "), "{lines:#?}");
    }
    let rate = |line: &&String| line.starts_with("  taken in     0 records/s (0 since");
    assert_eq!(blocks[1].iter().filter(rate).count(), 1, "{lines:#?}");
}

#[test]
fn a_daemon_that_is_not_there_and_one_that_wants_a_token_are_told_apart() {
    let bench = Bench::with_schema();
    bench.write("token", "a-token-that-is-long-enough-for-it\n");
    bench.write("other", "another-token-that-is-long-enough\n");
    for name in ["token", "other"] {
        let only_owner = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(bench.path(name), only_owner).unwrap();
    }
    configure(&bench, "  security: {token_file: token}\n");
    let daemon = Daemon::start(&bench);
    let refused = Run::of(top(&bench, &daemon, &["--once"]).output().unwrap()).refused(2);
    assert!(refused.contains("Bearer TOKEN"), "{refused}");
    let wrong = top(&bench, &daemon, &["--once", "--token-file", "other"]).output();
    Run::of(wrong.unwrap()).refused(2);
    let right = top(&bench, &daemon, &["--once", "--token-file", "token"]).output();
    Run::of(right.unwrap()).ok();
    let url = format!("http://{}", daemon.address);
    daemon.kill();
    let gone = bench.run(&format!("top --producer {url}")).refused(4);
    let expected = format!(
        "error: no daemon answers at {}: connection refused\nhint: `grotto producer",
        &url[7..]
    );
    assert!(gone.starts_with(&expected), "{gone}");
    let wrong = bench.run("top --producer ftp://x").refused(2);
    assert!(wrong.contains("http://127.0.0.1:8081"), "{wrong}");
}
