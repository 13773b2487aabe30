//! Tests of reading configuration files.

use super::*;

fn check_refused(text: &str, expected: &str) {
    let complaint = Settings::parse(text, PathBuf::new()).unwrap_err();
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
    let settings = Settings::parse(text, PathBuf::from("/etc/grotto")).unwrap();
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
    assert_eq!(performance.snapshot_frequency, Some(10));
    assert_eq!(performance.inline_blobs, Some(4096));
    assert_eq!(performance.enable_compression, Some(false));
    assert_eq!(performance.worker_pool_size, Some(3));
}

#[test]
fn a_reader_follows_what_the_producer_section_says_unless_told_otherwise() {
    let settings =
        Settings::parse("producer:\n  dataset: a\n  store: /s\n", PathBuf::new()).unwrap();
    assert_eq!(settings.dataset(Role::Reader).as_deref(), Some("a"));
    assert_eq!(
        settings.store(Role::Reader),
        Some(StoreUrl::Local("/s".into()))
    );
    let settings = Settings::parse("consumer:\n  dataset: a\n", PathBuf::new()).unwrap();
    assert_eq!(settings.dataset(Role::Writer), None);
}

#[test]
fn a_file_of_comments_sets_nothing() {
    let settings = Settings::parse("# nothing yet\n", PathBuf::new()).unwrap();
    assert!(settings.producer.is_none() && settings.consumer.is_none());
}

#[test]
fn unknown_keys_are_refused_with_the_line() {
    check_refused(
        "producer:\n  dataset: a\n  dataste: b\n",
        "line 3, column 3: producer: unknown key `dataste`, expected one of `dataset`, `schema`, `store`, `performance`",
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
        "line 3, column 19: producer.performance.inline_blobs: expected 0 to 262144 bytes, found 262145",
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
    assert_eq!(duration("100ms"), Ok(Duration::from_millis(100)));
    assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
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
        assert!(duration(text).is_err(), "{text:?}");
    }
}
