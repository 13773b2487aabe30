//! `cargo xtask fuzz`: every fuzz target for some seconds, with the stable compiler.
//!
//! Owns the list of targets and how they are run. Never judges: libFuzzer ends with an error when
//! something panics, hangs, or takes more memory than it is given, and leaves the input behind.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::process::{output, run_with};

/// The targets, each with a folder of examples to begin with, where there is one.
const TARGETS: [(&str, Option<&str>); 7] = [
    ("blob", Some("docs/format/vectors/blobs")),
    ("apply", None),
    ("root", None),
    ("schema", None),
    ("json", None),
    ("log", Some("docs/format/vectors")),
    ("wal", None),
];
const FOLDER: &str = "crates/grotto-sim/fuzz";
const SECONDS: u64 = 60;
/// Megabytes that a target may take, and seconds for one input.
const LIMITS: [&str; 2] = ["-rss_limit_mb=2048", "-timeout=20"];
/// Lets the stable compiler take the flags for coverage; nothing in the project needs it.
const STABLE: (&str, &str) = ("RUSTC_BOOTSTRAP", "1");

/// What to run, and for how long.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    seconds: u64,
    targets: Vec<&'static str>,
}

impl Plan {
    fn parse(options: &[String]) -> Result<Self> {
        let mut plan = Self {
            seconds: SECONDS,
            targets: Vec::new(),
        };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            if option == "--seconds" {
                let value = options.next().context("--seconds needs a number")?;
                plan.seconds = value
                    .parse()
                    .with_context(|| format!("--seconds: expected a number, found `{value}`"))?;
                ensure!(plan.seconds > 0, "--seconds: expected at least 1");
                continue;
            }
            let known = TARGETS.iter().find(|(name, _)| name == option);
            let Some((name, _)) = known else {
                let names = TARGETS.map(|(name, _)| name).join(", ");
                bail!(
                    "there is no fuzz target `{option}`: expected --seconds N or some of {names}"
                );
            };
            plan.targets.push(name);
        }
        if plan.targets.is_empty() {
            plan.targets = TARGETS.map(|(name, _)| name).to_vec();
        }
        Ok(plan)
    }
}

/// Runs the targets one after the other; the first finding fails.
pub(crate) fn run(root: &Path, options: &[String]) -> Result<()> {
    let plan = Plan::parse(options)?;
    if output(root, "cargo", &["fuzz", "--version"]).is_err() {
        bail!("cargo-fuzz is not installed: run `cargo install cargo-fuzz --locked`");
    }
    for target in plan.targets {
        fuzz(root, target, plan.seconds)?;
    }
    Ok(())
}

fn fuzz(root: &Path, target: &str, seconds: u64) -> Result<()> {
    let corpus = root.join("target/fuzz-corpus").join(target);
    let findings = root.join("target/fuzz-findings").join(target);
    for folder in [&corpus, &findings] {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let corpus = corpus.display().to_string();
    let findings = format!("-artifact_prefix={}/", findings.display());
    let time = format!("-max_total_time={seconds}");
    let mut arguments = vec!["fuzz", "run", "--sanitizer", "none", "--fuzz-dir", FOLDER];
    arguments.extend(["--target-dir", "target/fuzz", target, &corpus]);
    let examples = TARGETS.iter().find(|(name, _)| *name == target);
    arguments.extend(examples.and_then(|(_, examples)| *examples));
    arguments.extend(["--", &time, &findings, "-print_final_stats=1"]);
    arguments.extend(LIMITS);
    run_with(root, "cargo", &arguments, &[STABLE])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Result<Plan> {
        Plan::parse(&options.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn without_options_every_target_runs_a_minute() {
        let plan = parse(&[]).unwrap();
        assert_eq!((plan.seconds, plan.targets.len()), (60, TARGETS.len()));
    }

    #[test]
    fn targets_and_seconds_are_taken_and_anything_else_is_refused() {
        let plan = parse(&["json", "--seconds", "5", "blob"]).unwrap();
        assert_eq!((plan.seconds, plan.targets), (5, vec!["json", "blob"]));
        for options in [
            &["jsno"][..],
            &["--seconds"],
            &["--seconds", "0"],
            &["--seconds", "x"],
        ] {
            assert!(parse(options).is_err(), "{options:?}");
        }
    }

    #[test]
    fn every_target_has_a_file_and_every_file_is_a_target() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../grotto-sim/fuzz/fuzz_targets");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                entry
                    .unwrap()
                    .path()
                    .file_stem()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        files.sort();
        let mut names = TARGETS.map(|(name, _)| name.to_owned());
        names.sort();
        assert_eq!(files, names);
    }
}
