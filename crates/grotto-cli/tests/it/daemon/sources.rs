//! Records that come by folder and by pipe.

use super::kit::{Daemon, configure, published, records};
use crate::kit::Bench;
use std::io::Write as _;
use std::process::Stdio;

const FOLDER: &str = "  sources: {folder: in, poll_interval: 10ms}\n";

/// Puts a file into the folder as one does: whole, by a rename.
fn put(bench: &Bench, name: &str, text: &str) {
    bench.write(".new", text);
    std::fs::create_dir_all(bench.path("in")).unwrap();
    std::fs::rename(bench.path(".new"), bench.path(&format!("in/{name}"))).unwrap();
}

#[test]
fn files_of_a_folder_are_taken_in_once_in_their_order() {
    let bench = Bench::with_schema();
    configure(
        &bench,
        &format!("  batching: {{batch_timeout: 10ms}}\n{FOLDER}"),
    );
    put(
        &bench,
        "2.ndjson",
        "{\"id\":1,\"name\":\"new\"}\nnonsense\n",
    );
    put(&bench, "1.csv", "id,name\n1,old\n2,b\n");
    put(&bench, "3.ndjson.gz", "no gzip");
    put(&bench, ".hidden", "{\"id\":99}\n");
    let mut daemon = Daemon::start(&bench);
    for name in ["1.csv", "2.ndjson"] {
        assert_eq!(daemon.logged("file taken in")["file"], name);
    }
    daemon.logged("file refused");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
    assert_eq!(published(&bench), [1, 2]);
    let record = bench.run("get --store store --dataset items Item 1").ok();
    assert!(record.contains("\"name\":\"new\""), "{record}");
    assert!(bench.path("in/done/1.csv").exists() && bench.path("in/done/2.ndjson").exists());
    assert!(bench.path("in/refused/3.ndjson.gz").exists() && bench.path("in/.hidden").exists());
}

#[test]
fn a_file_goes_on_where_it_was_when_the_process_ended() {
    let bench = Bench::with_schema();
    let small = "  batching: {batch_timeout: 10ms, max_batch_size: 100}\n";
    configure(&bench, &format!("{small}{FOLDER}"));
    let line = |n: u64| format!("{{\"id\":{n},\"name\":\"by file\"}}\n");
    let text: String = (0..60_000).map(line).collect();
    put(&bench, "a.ndjson", &text);
    for _ in 0..3 {
        let mut daemon = Daemon::start(&bench);
        daemon.logged("published");
        daemon.kill();
    }
    assert!(
        !bench.path("in/done/a.ndjson").exists(),
        "it was taken in before the process could be killed"
    );
    // A newer record of a line that was taken in: another time, the line would win over it.
    configure(&bench, small);
    let daemon = Daemon::start(&bench);
    daemon.accepted("?wait=published", "{\"id\":0,\"name\":\"by http\"}\n");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
    configure(&bench, &format!("{small}{FOLDER}"));
    let mut daemon = Daemon::start(&bench);
    daemon.logged("file taken in");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
    assert_eq!(published(&bench), (0..60_000).collect::<Vec<_>>());
    let record = bench.run("get --store store --dataset items Item 0").ok();
    assert!(record.contains("by http"), "{record}");
}

#[test]
fn a_file_that_comes_before_does_not_make_the_one_that_was_begun_begin_anew() {
    let bench = Bench::with_schema();
    let small = "  batching: {batch_timeout: 10ms, max_batch_size: 100}\n";
    let with_folder = format!("{small}{FOLDER}");
    configure(&bench, &with_folder);
    put(&bench, "b.ndjson", &records(0..60_000));
    let mut daemon = Daemon::start(&bench);
    daemon.logged("published");
    daemon.kill();
    assert!(
        !bench.path("in/done/b.ndjson").exists(),
        "it was taken in before the process could be killed"
    );
    configure(&bench, small);
    let daemon = Daemon::start(&bench);
    daemon.accepted("?wait=published", "{\"id\":0,\"name\":\"by http\"}\n");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
    put(&bench, "a.ndjson", &records(60_000..60_001));
    configure(&bench, &with_folder);
    let mut daemon = Daemon::start(&bench);
    for name in ["b.ndjson", "a.ndjson"] {
        assert_eq!(daemon.logged("file taken in")["file"], name);
    }
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
    let record = bench.run("get --store store --dataset items Item 0").ok();
    assert!(record.contains("by http"), "{record}");
}

#[test]
fn a_file_that_comes_under_the_name_of_the_one_being_read_is_taken_in_too() {
    let bench = Bench::with_schema();
    configure(
        &bench,
        &format!("  batching: {{batch_timeout: 10ms, max_batch_size: 100}}\n{FOLDER}"),
    );
    put(&bench, "a.ndjson", &records(0..60_000));
    let mut daemon = Daemon::start(&bench);
    daemon.logged("published");
    put(&bench, "a.ndjson", &records(60_000..60_003));
    for lines in [60_000, 3] {
        assert_eq!(daemon.logged("file taken in")["lines"], lines);
    }
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
    assert_eq!(published(&bench).len(), 60_003);
    assert!(bench.path("in/done/a.ndjson").exists() && bench.path("in/done/2-a.ndjson").exists());
}

/// A number before the longest name would make it too long.
#[test]
fn names_of_any_length_may_come_again() {
    let bench = Bench::with_schema();
    configure(
        &bench,
        &format!("  batching: {{batch_timeout: 10ms}}\n{FOLDER}"),
    );
    let name = format!("x{}y.ndjson", "\u{e4}".repeat(123));
    assert_eq!(name.len(), 255);
    let mut daemon = Daemon::start(&bench);
    for id in 1..4 {
        put(&bench, &name, &records(id..id + 1));
        assert_eq!(daemon.logged("file taken in")["file"], name);
    }
    put(&bench, "later.ndjson", &records(4..5));
    assert_eq!(daemon.logged("file taken in")["file"], "later.ndjson");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
    assert_eq!(published(&bench), [1, 2, 3, 4]);
    // No character is cut in two, and the end still says what is in it.
    let short = format!("{}y.ndjson", "\u{e4}".repeat(122));
    for name in [name, format!("2-{short}"), format!("3-{short}")] {
        assert!(bench.path(&format!("in/done/{name}")).exists(), "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_moved_stops_none_behind_it() {
    let bench = Bench::with_schema();
    configure(
        &bench,
        &format!("  batching: {{batch_timeout: 10ms}}\n{FOLDER}"),
    );
    // Nothing can be moved over a folder.
    std::fs::create_dir_all(bench.path("in/.taking/1.ndjson")).unwrap();
    put(&bench, "1.ndjson", &records(1..2));
    put(&bench, "2.ndjson", &records(2..3));
    let mut daemon = Daemon::start(&bench);
    daemon.logged("a source does not get on, and tries again");
    assert!(bench.path("in/done/2.ndjson").exists());
    let ready = daemon.get("/ready").json();
    let reasons = ready["datasets"][0]["reasons"].to_string();
    assert!(
        reasons.contains("folder: cannot move") && reasons.contains("1.ndjson"),
        "{ready}"
    );
    std::fs::remove_dir(bench.path("in/.taking/1.ndjson")).unwrap();
    assert_eq!(daemon.logged("file taken in")["file"], "1.ndjson");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
    assert_eq!(published(&bench), [1, 2]);
}

#[test]
fn an_input_that_could_not_be_taken_in_for_a_while_is_gone_on_with() {
    let bench = Bench::with_schema();
    configure(
        &bench,
        "  batching: {batch_timeout: 10ms}\n  sources: {stdin: stream}\n",
    );
    let mut daemon = Daemon::start_with(&bench, Stdio::piped());
    let mut input = daemon.stdin();
    let (log, away) = (bench.path("wal/items"), bench.path("away"));
    std::fs::rename(&log, &away).unwrap();
    input.write_all(records(1..2).as_bytes()).unwrap();
    daemon.logged("a source does not get on, and tries again");
    let ready = daemon.get("/ready").json();
    let reasons = ready["datasets"][0]["reasons"].to_string();
    assert!(reasons.contains("standard input: "), "{ready}");
    std::fs::rename(&away, &log).unwrap();
    input.write_all(records(2..3).as_bytes()).unwrap();
    drop(input);
    daemon.logged("the standard input ended");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
    assert_eq!(published(&bench), [1, 2]);
}

#[test]
fn lines_of_the_standard_input_are_taken_in_as_they_come() {
    let bench = Bench::with_schema();
    configure(
        &bench,
        "  batching: {batch_timeout: 10ms}\n  sources: {stdin: stream}\n",
    );
    let mut daemon = Daemon::start_with(&bench, Stdio::piped());
    let mut input = daemon.stdin();
    input.write_all(records(1..3).as_bytes()).unwrap();
    // It does not wait for the end of the input.
    daemon.logged("published");
    input.write_all(records(3..4).as_bytes()).unwrap();
    drop(input);
    assert_eq!(daemon.logged("the standard input ended")["lines"], 3);
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
    assert_eq!(published(&bench), [1, 2, 3]);
}

#[test]
fn an_input_that_begins_anew_is_gone_on_with_behind_what_was_taken_in() {
    let bench = Bench::with_schema();
    configure(
        &bench,
        "  batching: {batch_timeout: 10ms}\n  sources: {stdin: replay}\n",
    );
    let mut daemon = Daemon::start_with(&bench, Stdio::piped());
    let mut input = daemon.stdin();
    input.write_all(b"{\"id\":1,\"name\":\"first\"}\n").unwrap();
    daemon.logged("published");
    daemon.accepted("?wait=published", "{\"id\":1,\"name\":\"by http\"}\n");
    daemon.kill();
    let mut daemon = Daemon::start_with(&bench, Stdio::piped());
    let mut input = daemon.stdin();
    input
        .write_all(b"{\"id\":1,\"name\":\"first\"}\n{\"id\":2}\n")
        .unwrap();
    drop(input);
    daemon.logged("the standard input ended");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
    assert_eq!(published(&bench), [1, 2]);
    let record = bench.run("get --store store --dataset items Item 1").ok();
    assert!(record.contains("by http"), "{record}");
}
