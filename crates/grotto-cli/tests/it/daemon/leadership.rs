//! Daemons that stand by, are fenced, hand over, and what is set aside.

use super::kit::{Daemon, configure, published, records};
use crate::kit::{Bench, Run};
use serde_json::Value;

const LEASE: &str = "lease: 1s, heartbeat: 100ms";

fn standby(bench: &Bench) {
    configure(
        bench,
        &format!("  leadership: {{role: standby, {LEASE}}}\n  batching: {{batch_timeout: 1h}}\n"),
    );
}

fn until(daemon: &Daemon, condition: &str) -> Value {
    loop {
        let status = daemon.get("/v1/datasets/items/status").ok();
        if status["condition"] == condition {
            return status;
        }
        std::thread::yield_now();
    }
}

/// Two daemons need two write-ahead logs.
fn other(bench: &Bench, more: &str) -> Daemon {
    let text = format!(
        "producer:\n  dataset: items\n  schema: item.schema\n  store: store\n  wal: {{dir: other-wal}}\n  \
         dead_letter: {{dir: other-dead}}\n  monitoring: {{health_check_port: 0}}\n{more}"
    );
    bench.write("other.yaml", &text);
    let mut command = bench.command(&["producer", "--writer", "other", "--config", "other.yaml"]);
    Daemon::spawn(command.stdin(std::process::Stdio::null()))
}

#[test]
fn a_standby_takes_nothing_in_says_who_publishes_and_takes_over_from_one_that_is_gone() {
    let bench = Bench::with_schema();
    let leader = other(&bench, "  leadership: {lease: 1s, heartbeat: 100ms}\n");
    leader.accepted("?wait=published", &records(1..3));
    configure(&bench, "  leadership: standby\n");
    let config = bench.run("config check c.yaml").ok();
    assert!(config.contains("c.yaml"), "{config}");
    standby(&bench);
    let daemon = Daemon::start(&bench);
    let status = loop {
        let status = until(&daemon, "standby");
        if status["leader"] != Value::Null {
            break status;
        }
    };
    assert_eq!(status["leader"], "other");
    let refused = daemon.post("/v1/datasets/items/records", b"{\"id\":3}\n");
    assert_eq!(refused.refused(503).0, "standby");
    assert_eq!(refused.json()["error"]["leader"], "other");
    assert_eq!(daemon.get("/ready").status, 503);
    assert_eq!(daemon.get("/health").status, 200);
    let metrics = daemon.get("/metrics").body;
    let line = "grotto_producer_leading{dataset=\"items\"} 0";
    assert!(metrics.contains(line), "{metrics}");
    leader.kill();
    until(&daemon, "running");
    let metrics = daemon.get("/metrics").body;
    let line = "grotto_producer_leading{dataset=\"items\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    daemon.accepted("", &records(3..5));
    daemon.post("/v1/datasets/items/flush", b"").ok();
    assert_eq!(published(&bench), [1, 2, 3, 4]);
}

#[test]
fn a_leader_that_was_taken_over_from_ends_as_fenced_and_what_it_had_is_for_a_person() {
    let bench = Bench::with_schema();
    configure(
        &bench,
        &format!("  leadership: {{{LEASE}}}\n  batching: {{batch_timeout: 1h}}\n"),
    );
    let mut old = Daemon::start(&bench);
    old.accepted("", &records(1..3));
    old.post("/v1/datasets/items/flush", b"").ok();
    old.accepted("", &records(10..13));
    let new = other(&bench, "");
    new.accepted("?wait=published", &records(3..4));
    old.logged("another producer took over");
    assert_eq!(old.ended(), 7);
    // It comes back, in the other role: what was not published stays where a person finds it.
    standby(&bench);
    let mut back = Daemon::start(&bench);
    back.logged(
        "set aside what was acknowledged here and not published before another producer took over: see grotto set-aside",
    );
    let status = until(&back, "standby");
    assert_eq!(status["set_aside_files"], 1, "{status}");
    let set_aside = |what: &str| -> Run {
        let line = format!("set-aside {what} --dir wal/items.set-aside");
        bench.run(&line)
    };
    let listed = set_aside("list").ok();
    assert!(listed.contains(": 3 changes, entries "), "{listed}");
    let shown = set_aside("show").ok();
    assert_eq!(shown.lines().count(), 3, "{shown}");
    assert!(
        shown.contains(r#""record":{"id":10,"name":"n10""#),
        "{shown}"
    );
    assert_eq!(published(&bench), [1, 2, 3]);
    let refused = bench
        .run(&format!(
            "set-aside submit --dir wal/items.set-aside --dataset items --producer http://{}",
            back.address
        ))
        .refused(4);
    assert!(refused.contains("stands by"), "{refused}");
    let sent = bench.run(&format!(
        "set-aside submit --dir wal/items.set-aside --dataset items --producer http://{}",
        new.address
    ));
    assert!(sent.ok().contains("3 changes taken in, 0 refused"));
    new.post("/v1/datasets/items/flush", b"").ok();
    assert_eq!(published(&bench), [1, 2, 3, 10, 11, 12]);
    assert_eq!(set_aside("list").ok(), "nothing is set aside\n");
    let status = until(&back, "standby");
    assert_eq!(status["set_aside_files"], 0, "{status}");
}

#[test]
fn what_is_set_aside_may_be_dropped_for_good() {
    let bench = Bench::with_schema();
    standby(&bench);
    let old = Daemon::start(&bench);
    until(&old, "running");
    old.accepted("", &records(1..3));
    old.kill();
    let new = other(&bench, "");
    new.accepted("?wait=published", &records(3..4));
    let back = Daemon::start(&bench);
    while until(&back, "standby")["set_aside_files"] != 1 {}
    let dropped = bench.run("set-aside drop --dir wal/items.set-aside").ok();
    assert!(dropped.starts_with("dropped "), "{dropped}");
    new.kill();
    until(&back, "running");
    back.accepted("", &records(4..5));
    back.post("/v1/datasets/items/flush", b"").ok();
    assert_eq!(published(&bench), [3, 4]);
    bench.run("set-aside list --dir nowhere").ok();
}

#[test]
fn a_daemon_hands_over_at_a_command_and_takes_over_again_where_nobody_follows() {
    let bench = Bench::with_schema();
    configure(
        &bench,
        &format!("  leadership: {{{LEASE}}}\n  batching: {{batch_timeout: 1h}}\n"),
    );
    let daemon = Daemon::start(&bench);
    daemon.accepted("", &records(1..4));
    let line = format!(
        "hand-over --dataset items --producer http://{}",
        daemon.address
    );
    let said = bench.run(&line).ok();
    assert_eq!(said, "handed over after version 1: the daemon stands by\n");
    assert_eq!(published(&bench), [1, 2, 3]);
    until(&daemon, "running");
    daemon.accepted("", &records(4..5));
    let next = other(
        &bench,
        &format!("  leadership: {{role: standby, {LEASE}}}\n"),
    );
    bench.run(&line).ok();
    until(&next, "running");
    next.accepted("?wait=published", &records(5..6));
    assert_eq!(published(&bench), [1, 2, 3, 4, 5]);
    let refused = bench.run(&line).refused(4);
    assert!(refused.contains("stands by"), "{refused}");
}

#[test]
fn settings_of_leadership_that_make_no_sense_are_refused_where_they_stand() {
    let bench = Bench::with_schema();
    for (text, expected) in [
        (
            "  leadership: {lease: 10s, heartbeat: 5s}\n",
            "producer.leadership.heartbeat: expected at most a third of lease, which is 10s, found 5s",
        ),
        (
            "  leadership: follower\n",
            "expected one of leader, standby, found \"follower\"",
        ),
        (
            "  leadership: 7\n",
            "leader, standby or a section with `role`, `lease` and `heartbeat`",
        ),
        (
            "  leadership: standby\n  sources: {stdin: stream}\n",
            "producer.sources.stdin: expected none where leadership is standby",
        ),
    ] {
        configure(&bench, text);
        let refused = bench.run("config check c.yaml").refused(2);
        assert!(refused.contains(expected), "{text}: {refused}");
    }
}
