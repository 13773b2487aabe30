//! `cargo xtask`: the project's chores, so that a contributor and the continuous
//! integration run the same commands and need no tool beside cargo.
//!
//! Owns the list of chores and their order. Never ships, and never changes a
//! source file: a chore reports, a person repairs.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    reason = "a chore talks to the person who started it"
)]

mod chores;
mod fuzz;
mod mutants;
mod process;
mod runs;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

const USAGE: &str = "\
usage: cargo xtask <chore>
       cargo xtask soak [options, see --help]
       cargo xtask fuzz [--seconds N] [target ...]
       cargo xtask mutants state|protocol [--shard K/N] [--re NAME] [--lib]
       cargo xtask runs [RUN ...] [NAME=NUMBER ...]
       cargo xtask sim [--seeds N | --seconds N | --seed S --trace]

  lint   formatting, then clippy on every target; any warning fails
  tidy   the rules of this repository that no compiler checks
  test   every test of the workspace
  docs   the API documentation; any warning fails
  deny   dependencies: advisories, bans, licences, sources (needs cargo-deny)
  soak   1,000 cycles of churn; what grows that should not fails (two minutes)
  fuzz   every fuzz target for a minute (needs cargo-fuzz)
  mutants  small changes that a test has to notice: a set, or a part of it (needs
         cargo-mutants; hours for a whole set, so not in the continuous integration)
  runs   producers, sidecars and readers in processes of their own, of which the tests do
         each for a short time (an hour for all): readers (a thousand), kills (50),
         holders (500 versions held), failover (30 rounds), hosts (three in network
         namespaces), push, places (state directories that fail), stores and bucket
         (stores that do), refreshes (20,000)
  sim    faults of every kind, by seeds that repeat; 200 of them unless said
  ci     everything the continuous integration runs (.ci/run)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<ExitCode> {
    let root = root()?;
    match arguments {
        [chore, options @ ..] if chore == "soak" => chores::soak(&root, options)?,
        [chore, options @ ..] if chore == "fuzz" => fuzz::run(&root, options)?,
        [chore, options @ ..] if chore == "mutants" => mutants::run(&root, options)?,
        [chore, options @ ..] if chore == "runs" => runs::run(&root, options)?,
        [chore, options @ ..] if chore == "sim" => chores::sim(&root, options)?,
        [chore] => match chore.as_str() {
            "lint" => chores::lint(&root)?,
            "tidy" => tidy::run(&root)?,
            "test" => chores::test(&root)?,
            "docs" => chores::docs(&root)?,
            "deny" => chores::deny(&root)?,
            "ci" => chores::ci(&root)?,
            "help" | "--help" | "-h" => println!("{USAGE}"),
            unknown => return Ok(refuse(&format!("there is no chore `{unknown}`"))),
        },
        [] => return Ok(refuse("name a chore")),
        _ => return Ok(refuse("one chore at a time")),
    }
    Ok(ExitCode::SUCCESS)
}

fn refuse(problem: &str) -> ExitCode {
    eprintln!("xtask: {problem}\n\n{USAGE}");
    ExitCode::from(2)
}

/// The workspace root, two folders above this crate.
fn root() -> Result<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize()
        .with_context(|| format!("cannot find the workspace root at {}", root.display()))
}
