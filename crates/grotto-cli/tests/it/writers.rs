//! Two publishers on one store: exactly one commits each version.

use crate::kit::{Bench, Run};
use std::io::Write as _;
use std::process::Stdio;

const ARGS: [&str; 9] = [
    "publish",
    "--store",
    "store",
    "--dataset",
    "items",
    "--schema",
    "item.schema",
    "--json",
    "--input",
];

fn lines(from: u64, to: u64) -> String {
    (from..to)
        .map(|id| format!("{{\"id\":{id},\"name\":\"a name of some length to fill the pipe\"}}\n"))
        .collect()
}

#[test]
fn a_publisher_that_was_overtaken_says_fenced_and_publishes_nothing() {
    let bench = Bench::with_schema();
    bench.publish(&lines(0, 10), "").ok();
    let mut slow = bench.command(&ARGS);
    let mut slow = slow.arg("-").stdin(Stdio::piped()).spawn().unwrap();
    let mut input = slow.stdin.take().unwrap();
    // More than a pipe holds: it is taken only by a cycle that runs, thus on a head that was read.
    input.write_all(lines(0, 40_000).as_bytes()).unwrap();
    bench.publish(&lines(0, 11), "").ok();
    drop(input);
    let run = Run::of(slow.wait_with_output().unwrap());
    let complaint: serde_json::Value = serde_json::from_str(&run.refused(7)).unwrap();
    assert_eq!(complaint["error"]["kind"], "fenced");
    assert!(
        complaint["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("fenced: "),
        "{complaint}"
    );
    let found = bench.run("export --store store").ok();
    assert_eq!(found.lines().count(), 11);
    bench.run("verify --store store").ok();
}

#[test]
fn of_two_that_race_each_version_has_one_writer_and_every_loser_says_fenced() {
    const ROUNDS: u64 = 12;
    let bench = Bench::with_schema();
    bench.publish(&lines(0, 1), "").ok();
    let mut won = 1;
    for round in 0..ROUNDS {
        let start = |side: u64| {
            let name = format!("{round}-{side}.ndjson");
            bench.write(&name, &lines(0, 100 + 2 * round + side));
            let mut racing = bench.command(&ARGS);
            racing.arg(name).arg("--no-retry").spawn().unwrap()
        };
        let both = [start(0), start(1)];
        for run in both.map(|child| Run::of(child.wait_with_output().unwrap())) {
            match run.code {
                0 => won += 1,
                7 => assert!(run.err.contains("\"kind\":\"fenced\""), "{}", run.err),
                other => panic!("exit code {other}: {}", run.err),
            }
        }
    }
    let log = bench.run("log --store store --all --json").values();
    let versions: Vec<u64> = log
        .iter()
        .map(|line| line["version"].as_u64().unwrap())
        .collect();
    assert_eq!(versions, (1..=log.len() as u64).collect::<Vec<u64>>());
    let commits = log.iter().filter(|line| line["kind"] == "commit").count();
    assert_eq!(
        commits, won,
        "every publisher that said it published did, and nobody else"
    );
    let verified = bench.run("verify --store store --json").values().remove(0);
    assert_eq!(verified["ok"], true);
}

#[test]
fn of_two_that_race_the_slower_publishes_on_top_unless_told_otherwise() {
    const ROUNDS: u64 = 8;
    let bench = Bench::with_schema();
    bench.publish(&lines(0, 1), "").ok();
    for round in 0..ROUNDS {
        let start = |side: u64| {
            let name = format!("{round}-{side}.ndjson");
            let id = 1 + 2 * round + side;
            bench.write(&name, &lines(id, id + 1));
            let mut racing = bench.command(&ARGS);
            racing.arg(name).arg("--incremental").spawn().unwrap()
        };
        let both = [start(0), start(1)];
        for run in both.map(|child| Run::of(child.wait_with_output().unwrap())) {
            run.ok();
        }
    }
    let found = bench.run("export --store store").ok();
    assert_eq!(found.lines().count() as u64, 1 + 2 * ROUNDS);
}

#[test]
fn a_pipe_by_another_name_is_read_once_too() {
    let bench = Bench::with_schema();
    bench.publish(&lines(0, 10), "").ok();
    let mut slow = bench.command(&ARGS);
    slow.args(["/dev/stdin", "--incremental"]);
    let mut slow = slow.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = slow.stdin.take().unwrap();
    // As above: it runs on a head that another one moves.
    input.write_all(lines(0, 40_000).as_bytes()).unwrap();
    bench.publish(&lines(0, 11), "").ok();
    drop(input);
    Run::of(slow.wait_with_output().unwrap()).refused(7);
}
