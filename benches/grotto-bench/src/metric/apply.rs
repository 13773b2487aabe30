//! Applying deltas: what a refresh costs a consumer beyond fetching.
//!
//! Owns: its figures. Each delta is applied once, to the state it was made for, and the state
//! before is dropped within the measured time.

use super::Settings;
use crate::engine::{Engine, apply, parse};
use crate::figure::{Report, ms};
use crate::workload::{Model, Workload};
use anyhow::Result;
use grotto_format::blob::Blob;
use grotto_state::State;
use std::sync::Arc;

/// Metrics of deltas of three sizes.
pub(super) const METRICS: &[&str] = &[
    "apply_10",
    "parse_10",
    "apply_1000",
    "parse_1000",
    "apply_1pct",
    "parse_1pct",
    "bytes_per_record_after",
];
/// The metric that compares a large dataset with a small one.
pub(super) const SCALING: &[&str] = &["apply_scaling"];

/// Deltas of one size, and the state they start from.
struct Chain {
    state: Arc<State>,
    deltas: Vec<Vec<u8>>,
}

fn chain<W: Workload>(engine: &mut Engine<W>, k: u64, count: usize) -> Result<Chain> {
    let state = engine.loaded()?;
    let deltas = (0..count)
        .map(|_| engine.publish(k))
        .collect::<Result<_>>()?;
    Ok(Chain { state, deltas })
}

/// Milliseconds to parse and to apply each delta, and the last state.
fn walk(report: &Report, chain: Chain) -> Result<(Vec<f64>, Vec<f64>, Arc<State>)> {
    let (mut parses, mut applies) = (Vec::new(), Vec::new());
    let mut state = chain.state;
    for delta in chain.deltas {
        let (time, blob) = report.time(|| parse(delta));
        parses.push(ms(time));
        let blob: Blob = blob?;
        let (time, next) = report.time(|| {
            let next = Arc::new(apply(&state, &blob)?);
            state = Arc::clone(&next);
            anyhow::Ok(next)
        });
        next?;
        applies.push(ms(time));
    }
    Ok((parses, applies, state))
}

/// K = 10, 1,000 and 1 %.
pub(super) fn all<W: Workload>(
    report: &Report,
    settings: &Settings,
    engine: &mut Engine<W>,
) -> Result<()> {
    let percent = (settings.n / 100).max(1);
    let mut last = None;
    for (name, k, runs) in [
        ("10", 10, 40),
        ("1000", 1_000, 20),
        ("1pct", percent, settings.runs),
    ] {
        let (apply, parse) = (format!("apply_{name}"), format!("parse_{name}"));
        if !report.wants_any(&[&apply, &parse, "bytes_per_record_after"]) {
            continue;
        }
        let chain = chain(engine, k, runs)?;
        let (parses, applies, state) = walk(report, chain)?;
        report.print(&parse, k, "ms", parses)?;
        report.print(&apply, k, "ms", applies)?;
        last = Some(state);
    }
    let Some(state) = last else { return Ok(()) };
    anyhow::ensure!(
        state.checksum() == engine.state().checksum(),
        "applied deltas lead to another state"
    );
    let held: usize = state.segments().map(|segment| segment.bytes().len()).sum();
    report.print(
        "bytes_per_record_after",
        0,
        "bytes",
        vec![held as f64 / settings.n as f64],
    )
}

/// How much longer 1,000 changes take at N than at 100,000 records. Alternates between the two, so
/// that both see the same machine.
pub(super) fn scaling<W: Workload>(report: &Report, settings: &Settings) -> Result<()> {
    let small = chain_of::<W>(100_000, 40)?;
    let large = chain_of::<W>(settings.n, 40)?;
    let mut ratios = Vec::new();
    let ((_, small, _), (_, large, _)) = (walk(report, small)?, walk(report, large)?);
    for (small, large) in small.chunks(8).zip(large.chunks(8)) {
        let median = |times: &[f64]| {
            let mut times = times.to_vec();
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        ratios.push(median(large) / median(small));
    }
    report.print("apply_scaling", 1_000, "ratio", ratios)
}

fn chain_of<W: Workload>(n: u64, count: usize) -> Result<Chain> {
    let mut engine = Engine::new(Model::<W>::new(n))?;
    if let Some(encoded) = engine.full()? {
        engine.write.advance(encoded);
    }
    chain(&mut engine, 1_000, count)
}
