//! `grotto rollout` with sidecars that go where they are led: to its end, halted, gone back, resumed.

use crate::daemon::kit::{Daemon, PATIENCE, records};
use crate::kit::{Bench, Run};
use grotto::engine::env::Env;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::Child;

/// Versions 1 to 3 with so many records each, of which channel `stable` names the first.
fn published(sizes: &[u64]) -> Bench {
    let bench = Bench::with_schema();
    for size in sizes {
        bench.publish(&records(0..*size), "").ok();
    }
    bench.run("channel set --store store stable 1").ok();
    bench
}

/// A sidecar of this name that follows the channel, with more keys.
fn follower(bench: &Bench, name: &str, more: &str) -> Daemon {
    let text = format!(
        "consumer:\n  dataset: items\n  store: store\n  id: {name}\n  channel: stable\n  poll_interval: 10ms\n  \
         max_backoff: 50ms\n  lease_interval: 1s\n  monitoring: {{health_check_port: 0}}\n{more}"
    );
    let file = format!("{name}.yaml");
    bench.write(&file, &text);
    Daemon::spawn(&mut bench.command(&["sidecar", "--config", &file]))
}

fn consumers(bench: &Bench) -> Vec<Value> {
    let looks = bench.run("status --store store --json").values();
    let consumers = looks[0]["datasets"][0]["consumers"].as_array();
    consumers.cloned().unwrap_or_default()
}

/// Looks until so many consumers serve these versions, in any order.
#[track_caller]
fn serving(bench: &Bench, expected: &[u64]) {
    let clock = Env::system().clock;
    loop {
        let found = consumers(bench);
        let mut versions: Vec<u64> = found
            .iter()
            .map(|one| one["version"].as_u64().unwrap())
            .collect();
        versions.sort_unstable();
        if versions == expected {
            return;
        }
        assert!(clock.monotonic() < PATIENCE, "{found:#?}");
    }
}

fn channel(bench: &Bench) -> Value {
    bench.run("channel list --store store --json").values()[0].clone()
}

fn start(bench: &Bench, more: &str) -> Run {
    bench.run(&format!("rollout start --store store stable {more}"))
}

#[test]
fn a_version_that_is_right_reaches_everybody_stage_by_stage() {
    let bench = published(&[3, 4, 5]);
    let _all: Vec<Daemon> = ["a", "b", "c"]
        .map(|name| follower(&bench, name, ""))
        .into();
    serving(&bench, &[1, 1, 1]);
    let events = start(&bench, "3 --stages 1%,100% --wait 4s --by ada --json").values();
    let told: Vec<&str> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["stage", "well", "stage", "well", "done"]);
    // One goes first, however small the share is, and it is there while the others are not.
    assert_eq!(events[0]["watched"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&events[0]["from"], &events[1]["there"]),
        (&1.into(), &1.into())
    );
    assert_eq!(events[2]["watched"].as_array().unwrap().len(), 3);
    assert_eq!(events[3]["there"], 3);
    serving(&bench, &[3, 3, 3]);
    let channel = channel(&bench);
    assert_eq!(
        (&channel["version"], &channel["by"]),
        (&3.into(), &"ada".into())
    );
    assert!(channel["rollout"].is_null());
    let told = bench.run("rollout status --store store").ok();
    assert_eq!(told, "items: no rollout is under way\n");
}

#[test]
fn a_consumer_that_holds_the_version_back_halts_it_and_nobody_else_goes() {
    // Its guards hold a version of twice as many records.
    let bench = published(&[3, 4, 8]);
    let guards = "  guards: {min_records: 1, min_growth: 1}\n";
    let _all: Vec<Daemon> = ["a", "b", "c"]
        .map(|name| follower(&bench, name, guards))
        .into();
    serving(&bench, &[1, 1, 1]);
    let run = start(&bench, "3 --stages 1%,100% --wait 60s");
    assert_eq!(run.code, 10, "{}{}", run.out, run.err);
    for part in [
        "halted at stage 1 of 2 (1%)",
        "is degraded",
        "grotto rollout resume stable",
    ] {
        assert!(run.err.contains(part), "{part} in {}", run.err);
    }
    serving(&bench, &[1, 1, 1]);
    let halted = channel(&bench);
    assert_eq!(halted["version"], 1);
    let rollout = &halted["rollout"];
    assert_eq!((&rollout["to"], &rollout["stage"]), (&3.into(), &1.into()));
    assert!(
        rollout["halted"].as_str().unwrap().contains("degraded"),
        "{halted}"
    );
    let told = bench.run("rollout status --store store").ok();
    assert!(
        told.contains("stage 1 of 2 (1%), 0 of 1 consumer there"),
        "{told}"
    );
    assert!(told.contains("  halted: "), "{told}");
    // Another one cannot begin, and this one can be taken back.
    let refused = start(&bench, "2 --wait 1s").refused(2);
    assert!(refused.contains("grotto rollout abort stable"), "{refused}");
    let told = bench.run("rollout abort --store store stable").ok();
    assert!(
        told.contains("all followers go back to version 1"),
        "{told}"
    );
    assert!(channel(&bench)["rollout"].is_null());
    bench.run("rollout abort --store store stable").refused(3);
}

#[test]
fn one_that_dies_with_the_version_halts_it_and_with_back_all_go_back() {
    let bench = published(&[3, 4]);
    let mut first = Some(follower(&bench, "a", ""));
    serving(&bench, &[1]);
    let mut rollout = begin(&bench, "2 --stages 50%,100% --wait 60s --back --json");
    serving(&bench, &[2]);
    first.take().unwrap().kill();
    let ended = rollout.0.wait().unwrap();
    assert_eq!(ended.code(), Some(10));
    let said = rollout.said();
    assert!(said.contains("a is gone"), "{said}");
    assert!(
        said.contains("all followers go back to version 1"),
        "{said}"
    );
    let channel = channel(&bench);
    assert_eq!(channel["version"], 1);
    assert!(channel["rollout"].is_null(), "{channel}");
    let reason = channel["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("back from version 2: a is gone"),
        "{reason}"
    );
    let _again = follower(&bench, "a", "");
    serving(&bench, &[1]);
}

#[test]
fn one_that_is_interrupted_stays_at_its_stage_and_goes_on_there() {
    let bench = published(&[3, 4]);
    let _all: Vec<Daemon> = ["a", "b"].map(|name| follower(&bench, name, "")).into();
    serving(&bench, &[1, 1]);
    let mut rollout = begin(&bench, "2 --stages 1%,100% --wait 6s --json");
    serving(&bench, &[1, 2]);
    rollout.interrupt();
    assert_eq!(rollout.0.wait().unwrap().code(), Some(10));
    assert!(rollout.said().contains("stays at its stage"));
    let stopped = channel(&bench);
    let at = &stopped["rollout"];
    assert_eq!((&at["stage"], &at["halted"]), (&1.into(), &Value::Null));
    let told = bench.run("rollout status --store store").ok();
    assert!(told.contains("1 of 1 consumer there"), "{told}");
    let run = bench.run("rollout resume --store store stable");
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(
        run.out.ends_with("channel stable names version 2\n"),
        "{}",
        run.out
    );
    serving(&bench, &[2, 2]);
}

#[test]
fn a_rollout_that_could_watch_nobody_does_not_begin() {
    let bench = published(&[3, 4]);
    for (line, code, part) in [
        ("2", 2, "no follower that keeps a lease is well"),
        ("1", 2, "names version 1 already"),
        ("9", 3, "version 9 is not in the log"),
        ("2 --stages 1%,10%", 2, "100% as the last stage"),
        ("2 --stages 10%,1%,100%", 2, "ascend"),
    ] {
        let refused = start(&bench, line).refused(code);
        assert!(refused.contains(part), "{refused}");
    }
    let refused = bench.run("rollout start --store store canary 2").refused(3);
    assert!(refused.contains("there is no channel canary"), "{refused}");
    bench.run("rollout resume --store store stable").refused(3);
    bench.run("pin --store store 1").ok();
    let refused = start(&bench, "2").refused(2);
    assert!(refused.contains("all consumers are pinned"), "{refused}");
    assert!(channel(&bench)["rollout"].is_null());
}

#[test]
fn a_channel_that_somebody_sets_meanwhile_ends_the_rollout() {
    let bench = published(&[3, 4, 5]);
    let _one = follower(&bench, "a", "");
    serving(&bench, &[1]);
    let mut rollout = begin(&bench, "3 --stages 50%,100% --wait 60s --json");
    serving(&bench, &[3]);
    bench.run("channel set --store store stable 2").ok();
    assert_eq!(rollout.0.wait().unwrap().code(), Some(9));
    assert!(
        rollout
            .said()
            .contains("somebody else changed channel stable")
    );
    serving(&bench, &[2]);
    assert_eq!(channel(&bench)["version"], 2);
}

/// A rollout that goes on beside the test.
struct Begun(Child);

impl Drop for Begun {
    fn drop(&mut self) {
        // It has ended already if all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn begin(bench: &Bench, more: &str) -> Begun {
    let line = format!("rollout start --store store stable {more}");
    let args: Vec<&str> = line.split_whitespace().collect();
    Begun(bench.command(&args).spawn().unwrap())
}

impl Begun {
    fn interrupt(&self) {
        let mut kill = std::process::Command::new("kill");
        let sent = kill.arg("-INT").arg(self.0.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// What it said on the standard error stream.
    fn said(&mut self) -> String {
        let stderr = BufReader::new(self.0.stderr.take().unwrap());
        let lines: Result<Vec<String>, _> = stderr.lines().collect();
        lines.unwrap().join("\n")
    }
}
