//! What holds for every profile in `configs/`, of either daemon.

use crate::daemon::kit::Daemon;
use crate::kit::repository;

pub(crate) fn text_of(profile: &str) -> String {
    std::fs::read_to_string(repository("configs").join(profile)).unwrap()
}

/// Fails unless these are all the profiles whose names begin like that.
#[track_caller]
pub(crate) fn check_all_tested(prefix: &str, mut tested: [&str; 3]) {
    let entries = std::fs::read_dir(repository("configs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
    found.sort();
    tested.sort_unstable();
    assert_eq!(found, tested);
}

/// Fails unless every line that sets something says why, and calls itself live if a reload of the daemon that runs with it
/// may change it.
#[track_caller]
pub(crate) fn check_explained(profile: &str, least: usize, daemon: &Daemon) {
    let text = text_of(profile);
    let settings = settings_of(&text);
    assert!(settings.len() > least, "{profile}");
    let told = daemon.get("/v1/settings").ok();
    let may_change = told["may_change"].as_array().unwrap();
    for line in settings {
        let why = line.split_once(" # ").map(|(_, why)| why.trim());
        assert!(why.is_some_and(|why| why.len() > 10), "{profile}: {line}");
        let key = line.trim().trim_start_matches("- ");
        let key = format!(".{}", key.split(':').next().unwrap());
        let ends = |path: &serde_json::Value| path.as_str().unwrap().ends_with(&key);
        let live = may_change.iter().any(ends);
        assert_eq!(line.contains("# live"), live, "{profile}: {line}");
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
