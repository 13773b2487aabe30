//! Defaults, variables of the environment, and entries of `datasets`.

use super::*;

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
        ("retention.enabled", true.into()),
        ("retention.interval", "10m".into()),
        ("retention.snapshots", 3.into()),
        ("retention.grace", "1h".into()),
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
    check_variables("producer:\n  dataset: a\n", "producer:\n  dataset: a\n");
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
         `batching`, `performance`, `reliability`, `wal`, `dead_letter`, `load_shedding`, `rate_limit`, `validation`, `leadership`, `retention`, `push`, \
         `sources`",
    );
}

#[test]
fn a_limit_is_taken_away_by_null() {
    let text = "producer:\n  rate_limit: {records_per_second: 5, bytes_per_second: 1MB}\n";
    let settings = with(
        &[("GROTTO_PRODUCER_RATE_LIMIT_RECORDS_PER_SECOND", "null")],
        text,
    );
    let limit = settings.unwrap().producer.unwrap().common.rate_limit;
    assert_eq!(
        (limit.records_per_second, limit.bytes_per_second),
        (None, Some(Size(1_000_000)))
    );
}
