//! A process that reads the state directory of the sidecar.
//!
//! Owns: starting itself as that process, and what it does there: get records by key, and read one number of each, or
//! every field and every byte of its text.
//! Never: talks to the sidecar.

use super::client::{Measured, percentile};
use anyhow::{Context, Result, bail, ensure};
use grotto::engine::env::{Clock, SystemClock};
use grotto::{Attached, Consumer};
use grotto_bench::workload::flat::{Flat, Product};
use grotto_bench::workload::rng::{Rng, id};
use grotto_bench::workload::{Ref, Workload};
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Keys between two looks for another version, as a service takes the state anew for each of its requests.
const KEYS_OF_A_STATE: usize = 16;
/// Keys that are drawn beforehand.
const KEYS: usize = 1 << 20;

/// Starts the process and takes its figures.
pub(crate) fn run(
    dir: &Path,
    n: u64,
    (part, batch): (Part, usize),
    threads: usize,
    seconds: f64,
) -> Result<Measured> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("--attached")
        .arg(dir)
        .arg("--n")
        .arg(n.to_string());
    let name = match part {
        Part::Number => "number",
        Part::All => "all",
    };
    command.args(["--part", name]);
    command.arg("--batches").arg(batch.to_string());
    command.arg("--connections").arg(threads.to_string());
    let done = command.arg("--seconds").arg(seconds.to_string()).output()?;
    let found = String::from_utf8(done.stdout)?;
    let errors = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "attached: {errors}");
    let numbers: std::result::Result<Vec<f64>, _> =
        found.split_whitespace().map(str::parse).collect();
    match numbers?.as_slice() {
        &[rate, p50, p99] => Ok(Measured {
            rate,
            p50,
            p99,
            processor: f64::NAN,
        }),
        _ => bail!("attached: expected three numbers, found {found:?}"),
    }
}

/// The process itself: prints gets a second, and microseconds of a call.
#[allow(clippy::print_stdout, reason = "who started this reads it there")]
pub(crate) fn measure(
    dir: &Path,
    n: u64,
    (part, batch): (Part, usize),
    threads: usize,
    time: Duration,
) -> Result<()> {
    let (clock, attached) = (SystemClock::new(), Consumer::attach(dir)?);
    verify(&attached, n)?;
    let (clock, attached) = (&clock, &attached);
    let rate = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..threads)
            .map(|seed| {
                scope.spawn(move || rate(clock, attached, &keys(n, seed), (part, batch), time))
            })
            .collect();
        let mut rate = 0.0;
        for reader in readers {
            match reader.join() {
                Ok(own) => rate += own?,
                Err(_) => bail!("a reader panicked"),
            }
        }
        Ok(rate)
    })?;
    let times = times(clock, attached, &keys(n, threads), (part, batch))?;
    let (p50, p99) = (percentile(&times, 0.5), percentile(&times, 0.99));
    println!("{rate} {p50} {p99}");
    Ok(())
}

fn keys(n: u64, seed: usize) -> Vec<i64> {
    let mut rng = Rng(0x4154_5441 + seed as u64);
    (0..KEYS).map(|_| id(rng.below(n))).collect()
}

/// Reads records, and compares them with the workload.
fn verify(attached: &Attached, n: u64) -> Result<()> {
    let (state, flat) = (attached.state(), Flat::new(n));
    let typed = state.typed::<Product>()?;
    for index in (0..n).step_by(101) {
        let found = typed.get(id(index))?;
        let found = found.with_context(|| format!("no product {}", id(index)))?;
        let expected = flat.digest(&flat.record(index, 0));
        ensure!(
            Flat::digest_read(found) == expected,
            "a wrong product {index}"
        );
    }
    Ok(())
}

/// What is read of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Part {
    /// A number.
    Number,
    /// Every field, by way of a digest.
    All,
}

impl Part {
    fn of(self, product: Ref<'_, Flat>) -> u64 {
        match self {
            Self::Number => Flat::number(product) as u64,
            Self::All => Flat::digest_read(product),
        }
    }
}

/// Gets and reads all of these.
fn read(attached: &Attached, keys: &[i64], batch: usize, part: Part) -> Result<u64> {
    let state = attached.state();
    let typed = state.typed::<Product>()?;
    let mut sum = 0_u64;
    if batch == 1 {
        for key in keys {
            let product = typed.get(*key)?.context("a record is missing")?;
            sum = sum.wrapping_add(part.of(product));
        }
        return Ok(sum);
    }
    for keys in keys.chunks(batch) {
        for product in typed.get_many(keys)? {
            let product = product.context("a record is missing")?;
            sum = sum.wrapping_add(part.of(product));
        }
    }
    Ok(sum)
}

/// Gets a second of one thread.
fn rate(
    clock: &SystemClock,
    attached: &Attached,
    keys: &[i64],
    (part, batch): (Part, usize),
    time: Duration,
) -> Result<f64> {
    let begin = clock.monotonic();
    let mut gets = 0;
    for some in keys.chunks_exact(1_024).cycle() {
        for keys in some.chunks(KEYS_OF_A_STATE.max(batch)) {
            black_box(read(attached, keys, batch, part)?);
        }
        gets += some.len();
        if clock.monotonic() - begin >= time {
            break;
        }
    }
    Ok(gets as f64 / (clock.monotonic() - begin).as_secs_f64())
}

/// Nanoseconds of each call, sorted: the state taken, one get or one batch, everything read.
fn times(
    clock: &SystemClock,
    attached: &Attached,
    keys: &[i64],
    (part, batch): (Part, usize),
) -> Result<Vec<u64>> {
    let mut times = Vec::with_capacity(keys.len() / batch);
    for keys in keys.chunks_exact(batch) {
        let begin = clock.monotonic();
        black_box(read(attached, keys, batch, part)?);
        times.push((clock.monotonic() - begin).as_nanos() as u64);
    }
    times.sort_unstable();
    Ok(times)
}
