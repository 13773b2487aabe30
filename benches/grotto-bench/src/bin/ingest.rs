//! `grotto-ingest`: how much a pipeline acknowledges and publishes, and how soon.
//!
//! Owns: the command line. Never: a measurement.
#![forbid(unsafe_code)]

use clap::Parser;
use grotto_bench::ingest::{Settings, run};

/// Submits records to a pipeline on a local folder; prints one JSON line per figure.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
}

fn main() -> anyhow::Result<()> {
    run(&Arguments::parse().settings)
}
