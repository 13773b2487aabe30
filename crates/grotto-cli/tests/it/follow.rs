//! `grotto follow` while its store comes and goes, and how it ends.

use crate::kit::{Bench, Run};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStderr, ChildStdout, Command};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// Longest life of a follower, so that a remark that does not come fails its test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that does not outlive its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already where the test succeeded.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A follower that runs, and what it prints.
struct Follower {
    process: Process,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
    /// Keeps the watchdog from biting.
    _leash: mpsc::Sender<()>,
}

impl Follower {
    fn start(bench: &Bench, more: &str) -> Self {
        let line = format!("follow --store store --dataset items --poll-interval 1ms {more}");
        let mut command = bench.command(&line.split_whitespace().collect::<Vec<&str>>());
        // Its warnings tell how often refreshes failed.
        let mut process = command.env("GROTTO_LOG", "warn").spawn().unwrap();
        let out = BufReader::new(process.stdout.take().unwrap()).lines();
        let err = BufReader::new(process.stderr.take().unwrap()).lines();
        let (leash, held) = mpsc::channel();
        let id = process.id();
        std::thread::spawn(move || {
            if held.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                kill(id, "KILL");
            }
        });
        Self {
            process: Process(process),
            out,
            err,
            _leash: leash,
        }
    }

    /// Reads the standard error stream up to a line with `text`; the lines read.
    fn err_up_to(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for line in self.err.by_ref() {
            lines.push(line.unwrap());
            if lines.last().unwrap().contains(text) {
                return lines;
            }
        }
        panic!("{text:?} does not come: {lines:?}");
    }

    /// Ends it by a signal; what it had not printed before.
    fn end(mut self, signal: &str) -> Run {
        kill(self.process.0.id(), signal);
        let (out, err) = (rest(&mut self.out), rest(&mut self.err));
        let code = self.process.0.wait().unwrap().code().unwrap_or(-1);
        Run { code, out, err }
    }
}

fn rest(lines: impl Iterator<Item = std::io::Result<String>>) -> String {
    lines.map(|line| line.unwrap() + "\n").collect()
}

fn kill(id: u32, signal: &str) {
    let args = [format!("-{signal}"), id.to_string()];
    assert!(Command::new("kill").args(args).status().unwrap().success());
}

fn published() -> Bench {
    let bench = Bench::with_schema();
    bench.publish("{\"id\":1}\n", "").ok();
    bench
}

/// Publishes version 2 while it follows: once it is told, the look at the whole log with which following begins
/// is over, and what fails is one of the small looks after it.
fn follow_to_version_2(bench: &Bench, follower: &mut Follower, told: &str) {
    bench.publish("{\"id\":2}\n", "").ok();
    assert!(
        follower
            .out
            .by_ref()
            .any(|line| line.unwrap().contains(told))
    );
}

/// Takes the store away until four refreshes failed, and waits until one succeeds. The remarks.
fn lose_and_find_the_store(bench: &Bench, follower: &mut Follower, again: &str) -> Vec<String> {
    std::fs::rename(bench.path("store"), bench.path("gone")).unwrap();
    let mut lines = follower.err_up_to("failures=4");
    std::fs::rename(bench.path("gone"), bench.path("store")).unwrap();
    lines.extend(follower.err_up_to(again));
    assert!(
        lines.iter().all(|line| !line.contains('\u{1b}')),
        "{lines:?}"
    );
    lines.retain(|line| !line.contains("refresh failed; serving on"));
    lines
}

/// A remark without its date, of which it makes sure.
fn undated(remark: &str) -> &str {
    let dated = remark.strip_prefix("note: ").unwrap();
    let (date, rest) = dated.split_once(" UTC: ").unwrap();
    let shape = |c: char| if c.is_ascii_digit() { '0' } else { c };
    let shape: String = date.chars().map(shape).collect();
    assert_eq!(shape, "0000-00-00 00:00:00");
    rest
}

#[test]
fn a_store_that_goes_and_comes_back_is_told_once_each_time_with_the_time() {
    let bench = published();
    let mut follower = Follower::start(&bench, "");
    let first = follower.out.next().unwrap().unwrap();
    assert_eq!(first, "following items from version 1");
    follow_to_version_2(&bench, &mut follower, "version 2 ");
    let store = bench.path("store").canonicalize().unwrap();
    for _ in 0..2 {
        let remarks = lose_and_find_the_store(&bench, &mut follower, "refreshing again");
        let [lost, found] = &remarks[..] else {
            panic!("{remarks:?}")
        };
        let reason = format!("store folder {} is gone or not readable", store.display());
        let expected =
            format!("cannot refresh, still at version 2: {reason}: no such file or directory");
        assert_eq!(undated(lost), expected);
        let found = undated(found);
        assert!(
            found.starts_with("refreshing again after ") && found.ends_with('s'),
            "{found}"
        );
    }
    let run = follower.end("TERM");
    assert_eq!((run.code, run.err.as_str()), (0, ""));
}

#[test]
fn for_programs_the_condition_is_told_in_json() {
    let bench = published();
    let mut follower = Follower::start(&bench, "--json");
    follow_to_version_2(&bench, &mut follower, "\"to\":2");
    let remarks = lose_and_find_the_store(&bench, &mut follower, "\"refreshing\"");
    let notes = remarks
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let notes: Vec<Value> = notes.collect();
    let [lost, found] = &notes[..] else {
        panic!("{remarks:?}")
    };
    let (lost, found) = (&lost["note"], &found["note"]);
    assert_eq!(lost["condition"], "failing");
    assert_eq!(lost["kind"], "unavailable");
    assert_eq!(lost["version"], 2);
    assert!(
        lost["message"]
            .as_str()
            .unwrap()
            .contains("is gone or not readable")
    );
    assert_eq!(found["condition"], "refreshing");
    assert_eq!(found["version"], 2);
    let times = [lost, found].map(|note| note["time_ms"].as_u64().unwrap());
    assert!(
        times[0] > 1_700_000_000_000 && times[0] <= times[1],
        "{times:?}"
    );
    assert!(found["after_ms"].as_f64().unwrap() > 0.0);
    follower.end("TERM").ok();
}

#[test]
fn signals_end_it_in_good_order_also_while_it_waits_for_a_dataset() {
    for signal in ["TERM", "INT"] {
        let bench = published();
        let mut follower = Follower::start(&bench, "--state-dir state");
        follower.out.next().unwrap().unwrap();
        let run = follower.end(signal);
        assert_eq!((run.code, run.err.as_str()), (0, ""), "{signal}");
        // The folder is free again.
        bench.run("get --store store --state-dir state Item 1").ok();

        let bench = Bench::new();
        std::fs::create_dir(bench.path("store")).unwrap();
        let mut waiting = Follower::start(&bench, "--wait");
        let told = waiting.err.next().unwrap().unwrap();
        let expected = "note: dataset items has no version yet: waiting for the first";
        assert_eq!(told, expected);
        waiting.end(signal).ok();
    }
}
