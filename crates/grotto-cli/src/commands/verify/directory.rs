//! `grotto verify --state-dir`: every byte of a state directory.
//!
//! Owns: what is told of it. Never: repairs; whoever keeps it does.

use crate::failure::{Failure, Outcome};
use crate::output::Out;
use crate::text::{bytes, count, things};
use grotto::consumer::{Consumer, DirReport};
use serde_json::json;
use std::path::Path;

const HINT: &str = "whoever keeps the directory drops what is damaged and loads it again from the store, as the next \
                    command with --state-dir and --store does";

pub(super) fn verify(dir: &Path, dataset: Option<&str>, out: &mut Out) -> Outcome<()> {
    let report = Consumer::verify_dir(dir)?;
    if let Some(expected) = dataset.filter(|name| *name != report.dataset) {
        let (shown, found) = (dir.display(), &report.dataset);
        return Err(Failure::invalid(format!(
            "state directory {shown}: expected dataset {expected}, found {found}"
        )));
    }
    print(dir, &report, out)?;
    let Some(first) = report.damage.first() else {
        return Ok(());
    };
    let more = match report.damage.len() {
        1 => String::new(),
        number => format!(" (and {} more)", number - 1),
    };
    Err(Failure::corrupt(format!("{first}{more}")).hint(HINT))
}

fn print(dir: &Path, report: &DirReport, out: &mut Out) -> Outcome<()> {
    let shown = dir.display().to_string();
    if out.is_json() {
        out.json(&json!({
            "state_dir": shown, "dataset": report.dataset, "version": report.version,
            "ok": report.damage.is_empty(), "faults": report.damage, "files": report.files,
            "bytes": report.bytes, "changed_files": report.changed,
        }))?;
        return out.flush();
    }
    for damage in &report.damage {
        out.line(format_args!("damaged: {damage}"))?;
    }
    let verdict = if report.damage.is_empty() {
        "OK"
    } else {
        "DAMAGED"
    };
    let (name, version) = (&report.dataset, report.version);
    out.line(format_args!(
        "{verdict}: {shown} with {name} at version {version}"
    ))?;
    let (files, length) = (things(report.files, "file"), bytes(report.bytes));
    out.line(format_args!("{files} of {length} read and compared"))?;
    if report.changed > 0 {
        out.line(format_args!(
            "files that are copies, or whose mode, owner, time or links were changed: {}; their bytes are right",
            count(report.changed)
        ))?;
    }
    out.flush()
}
