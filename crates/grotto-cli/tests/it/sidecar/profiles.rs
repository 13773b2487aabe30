//! The profiles in `configs/`, copied to a folder of their own and started there.

use super::kit::start_with;
use crate::kit::{Bench, Run, repository};

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

fn text_of(profile: &str) -> String {
    std::fs::read_to_string(repository("configs").join(profile)).unwrap()
}

#[test]
fn every_profile_is_tested() {
    let entries = std::fs::read_dir(repository("configs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<String> = names.filter(|n| n.starts_with("sidecar-")).collect();
    found.sort();
    let mut expected = PROFILES;
    expected.sort_unstable();
    assert_eq!(found, expected);
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

/// Lines that set something, without the names of sections.
fn settings_of(text: &str) -> Vec<&str> {
    let sets = |line: &&str| {
        let code = line.split('#').next().unwrap_or_default().trim();
        !code.is_empty() && !code.ends_with(':')
    };
    text.lines().filter(sets).collect()
}

#[test]
fn every_setting_of_a_profile_is_explained_and_called_live_if_a_reload_may_change_it() {
    for profile in PROFILES {
        let text = text_of(profile);
        let settings = settings_of(&text);
        assert!(settings.len() > 15, "{profile}");
        let bench = Bench::new();
        bench.write("s.yaml", &text.replace("/run/grotto/", "run-"));
        let sidecar = start_with(&bench, &MOVED);
        let told = sidecar.get("/v1/settings").ok();
        let may_change = told["may_change"].as_array().unwrap();
        for line in settings {
            let why = line.split_once(" # ").map(|(_, why)| why.trim());
            assert!(why.is_some_and(|why| why.len() > 10), "{profile}: {line}");
            let key = line
                .trim()
                .trim_start_matches("- ")
                .split(':')
                .next()
                .unwrap();
            let ends =
                |path: &serde_json::Value| path.as_str().unwrap().ends_with(&format!(".{key}"));
            let live = may_change.iter().any(ends);
            assert_eq!(line.contains("# live"), live, "{profile}: {line}");
        }
    }
}
