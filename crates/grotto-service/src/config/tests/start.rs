//! Settings together: what does not fit, what a start would trip over, and what may change.

use super::*;

#[test]
fn settings_that_do_not_fit_each_other_are_refused_with_the_line() {
    check_refused(
        "producer:\n  batching:\n    memory_pressure_threshold: 20000\n",
        "line 3, column 32: producer.batching.memory_pressure_threshold: expected at most max_pending_records, which is \
         10000, found 20000",
    );
    check_refused(
        "producer:\n  batching:\n    max_batch_size: 10\n    max_pending_records: 500\n",
        "producer.batching.memory_pressure_threshold: expected at most max_pending_records, which is 500, found 8000, by \
         default",
    );
    check_refused(
        "producer:\n  wal:\n    segment_size: 2GiB\n",
        "line 3, column 19: producer.wal.segment_size: expected at most max_size, which is 1GiB, found 2GiB",
    );
    check_refused(
        "producer:\n  listeners:\n    address: 0.0.0.0\n",
        "line 3, column 14: producer.listeners.address: expected a loopback address, or a producer.security.token_file as \
         well, found 0.0.0.0",
    );
    check_refused(
        "producer:\n  datasets:\n    - dataset: a\n    - dataset: b\n    - dataset: a\n",
        "line 5, column 16: producer.datasets.2.dataset: expected each dataset once, found a again",
    );
    check_refused(
        "producer:\n  datasets:\n    - dataset: a\n      sources: {stdin: stream}\n    - dataset: b\n      sources: {stdin: replay}\n",
        "line 6, column 24: producer.datasets.1.sources.stdin: expected one dataset that reads the standard input, found a \
         second one",
    );
    check_refused(
        "producer:\n  wal:\n    max_size: 100MB\n    segment_size: 50MB\n  datasets:\n    - dataset: a\n      wal: {max_size: 1MB}\n",
        "line 4, column 19: producer.wal.segment_size: expected at most max_size, which is 1MB, found 50MB",
    );
}

#[test]
fn a_packed_body_and_what_it_unpacks_to_fit_the_memory_of_bodies() {
    let with = |size: &str| {
        parse(&format!(
            "producer:\n  listeners:\n    max_body_memory: 32MiB\n    max_body_size: {size}\n"
        ))
    };
    assert!(with("16MiB").is_ok());
    assert_eq!(
        with("17MiB").unwrap_err(),
        "line 4, column 20: producer.listeners.max_body_size: expected at most half of max_body_memory, which is 16MiB, \
         found 17MiB"
    );
}

#[test]
fn folders_that_must_not_be_one_are_refused_with_both_keys() {
    check_refused(
        "producer:\n  sources: {folder: in}\n  datasets:\n    - dataset: a\n    - dataset: b\n",
        "line 2, column 21: producer.sources.folder: expected a folder of its own, found in, which \
         producer.datasets.0.sources.folder is too",
    );
    check_refused(
        "producer:\n  dataset: a\n  wal: {dir: x}\n  dead_letter: {dir: ./x}\n",
        "line 4, column 22: producer.dead_letter.dir: expected a folder of its own, found x, which producer.wal.dir is \
         too",
    );
    for (key, setting) in [
        ("wal.dir", "wal: {dir: x/}"),
        ("dead_letter.dir", "dead_letter: {dir: x}"),
        ("store", "store: x"),
    ] {
        check_refused(
            &format!("producer:\n  dataset: a\n  sources: {{folder: x}}\n  {setting}\n"),
            &format!(
                "line 3, column 21: producer.sources.folder: expected a folder of its own, found x, which producer.{key} \
                 is too"
            ),
        );
    }
    // The folder of another dataset is no better.
    check_refused(
        "producer:\n  datasets:\n    - dataset: a\n      sources: {folder: x}\n    - dataset: b\n      wal: {dir: x}\n",
        "line 4, column 25: producer.datasets.0.sources.folder: expected a folder of its own, found x, which \
         producer.datasets.1.wal.dir is too",
    );
    // What is not written to is in nobody's way.
    parse("producer:\n  wal: {dir: x, durability: published}\n  dead_letter: {dir: x}\n").unwrap();
}

#[test]
fn what_may_change_is_told_from_what_needs_a_restart() {
    let old = parse("producer:\n  dataset: a\n").unwrap();
    let live = parse(
        "producer:\n  dataset: a\n  batching: {max_batch_size: 5}\n  rate_limit: {records_per_second: 9}\n\
         \x20 performance: {snapshot_frequency: 3}\n  monitoring: {log_level: debug}\nconsumer: {dataset: a}\n",
    );
    let found = changes("producer", &old, &live.unwrap()).unwrap();
    let paths: Vec<&str> = found.iter().map(|change| change.path.as_str()).collect();
    let expected = [
        "producer.batching.max_batch_size",
        "producer.monitoring.log_level",
        "producer.performance.snapshot_frequency",
        "producer.rate_limit.records_per_second",
    ];
    assert_eq!(paths, expected);
    assert_eq!((&found[0].from, &found[0].to), (&1000.into(), &5.into()));
    assert_eq!(found[3].from, serde_json::Value::Null);
    let text = "producer:\n  dataset: a\n  batching: {max_batch_size: 5}\n  wal: {fsync: false, dir: /w}\n";
    let refused = changes("producer", &old, &parse(text).unwrap()).unwrap_err();
    assert_eq!(
        refused.message(),
        "nothing was changed: a restart is needed to change producer.wal.dir (from \"/var/lib/grotto/wal\" to \"/w\"), \
         producer.wal.fsync (from true to false)"
    );
    let listed = parse("producer:\n  datasets:\n    - dataset: a\n").unwrap();
    assert!(changes("producer", &old, &listed).is_err());
}

/// A folder with a configuration and a schema.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.yaml"), text).unwrap();
    let schema = "City @PrimaryKey(id) { long id; }\n";
    std::fs::write(folder.path().join("city.schema"), schema).unwrap();
    folder
}

/// What a start would say to a configuration, with the folder's name taken out.
fn start_refused(text: &str) -> String {
    let folder = folder(text);
    let refused = check(&folder.path().join("c.yaml"), &Environment::new()).unwrap_err();
    let path = format!("{}/", folder.path().display());
    refused.message().replace(&path, "")
}

const USABLE: &str = "
producer:
  dataset: a
  schema: city.schema
  store: store
  wal: {dir: wal}
  dead_letter: {dir: dead}
  monitoring: {health_check_port: 0}
";

#[test]
fn what_a_start_would_trip_over_is_found_by_the_check() {
    let good = folder(USABLE);
    let checked = check(&good.path().join("c.yaml"), &Environment::new()).unwrap();
    assert_eq!(checked.notes, Vec::<String>::new());
    assert!(!good.path().join("wal").exists(), "a check makes nothing");
    for (from, to, expected) in [
        (
            "dataset: a",
            "dataset: a/b",
            "c.yaml: line 3, column 12: producer.dataset: ",
        ),
        (
            "city.schema",
            "none.schema",
            "c.yaml: line 4, column 11: producer.schema: cannot read schema none.schema: it does not exist",
        ),
        (
            "store: store",
            "store: c.yaml/store",
            "c.yaml: line 5, column 10: producer.store: expected a folder that can be written to, found c.yaml: it is no folder",
        ),
        (
            "{dir: wal}",
            "{dir: c.yaml}",
            "c.yaml: line 6, column 14: producer.wal.dir: expected a folder that can be written to, found c.yaml: it is no folder",
        ),
        (
            "{dir: dead}",
            "{dir: city.schema/x}",
            "c.yaml: line 7, column 22: producer.dead_letter.dir: expected a folder",
        ),
        (
            "store: store",
            "store: store\n  validation: {minimum_count: {Town: 1}}",
            "c.yaml: line 6, column 38: producer.validation.minimum_count.Town: expected a type of the schema, one of City, found Town",
        ),
        (
            "store: store",
            "store: store\n  security: {token_file: none}",
            "c.yaml: line 6, column 26: producer.security.token_file: cannot read token file none: it does not exist",
        ),
        (
            "store: store",
            "store: store\n  listeners: {address: 192.0.2.1}\n  security: {token_file: city.schema}",
            "c.yaml: line 7, column 26: producer.security.token_file: token file city.schema: expected a",
        ),
    ] {
        assert!(USABLE.contains(from));
        let refused = start_refused(&USABLE.replace(from, to));
        assert!(refused.starts_with(expected), "{refused}");
    }
}

#[test]
fn a_port_that_is_taken_is_told_and_no_reason_to_refuse() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = USABLE.replace(
        "health_check_port: 0",
        &format!("health_check_port: {port}"),
    );
    let folder = folder(&text);
    let checked = check(&folder.path().join("c.yaml"), &Environment::new()).unwrap();
    assert!(checked.notes[0].contains("is taken"), "{:?}", checked.notes);
}

#[cfg(unix)]
#[test]
fn a_token_is_private_long_and_not_shown() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let write = |text: &str, mode: u32| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        read_token(&path)
    };
    let token = write("0123456789abcdef\nmore\n", 0o600).unwrap();
    assert!(token.is("0123456789abcdef"));
    for other in [
        "",
        "0123456789abcdeF",
        "0123456789abcde",
        "0123456789abcdef0",
    ] {
        assert!(!token.is(other), "{other}");
    }
    assert!(!format!("{token:?}").contains("0123"));
    assert!(
        write("0123456789abcdef\n", 0o640)
            .unwrap_err()
            .message()
            .contains("found mode 640")
    );
    for short in ["", "short\n", "with blanks in the middle\n"] {
        assert!(write(short, 0o600).is_err(), "{short}");
    }
}
