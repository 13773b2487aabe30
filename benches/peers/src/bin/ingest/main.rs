//! `grotto-ingest-peers`: how many records a second Grotto, Redis and PostgreSQL acknowledge as durable, on the same
//! disk in the same run.
//!
//! Owns: the order of things, and the table. Never: a measurement.
#![forbid(unsafe_code)]

mod postgres;
mod redis;

use anyhow::{Result, bail};
use clap::Parser;
use grotto::engine::env::SystemClock;
use grotto_bench::ingest::{Load, rates};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Loads records into Grotto, Redis (`appendfsync always`) and PostgreSQL (`COPY`), in turns, and prints medians.
#[derive(Debug, Parser)]
struct Arguments {
    /// Records of each load in batches.
    #[arg(long, default_value_t = 500_000)]
    n: u64,
    /// Records of each load one by one.
    #[arg(long, default_value_t = 50_000)]
    singles: u64,
    /// Connections, or submissions under way, at a time.
    #[arg(long, default_value_t = 8)]
    senders: u64,
    /// The same where each submission is one record.
    #[arg(long, default_value_t = 256)]
    single_senders: u64,
    /// Runs of each.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Where stores and databases are made: on a disk, or syncing costs nothing.
    #[arg(long)]
    folder: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let clock = SystemClock::new();
    let runtime = tokio::runtime::Runtime::new()?;
    let loads = [
        Load {
            name: "batches of 1,000",
            records: arguments.n,
            per_batch: 1_000,
            senders: arguments.senders,
            sync: true,
        },
        Load {
            name: "one by one",
            records: arguments.singles,
            per_batch: 1,
            senders: arguments.single_senders,
            sync: true,
        },
    ];
    let mut all: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for run in 1..=arguments.runs.max(1) {
        for load in loads {
            let folder = Some(arguments.folder.as_path());
            let [durable, published] = runtime.block_on(rates(&clock, folder, load))?;
            let figures = [
                ("grotto durable", durable),
                ("grotto published", published),
                ("redis", redis::rate(&clock, &arguments.folder, load)?),
                ("postgres", postgres::rate(&clock, &arguments.folder, load)?),
            ];
            for (engine, rate) in figures {
                eprintln!("run {run}, {}: {engine} {rate:.0} records/s", load.name);
                all.entry((load.name, engine)).or_default().push(rate);
            }
        }
    }
    print_table(&all);
    Ok(())
}

/// Runs the senders of a load beside each other.
fn in_parallel(load: Load, send: impl Fn(u64) -> Result<()> + Sync) -> Result<()> {
    std::thread::scope(|scope| {
        let send = &send;
        let senders: Vec<_> = (0..load.senders)
            .map(|sender| scope.spawn(move || send(sender)))
            .collect();
        for sender in senders {
            match sender.join() {
                Ok(sent) => sent?,
                Err(_) => bail!("a sender panicked"),
            }
        }
        Ok(())
    })
}

#[allow(clippy::print_stdout, reason = "the table is what the program is for")]
fn print_table(all: &BTreeMap<(&str, &str), Vec<f64>>) {
    println!("| load | engine | records/s, median | Grotto durable is |");
    println!("|---|---|---|---|");
    for ((load, engine), rates) in all {
        let (rate, own) = (median(rates), all.get(&(*load, "grotto durable")));
        let times = own.map_or(f64::NAN, |own| median(own) / rate);
        println!("| {load} | {engine} | {rate:.0} | {times:.2} times |");
    }
}

fn median(rates: &[f64]) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
