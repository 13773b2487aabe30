//! Section `consumer`: defaults, names of variables, entries, and what is refused.

use super::*;

#[test]
fn every_key_of_a_consumer_has_its_documented_default() {
    let settings = parse("consumer: {}\n").unwrap();
    for (path, expected) in [
        ("poll_interval", serde_json::json!("100ms")),
        ("max_backoff", "5s".into()),
        ("health_check_interval", "30s".into()),
        ("max_errors_per_minute", 10.into()),
        ("memory_limit", "512MB".into()),
        ("channel", serde_json::Value::Null),
        ("guards.max_growth", 2.0.into()),
        ("blob_cache.folder", serde_json::Value::Null),
        ("blob_cache.size", "1GB".into()),
        ("blob_cache.age", "168h".into()),
        ("graceful_shutdown_timeout", "30s".into()),
        ("monitoring.health_check_port", 8080.into()),
        ("listeners.address", "127.0.0.1".into()),
        ("listeners.socket_mode", "600".into()),
        ("limits.max_batch", 1000.into()),
    ] {
        let found = value_of(&settings, &format!("consumer.{path}"));
        assert_eq!(found, expected, "{path}");
    }
    let consumer = settings.consumer.as_ref().unwrap();
    let store = settings.store_of(&consumer.common);
    assert_eq!(store, StoreUrl::Local("/var/lib/grotto/store".into()));
    let beside = parse("consumer: {}\nproducer: {store: /s}\n").unwrap();
    let consumer = beside.consumer.as_ref().unwrap();
    let store = beside.store_of(&consumer.common);
    assert_eq!(store, StoreUrl::Local("/s".into()));
}

#[test]
fn a_variable_stands_for_every_key_of_a_consumer() {
    check_variables(
        "consumer:\n  dataset: a\n  id: b\n  types: [A, B]\n  blob_cache: {folder: /c, age: 3d}\n",
        "consumer: {}\n",
    );
}

#[test]
fn short_names_count_for_consumers_unless_the_long_name_is_set() {
    let short = [
        ("CONSUMER_ID", "7"),
        ("POLL_INTERVAL", "20ms"),
        ("MAX_BACKOFF", "2s"),
        ("HEALTH_CHECK_PORT", "9999"),
    ];
    let settings = with(&short, "consumer: {}\n").unwrap();
    let consumer = settings.consumer.as_ref().unwrap();
    assert_eq!(consumer.id.as_deref(), Some("7"));
    assert_eq!(consumer.common.poll_interval, Duration::from_millis(20));
    assert_eq!(consumer.common.max_backoff, Duration::from_secs(2));
    assert_eq!(consumer.monitoring.health_check_port, 9999);
    let producer = with(&short, "producer: {}\n").unwrap();
    assert!(producer.consumer.is_none(), "no section, no consumer");
    assert_eq!(
        producer.producer.unwrap().monitoring.health_check_port,
        8081
    );
    let long = [short[1], ("GROTTO_CONSUMER_POLL_INTERVAL", "30ms")];
    let settings = with(&long, "consumer: {}\n").unwrap();
    assert_eq!(settings.poll_interval(), Some(Duration::from_millis(30)));
    let refused = with(&[("POLL_INTERVAL", "soon")], "consumer: {}\n").unwrap_err();
    assert!(
        refused
            .starts_with("environment POLL_INTERVAL: consumer.poll_interval: expected a duration"),
        "{refused}"
    );
    let refused = with(&[("POLL_INTERVAL", "9s")], "consumer: {}\n").unwrap_err();
    assert_eq!(
        refused,
        "environment POLL_INTERVAL: consumer.poll_interval: expected at most max_backoff, which is \"5s\", found \"9s\""
    );
}

#[test]
fn an_entry_has_what_it_does_not_say_from_the_section() {
    let text = "
consumer:
  store: /s
  poll_interval: 1s
  listeners: {socket: s.sock}
  datasets:
    - {dataset: a, state_dir: state/a}
    - {dataset: b, state_dir: state/b, poll_interval: 2s, store: t}
";
    let variables = [("GROTTO_CONSUMER_DATASETS_0_MAX_BACKOFF", "3s")];
    let settings = with(&variables, text).unwrap();
    let consumer = settings.consumer.as_ref().unwrap();
    let [a, b] = consumer.datasets() else {
        panic!("expected two datasets");
    };
    let found = |of: &FollowSettings| (of.poll_interval.as_secs(), of.max_backoff.as_secs());
    assert_eq!((found(a), found(b)), ((1, 3), (2, 5)));
    assert_eq!(
        a.state_dir.as_deref(),
        Some(Path::new("/etc/grotto/state/a"))
    );
    assert_eq!(b.store, Some(StoreUrl::Local("/etc/grotto/t".into())));
    let socket = consumer.listeners.socket.as_deref();
    assert_eq!(socket, Some(Path::new("/etc/grotto/s.sock")));
}

#[test]
fn what_does_not_fit_is_refused_with_the_line() {
    check_refused(
        "consumer:\n  listeners:\n    address: 0.0.0.0\n",
        "line 3, column 14: consumer.listeners.address: expected a loopback address, or a consumer.security.token_file as \
         well, found 0.0.0.0",
    );
    check_refused(
        "consumer:\n  datasets:\n    - dataset: a\n      state_dir: s\n    - dataset: b\n      state_dir: s\n",
        "line 6, column 18: consumer.datasets.1.state_dir: expected a folder of its own for each dataset, found s, which is \
         that of datasets.0 too",
    );
    check_refused(
        "consumer:\n  state_dir: s\n  datasets:\n    - dataset: a\n    - dataset: b\n",
        "line 2, column 14: consumer.state_dir: expected a folder of its own for each dataset, found s, which is \
         that of datasets.0 too",
    );
    check_refused(
        "consumer:\n  datasets:\n    - dataset: a\n    - dataset: a\n",
        "line 4, column 16: consumer.datasets.1.dataset: expected each dataset once, found a again",
    );
    check_refused(
        "consumer:\n  poll_interval: 10s\n",
        "line 2, column 18: consumer.poll_interval: expected at most max_backoff, which is \"5s\", found \"10s\"",
    );
    check_refused(
        "consumer:\n  limits: {max_answer_size: 512MiB}\n",
        "line 2, column 29: consumer.limits.max_answer_size: expected at most listeners.max_answer_memory, which is 256MiB, \
         found 512MiB",
    );
    check_refused(
        "consumer:\n  listeners: {socket_mode: 060}\n",
        "line 2, column 28: consumer.listeners.socket_mode: expected the mode of a socket that its owner may use, such as \
         600, 660 or 666, found \"060\"",
    );
}

#[test]
fn a_cache_of_blobs_is_kept_where_its_key_says() {
    let text = "
consumer:
  blob_cache: {folder: blobs, size: 2GB}
  datasets:
    - {dataset: a}
    - {dataset: b, blob_cache: {folder: /var/cache/grotto/b, age: 90m}}
";
    let variables = [("GROTTO_CONSUMER_DATASETS_1_BLOB_CACHE_SIZE", "3GB")];
    let settings = with(&variables, text).unwrap();
    let consumer = settings.consumer.as_ref().unwrap();
    let found: Vec<_> = consumer
        .datasets()
        .iter()
        .map(|dataset| {
            let cache = &dataset.blob_cache;
            let folder = cache.folder.as_deref().and_then(Path::to_str);
            (folder, cache.size.0 / 1_000_000_000, cache.age.as_secs())
        })
        .collect();
    let week = 7 * 86_400;
    assert_eq!(
        found,
        [
            (Some("/etc/grotto/blobs"), 2, week),
            (Some("/var/cache/grotto/b"), 3, 5_400)
        ]
    );
    for (age, seconds) in [("1m", 60), ("366d", 366 * 86_400), ("48h", 172_800)] {
        let settings = parse(&format!("consumer:\n  blob_cache: {{age: {age}}}\n")).unwrap();
        let found = settings.consumer.unwrap().common.blob_cache.age;
        assert_eq!(found.as_secs(), seconds, "{age}");
    }
    for age in ["59s", "0d", "367d", "9000h", "d", "7 weeks"] {
        let refused = parse(&format!("consumer:\n  blob_cache: {{age: {age}}}\n")).unwrap_err();
        assert!(
            refused.contains("expected an age of 1m to 366d"),
            "{refused}"
        );
    }
}

#[test]
fn a_cache_of_blobs_shares_its_folder_with_others_of_the_same_limits_alone() {
    let shared =
        "consumer:\n  blob_cache: {folder: /c}\n  datasets: [{dataset: a}, {dataset: b}]\n";
    parse(shared).unwrap();
    check_refused(
        "consumer:\n  blob_cache: {folder: /c}\n  datasets:\n    - dataset: a\n    - dataset: b\n      blob_cache: {size: 2GB}\n",
        "line 6, column 19: consumer.datasets.1.blob_cache: expected size \"1GB\" and age \"168h\", as datasets.0 has for the \
         same folder, found size \"2GB\" and age \"168h\"",
    );
    check_refused(
        "consumer:\n  state_dir: s\n  blob_cache: {folder: s}\n",
        "line 3, column 24: consumer.blob_cache.folder: expected a folder of its own, found s, which consumer.state_dir is \
         too",
    );
    check_refused(
        "consumer:\n  store: s\n  blob_cache: {folder: s}\n",
        "line 3, column 24: consumer.blob_cache.folder: expected a folder of its own, found s, which consumer.store is too",
    );
}

#[test]
fn a_channel_is_that_of_the_section_unless_an_entry_says_another() {
    let text = "consumer:\n  channel: stable\n  datasets:\n    - dataset: a\n    - {dataset: b, channel: canary}\n";
    let consumer = parse(text).unwrap().consumer.unwrap();
    let channels: Vec<_> = consumer
        .datasets()
        .iter()
        .map(|dataset| dataset.channel.as_deref())
        .collect();
    assert_eq!(channels, [Some("stable"), Some("canary")]);
    check_refused(
        "consumer:\n  dataset: a\n  channel: ../pin\n",
        "line 3, column 12: consumer.channel: channel name \"../pin\": expected 1 to 100 letters, digits, '-', '_' or '.', \
         not starting with '.'",
    );
}

#[test]
fn what_a_sidecar_may_change_is_told_from_what_needs_a_restart() {
    let old = parse("consumer:\n  dataset: a\n").unwrap();
    let live =
        "consumer:\n  dataset: a\n  limits: {max_batch: 5}\n  monitoring: {log_level: debug}\n";
    let found = changes("consumer", &old, &parse(live).unwrap()).unwrap();
    let paths: Vec<&str> = found.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(
        paths,
        ["consumer.limits.max_batch", "consumer.monitoring.log_level"]
    );
    let other = "consumer:\n  dataset: a\n  state_dir: /s\n";
    let refused = changes("consumer", &old, &parse(other).unwrap()).unwrap_err();
    assert!(
        refused.message().contains("consumer.state_dir"),
        "{refused}"
    );
    let beside = "consumer:\n  dataset: a\nproducer: {dataset: b}\n";
    let found = changes("consumer", &old, &parse(beside).unwrap()).unwrap();
    assert_eq!(found, [], "another daemon's section");
}

#[test]
fn the_document_tells_every_key_that_may_change() {
    let page = include_str!("../../../../../docs/operating/sidecar.md");
    let (_, told) = page.split_once("May change: ").unwrap();
    let (told, _) = told.split_once(". ").unwrap();
    let mut told: Vec<&str> = told.split('`').skip(1).step_by(2).collect();
    told.sort_unstable();
    let keys = parse("consumer: {}\n").unwrap().keys();
    let live = keys.iter().filter(|key| key.live);
    let mut live: Vec<&str> = live
        .filter_map(|key| key.path.strip_prefix("consumer."))
        .collect();
    live.sort_unstable();
    assert_eq!(told, live);
}
