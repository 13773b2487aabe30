//! What is printed: help, JSON, pipes, files.

use crate::kit::{Bench, values};
use grotto::store::LogEntry;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};

const COMMANDS: [&str; 11] = [
    "demo",
    "publish",
    "get",
    "scan",
    "export",
    "log",
    "follow",
    "inspect",
    "verify",
    "diff",
    "config check",
];

fn two_versions() -> Bench {
    let bench = Bench::with_schema();
    bench
        .publish("{\"id\":1,\"name\":\"a\"}\n{\"id\":2,\"name\":\"b\"}\n", "")
        .ok();
    bench
        .publish("{\"id\":1,\"name\":\"c\"}\n{\"id\":3,\"name\":\"d\"}\n", "")
        .ok();
    bench
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let bench = Bench::new();
    for command in COMMANDS {
        let help = bench.run(&format!("{command} --help")).ok();
        let first = command.split(' ').next().unwrap();
        assert!(help.contains("Example"), "{command}: {help}");
        assert!(
            help.contains(&format!("\n  grotto {first} "))
                || help.contains(&format!("\n  grotto {command}\n")),
            "{help}"
        );
    }
    let help = bench.run("--help").ok();
    for command in COMMANDS {
        let first = command.split(' ').next().unwrap();
        assert!(help.contains(&format!("\n  {first} ")), "{command}: {help}");
    }
}

#[test]
fn every_command_answers_in_json() {
    let bench = two_versions();
    bench.write("c.yaml", "producer:\n  dataset: items\n");
    let check = |line: &str, field: &str| {
        let lines = bench.run(&format!("{line} --json")).values();
        assert!(!lines.is_empty(), "{line}");
        assert!(
            lines.iter().any(|value: &Value| !value[field].is_null()),
            "{line}: {lines:?}"
        );
    };
    check(
        "publish --store store --dataset items --schema item.schema --input input.ndjson",
        "published",
    );
    check("get --store store Item 1", "record");
    check("scan --store store", "ordinal");
    check("export --store store", "id");
    check("log --store store", "state_checksum");
    check("follow --store store --until 2", "steps");
    check("verify --store store", "ok");
    check("diff --store store 1 2", "change");
    check("config check c.yaml", "settings");
}

#[test]
fn errors_are_json_too_where_json_was_asked_for() {
    let bench = two_versions();
    let complaint = bench.run("get --store store Item 9 --json").refused(3);
    let value = values(&complaint).remove(0);
    assert_eq!(value["exit_code"], 3);
    assert_eq!(value["error"]["kind"], "not found");
    assert_eq!(value["error"]["message"], "no record Item 9 at version 2");
}

#[test]
fn a_diff_is_told_by_key_and_field() {
    let bench = two_versions();
    let text = bench.run("diff --store store 1 2").ok();
    let expected = "~ Item 1\n    name: \"a\" → \"c\"\n- Item 2 {\"id\":2,\"name\":\"b\"}\n+ Item 3 {\"id\":3,\"name\":\"d\"}\n\
                    from version 1 to 2\n  type  before  after  added  removed  modified\n  Item       2      2      1        1         1\n";
    assert_eq!(text, expected);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let bench = Bench::with_schema();
    let text: String = (0..100_000)
        .map(|id| format!("{{\"id\":{id}}}\n"))
        .collect();
    bench.publish(&text, "").ok();
    let mut export = bench
        .command(&["export", "--store", "store"])
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(export.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert_eq!(first, "{\"id\":0}\n");
    let output = export.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn an_export_to_a_file_appears_whole_or_not_at_all() {
    let bench = two_versions();
    let run = bench.run("export --store store --output items.ndjson");
    assert_eq!(
        (run.code, run.err.as_str()),
        (0, "note: 2 records of version 2 written\n")
    );
    let text = std::fs::read_to_string(bench.path("items.ndjson")).unwrap();
    assert_eq!(
        text,
        "{\"id\":1,\"name\":\"c\"}\n{\"id\":3,\"name\":\"d\"}\n"
    );
    let complaint = bench
        .run("export --store store --output none/items.ndjson")
        .refused(2);
    assert_eq!(
        complaint,
        "error: cannot write none/items.ndjson: it does not exist\n"
    );
    assert!(bench.files(".").iter().all(|name| !name.ends_with(".tmp")));
}

#[test]
fn changes_are_published_by_key_and_leave_the_rest_alone() {
    let bench = two_versions();
    let changes = "{\"id\":4,\"name\":\"e\"}\n{\"op\":\"delete\",\"key\":1}\n\
                   {\"op\":\"upsert\",\"type\":\"Item\",\"record\":{\"id\":3,\"name\":\"f\"}}\n";
    let line = bench
        .publish(changes, "--incremental --json")
        .values()
        .remove(0);
    let counts = &line["types"][0];
    let figures =
        ["records", "added", "removed", "modified"].map(|name| counts[name].as_u64().unwrap());
    assert_eq!(figures, [2, 1, 1, 1]);
    assert_eq!(
        bench.run("export --store store").ok(),
        "{\"id\":3,\"name\":\"f\"}\n{\"id\":4,\"name\":\"e\"}\n"
    );
}

#[test]
fn several_types_are_published_in_one_version() {
    let bench = Bench::new();
    bench.write(
        "item.schema",
        "A @PrimaryKey(id) { int id; }\nB @PrimaryKey(x, y) { string x; int y; }\n",
    );
    bench.write("a.ndjson", "{\"id\":2}\n{\"id\":1}\n");
    bench.write(
        "b.ndjson",
        "{\"x\":\"p\",\"y\":2}\n\n{\"x\":\"p\",\"y\":-1}\n",
    );
    let publish = "publish --store store --dataset ab --schema item.schema --input A=a.ndjson --input B=b.ndjson";
    bench.run(publish).ok();
    assert_eq!(
        bench.run("export --store store --type A").ok(),
        "{\"id\":1}\n{\"id\":2}\n"
    );
    assert_eq!(
        bench.run("export --store store --type B").ok(),
        "{\"x\":\"p\",\"y\":-1}\n{\"x\":\"p\",\"y\":2}\n"
    );
    assert_eq!(
        bench.run("get --store store B [\"p\",-1]").ok(),
        "{\"x\":\"p\",\"y\":-1}\n"
    );
    let complaint = bench.run("export --store store").refused(2);
    assert_eq!(
        complaint,
        "error: no type given: expected one of A, B\nhint: choose one with --type\n"
    );
    bench.write("b.ndjson", "{\"x\":\"p\",\"y\":2}\n{\"x\":1}\n");
    let complaint = bench.run(publish).refused(2);
    assert!(
        complaint.starts_with("error: b.ndjson line 2: field B.x: expected string, found number 1"),
        "{complaint}"
    );
}

#[test]
fn the_demo_tells_its_story_and_leaves_nothing_behind() {
    let bench = Bench::new();
    let mut demo = bench.command(&["demo"]);
    let text = crate::kit::Run::of(demo.env("TMPDIR", bench.path("")).output().unwrap()).ok();
    for part in [
        "2020-05   24,474  24,474",
        "2023-07   26,463       8        2       340",
        "GeoNames",
        "Berlin",
        "To try next",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(bench.files("."), [""; 0]);
}

#[test]
fn the_demo_answers_in_json_and_keeps_its_folder_when_told_to() {
    let bench = Bench::new();
    let lines = bench.run("demo --dir kept --json").values();
    let events: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["event"].as_str())
        .collect();
    let versions = events.iter().filter(|event| **event == "version").count();
    assert_eq!(
        (events[0], versions, events[events.len() - 1]),
        ("begin", 5, "end")
    );
    bench.run("verify --store kept/store").ok();
    let complaint = bench.run("demo --dir kept --json");
    assert_eq!(complaint.code, 2);
    assert!(
        complaint.err.contains("holds a dataset already"),
        "{}",
        complaint.err
    );
}

#[cfg(unix)]
#[test]
fn an_output_that_is_a_link_or_a_pipe_stays_one() {
    let bench = two_versions();
    bench.write("real.ndjson", "before");
    std::os::unix::fs::symlink(bench.path("real.ndjson"), bench.path("link")).unwrap();
    let run = bench.run("export --store store --output link");
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(bench.path("link").is_symlink());
    let written = std::fs::read_to_string(bench.path("real.ndjson")).unwrap();
    assert_eq!(values(&written).len(), 2);
    // A pipe of the process itself stands for every file that is not a plain one.
    let run = bench.run("export --store store --output /dev/stdout");
    assert_eq!((run.code, run.out), (0, written), "{}", run.err);
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused_in_json_as_well() {
    let bench = Bench::new();
    for line in ["publish --json", "--json bogus", "export --nope --json"] {
        let complaint = bench.run(line).refused(2);
        let value: Value = serde_json::from_str(&complaint).unwrap();
        assert_eq!(value["exit_code"], 2, "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
}

#[test]
fn a_writer_whose_name_holds_control_characters_cannot_command_the_terminal() {
    let bench = two_versions();
    let line = [
        "publish",
        "--store",
        "store",
        "--dataset",
        "items",
        "--input",
        "-",
    ];
    let mut command = bench.command(&line);
    command.args(["--allow-empty", "--writer", "a\nb\u{1b}[31m"]);
    command.stdin(std::process::Stdio::null());
    assert!(command.status().unwrap().success());
    let text = bench.run("log --store store").ok();
    assert!(text.contains("a b [31m"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn log_shows_positions_and_tags_where_there_are_any() {
    let bench = Bench::with_schema();
    bench.publish("{\"id\":1}\n", "").ok();
    bench.publish("{\"id\":2}\n", "").ok();
    let header = |text: &str| text.lines().nth(2).unwrap().to_owned();
    let plain = bench.run("log --store store").ok();
    assert!(!header(&plain).contains("positions"), "{plain}");
    assert!(!header(&plain).contains("tags"), "{plain}");
    let file = bench.path("store/items/log/00000000000000000002.json");
    let mut entry = LogEntry::decode(&std::fs::read(&file).unwrap()).unwrap();
    entry.sources = [("wal", 42), ("feed", 7)]
        .map(|(name, at)| (name.to_owned(), at))
        .into();
    entry.tags = [("reason".to_owned(), "a\nb\u{1b}[31m".to_owned())].into();
    std::fs::write(&file, entry.encode().unwrap()).unwrap();
    let text = bench.run("log --store store").ok();
    let names: Vec<String> = header(&text)
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    assert_eq!(
        names[5..9],
        ["changes", "positions", "tags", "epoch"],
        "{text}"
    );
    let last = text.lines().last().unwrap();
    assert!(
        last.contains("  feed=7, wal=42  reason=a b [31m  "),
        "{text}"
    );
    let first = text.lines().nth(3).unwrap();
    assert!(!first.contains('='), "{text}");
}
