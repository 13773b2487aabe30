//! The units of systemd: the settings that they name are those of the binary. What systemd makes of them is for
//! `deploy/check`.

use crate::kit::{Bench, Run, repository};

fn lines() -> Vec<String> {
    let folder = std::fs::read_dir(repository("deploy/systemd")).unwrap();
    let texts = folder.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    texts
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<String>>())
        .collect()
}

#[test]
fn units_name_settings_that_there_are() {
    let bench = Bench::new();
    let prefix = "GROTTO_PRODUCER_";
    let lines = lines();
    let named = lines.iter().filter_map(|line| {
        let at = line.find(prefix)?;
        line[at..].split_once('=').map(|(name, _)| name)
    });
    let mut count = 0;
    for name in named {
        count += 1;
        let check = |name: &str| {
            let mut command = bench.command(&["config", "check"]);
            command.arg(repository("configs/cities.yaml"));
            Run::of(command.env(name, "x").output().unwrap())
        };
        // Known, and refused for its value.
        let (run, unknown) = (check(name), check(&format!("{name}X")));
        assert!(!run.err.contains("the name of a setting"), "{}", run.err);
        assert!(
            unknown.err.contains("the name of a setting"),
            "{}",
            unknown.err
        );
    }
    assert!(count >= 2, "{count}");
}
