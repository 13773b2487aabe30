//! `grotto-bench`: measures one workload and prints one JSON line per figure.
//!
//! Owns: the command line. Never: a measurement.
#![forbid(unsafe_code)]

use clap::Parser;
use grotto::engine::env::SystemClock;
use grotto_bench::metric::child::{self, Task};
use grotto_bench::metric::{Settings, digest, run};
use std::path::PathBuf;
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
    /// Where stores and state directories are made, such as /dev/shm.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Print only the digest of the records, before and after three steps of 1,000 changes.
    #[arg(long)]
    digest: bool,
    /// What this process does for another one that measures it.
    #[arg(long, hide = true, requires = "place")]
    child: Option<Task>,
    /// The folder of the process that measures.
    #[arg(long, hide = true)]
    place: Option<PathBuf>,
    /// Key to read.
    #[arg(long, hide = true, default_value_t = 0)]
    key: i64,
}

fn main() -> ExitCode {
    // Before anything else: the start of the process is part of what some metrics measure.
    let clock = SystemClock::new();
    let arguments = Arguments::parse();
    if let (Some(task), Some(place)) = (arguments.child, &arguments.place) {
        return exit(child::run(
            task,
            &arguments.workload,
            place,
            arguments.key,
            &clock,
        ));
    }
    if arguments.digest {
        return exit(digest(&arguments.workload, arguments.n.max(1)));
    }
    let settings = Settings {
        n: arguments.n.max(1),
        k: arguments.changes,
        runs: arguments.runs.max(1),
        lookups: arguments.lookups.max(1),
        seconds: arguments.seconds.max(1),
        only: arguments.only,
        folder: arguments.folder,
    };
    exit(run(&arguments.workload, &settings))
}

fn exit(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("grotto-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
