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

/// Milliseconds to parse and to apply the deltas of a chain.
#[derive(Default)]
struct Times {
    parses: Vec<f64>,
    applies: Vec<f64>,
}

impl Chain {
    /// Applies the next deltas, at most `count`.
    fn walk(&mut self, report: &Report, count: usize, times: &mut Times) -> Result<()> {
        for delta in self.deltas.drain(..count.min(self.deltas.len())) {
            let (time, blob) = report.time(|| parse(delta));
            times.parses.push(ms(time));
            let blob: Blob = blob?;
            let state = &mut self.state;
            let (time, done) = report.time(|| {
                *state = Arc::new(apply(state, &blob)?);
                anyhow::Ok(())
            });
            done?;
            times.applies.push(ms(time));
        }
        Ok(())
    }
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
        let (mut chain, mut times) = (chain(engine, k, runs)?, Times::default());
        chain.walk(report, runs, &mut times)?;
        report.print(&parse, k, "ms", times.parses)?;
        report.print(&apply, k, "ms", times.applies)?;
        last = Some(chain.state);
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

/// How much longer 1,000 changes take at N than at 100,000 records. Takes turns between the two, so
/// that both see the same machine; each value compares the medians of one turn.
pub(super) fn scaling<W: Workload>(report: &Report, settings: &Settings) -> Result<()> {
    const TURN: usize = 9;
    let turns = settings.runs;
    let mut small = chain_of::<W>(100_000, (turns + 1) * TURN)?;
    let mut large = chain_of::<W>(settings.n, (turns + 1) * TURN)?;
    let mut ratios = Vec::new();
    for turn in 0..=turns {
        let (mut of_small, mut of_large) = (Times::default(), Times::default());
        small.walk(report, TURN, &mut of_small)?;
        large.walk(report, TURN, &mut of_large)?;
        // The first turn only warms.
        if turn > 0 {
            ratios.push(middle(of_large.applies) / middle(of_small.applies));
        }
    }
    report.print("apply_scaling", 1_000, "ratio", ratios)
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

fn chain_of<W: Workload>(n: u64, count: usize) -> Result<Chain> {
    let mut engine = Engine::new(Model::<W>::new(n))?;
    if let Some(encoded) = engine.full()? {
        engine.write.advance(encoded);
    }
    chain(&mut engine, 1_000, count)
}
