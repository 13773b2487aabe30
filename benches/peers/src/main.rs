//! `grotto-peers`: Grotto beside other engines on the standard workloads.
//!
//! Owns: the command line, and the order of things. Never: a measurement.
#![forbid(unsafe_code)]

mod engines;
mod figures;
mod hollow;
mod others;
mod reads;
mod table;

use anyhow::Result;
use clap::{Parser, Subcommand};
use figures::Figures;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures Grotto beside other engines and prints the table of ratios.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
struct Settings {
    /// Records of each dataset.
    #[arg(long, global = true, default_value_t = 1_000_000)]
    n: u64,
    /// Changed records of cycles.
    #[arg(long, global = true, default_value_t = 1_000)]
    changes: u64,
    /// Runs of each measurement.
    #[arg(long, global = true, default_value_t = 5)]
    runs: usize,
    /// Lookups of each run.
    #[arg(long, global = true, default_value_t = 4_000_000)]
    lookups: usize,
    /// Workloads.
    #[arg(
        long,
        global = true,
        value_delimiter = ',',
        default_value = "flat,catalog"
    )]
    workloads: Vec<String>,
    /// Leaves Netflix Hollow out.
    #[arg(long, global = true)]
    no_hollow: bool,
    /// Where databases, stores and state directories are made.
    #[arg(long, global = true)]
    folder: Option<PathBuf>,
    /// Appends every figure to this file, one JSON line each.
    #[arg(long, global = true, default_value = "../../target/peers.jsonl")]
    out: PathBuf,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Only reads of the engines that run in one process, in turns.
    Reads {
        /// Engines, separated by commas; all if none.
        #[arg(long, value_delimiter = ',')]
        engines: Vec<String>,
        /// Appended to the engines' names.
        #[arg(long, default_value = "")]
        tag: String,
    },
    /// Only the table, from figures that were kept.
    Table,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        None => all(&arguments.settings),
        Some(Command::Reads { engines, tag }) => reads::run(&arguments.settings, engines, tag),
        Some(Command::Table) => kept(&arguments.settings),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("grotto-peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn all(settings: &Settings) -> Result<()> {
    let mut figures = Figures::into_file(&settings.out)?;
    others::build()?;
    let hollow = hollow::build(settings)?;
    for workload in &settings.workloads {
        if workload == "flat" {
            others::reads(settings, &mut figures)?;
        }
        others::grotto(settings, workload, &mut figures)?;
        if hollow {
            hollow::measure(settings, workload, &mut figures)?;
        }
    }
    table::print(&figures, settings.n)
}

fn kept(settings: &Settings) -> Result<()> {
    table::print(&Figures::from_file(&settings.out)?, settings.n)
}
