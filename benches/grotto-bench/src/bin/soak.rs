//! `grotto-soak`: thousands of cycles, and whether anything grew that should not.
//!
//! Owns: the command line. Never: a measurement.
#![forbid(unsafe_code)]

use clap::Parser;
use grotto_bench::soak::{Plan, run};
use grotto_state::SegmentOptions;
use std::path::PathBuf;
use std::process::ExitCode;

/// As the binary `grotto` does: gives memory back that threads free, which the allocator of glibc keeps for each of them. Set up in
/// `.cargo/config.toml`; figures in `docs/operating/memory.md`.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs a producer and two consumers for many cycles and compares the first sample with the last.
/// Fails when something that should stay flat did not.
#[derive(Debug, Parser)]
struct Arguments {
    /// `flat` or `catalog`.
    #[arg(long, default_value = "flat")]
    workload: String,
    /// Cycles.
    #[arg(long, default_value_t = 2_000)]
    cycles: u64,
    /// Records of the dataset.
    #[arg(long, default_value_t = 200_000)]
    records: u64,
    /// Share of the records that a cycle changes; a tenth as many are deleted, and as many are new.
    #[arg(long, default_value_t = 0.01)]
    churn: f64,
    /// Share of the records that goes and comes back between two samples.
    #[arg(long, default_value_t = 0.0)]
    tide: f64,
    /// Cycles from one sample to the next.
    #[arg(long, default_value_t = 100)]
    every: u64,
    /// Where the store and the state directory are made, such as /dev/shm.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Print one JSON object per sample instead of a table.
    #[arg(long)]
    json: bool,
    /// Bytes that a refresh may move out of old segments at least. With less than the default, fewer
    /// records show what millions show with it.
    #[arg(long, default_value_t = SegmentOptions::default().move_at_least)]
    move_at_least: u64,
    /// Bytes at which a segment is sealed.
    #[arg(long, default_value_t = SegmentOptions::default().seal_at)]
    seal_at: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = Plan {
        cycles: arguments.cycles,
        records: arguments.records.max(1),
        churn: arguments.churn,
        tide: arguments.tide,
        every: arguments.every.max(1),
        folder: arguments.folder,
        json: arguments.json,
        segments: SegmentOptions {
            move_at_least: arguments.move_at_least,
            seal_at: arguments.seal_at.max(1),
            ..SegmentOptions::default()
        },
    };
    match run(&arguments.workload, &plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("grotto-soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}
