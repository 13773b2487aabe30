//! Tests of reading configuration files.

mod environment;
mod follow;
mod push;
mod start;

use super::*;

fn parse(text: &str) -> Result<Settings, String> {
    Settings::parse(text, Path::new(""), &Environment::new())
}

/// The settings of a text with these variables.
fn with(variables: &[(&str, &str)], text: &str) -> Result<Settings, String> {
    let pairs = variables.iter();
    let environment = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::parse(text, Path::new("/etc/grotto"), &environment.collect())
}

/// The value of a key; null where there is none.
fn value_of(settings: &Settings, path: &str) -> serde_json::Value {
    let keys = settings.keys();
    let key = keys.into_iter().find(|key| key.path == path);
    key.map_or(serde_json::Value::Null, |key| key.value)
}

/// Fails unless each key of a text is set by its variable, laid over a text that has not got it.
#[track_caller]
fn check_variables(text: &str, bare: &str) {
    let settings = parse(text).unwrap();
    for key in settings.keys() {
        let text = match &key.value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let variable = format!("GROTTO_{}", key.path.replace('.', "_").to_uppercase());
        let same = with(&[(&variable, &text)], bare).unwrap();
        assert_eq!(value_of(&same, &key.path), key.value, "{variable}={text}");
    }
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
        "line 3, column 3: producer: unknown key `dataste`, expected one of `dataset`, `schema`, `store`, `batching`, `performance`, `reliability`, `wal`, `dead_letter`, `load_shedding`, `rate_limit`, `validation`, `leadership`, `retention`, `push`, `sources`, `monitoring`, `listeners`, `security`, `datasets`",
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

#[test]
fn words_are_refused_with_those_that_there_are() {
    check_refused(
        "producer:\n  wal:\n    durability: disk\n",
        "line 3, column 17: producer.wal.durability: expected one of host, store, published, found \"disk\"",
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
