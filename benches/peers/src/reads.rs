//! Reads of engines within one process.
//!
//! Owns: taking turns. Every engine is measured once in each round, so that all see the same
//! machine, and all must come to the same sums.

use crate::Settings;
use crate::engines::{self, Engine, Read};
use anyhow::{Result, ensure};
use grotto::engine::env::SystemClock;
use grotto_bench::figure::{Report, ms, ns_each};
use grotto_bench::workload::flat::Flat;
use grotto_bench::workload::{Model, Workload};
use std::collections::HashMap;

/// What is read.
struct Asked {
    keys: Vec<i64>,
    misses: Vec<i64>,
}

/// Measures engines by name; all of them if there is no name.
pub(crate) fn run(settings: &Settings, names: &[String], tag: &str) -> Result<()> {
    let model = Model::<Flat>::new(settings.n);
    let asked = Asked {
        keys: model.keys(settings.lookups),
        misses: model.misses(settings.lookups),
    };
    let folder = match &settings.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let all = names.iter().all(String::is_empty);
    let mut reports = Vec::new();
    let mut built: Vec<Box<dyn Engine>> = Vec::new();
    for (name, build) in engines::ALL {
        if !all && !names.iter().any(|asked| asked == name) {
            continue;
        }
        let report = Report {
            engine: format!("{name}{tag}"),
            workload: Flat::NAME,
            n: settings.n,
            only: Vec::new(),
            clock: SystemClock::new(),
        };
        let (time, engine) = report.time(|| build(&model, folder.path()));
        built.push(engine?);
        report.print("build", 0, "ms", vec![ms(time)])?;
        reports.push(report);
    }
    drop(model);
    for read in [
        Read::Number,
        Read::Text,
        Read::Many,
        Read::ManyText,
        Read::Miss,
        Read::Scan,
    ] {
        rounds(settings, &reports, &built, &asked, read)?;
    }
    Ok(())
}

fn rounds(
    settings: &Settings,
    reports: &[Report],
    engines: &[Box<dyn Engine>],
    asked: &Asked,
    read: Read,
) -> Result<()> {
    let keys = if read == Read::Miss {
        &asked.misses
    } else {
        &asked.keys
    };
    let count = if read == Read::Scan {
        settings.n as usize
    } else {
        keys.len()
    };
    let mut times: HashMap<usize, Vec<f64>> = HashMap::new();
    let mut sum = None;
    // The first round only warms.
    for round in 0..=settings.runs {
        for (position, (engine, report)) in engines.iter().zip(reports).enumerate() {
            let (time, found) = report.time(|| engine.read(read, keys));
            let Some(found) = found? else { continue };
            let expected = *sum.get_or_insert(found);
            ensure!(
                found == expected,
                "{} came to {found}, expected {expected}",
                report.engine
            );
            if round > 0 {
                times
                    .entry(position)
                    .or_default()
                    .push(ns_each(time, count));
            }
        }
    }
    for (position, report) in reports.iter().enumerate() {
        report.print(
            read.metric(),
            0,
            "ns",
            times.remove(&position).unwrap_or_default(),
        )?;
    }
    Ok(())
}
