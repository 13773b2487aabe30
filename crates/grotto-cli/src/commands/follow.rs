//! `grotto follow`: a consumer at the terminal.
//!
//! Owns: telling of every version, and ending in good order. Never: reads records.

use crate::config::{self, Role};
use crate::failure::{Failure, Outcome};
use crate::output::{Out, note};
use crate::place::PlaceArgs;
use crate::target::{TargetArgs, nothing_published};
use crate::text::{bytes, count, duration, list, milliseconds, things};
use grotto::consumer::{Consumer, ErrorKind, RefreshReport, StepKind};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{self, error::TrySendError};

/// Refreshes that wait to be told.
const MOST_WAITING: usize = 1_024;

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
    #[command(flatten)]
    place: PlaceArgs,
    /// How often to look for news [default: 100ms]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    poll_interval: Option<Duration>,
    /// End once this version, or a newer one, is there
    #[arg(long, value_name = "N")]
    until: Option<u64>,
    /// Wait for a dataset that nobody has published to yet, instead of taking the name for mistyped
    #[arg(long)]
    wait: bool,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let (sender, mut told) = mpsc::channel(MOST_WAITING);
    let untold = Arc::new(AtomicU64::new(0));
    let listener = listener(sender, Arc::clone(&untold));
    let mut builder = Consumer::builder(dataset.name(), dataset.store().clone())
        .on_refresh(move |refresh| listener(refresh));
    builder = builder.wait_for_dataset(args.wait);
    if let Some(place) = args.place.resolve(&target.settings)? {
        builder = place.set(builder);
    }
    if let Some(interval) = args
        .poll_interval
        .or_else(|| target.settings.poll_interval())
    {
        builder = builder.poll_interval(interval);
    }
    let consumer = match builder.start().await {
        Err(error) if error.kind() == ErrorKind::NoDataset => {
            return Err(nothing_published(dataset.name(), &target).await);
        }
        started => started?,
    };
    if !out.is_json() {
        out.line(format_args!(
            "following {} from version {}",
            dataset.name(),
            consumer.version()
        ))?;
    }
    // What the start itself loaded is told before anything is waited for.
    while let Ok(news) = told.try_recv() {
        show(&news, out)?;
    }
    let reached = |version: u64| args.until.is_some_and(|until| version >= until);
    let mut version = consumer.version();
    while !reached(version) {
        out.flush()?;
        let news = tokio::select! {
            news = told.recv() => news,
            signal = tokio::signal::ctrl_c() => {
                signal.map_err(|e| Failure::internal(format!("cannot wait for a signal: {e}")))?;
                None
            }
        };
        let Some(news) = news else { break };
        show(&news, out)?;
        version = news.to;
        if told.is_empty() {
            let left_out = untold.swap(0, Ordering::Relaxed);
            if left_out > 0 {
                note(format_args!(
                    "{left_out} refreshes are not shown: they came faster than the output goes"
                ));
                version = consumer.version();
            }
        }
    }
    consumer.shutdown().await;
    Ok(())
}

/// Hands over what there is to tell. Never waits: a terminal that stands still must not hold up the
/// consumer, nor take memory for what it does not show.
fn listener(
    sender: mpsc::Sender<News>,
    untold: Arc<AtomicU64>,
) -> impl Fn(&RefreshReport) + Send + Sync {
    move |report| match sender.try_send(News::of(report)) {
        // Nobody listens any more once the command ends.
        Ok(()) | Err(TrySendError::Closed(_)) => {}
        Err(TrySendError::Full(_)) => _ = untold.fetch_add(1, Ordering::Relaxed),
    }
}

/// What is told of a refresh: a few lines, where a report may name millions of records.
struct News {
    to: u64,
    text: String,
    json: Value,
}

impl News {
    fn of(report: &RefreshReport) -> Self {
        Self {
            to: report.to,
            text: text(report),
            json: line(report),
        }
    }
}

fn show(news: &News, out: &mut Out) -> Outcome<()> {
    if out.is_json() {
        return out.json(&news.json);
    }
    out.line(format_args!("{}", news.text))
}

fn text(report: &RefreshReport) -> String {
    let (length, time) = (bytes(report.bytes()), duration(report.duration));
    let mut lines = vec![format!(
        "version {} by {}, {length} in {time}",
        report.to,
        way(report)
    )];
    lines.extend(report.ordinals.iter().map(|(name, changes)| {
        let lists = [&changes.added, &changes.removed, &changes.modified];
        let [added, removed, modified] = lists.map(|list| list.len() as u64);
        let (added, removed) = (things(added, "record"), count(removed));
        let modified = count(modified);
        format!("    {name}: {added} came, {removed} went, {modified} changed in place")
    }));
    let recovered = report.recovered.iter();
    lines.extend(recovered.map(|fault| format!("    went around: {fault}")));
    lines.join("\n")
}

/// What led there: `a snapshot and 2 deltas`. Versions without records of their own count only where there is
/// nothing else.
fn way(report: &RefreshReport) -> String {
    let of = |kind: StepKind| report.steps.iter().filter(|step| step.kind == kind).count();
    let kinds = [StepKind::Snapshot, StepKind::Delta, StepKind::Reverse];
    let steps = kinds.into_iter().filter(|kind| of(*kind) > 0);
    let words: Vec<String> = steps
        .map(|kind| {
            let name = match kind {
                StepKind::Reverse => "reverse delta",
                other => other.name(),
            };
            match of(kind) {
                1 => format!("a {name}"),
                several => things(several as u64, name),
            }
        })
        .collect();
    match words.is_empty() {
        true => "its log entry".to_owned(),
        false => list(&words),
    }
}

fn line(report: &RefreshReport) -> Value {
    let steps: Vec<Value> = report
        .steps
        .iter()
        .map(|step| json!({ "kind": step.kind.name(), "to": step.to, "bytes": step.bytes }))
        .collect();
    let changes: serde_json::Map<String, Value> = report
        .ordinals
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
        "recovered": report.recovered, "replaced": report.replaced,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_told_in_time_is_counted_and_takes_no_memory() {
        let (sender, mut told) = mpsc::channel(2);
        let untold = Arc::new(AtomicU64::new(0));
        let listener = listener(sender, Arc::clone(&untold));
        for to in 1..=5 {
            let mut report = RefreshReport::default();
            report.to = to;
            listener(&report);
        }
        assert_eq!(untold.load(Ordering::Relaxed), 3);
        assert_eq!(told.try_recv().unwrap().to, 1);
        assert_eq!(told.try_recv().unwrap().to, 2);
        drop(told);
        listener(&RefreshReport::default());
        assert_eq!(untold.load(Ordering::Relaxed), 3);
    }
}
