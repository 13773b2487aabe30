//! The profiles in `configs/`, copied to a folder of their own and started there.

use super::kit::Daemon;
use crate::kit::{Bench, Run, repository};
use serde_json::json;
use std::process::Stdio;

const PROFILES: [&str; 3] = [
    "producer-small.yaml",
    "producer-high-throughput.yaml",
    "producer-low-latency.yaml",
];

/// Folders that a test may write to, a port that is free, and a log that says where it listens. Relative paths of
/// variables start at the folder of the configuration too.
const MOVED: [(&str, &str); 5] = [
    ("GROTTO_PRODUCER_STORE", "store"),
    ("GROTTO_PRODUCER_WAL_DIR", "wal"),
    ("GROTTO_PRODUCER_DEAD_LETTER_DIR", "dead"),
    ("GROTTO_PRODUCER_MONITORING_HEALTH_CHECK_PORT", "0"),
    ("GROTTO_PRODUCER_MONITORING_LOG_LEVEL", "info"),
];

fn text_of(profile: &str) -> String {
    std::fs::read_to_string(repository("configs").join(profile)).unwrap()
}

/// A folder with a profile and its schema, as a person copies them.
fn copied(profile: &str) -> Bench {
    let bench = Bench::new();
    bench.write("c.yaml", &text_of(profile));
    let schema = repository("configs").join("cities.schema");
    std::fs::copy(schema, bench.path("cities.schema")).unwrap();
    bench
}

#[test]
fn every_profile_is_tested() {
    let entries = std::fs::read_dir(repository("configs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<String> = names.filter(|n| n.starts_with("producer-")).collect();
    found.sort();
    let mut expected = PROFILES;
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_daemon_starts_with_each_profile_and_publishes() {
    for profile in PROFILES {
        let bench = copied(profile);
        let mut check = bench.command(&["config", "check", "c.yaml"]);
        let told = Run::of(check.envs(MOVED).output().unwrap()).ok();
        assert!(told.starts_with("ok: c.yaml\n"), "{profile}: {told}");

        let daemon = Daemon::start_in(&bench, Stdio::null(), &MOVED);
        let city = br#"{"geonameid":1,"name":"Ulm","countrycode":"DE"}"#;
        let sent = daemon.post("/v1/datasets/cities/records?wait=published", city);
        let told = sent.ok();
        assert_eq!(
            (&told["accepted"], &told["version"]),
            (&json!(1), &json!(1)),
            "{profile}"
        );
        let mut get = bench.command(&["get", "--store", "store", "--dataset", "cities"]);
        let got = Run::of(get.args(["City", "1", "--json"]).output().unwrap()).values();
        assert_eq!(got[0]["record"]["name"], "Ulm", "{profile}");
    }
}

/// Lines that set something, without the names of sections.
fn settings_of(text: &str) -> Vec<&str> {
    let sets = |line: &&str| {
        let code = line.split('#').next().unwrap_or_default().trim();
        !code.is_empty() && !code.ends_with(':')
    };
    text.lines().filter(sets).collect()
}

#[test]
fn every_setting_of_a_profile_is_explained() {
    for profile in PROFILES {
        let text = text_of(profile);
        let settings = settings_of(&text);
        assert!(settings.len() > 20, "{profile}");
        for line in settings {
            let why = line.split_once(" # ").map(|(_, why)| why.trim());
            assert!(why.is_some_and(|why| why.len() > 10), "{profile}: {line}");
        }
    }
}

#[test]
fn what_a_profile_calls_live_is_what_a_reload_may_change() {
    for profile in PROFILES {
        let (bench, text) = (copied(profile), text_of(profile));
        let daemon = Daemon::start_in(&bench, Stdio::null(), &MOVED);
        let settings = daemon.get("/v1/settings").ok();
        let may_change = settings["may_change"].as_array().unwrap();
        for line in settings_of(&text) {
            let key = format!(".{}", line.split(':').next().unwrap().trim());
            let ends = |path: &&serde_json::Value| path.as_str().unwrap().ends_with(&key);
            let live = may_change.iter().any(|path| ends(&path));
            assert_eq!(line.contains("# live"), live, "{profile}: {line}");
        }
    }
}
