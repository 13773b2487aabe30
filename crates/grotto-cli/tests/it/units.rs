//! The units of systemd: the commands and settings that they name are those of the binary, and systemd takes them.

use crate::kit::{Bench, Run, repository};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Command;

fn lines() -> Vec<String> {
    let folder = std::fs::read_dir(repository("deploy/systemd")).unwrap();
    let texts = folder.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    texts
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<String>>())
        .collect()
}

#[test]
fn units_start_commands_with_options_that_there_are() {
    let bench = Bench::new();
    let mut commands = BTreeSet::new();
    for line in lines().iter().filter(|line| line.starts_with("Exec")) {
        let Some((_, rest)) = line.split_once("=/usr/bin/grotto ") else {
            continue;
        };
        let words: Vec<&str> = rest.split_whitespace().collect();
        let is_name = |word: &&&str| word.bytes().all(|b| b.is_ascii_lowercase());
        let names: Vec<&str> = words.iter().take_while(is_name).copied().collect();
        let command = names.join(" ");
        let help = bench.run(&format!("{command} --help")).ok();
        for option in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(&format!("{option} ")), "{line}");
        }
        commands.insert(command);
    }
    let expected = ["producer", "publish", "sidecar"];
    assert!(commands.iter().eq(&expected), "{commands:?}");
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

/// A restart serves at once only if the state is still there, and if it is seen to be of the same boot: without that
/// every byte is verified first.
#[test]
fn the_unit_of_the_sidecar_keeps_its_state_over_a_restart() {
    let unit = repository("deploy/systemd/grotto-sidecar@.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    let says = |line: &str| unit.lines().any(|said| said == line);
    for line in [
        "RuntimeDirectory=grotto/%i",
        "RuntimeDirectoryPreserve=restart",
        "CacheDirectory=grotto/%i",
        "Type=notify",
        "ProcSubset=all",
    ] {
        assert!(says(line), "{line}");
    }
    assert!(unit.contains("\nWatchdogSec="), "{unit}");
}

/// By its own tools, as `deploy/check` has them do. Where they are not, nobody will use the units either.
#[cfg(target_os = "linux")]
#[test]
fn systemd_takes_the_units_and_lets_them_do_little() {
    let output = Command::new(repository("deploy/check")).output().unwrap();
    let run = Run::of(output);
    if run.code == 3 {
        // Not by a macro: those are silenced in tests that pass.
        let mut err = std::io::stderr().lock();
        writeln!(
            err,
            "WARNING: SKIPPED: no unit is checked: {}",
            run.err.trim()
        )
        .unwrap();
        return;
    }
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
}
