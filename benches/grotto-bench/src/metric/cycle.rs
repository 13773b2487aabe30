//! Cycles of the producer, up to the encoded and checked delta, and the size of blobs.
//!
//! Owns: their figures. Never: a store; publishing is not part of any figure here.

use super::Settings;
use crate::engine::{Engine, apply, parse};
use crate::figure::{Report, ms};
use crate::workload::Workload;
use anyhow::{Context, Result, ensure};
use grotto_state::State;
use std::io::Read;

/// Metrics of the first cycle and of loading what it published.
pub(super) const FIRST: &[&str] = &[
    "first_full_cycle",
    "snapshot_encode",
    "snapshot_bytes",
    "fresh_load",
    "bytes_per_record",
];
/// Metrics of cycles without change.
pub(super) const QUIET: &[&str] = &["quiet_full_cycle"];
/// Metrics of cycles with changes.
pub(super) const CHANGING: &[&str] = &[
    "full_cycle",
    "incremental_cycle",
    "incremental_advance",
    "delta_bytes",
];

/// The first cycle; leaves its outcome published.
pub(super) fn first<W: Workload>(
    report: &Report,
    settings: &Settings,
    engine: &mut Engine<W>,
) -> Result<()> {
    let runs = if report.wants("first_full_cycle") {
        settings.runs
    } else {
        1
    };
    let mut times = Vec::new();
    for _ in 0..runs {
        engine.reset();
        let (time, done) = report.time(|| {
            let encoded = engine.full()?.context("a first cycle without records")?;
            engine.write.advance(encoded);
            anyhow::Ok(())
        });
        done?;
        times.push(ms(time));
    }
    report.print("first_full_cycle", 0, "ms", times)?;
    if report.wants_any(&FIRST[1..]) {
        loading(report, settings, engine)?;
    }
    Ok(())
}

fn loading<W: Workload>(report: &Report, settings: &Settings, engine: &Engine<W>) -> Result<()> {
    let mut encodes = Vec::new();
    let runs = if report.wants("snapshot_encode") {
        settings.runs
    } else {
        0
    };
    for _ in 0..runs {
        let (time, snapshot) = report.time(|| engine.snapshot());
        snapshot?;
        encodes.push(ms(time));
    }
    report.print("snapshot_encode", 0, "ms", encodes)?;
    let snapshot = engine.snapshot()?;
    report.print("snapshot_bytes", 0, "bytes", vec![snapshot.len() as f64])?;
    let path = std::env::temp_dir().join(format!("grotto-bench-{}.snapshot", std::process::id()));
    std::fs::write(&path, &snapshot)?;
    let mut loads = Vec::new();
    let mut bytes = Vec::new();
    for _ in 0..settings.runs {
        let (time, state) = report.time(|| load(&path));
        loads.push(ms(time));
        let state = state?;
        let held: usize = state.segments().map(|segment| segment.bytes().len()).sum();
        bytes.push(held as f64 / settings.n as f64);
    }
    std::fs::remove_file(&path)?;
    report.print("fresh_load", 0, "ms", loads)?;
    report.print("bytes_per_record", 0, "bytes", bytes)
}

/// What a consumer does with a snapshot that lies on the local disk.
fn load(path: &std::path::Path) -> Result<State> {
    let mut file = std::fs::File::open(path)?;
    let mut bytes = Vec::with_capacity(file.metadata()?.len() as usize);
    file.read_to_end(&mut bytes)?;
    apply(&crate::engine::empty(), &parse(bytes)?)
}

/// Full cycles over the same records.
pub(super) fn quiet<W: Workload>(
    report: &Report,
    settings: &Settings,
    engine: &mut Engine<W>,
) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..settings.runs {
        let (time, encoded) = report.time(|| engine.full());
        ensure!(
            encoded?.is_none(),
            "a cycle over the same records found changes"
        );
        times.push(ms(time));
    }
    report.print("quiet_full_cycle", 0, "ms", times)
}

/// Full and incremental cycles with changes.
pub(super) fn changing<W: Workload>(
    report: &Report,
    settings: &Settings,
    engine: &mut Engine<W>,
) -> Result<()> {
    let (k, mut times, mut advances, mut bytes) = (settings.k, Vec::new(), Vec::new(), Vec::new());
    // Cheap, so more often than asked: a median of few is noise.
    for _ in 0..settings.runs * 3 {
        let changes = engine.model.step(k);
        let (time, encoded) = report.time(|| engine.incremental(&changes));
        let encoded = encoded?;
        times.push(ms(time));
        bytes.push(encoded.delta.len() as f64);
        let (time, ()) = report.time(|| engine.write.advance(encoded));
        advances.push(ms(time));
    }
    report.print("incremental_cycle", k, "ms", times)?;
    report.print("incremental_advance", k, "ms", advances)?;
    report.print("delta_bytes", k, "bytes", bytes)?;
    let mut times = Vec::new();
    let runs = if report.wants("full_cycle") {
        settings.runs
    } else {
        0
    };
    for _ in 0..runs {
        engine.model.step(k);
        let (time, done) = report.time(|| {
            let encoded = engine.full()?.context("a cycle with changes found none")?;
            engine.write.advance(encoded);
            anyhow::Ok(())
        });
        done?;
        times.push(ms(time));
    }
    report.print("full_cycle", k, "ms", times)
}
