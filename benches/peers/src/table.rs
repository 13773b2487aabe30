//! The table of ratios, with the targets of the project beside them.
//!
//! Owns: what is divided by what. Never: hides a missing figure.

use crate::engines::OURS;
use crate::figures::Figures;
use anyhow::Result;
use std::io::Write;

/// Which way is better.
#[derive(Clone, Copy, Debug)]
enum Goal {
    /// Ours divided by theirs, at most this.
    AtMost(f64),
    /// Theirs divided by ours, at least this.
    AtLeast(f64),
}

/// One row: a metric of ours, one of theirs, and how they should compare.
struct Row {
    what: &'static str,
    ours: &'static str,
    theirs: (&'static str, &'static str),
    goal: Goal,
}

const fn row(
    what: &'static str,
    ours: &'static str,
    theirs: (&'static str, &'static str),
    goal: Goal,
) -> Row {
    Row {
        what,
        ours,
        theirs,
        goal,
    }
}

use Goal::{AtLeast, AtMost};

const ROWS: &[Row] = &[
    row(
        "get a number, HashMap of records",
        "get",
        ("hashmap", "get"),
        AtMost(1.3),
    ),
    row(
        "get a number, HashMap of numbers",
        "get",
        ("hashmap_numbers", "get"),
        AtMost(1.3),
    ),
    row(
        "get a number, HashMap on huge pages",
        "get",
        ("hashmap+huge", "get"),
        AtMost(1.3),
    ),
    row(
        "get a number, hashbrown + foldhash",
        "get",
        ("hashbrown", "get"),
        AtMost(1.3),
    ),
    row(
        "get many, HashMap one by one",
        "get_many",
        ("hashmap", "get"),
        AtMost(1.0),
    ),
    row(
        "get many, HashMap of numbers",
        "get_many",
        ("hashmap_numbers", "get"),
        AtMost(1.0),
    ),
    row(
        "get a string, HashMap",
        "get_string",
        ("hashmap", "get_string"),
        AtMost(1.3),
    ),
    row(
        "get a string, HashMap on huge pages",
        "get_string",
        ("hashmap+huge", "get_string"),
        AtMost(1.3),
    ),
    row("get a number, LMDB", "get", ("lmdb", "get"), AtLeast(3.0)),
    row(
        "get a string, LMDB",
        "get_string",
        ("lmdb", "get_string"),
        AtLeast(3.0),
    ),
    row("get a number, redb", "get", ("redb", "get"), AtLeast(5.0)),
    row(
        "get a string, redb",
        "get_string",
        ("redb", "get_string"),
        AtLeast(5.0),
    ),
    row(
        "get a number, Hollow",
        "get",
        ("hollow", "get"),
        AtLeast(4.0),
    ),
    row(
        "get a string, Hollow",
        "get_string",
        ("hollow", "get_string"),
        AtLeast(6.0),
    ),
    row(
        "scan of a number, Hollow",
        "scan",
        ("hollow", "scan"),
        AtLeast(4.0),
    ),
    row(
        "apply 10 changes, Hollow",
        "apply_10",
        ("hollow", "apply_10"),
        AtLeast(100.0),
    ),
    row(
        "apply 1,000 changes, Hollow",
        "apply_1000",
        ("hollow", "apply_1000"),
        AtLeast(100.0),
    ),
    row(
        "apply 1 % changes, Hollow",
        "apply_1pct",
        ("hollow", "apply_1pct"),
        AtLeast(6.0),
    ),
    row(
        "load, fresh process, Hollow",
        "load",
        ("hollow", "load"),
        AtLeast(5.0),
    ),
    row(
        "load, warm process, Hollow",
        "fresh_load",
        ("hollow", "fresh_load"),
        AtLeast(5.0),
    ),
    row(
        "bytes a record in memory, Hollow",
        "bytes_per_record",
        ("hollow", "bytes_per_record"),
        AtMost(1.0),
    ),
    row(
        "snapshot, Hollow under zstd -3",
        "snapshot_bytes",
        ("hollow", "snapshot_zstd_bytes"),
        AtMost(0.9),
    ),
    row(
        "delta, Hollow under zstd -3",
        "delta_bytes",
        ("hollow", "delta_zstd_bytes"),
        AtMost(0.9),
    ),
    row(
        "first full cycle, Hollow",
        "first_full_cycle",
        ("hollow", "first_full_cycle"),
        AtLeast(3.0),
    ),
    row(
        "first full cycle, Hollow filled in parallel",
        "first_full_cycle",
        ("hollow", "first_full_cycle_parallel"),
        AtLeast(3.0),
    ),
    row(
        "full cycle, Hollow unchecked",
        "full_cycle",
        ("hollow", "full_cycle"),
        AtLeast(5.0),
    ),
    row(
        "full cycle, Hollow checked as ours",
        "full_cycle",
        ("hollow", "full_cycle_checked"),
        AtLeast(5.0),
    ),
    row(
        "incremental cycle, Hollow unchecked",
        "incremental_cycle",
        ("hollow", "incremental_cycle"),
        AtLeast(500.0),
    ),
    row(
        "incremental cycle, Hollow checked as ours",
        "incremental_cycle",
        ("hollow", "incremental_cycle_checked"),
        AtLeast(500.0),
    ),
];

/// Figures that need no peer: metric, target, how they compare.
const ALONE: &[(&str, &str, Goal)] = &[
    (
        "apply 1,000 changes, N against 100 k",
        "apply_scaling",
        AtMost(2.0),
    ),
    (
        "two reader threads against one",
        "get_2threads_ratio",
        AtLeast(1.9),
    ),
    (
        "two reader threads against one, ten refreshes a second",
        "get_2threads_refresh_ratio",
        AtLeast(1.9),
    ),
    ("restart to first read, ms", "restart_process", AtMost(20.0)),
    ("incremental cycle, ms", "incremental_cycle", AtMost(10.0)),
    (
        "memory of ten attached processes, of one",
        "pss_10_ratio",
        AtMost(1.05),
    ),
    (
        "p99.9 of readers, ten refreshes a second, of none",
        "reader_p999_ratio",
        AtMost(1.5),
    ),
];

/// Records for which the targets are set; on fewer, what does not depend on the size of a dataset
/// weighs more, and a ratio says little about them.
const TARGETED: u64 = 5_000_000;

/// Prints the tables of all workloads that were measured at `n`.
pub(crate) fn print(figures: &Figures, n: u64) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for workload in ["flat", "catalog"] {
        let measured = |f: &&crate::figures::Figure| f.workload == workload && f.n == n;
        if figures.all.iter().any(|f| measured(&f)) {
            writeln!(
                out,
                "\n{workload}, {n} records (targets are those for 5 million)\n"
            )?;
            writeln!(
                out,
                "| what | ours | theirs | ratio | target |\n|---|---|---|---|---|"
            )?;
            rows(&mut out, figures, workload, n)?;
        }
    }
    Ok(())
}

fn rows(out: &mut impl Write, figures: &Figures, workload: &str, n: u64) -> Result<()> {
    for row in ROWS {
        let (engine, metric) = row.theirs;
        let theirs = figures.median(engine, workload, n, metric);
        let ours = figures.median(beside(engine), workload, n, row.ours);
        if workload != "flat" && engine != "hollow" {
            continue;
        }
        let (Some(ours), Some(theirs)) = (ours, theirs) else {
            writeln!(
                out,
                "| {} | – | – | not measured | {} |",
                row.what,
                target(row.goal)
            )?;
            continue;
        };
        let ratio = match row.goal {
            AtMost(_) => ours / theirs,
            AtLeast(_) => theirs / ours,
        };
        let unit = unit(figures, row.ours);
        let (shown, met) = (verdict(ratio, row.goal, n), target(row.goal));
        writeln!(
            out,
            "| {} | {} {unit} | {} {unit} | {shown} | {met} |",
            row.what,
            short(ours),
            short(theirs)
        )?;
    }
    for (what, metric, goal) in ALONE {
        match figures.median("grotto", workload, n, metric) {
            Some(value) => writeln!(
                out,
                "| {what} | {} | | {} | {} |",
                short(value),
                verdict(value, *goal, n),
                target(*goal)
            )?,
            None => writeln!(out, "| {what} | – | | not measured | {} |", target(*goal))?,
        }
    }
    Ok(())
}

/// What ours is called where it was measured in the process and in turns with an engine.
fn beside(engine: &str) -> &'static str {
    match engine {
        "hollow" => "grotto",
        engine if engine.ends_with("+huge") => "grotto_in_turn+huge",
        _ => OURS,
    }
}

fn unit<'a>(figures: &'a Figures, metric: &str) -> &'a str {
    let found = figures
        .all
        .iter()
        .find(|f| f.engine == "grotto" && f.metric == metric);
    found.map_or("", |f| f.unit.as_str())
}

/// As many digits as a reader needs.
fn short(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 1.0 => format!("{v:.2}"),
        v => format!("{v:.4}"),
    }
}

fn verdict(value: f64, goal: Goal, n: u64) -> String {
    let met = match goal {
        AtMost(limit) => value <= limit,
        AtLeast(limit) => value >= limit,
    };
    let missed = n >= TARGETED && !met;
    format!("{value:.2}{}", if missed { " **missed**" } else { "" })
}

fn target(goal: Goal) -> String {
    match goal {
        AtMost(limit) => format!("≤ {limit}"),
        AtLeast(limit) => format!("≥ {limit}"),
    }
}
