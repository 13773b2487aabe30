//! `cargo xtask runs`: the long runs of sidecars and readers.
//!
//! Owns: how long each is. Never: what it does; that is in the tests of `grotto-cli`, where each is short.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::process::run_with;

/// The runs, each with the numbers that make it long.
const RUNS: &[(&str, &[(&str, &str)])] = &[
    (
        "readers",
        &[
            ("VERSIONS", "600"),
            ("INTERVAL_MS", "100"),
            ("ITEMS", "20000"),
        ],
    ),
    ("kills", &[("KILLS", "50")]),
    ("holders", &[("HELD", "500"), ("STILL_S", "120")]),
    ("failover", &[("ROUNDS", "30")]),
    ("hosts", &[("CUTS", "10")]),
    (
        "push",
        &[
            ("ITEMS", "20000"),
            ("VERSIONS", "300"),
            ("INTERVAL_MS", "300"),
            ("RARE_VERSIONS", "20"),
            ("RARE_MS", "12000"),
        ],
    ),
    ("places", &[]),
    ("stores", &[]),
    ("bucket", &[]),
    ("refreshes", &[("REFRESHES", "20000"), ("WINDOW", "200")]),
];

/// Does one of them, or all, one after the other, and prints their figures. `NAME=NUMBER` changes a number.
pub(crate) fn run(root: &Path, options: &[String]) -> Result<()> {
    let (numbers, names): (Vec<&String>, Vec<_>) = options.iter().partition(|o| o.contains('='));
    for name in &names {
        if RUNS.iter().all(|(known, _)| known != name) {
            let known: Vec<&str> = RUNS.iter().map(|(known, _)| *known).collect();
            bail!("no run {name}: expected one of {}", known.join(", "));
        }
    }
    let chosen = RUNS.iter();
    let chosen = chosen.filter(|(name, _)| names.is_empty() || names.iter().any(|n| n == name));
    for (name, long) in chosen {
        let mut variables: Vec<(String, String)> = Vec::new();
        let own = long.iter().map(|(key, number)| Ok((*key, *number)));
        let told = numbers
            .iter()
            .map(|o| o.split_once('=').context("a number"));
        for pair in own.chain(told) {
            let (key, number) = pair?;
            variables.push((format!("GROTTO_RUNS_{key}"), number.to_owned()));
        }
        let variables: Vec<_> = variables
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        let tests = format!("runs::{name}::");
        let build = [
            "test",
            "--release",
            "--package",
            "grotto-cli",
            "--test",
            "it",
            "--",
        ];
        let program = [tests.as_str(), "--nocapture", "--test-threads=1"];
        let arguments: Vec<&str> = build.into_iter().chain(program).collect();
        run_with(root, "cargo", &arguments, &variables)?;
    }
    Ok(())
}
