//! Tests of reading configuration files.

use super::*;

fn parse(text: &str) -> Result<Settings, String> {
    Settings::parse(text, Path::new(""), &Environment::new())
}

fn check_refused(text: &str, expected: &str) {
    let complaint = parse(text).unwrap_err();
    assert_eq!(complaint, expected);
}

#[test]
fn every_key_is_read() {
    let text = "
producer:
  dataset: cities
  schema: cities.schema
  store: file:///srv/store
  performance:
    snapshot_frequency: 10
    inline_blobs: 4096
    enable_compression: false
    worker_pool_size: 3
consumer:
  dataset: towns
  store: store
  state_dir: /run/grotto/cities
  poll_interval: 250ms
";
    let settings = Settings::parse(text, Path::new("/etc/grotto"), &Environment::new()).unwrap();
    assert_eq!(settings.dataset(Role::Writer).as_deref(), Some("cities"));
    assert_eq!(settings.dataset(Role::Reader).as_deref(), Some("towns"));
    assert_eq!(
        settings.schema(),
        Some(PathBuf::from("/etc/grotto/cities.schema"))
    );
    assert_eq!(
        settings.store(Role::Writer),
        Some(StoreUrl::Local("/srv/store".into()))
    );
    assert_eq!(
        settings.store(Role::Reader),
        Some(StoreUrl::Local("/etc/grotto/store".into()))
    );
    assert_eq!(
        settings.state_dir(),
        Some(PathBuf::from("/run/grotto/cities"))
    );
    assert_eq!(settings.poll_interval(), Some(Duration::from_millis(250)));
    let performance = settings.performance().unwrap();
    assert_eq!(performance.snapshot_frequency, 10);
    assert_eq!(performance.inline_blobs, 4096);
    assert!(!performance.enable_compression);
    assert_eq!(performance.worker_pool_size, 3);
}

#[test]
fn a_reader_follows_what_the_producer_section_says_unless_told_otherwise() {
    let settings = parse("producer:\n  dataset: a\n  store: /s\n").unwrap();
    assert_eq!(settings.dataset(Role::Reader).as_deref(), Some("a"));
    assert_eq!(
        settings.store(Role::Reader),
        Some(StoreUrl::Local("/s".into()))
    );
    let settings = parse("consumer:\n  dataset: a\n").unwrap();
    assert_eq!(settings.dataset(Role::Writer), None);
}

#[test]
fn a_file_of_comments_sets_nothing() {
    let settings = parse("# nothing yet\n").unwrap();
    assert!(settings.producer.is_none() && settings.consumer.is_none());
}

#[test]
fn unknown_keys_are_refused_with_the_line() {
    check_refused(
        "producer:\n  dataset: a\n  dataste: b\n",
        "line 3, column 3: producer: unknown key `dataste`, expected one of `dataset`, `schema`, `store`, `batching`, `performance`, `reliability`, `wal`, `dead_letter`, `load_shedding`, `rate_limit`, `validation`, `sources`, `monitoring`, `listeners`, `security`, `datasets`",
    );
    check_refused(
        "prodcer: {}\n",
        "line 1, column 1: unknown key `prodcer`, expected `producer` or `consumer`",
    );
}

#[test]
fn duplicate_keys_are_refused_with_the_line() {
    check_refused(
        "consumer:\n  dataset: a\n  store: s\n  dataset: b\n",
        "line 4, column 3: consumer: duplicate key `dataset`",
    );
    check_refused(
        "consumer: {}\nconsumer: {}\n",
        "line 2, column 1: duplicate key `consumer`",
    );
}

#[test]
fn bad_values_are_refused_with_the_line() {
    check_refused(
        "consumer:\n  poll_interval: soon\n",
        "line 2, column 18: consumer.poll_interval: expected a duration such as 100ms, 5s, 2m or 1h, found \"soon\"",
    );
    check_refused(
        "producer:\n  performance:\n    inline_blobs: 262145\n",
        "line 3, column 19: producer.performance.inline_blobs: expected 0 to 262144, found 262145",
    );
    check_refused(
        "producer:\n  performance:\n    worker_pool_size: 0\n",
        "line 3, column 23: producer.performance.worker_pool_size: expected 1 to 1024, found 0",
    );
    check_refused(
        "producer:\n  performance:\n    enable_compression: often\n",
        "line 3, column 25: producer.performance.enable_compression: wrong type: found string \"often\", expected a boolean",
    );
}

#[test]
fn durations_have_a_unit_and_a_limit() {
    assert_eq!(parse_duration("100ms"), Ok(Duration::from_millis(100)));
    assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
    for text in [
        "",
        "5",
        "ms",
        "-1s",
        "1.5s",
        "1d",
        "0s",
        "25h",
        "99999999999999999999s",
        "18446744073709551615h",
    ] {
        assert!(parse_duration(text).is_err(), "{text:?}");
    }
}

fn with(variables: &[(&str, &str)], text: &str) -> Result<Settings, String> {
    let pairs = variables.iter();
    let environment = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::parse(text, Path::new("/etc/grotto"), &environment.collect())
}

fn value_of(settings: &Settings, path: &str) -> serde_json::Value {
    let keys = settings.keys();
    let key = keys.into_iter().find(|key| key.path == path);
    key.map_or(serde_json::Value::Null, |key| key.value)
}

#[test]
fn every_key_has_its_documented_default() {
    let settings = parse("producer: {}\n").unwrap();
    for (path, expected) in [
        ("store", "/var/lib/grotto/store".into()),
        ("batching.max_batch_size", 1000.into()),
        ("batching.batch_timeout", "1s".into()),
        ("batching.max_pending_records", 10_000.into()),
        ("batching.memory_pressure_threshold", 8_000.into()),
        ("performance.worker_pool_size", 5.into()),
        ("performance.write_timeout", "30s".into()),
        ("performance.snapshot_frequency", 25.into()),
        ("performance.enable_compression", true.into()),
        ("reliability.max_retry_attempts", 3.into()),
        ("reliability.retry_backoff", "1s".into()),
        ("reliability.circuit_breaker_threshold", 10.into()),
        ("reliability.circuit_breaker_reset", "30s".into()),
        ("monitoring.metrics_interval", "30s".into()),
        ("monitoring.health_check_port", 8081.into()),
        ("monitoring.enable_detailed_metrics", true.into()),
        ("wal.segment_size", "64MiB".into()),
        ("wal.max_size", "1GiB".into()),
        ("wal.fsync", true.into()),
        ("wal.durability", "host".into()),
        ("load_shedding.policy", "reject".into()),
        ("listeners.address", "127.0.0.1".into()),
    ] {
        let expected: serde_json::Value = expected;
        assert_eq!(value_of(&settings, &format!("producer.{path}")), expected);
    }
}

#[test]
fn a_variable_stands_for_every_key() {
    let settings = parse("producer:\n  dataset: a\n").unwrap();
    for key in settings.keys() {
        let text = match &key.value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let variable = format!("GROTTO_{}", key.path.replace('.', "_").to_uppercase());
        let same = with(&[(&variable, &text)], "producer:\n  dataset: a\n");
        assert_eq!(
            value_of(&same.unwrap(), &key.path),
            key.value,
            "{variable}={text}"
        );
    }
}

#[test]
fn variables_win_over_the_file() {
    let text =
        "producer:\n  dataset: a\n  batching:\n    max_batch_size: 7\n    batch_timeout: 5s\n";
    let set = [
        ("GROTTO_PRODUCER_BATCHING_MAX_BATCH_SIZE", "8"),
        ("GROTTO_PRODUCER_DATASET", "2024"),
        ("GROTTO_PRODUCER_VALIDATION_MINIMUM_COUNT", "{City: 3}"),
        ("GROTTO_PRODUCER_LISTENERS_MAX_BODY_SIZE", "2MB"),
        ("GROTTO_LOG", "debug"),
    ];
    let settings = with(&set, text).unwrap();
    let producer = settings.producer.as_ref().unwrap();
    assert_eq!(producer.common.batching.max_batch_size, 8);
    assert_eq!(
        producer.common.batching.batch_timeout,
        Duration::from_secs(5)
    );
    assert_eq!(producer.common.dataset.as_deref(), Some("2024"));
    assert_eq!(producer.common.validation.minimum_count["City"], 3);
    assert_eq!(producer.listeners.max_body_size, Size(2_000_000));
}

#[test]
fn a_variable_that_is_wrong_is_named() {
    let refused = |name, value| with(&[(name, value)], "producer: {}\n").unwrap_err();
    assert_eq!(
        refused("GROTTO_PRODUCER_BATCHING_MAX_BATCH_SISE", "8"),
        "environment GROTTO_PRODUCER_BATCHING_MAX_BATCH_SISE: expected the name of a setting"
    );
    assert_eq!(
        refused("GROTTO_PRODUCER_BATCHING_BATCH_TIMEOUT", "soon"),
        "environment GROTTO_PRODUCER_BATCHING_BATCH_TIMEOUT: producer.batching.batch_timeout: expected a duration such \
         as 100ms, 5s, 2m or 1h, found \"soon\""
    );
    assert_eq!(
        refused("GROTTO_PRODUCER_BATCHING_MAX_BATCH_SIZE", "20000"),
        "environment GROTTO_PRODUCER_BATCHING_MAX_BATCH_SIZE: producer.batching.max_batch_size: expected at most \
         max_pending_records, which is 10000, found 20000"
    );
    assert_eq!(
        refused("GROTTO_PRODUCER_DATASETS_0_DATASET", "b"),
        "environment GROTTO_PRODUCER_DATASETS_0_DATASET: expected a key of an entry of datasets, found none with number 0"
    );
}

#[test]
fn an_entry_of_datasets_has_what_it_does_not_say_from_the_section() {
    let text = "
producer:
  schema: common.schema
  batching:
    max_batch_size: 7
    batch_timeout: 2s
  datasets:
    - dataset: a
      batching:
        batch_timeout: 3s
    - dataset: b
      schema: b.schema
";
    let settings = with(&[("GROTTO_PRODUCER_DATASETS_1_STORE", "/b")], text).unwrap();
    let [a, b] = settings.producer.as_ref().unwrap().datasets() else {
        panic!("expected two datasets");
    };
    let batching = |of: &DatasetSettings| (of.batching.max_batch_size, of.batching.batch_timeout);
    assert_eq!(batching(a), (7, Duration::from_secs(3)));
    assert_eq!(batching(b), (7, Duration::from_secs(2)));
    assert_eq!(
        a.schema.as_deref(),
        Some(Path::new("/etc/grotto/common.schema"))
    );
    assert_eq!(b.schema.as_deref(), Some(Path::new("/etc/grotto/b.schema")));
    assert_eq!(
        a.store,
        Some(StoreUrl::Local("/var/lib/grotto/store".into()))
    );
    assert_eq!(b.store, Some(StoreUrl::Local("/b".into())));
    check_refused(
        "producer:\n  datasets:\n    - dataset: a\n      batchign: {}\n",
        "line 4, column 7: producer.datasets[0]: unknown key `batchign`, expected one of `dataset`, `schema`, `store`, \
         `batching`, `performance`, `reliability`, `wal`, `dead_letter`, `load_shedding`, `rate_limit`, `validation`, \
         `sources`",
    );
}

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
fn what_is_not_built_is_refused_with_what_it_needs() {
    check_refused(
        "producer:\n  wal:\n    durability: store\n",
        "line 3, column 17: producer.wal.durability: durability store is not built yet: it needs numbered objects under \
         wal/ in the store that a takeover fences too; expected host or published",
    );
    check_refused(
        "producer:\n  load_shedding:\n    policy: drop\n",
        "line 3, column 13: producer.load_shedding.policy: expected one of reject, drop_oldest_unacknowledged, \
         by_priority, found \"drop\"",
    );
}

#[test]
fn sizes_are_read_as_people_write_them() {
    let size = |text: &str| {
        let text = format!("producer:\n  dead_letter:\n    max_size: {text}\n");
        parse(&text).map(|settings| settings.producer.unwrap().common.dead_letter.max_size.0)
    };
    for (text, expected) in [
        ("512MB", 512_000_000),
        ("64MiB", 64 << 20),
        ("1 GB", 1_000_000_000),
        ("65536", 65_536),
    ] {
        assert_eq!(size(text), Ok(expected), "{text}");
    }
    assert_eq!(
        size("big").unwrap_err(),
        "line 3, column 15: producer.dead_letter.max_size: expected a size such as 512MB, 64MiB or 65536, found \"big\""
    );
    assert_eq!(
        size("1kB").unwrap_err(),
        "line 3, column 15: producer.dead_letter.max_size: expected a size of 64KiB to 1024TiB, found 1kB"
    );
    assert!(size("-5").is_err());
}

#[test]
fn what_may_change_is_told_from_what_needs_a_restart() {
    let old = parse("producer:\n  dataset: a\n").unwrap();
    let live = parse(
        "producer:\n  dataset: a\n  batching: {max_batch_size: 5}\n  rate_limit: {records_per_second: 9}\n\
         \x20 performance: {snapshot_frequency: 3}\n  monitoring: {log_level: debug}\nconsumer: {dataset: a}\n",
    );
    let found = changes(&old, &live.unwrap()).unwrap();
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
    let refused = changes(&old, &parse(text).unwrap()).unwrap_err();
    assert_eq!(
        refused.message(),
        "nothing was changed: a restart is needed to change producer.wal.dir (from \"/var/lib/grotto/wal\" to \"/w\"), \
         producer.wal.fsync (from true to false)"
    );
    let listed = parse("producer:\n  datasets:\n    - dataset: a\n").unwrap();
    assert!(changes(&old, &listed).is_err());
}

#[test]
fn modes_are_octal_and_let_nobody_else_write() {
    for (text, expected) in [
        ("700", 0o700),
        ("0750", 0o750),
        ("755", 0o755),
        ("711", 0o711),
    ] {
        assert_eq!(folder_mode(text), Ok(expected));
    }
    for text in [
        "", "75", "770", "777", "1755", "600", "0o750", "+750", "789", "07500",
    ] {
        assert!(
            folder_mode(text)
                .unwrap_err()
                .contains(&format!("{text:?}")),
            "{text}"
        );
    }
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
