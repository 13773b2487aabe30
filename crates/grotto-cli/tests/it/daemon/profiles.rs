//! The profiles in `configs/`, copied to a folder of their own and started there.

use super::kit::Daemon;
use crate::kit::{Bench, Run, repository};
use crate::profiles::{check_all_tested, check_explained, text_of};
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
    check_all_tested("producer-", PROFILES);
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

#[test]
fn every_setting_of_a_profile_is_explained_and_called_live_if_a_reload_may_change_it() {
    for profile in PROFILES {
        let bench = copied(profile);
        let daemon = Daemon::start_in(&bench, Stdio::null(), &MOVED);
        check_explained(profile, 20, &daemon);
    }
}
