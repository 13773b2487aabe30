//! The measurements.
//!
//! Owns: their order, and the dataset they share. Never: how a record is made.

mod apply;
mod background;
pub mod child;
mod cycle;
mod far;
mod latency;
mod pair;
mod process;
mod read;
mod refresh;

use crate::deploy::Deployment;
use crate::engine::Engine;
use crate::figure::Report;
use crate::workload::catalog::Catalog;
use crate::workload::flat::Flat;
use crate::workload::{Model, Workload};
use anyhow::Result;
use grotto::engine::env::SystemClock;
use std::io::Write;
use std::path::PathBuf;

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
    /// Where stores and state directories are made; the folder for temporary files if `None`.
    pub folder: Option<PathBuf>,
}

/// Every metric, in the order they are printed.
pub const METRICS: &[&[&str]] = &[
    apply::SCALING,
    cycle::FIRST,
    cycle::QUIET,
    cycle::CHANGING,
    apply::METRICS,
    latency::METRICS,
    read::METRICS,
    read::MAPPED,
    process::METRICS,
    pair::METRICS,
    refresh::METRICS,
    background::METRICS,
    far::BEHIND,
    far::INLINE,
];

/// Measures a workload by name.
///
/// # Errors
/// When the workload or a metric is unknown, or the engine refuses something.
pub fn run(workload: &str, settings: &Settings) -> Result<()> {
    for name in &settings.only {
        let known = METRICS.iter().any(|group| group.contains(&name.as_str()));
        anyhow::ensure!(
            known,
            "no metric {name}: expected one of {}",
            METRICS.concat().join(", ")
        );
    }
    match workload {
        Flat::NAME => measure::<Flat>(settings),
        Catalog::NAME => measure::<Catalog>(settings),
        other => anyhow::bail!("no workload {other}: expected flat or catalog"),
    }
}

/// Prints the digest of what the engine holds, before and after three steps of 1,000 changes.
///
/// # Errors
/// When the workload is unknown, or the engine holds something else than the workload says.
pub fn digest(workload: &str, n: u64) -> Result<()> {
    let (initial, changed) = match workload {
        Flat::NAME => digests::<Flat>(n)?,
        Catalog::NAME => digests::<Catalog>(n)?,
        other => anyhow::bail!("no workload {other}: expected flat or catalog"),
    };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        r#"{{"engine":"grotto","workload":"{workload}","n":{n},"initial":"{initial:016x}","changed":"{changed:016x}"}}"#
    )?;
    Ok(())
}

fn digests<W: Workload>(n: u64) -> Result<(u64, u64)> {
    let mut engine = Engine::new(Model::<W>::new(n))?;
    if let Some(encoded) = engine.full()? {
        engine.write.advance(encoded);
    }
    let initial = engine.verify()?;
    for _ in 0..3 {
        engine.publish(1_000)?;
    }
    Ok((initial, engine.verify()?))
}

fn report<W: Workload>(settings: &Settings) -> Report {
    Report {
        engine: "grotto".to_owned(),
        workload: W::NAME,
        n: settings.n,
        only: settings.only.clone(),
        clock: SystemClock::new(),
    }
}

fn measure<W: Workload + 'static>(settings: &Settings) -> Result<()> {
    let report = report::<W>(settings);
    let any = |groups: &[&[&str]]| groups.iter().any(|group| report.wants_any(group));
    // Builds datasets of its own, and takes minutes: only when asked for.
    if report.wants_any(apply::SCALING) && !settings.only.is_empty() {
        apply::scaling::<W>(&report, settings)?;
    }
    // As these, with a dataset of its own.
    if report.wants_any(far::INLINE) && !settings.only.is_empty() {
        far::inline(&report, settings)?;
    }
    let in_memory: &[&[&str]] = &[
        cycle::FIRST,
        cycle::QUIET,
        cycle::CHANGING,
        apply::METRICS,
        latency::METRICS,
    ];
    let deployed: &[&[&str]] = &[
        read::METRICS,
        read::MAPPED,
        process::METRICS,
        pair::METRICS,
        refresh::METRICS,
        background::METRICS,
        far::BEHIND,
    ];
    if !any(in_memory) && !any(deployed) {
        return Ok(());
    }
    let mut model = Model::<W>::new(settings.n);
    if any(in_memory) {
        model = in_memory_figures(&report, settings, model)?;
    }
    if any(deployed) {
        deployed_figures(&report, settings, model)?;
    }
    Ok(())
}

/// What the engine does without a store and without files.
fn in_memory_figures<W: Workload>(
    report: &Report,
    settings: &Settings,
    model: Model<W>,
) -> Result<Model<W>> {
    let mut engine = Engine::new(model)?;
    cycle::first(report, settings, &mut engine)?;
    if report.wants_any(cycle::QUIET) {
        cycle::quiet(report, settings, &mut engine)?;
    }
    if report.wants_any(cycle::CHANGING) {
        cycle::changing(report, settings, &mut engine)?;
    }
    if report.wants_any(apply::METRICS) {
        apply::all(report, settings, &mut engine)?;
    }
    if report.wants_any(latency::METRICS) {
        latency::all(report, settings, &mut engine)?;
    }
    engine.verify()?;
    Ok(engine.into_model())
}

/// What a user gets: a store, a producer, consumers in this and in other processes.
fn deployed_figures<W: Workload + 'static>(
    report: &Report,
    settings: &Settings,
    model: Model<W>,
) -> Result<()> {
    let mut deploy = Deployment::new(settings.folder.as_deref(), model)?;
    if report.wants_any(read::METRICS) {
        let consumer = deploy.consumer(None)?;
        deploy.verify(&consumer.state())?;
        read::heap(report, settings, deploy.model(), &consumer.state())?;
    }
    if report.wants_any(process::METRICS) || report.wants_any(read::MAPPED) {
        process::all(report, settings, &deploy)?;
    }
    if report.wants_any(pair::METRICS) {
        pair::all(report, settings, &mut deploy)?;
    }
    if report.wants_any(refresh::METRICS) {
        refresh::all(report, settings, &mut deploy)?;
    }
    if report.wants_any(background::METRICS) {
        background::all(report, settings, &mut deploy)?;
    }
    if report.wants_any(far::BEHIND) {
        far::behind(report, &mut deploy)?;
    }
    Ok(())
}
