//! `grotto-sidecar-peers`: gets a second, and how long they take, of a sidecar, of Redis and of an attached process,
//! with the same records in the same run.
//!
//! Owns: what is measured in which order. Never: a measurement.
#![forbid(unsafe_code)]

mod attached;
mod client;
mod records;
mod redis;
mod server;
mod sidecar;
mod table;

use anyhow::Result;
use attached::Part;
use clap::Parser;
use client::{Load, Measured};
use grotto_bench::deploy::{Deployment, state_dir_of};
use grotto_bench::workload::Model;
use grotto_bench::workload::flat::Flat;
use records::Records;
use server::{Engine, Server, Transport};
use std::path::{Path, PathBuf};
use std::time::Duration;
use table::Figures;

/// Asks a sidecar and Redis for the same records, in turns, and prints medians.
#[derive(Debug, Parser)]
struct Arguments {
    /// Records of the dataset.
    #[arg(long, default_value_t = 1_000_000)]
    n: u64,
    /// Keys of one request; 1 is a single get.
    #[arg(long, value_delimiter = ',', default_value = "1,16,100")]
    batches: Vec<usize>,
    /// Connections, each with a thread that asks and waits for the answer.
    #[arg(long, value_delimiter = ',', default_value = "1,8")]
    connections: Vec<usize>,
    /// Which of `tcp` and `unix`.
    #[arg(long, value_delimiter = ',', default_value = "tcp,unix")]
    over: Vec<Transport>,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Rounds; in every other one Redis is first.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Where store, state directory and sockets are made; the folder for temporary files otherwise.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// The binary `grotto`; the one beside this program otherwise.
    #[arg(long)]
    grotto: Option<PathBuf>,
    /// Measures this state directory instead: what the program starts itself as.
    #[arg(long, hide = true)]
    attached: Option<PathBuf>,
    /// What it reads of each record.
    #[arg(long, hide = true, default_value = "all")]
    part: Part,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(dir) = &arguments.attached {
        let batch = arguments.batches.first().copied().unwrap_or(1);
        let threads = arguments.connections.first().copied().unwrap_or(1);
        let time = Duration::from_secs_f64(arguments.seconds);
        return attached::measure(dir, arguments.n, (arguments.part, batch), threads, time);
    }
    let deployment = Deployment::new(arguments.folder.as_deref(), Model::<Flat>::new(arguments.n))?;
    let records = {
        let consumer = deployment.consumer(None)?;
        let state = consumer.state();
        deployment.verify(&state)?;
        Records::of(&state, deployment.model())?
    };
    let sidecar = sidecar::start(deployment.place(), arguments.grotto.as_deref())?;
    let redis = redis::start(deployment.place(), &records)?;
    let loads = loads(&arguments, &records);
    for load in &loads {
        for server in [&sidecar, &redis] {
            client::verify(server, load, &records)?;
        }
    }
    eprintln!("all answers are right; measuring");
    let mut figures = Figures::default();
    for run in 1..=arguments.runs.max(1) {
        for load in &loads {
            let mut turns = [&sidecar, &redis];
            if run % 2 == 0 {
                turns.reverse();
            }
            for server in turns {
                let time = Duration::from_secs_f64(arguments.seconds);
                let measured = client::measure(server, load, &records, time)?;
                say(run, load, server, &measured);
                figures.add(load.named(), server.engine, measured);
            }
        }
        measure_attached(run, &arguments, deployment.place(), &mut figures)?;
    }
    figures.print();
    Ok(())
}

fn measure_attached(
    run: usize,
    arguments: &Arguments,
    place: &Path,
    figures: &mut Figures,
) -> Result<()> {
    let (dir, n, seconds) = (state_dir_of(place), arguments.n, arguments.seconds);
    for part in [Part::Number, Part::All] {
        for batch in [1, 16] {
            for threads in [1, 2] {
                let what = (part, batch);
                let measured = attached::run(&dir, n, what, threads, seconds)?;
                eprintln!("run {run}: attached, {threads} threads, {what:?}: {measured}");
                figures.add_attached(threads, what, measured);
            }
        }
    }
    Ok(())
}

fn loads(arguments: &Arguments, records: &Records) -> Vec<Load> {
    let mut loads = Vec::new();
    for &connections in &arguments.connections {
        for &over in &arguments.over {
            for &batch in &arguments.batches {
                loads.push(Load::new(connections, over, batch, records));
            }
        }
    }
    loads
}

fn say(run: usize, load: &Load, server: &Server, measured: &Measured) {
    let engine = match server.engine {
        Engine::Sidecar => "sidecar",
        Engine::Redis => "redis",
    };
    let (connections, over, batch) = load.named();
    eprintln!("run {run}: {connections} connections, {over}, {batch}: {engine} {measured}");
}
