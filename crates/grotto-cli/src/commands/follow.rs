//! `grotto follow`: a consumer at the terminal.
//!
//! Owns: telling of every version, and ending in good order. Never: reads records.

use crate::config::{self, Role};
use crate::failure::{Failure, Outcome};
use crate::output::Out;
use crate::target::TargetArgs;
use crate::text::{bytes, count, duration, milliseconds};
use grotto::consumer::{Consumer, RefreshReport};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;

/// Follows a dataset and tells of every version as it comes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto follow --store ./store --dataset cities
  grotto follow --store ./store --dataset cities --state-dir ./state
  grotto follow --store ./store --dataset cities --until 7 --json

With --state-dir it keeps the folder up to date for other processes, which read it without asking
the store: `grotto get --offline --state-dir ./state City 2950159`. Ends on Ctrl-C.")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Keep the state in this folder, mapped, for other processes to read
    #[arg(long, value_name = "FOLDER", env = "GROTTO_STATE_DIR", hide_env = true)]
    state_dir: Option<PathBuf>,
    /// How often to look for news [default: 100ms]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    poll_interval: Option<Duration>,
    /// End once this version, or a newer one, is there
    #[arg(long, value_name = "N")]
    until: Option<u64>,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let (sender, mut reports) = mpsc::unbounded_channel();
    let listener = move |report: &RefreshReport| {
        // Nobody listens any more once the command ends.
        let _ = sender.send(report.clone());
    };
    let mut builder =
        Consumer::builder(dataset.name(), dataset.store().clone()).on_refresh(listener);
    if let Some(dir) = args
        .state_dir
        .clone()
        .or_else(|| target.settings.state_dir())
    {
        builder = builder.state_dir(dir);
    }
    if let Some(interval) = args
        .poll_interval
        .or_else(|| target.settings.poll_interval())
    {
        builder = builder.poll_interval(interval);
    }
    let consumer = builder.start().await?;
    if !out.is_json() {
        out.line(format_args!(
            "following {} from version {}",
            dataset.name(),
            consumer.version()
        ))?;
    }
    // What the start itself loaded is told before anything is waited for.
    while let Ok(report) = reports.try_recv() {
        show(&report, out)?;
    }
    let mut version = consumer.version();
    let reached = |version: u64| args.until.is_some_and(|until| version >= until);
    while !reached(version) {
        out.flush()?;
        let report = tokio::select! {
            report = reports.recv() => report,
            signal = tokio::signal::ctrl_c() => {
                signal.map_err(|e| Failure::internal(format!("cannot wait for a signal: {e}")))?;
                None
            }
        };
        let Some(report) = report else { break };
        show(&report, out)?;
        version = report.to;
    }
    consumer.shutdown().await;
    Ok(())
}

fn show(report: &RefreshReport, out: &mut Out) -> Outcome<()> {
    if out.is_json() {
        return out.json(&line(report));
    }
    let kinds: Vec<&str> = report.steps.iter().map(|step| step.kind.name()).collect();
    let (length, time) = (bytes(report.bytes()), duration(report.duration));
    out.line(format_args!(
        "version {} by {}, {length} in {time}",
        report.to,
        kinds.join(" and ")
    ))?;
    for (name, changes) in &report.changes {
        let lists = [&changes.added, &changes.removed, &changes.modified];
        let [added, removed, modified] = lists.map(|list| count(list.len() as u64));
        out.line(format_args!(
            "    {name}: {added} records came, {removed} went, {modified} changed in place"
        ))?;
    }
    report
        .recovered
        .iter()
        .try_for_each(|fault| out.line(format_args!("    went around: {fault}")))
}

fn line(report: &RefreshReport) -> Value {
    let steps: Vec<Value> = report
        .steps
        .iter()
        .map(|step| json!({ "kind": step.kind.name(), "to": step.to, "bytes": step.bytes }))
        .collect();
    let changes: serde_json::Map<String, Value> = report
        .changes
        .iter()
        .map(|(name, c)| {
            (
                name.clone(),
                json!({
                    "came": c.added.len(), "went": c.removed.len(), "modified": c.modified.len(),
                }),
            )
        })
        .collect();
    json!({
        "from": report.from, "to": report.to, "bytes": report.bytes(),
        "took_ms": milliseconds(report.duration), "steps": steps, "changes": changes,
        "recovered": report.recovered,
    })
}
