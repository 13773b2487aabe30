//! The chores that are other programs with the right arguments: lint, test, docs,
//! deny, soak, sim, ci. Never checks anything itself; that is `tidy`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::process::{output, run, run_with, succeeds_within};

/// The advisory database is a clone over the network; beyond this it counts as
/// unreachable.
const DATABASE_LIMIT: Duration = Duration::from_secs(180);

/// Formatting and clippy.
pub(crate) fn lint(root: &Path) -> Result<()> {
    run(root, "cargo", &["fmt", "--all", "--check"])?;
    run(
        root,
        "cargo",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    )
}

/// Every test, by the command the README gives.
pub(crate) fn test(root: &Path) -> Result<()> {
    run(root, "cargo", &["test", "--workspace"])
}

/// The API documentation.
pub(crate) fn docs(root: &Path) -> Result<()> {
    run_with(
        root,
        "cargo",
        &["doc", "--workspace", "--no-deps"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )
}

/// The dependency checks. Without the advisory database the rest is checked and
/// the gap is said aloud: an unreachable server must not stop a change.
pub(crate) fn deny(root: &Path) -> Result<()> {
    if output(root, "cargo", &["deny", "--version"]).is_err() {
        bail!("cargo-deny is not installed: run `cargo install cargo-deny --locked`");
    }
    if succeeds_within(root, "cargo", &["deny", "fetch", "db"], DATABASE_LIMIT)? {
        return run(root, "cargo", &["deny", "check", "--hide-inclusion-graph"]);
    }
    eprintln!(
        "WARNING: the advisory database is unreachable: advisories are NOT checked, \
         only bans, licenses and sources"
    );
    run(
        root,
        "cargo",
        &[
            "deny",
            "check",
            "--hide-inclusion-graph",
            "bans",
            "licenses",
            "sources",
        ],
    )
}

/// What the soak does unless it is told: with budgets this small, a million records and a
/// thousand cycles show what five million and thousands of cycles show with the default
/// ones. Segments that are never emptied take three times the bytes by then.
const SOAK: [&str; 5] = [
    "--records=1000000",
    "--churn=0.0002",
    "--cycles=1000",
    "--move-at-least=262144",
    "--seal-at=1048576",
];

/// A long run of producer and consumers.
pub(crate) fn soak(root: &Path, options: &[String]) -> Result<()> {
    let build = ["run", "--release", "--package", "grotto-bench"];
    let program = ["--bin", "grotto-soak", "--"];
    let default: &[&str] = if options.is_empty() { &SOAK } else { &[] };
    let arguments = build.iter().chain(&program).chain(default).copied();
    let arguments: Vec<&str> = arguments
        .chain(options.iter().map(String::as_str))
        .collect();
    run(root, "cargo", &arguments)
}

/// Producers and consumers under faults, in virtual time; options are those of the program. Built as for
/// tests: nothing else is to be built for it, and a build for development has more assertions.
pub(crate) fn sim(root: &Path, options: &[String]) -> Result<()> {
    let build = ["run", "--quiet", "--package", "grotto-sim"];
    let program = ["--bin", "grotto-sim", "--"];
    let options = options.iter().map(String::as_str);
    let arguments = build.into_iter().chain(program).chain(options);
    run(root, "cargo", &arguments.collect::<Vec<_>>())
}

/// What the continuous integration runs. The list of steps is in the script only.
pub(crate) fn ci(root: &Path) -> Result<()> {
    run(root, "bash", &[".ci/run"])
}
