//! The measurements.
//!
//! Owns: their order, and the dataset they share. Never: how a record is made.

mod apply;
mod cycle;
mod engine;
mod latency;
mod read;

use crate::figure::Report;
use crate::workload::catalog::Catalog;
use crate::workload::flat::Flat;
use crate::workload::{Model, Workload};
use anyhow::Result;
use engine::Engine;
use grotto::env::SystemClock;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Records of the dataset.
    pub n: u64,
    /// Changed records of cycles.
    pub k: u64,
    /// Times that each cycle and load is measured, at least.
    pub runs: usize,
    /// Lookups of each run of a read metric.
    pub lookups: usize,
    /// Seconds for which readers are watched.
    pub seconds: u64,
    /// Metrics to print; empty means all.
    pub only: Vec<String>,
}

/// Every metric, in the order they are printed.
pub const METRICS: &[&[&str]] = &[
    cycle::FIRST,
    read::METRICS,
    cycle::QUIET,
    cycle::CHANGING,
    apply::METRICS,
    latency::METRICS,
    apply::SCALING,
];

/// Measures a workload by name.
///
/// # Errors
/// When the workload or a metric is unknown, or the engine refuses something.
pub fn run(workload: &str, settings: &Settings) -> Result<()> {
    for name in &settings.only {
        let known = METRICS.iter().any(|group| group.contains(&name.as_str()));
        anyhow::ensure!(known, "no metric {name}: expected one of {}", METRICS.concat().join(", "));
    }
    match workload {
        Flat::NAME => measure::<Flat>(settings),
        Catalog::NAME => measure::<Catalog>(settings),
        other => anyhow::bail!("no workload {other}: expected flat or catalog"),
    }
}

fn report<W: Workload>(settings: &Settings) -> Report {
    Report { workload: W::NAME, n: settings.n, only: settings.only.clone(), clock: SystemClock::new() }
}

fn measure<W: Workload>(settings: &Settings) -> Result<()> {
    let report = report::<W>(settings);
    // Builds datasets of its own, and takes minutes: only when asked for.
    if report.wants_any(apply::SCALING) && !settings.only.is_empty() {
        apply::scaling::<W>(&report, settings)?;
        if settings.only.iter().all(|name| apply::SCALING.contains(&name.as_str())) {
            return Ok(());
        }
    }
    let mut engine = Engine::new(Model::<W>::new(settings.n))?;
    cycle::first(&report, settings, &mut engine)?;
    if report.wants_any(read::METRICS) {
        read::all(&report, settings, &engine)?;
    }
    if report.wants_any(cycle::QUIET) {
        cycle::quiet(&report, settings, &mut engine)?;
    }
    if report.wants_any(cycle::CHANGING) {
        cycle::changing(&report, settings, &mut engine)?;
    }
    if report.wants_any(apply::METRICS) {
        apply::all(&report, settings, &mut engine)?;
    }
    if report.wants_any(latency::METRICS) {
        latency::all(&report, settings, &mut engine)?;
    }
    engine.verify()
}
