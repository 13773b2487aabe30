//! The profiles in `configs/`, copied to a folder of their own and started there.

use super::kit::start_with;
use crate::kit::{Bench, Run};
use crate::profiles::{check_all_tested, check_explained, text_of};

const PROFILES: [&str; 3] = [
    "sidecar-small.yaml",
    "sidecar-many-datasets.yaml",
    "sidecar-low-latency.yaml",
];

/// Port that is free, and a log that says where it listens. Relative paths of variables start at the folder of the
/// configuration too.
const MOVED: [(&str, &str); 3] = [
    ("GROTTO_CONSUMER_STORE", "store"),
    ("GROTTO_CONSUMER_MONITORING_HEALTH_CHECK_PORT", "0"),
    ("GROTTO_CONSUMER_MONITORING_LOG_LEVEL", "info"),
];

#[test]
fn every_profile_is_tested() {
    check_all_tested("sidecar-", PROFILES);
}

#[test]
fn a_sidecar_starts_with_each_profile_and_serves() {
    for profile in PROFILES {
        let bench = Bench::with_schema();
        // Folders that a test may write to.
        let text = text_of(profile).replace("/run/grotto/", "run-");
        bench.write("s.yaml", &text);
        let mut check = bench.command(&["config", "check", "s.yaml"]);
        let told = Run::of(check.envs(MOVED).output().unwrap()).ok();
        assert!(told.starts_with("ok: s.yaml\n"), "{profile}: {told}");
        let sidecar = start_with(&bench, &MOVED);
        let all = sidecar.get("/v1/datasets").ok();
        for one in all["datasets"].as_array().unwrap() {
            let dataset = one["dataset"].as_str().unwrap();
            bench.write("input.ndjson", "{\"id\":1,\"name\":\"one\"}\n");
            let publish = format!(
                "publish --store store --dataset {dataset} --schema item.schema --input input.ndjson"
            );
            bench.run(&publish).ok();
            let path = format!("/v1/datasets/{dataset}/versions?wait=60s");
            assert_eq!(sidecar.get(&path).ok()["version"], 1, "{profile}");
            let path = format!("/v1/datasets/{dataset}/types/Item/records/1");
            assert_eq!(sidecar.get(&path).ok()["name"], "one", "{profile}");
        }
    }
}

#[test]
fn every_setting_of_a_profile_is_explained_and_called_live_if_a_reload_may_change_it() {
    for profile in PROFILES {
        let bench = Bench::new();
        bench.write("s.yaml", &text_of(profile).replace("/run/grotto/", "run-"));
        check_explained(profile, 15, &start_with(&bench, &MOVED));
    }
}
