//! `grotto-bench`: measures one workload and prints one JSON line per figure.
//!
//! Owns: the command line. Never: a measurement.
#![forbid(unsafe_code)]

use clap::Parser;
use grotto_bench::metric::{Settings, run};
use std::process::ExitCode;

/// Measures a standard workload; prints one JSON line per figure.
#[derive(Debug, Parser)]
struct Arguments {
    /// `flat` or `catalog`.
    workload: String,
    /// Records of the dataset.
    #[arg(long, default_value_t = 100_000)]
    n: u64,
    /// Changed records of cycles; a tenth as many are deleted, and as many are new.
    #[arg(long, default_value_t = 1_000)]
    changes: u64,
    /// Times that each cycle and load is measured.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Lookups of each run of a read metric.
    #[arg(long, default_value_t = 4_000_000)]
    lookups: usize,
    /// Seconds for which readers are watched.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Print only these metrics, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = Settings {
        n: arguments.n.max(1),
        k: arguments.changes,
        runs: arguments.runs.max(1),
        lookups: arguments.lookups.max(1),
        seconds: arguments.seconds.max(1),
        only: arguments.only,
    };
    match run(&arguments.workload, &settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("grotto-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
