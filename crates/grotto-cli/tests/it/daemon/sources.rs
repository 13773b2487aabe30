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
        bench.path("in/a.ndjson").exists(),
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
