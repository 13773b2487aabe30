//! `grotto status` beside consumers that run.

use crate::kit::{Bench, Run};
use grotto::engine::env::Env;
use grotto::{Consumer, Store, StoreUrl};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStderr, ChildStdout};
use std::time::{Duration, SystemTime};

/// Longest wait for what comes within seconds.
const PATIENCE: Duration = Duration::from_secs(60);

fn published() -> Bench {
    let bench = Bench::with_schema();
    bench.publish("{\"id\":1}\n", "").ok();
    bench
}

/// A consumer of the bench's store that is seen.
async fn consumer(bench: &Bench, name: &str) -> Consumer {
    let store = Store::open(&StoreUrl::Local(bench.path("store"))).unwrap();
    let builder = Consumer::builder("items", store).lease(name);
    let builder = builder.poll_interval(Duration::from_millis(10));
    let builder = builder.lease_interval(Duration::from_secs(1));
    builder.start().await.unwrap()
}

/// What is told of the only dataset.
fn look(bench: &Bench, more: &str) -> Value {
    let looks = bench.run(&format!("status --store store --json {more}"));
    let [look] = &looks.values()[..] else {
        panic!("expected one look")
    };
    look["datasets"][0].clone()
}

/// Looks until what is told of the only dataset is as it should be.
fn look_until(bench: &Bench, right: impl Fn(&Value) -> bool) -> Value {
    let clock = Env::system().clock;
    loop {
        let found = look(bench, "");
        if right(&found) {
            return found;
        }
        assert!(clock.monotonic() < PATIENCE, "{found:#}");
    }
}

fn of<'a>(dataset: &'a Value, name: &str) -> &'a Value {
    let consumers = dataset["consumers"].as_array().unwrap();
    let mut named = consumers.iter().filter(|one| one["consumer"] == name);
    named.next().unwrap_or(&Value::Null)
}

fn names(dataset: &Value) -> Vec<&str> {
    let consumers = dataset["consumers"].as_array().unwrap();
    consumers
        .iter()
        .map(|one| one["consumer"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_shown_with_what_each_serves_until_it_ends() {
    let bench = published();
    let (ahead, behind) = (
        consumer(&bench, "web-1").await,
        consumer(&bench, "web-2").await,
    );
    behind.refresh_to(1).await.unwrap();
    bench.publish("{\"id\":1}\n{\"id\":2}\n", "").ok();
    let both = |found: &Value| {
        of(found, "web-1")["version"] == 2 && of(found, "web-2")["versions_behind"] == 1
    };
    let found = look_until(&bench, both);
    // Who is behind comes first.
    assert_eq!(names(&found), ["web-2", "web-1"]);
    assert_eq!((&found["version"], &found["epoch"]), (&2.into(), &2.into()));
    let web_1 = of(&found, "web-1");
    assert_eq!(
        (&web_1["health"], &web_1["versions_behind"]),
        (&"ready".into(), &0.into())
    );
    assert_eq!(
        (&web_1["newest_known"], &web_1["expired"]),
        (&2.into(), &false.into())
    );
    assert_eq!(web_1["process"], std::process::id().to_string());
    assert!(
        web_1["host"].as_str().is_some_and(|host| !host.is_empty()),
        "{web_1}"
    );
    assert_eq!(of(&found, "web-2")["pinned"], 1);

    let text = bench.run("status --store store --dataset items").ok();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("items: version 2, committed "),
        "{text}"
    );
    assert!(lines[0].ends_with(", 2 consumers, 1 behind"), "{text}");
    let words: Vec<&str> = lines[2].split_whitespace().collect();
    assert_eq!(
        words[..5],
        ["web-2", "1", "(pinned)", "1", "version,"],
        "{text}"
    );
    assert!(
        lines[3].contains("web-1") && lines[3].contains("ready"),
        "{text}"
    );

    ahead.shutdown().await;
    assert_eq!(names(&look(&bench, "")), ["web-2"]);
    behind.shutdown().await;
    let found = look(&bench, "--all");
    assert_eq!((names(&found), &found["expired"]), (vec![], &0.into()));
}

/// So many records that a version with twice as many is past the guards.
fn many(records: u64) -> String {
    (0..records)
        .map(|id| format!("{{\"id\":{id}}}\n"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_held_is_shown_with_the_reason_until_it_is_accepted() {
    let bench = Bench::with_schema();
    bench.publish(&many(21_000), "").ok();
    let running = consumer(&bench, "web-1").await;
    bench.publish(&many(42_001), "").ok();
    let found = look_until(&bench, |found| of(found, "web-1")["held"] == 2);
    let one = of(&found, "web-1");
    assert_eq!(
        (&one["version"], &one["versions_behind"]),
        (&1.into(), &1.into()),
        "{one}"
    );
    assert_eq!(one["health"], "degraded", "{one}");
    let text = bench.run("status --store store").ok();
    let words: Vec<&str> = text.lines().nth(2).unwrap().split_whitespace().collect();
    assert_eq!((words[0], words[1]), ("web-1", "1"), "{text}");
    let reasons: String = text.lines().skip(3).collect();
    assert!(reasons.contains("version 2 is held: "), "{text}");
    bench.run("accept --store store 2").ok();
    let found = look_until(&bench, |found| of(found, "web-1")["version"] == 2);
    assert!(of(&found, "web-1")["held"].is_null(), "{found}");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_killed_is_gone_after_a_while_and_listed_when_all_are_asked_for() {
    let bench = published();
    let running = consumer(&bench, "web-1").await;
    look_until(&bench, |found| names(found) == ["web-1"]);
    let (file, kept) = (
        bench.path("store/items/consumers/web-1.json"),
        bench.path("kept"),
    );
    std::fs::copy(&file, &kept).unwrap();
    running.shutdown().await;
    // What a kill leaves, a while ago.
    std::fs::rename(&kept, &file).unwrap();
    let left = |ago_s: u64| {
        let now = Duration::from_millis(Env::system().clock.wall_ms());
        let then = SystemTime::UNIX_EPOCH + now - Duration::from_secs(ago_s);
        File::options()
            .append(true)
            .open(&file)
            .unwrap()
            .set_modified(then)
            .unwrap();
    };
    left(90);
    let found = look(&bench, "");
    assert_eq!((names(&found), &found["expired"]), (vec![], &1.into()));
    let text = bench.run("status --store store").ok();
    assert!(
        text.contains("\n  1 consumer not heard of any more left out (--all)\n"),
        "{text}"
    );
    let found = look(&bench, "--all");
    assert_eq!(of(&found, "web-1")["expired"], true);
    let text = bench.run("status --store store --all").ok();
    assert!(text.lines().nth(2).unwrap().contains("gone "), "{text}");
    // Long ago, and not even read any more.
    left(3 * 86_400);
    std::fs::write(&file, "no lease").unwrap();
    left(3 * 86_400);
    let text = bench.run("status --store store --all").ok();
    assert!(
        text.lines().nth(2).unwrap().contains("gone 2 d 23 h"),
        "{text}"
    );
}

#[test]
fn a_lease_that_is_damaged_is_listed_as_such_and_nothing_else_suffers() {
    let bench = published();
    std::fs::create_dir(bench.path("store/items/consumers")).unwrap();
    bench.write("store/items/consumers/web-1.json", "{\"format\":1}");
    let found = look(&bench, "");
    let damaged = of(&found, "web-1")["damaged"].as_str().unwrap();
    assert!(damaged.contains("does not end in a checksum"), "{damaged}");
    let text = bench.run("status --store store").ok();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[2].contains("web-1") && lines[2].contains("damaged"),
        "{text}"
    );
    assert!(lines[3].contains("does not end in a checksum"), "{text}");
}

#[test]
fn a_dataset_that_is_not_there_and_options_that_make_no_sense_have_their_codes() {
    let bench = published();
    let missing = bench.run("status --store store --dataset films").refused(3);
    assert!(missing.contains("has no dataset films"), "{missing}");
    std::fs::create_dir(bench.path("empty")).unwrap();
    let empty = bench.run("status --store empty").refused(3);
    assert!(empty.contains("has no dataset\n"), "{empty}");
    bench.run("status --store nowhere").refused(2);
    bench.run("status --store store --interval 1s").refused(2);
    let text = bench.run("status --store store").ok();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.ends_with(", 0 consumers\n"), "{text}");
}

/// A run that goes on; killed when the test ends.
struct Watch {
    process: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
}

impl Watch {
    fn start(bench: &Bench, more: &str) -> Self {
        let line = format!("status --store store --watch --interval 20ms {more}");
        let mut process = bench
            .command(&line.split_whitespace().collect::<Vec<&str>>())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap()).lines();
        let err = BufReader::new(process.stderr.take().unwrap()).lines();
        Self { process, out, err }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn looks_follow_each_other_and_go_on_when_the_store_is_away() {
    let bench = published();
    let mut watch = Watch::start(&bench, "--json");
    let mut looks = watch.out.by_ref().map(|line| {
        let look: Value = serde_json::from_str(&line.unwrap()).unwrap();
        look["datasets"][0].clone()
    });
    assert_eq!(names(&looks.next().unwrap()), Vec::<&str>::new());
    let running = consumer(&bench, "web-1").await;
    looks.find(|look| names(look) == ["web-1"]).unwrap();
    running.shutdown().await;
    looks.find(|look| names(look).is_empty()).unwrap();
    std::fs::rename(bench.path("store"), bench.path("gone")).unwrap();
    let told = watch.err.next().unwrap().unwrap();
    assert!(told.contains("is gone or not readable"), "{told}");
    std::fs::rename(bench.path("gone"), bench.path("store")).unwrap();
    bench.publish("{\"id\":7}\n", "").ok();
    looks.find(|look| look["version"] == 2).unwrap();
}

#[test]
fn looks_for_people_are_blocks_with_an_empty_line_between() {
    let bench = published();
    let mut watch = Watch::start(&bench, "");
    let lines: Vec<String> = watch.out.by_ref().map(Result::unwrap).take(5).collect();
    for (at, line) in lines.iter().enumerate() {
        let is_look = line.starts_with("items: version 1, committed ");
        assert_eq!(is_look, at % 2 == 0, "{lines:#?}");
        assert_eq!(line.is_empty(), at % 2 == 1, "{lines:#?}");
    }
    assert!(!lines.concat().contains('\x1b'), "{lines:#?}");
}

#[test]
fn help_names_what_a_script_needs() {
    let help = Run::ok(Bench::new().run("status --help"));
    for words in ["--watch", "--all", "exit code is 0", "4 where the store"] {
        assert!(help.contains(words), "{words}: {help}");
    }
}
