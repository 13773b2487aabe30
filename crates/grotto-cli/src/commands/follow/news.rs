//! What `grotto follow` tells of a refresh.
//!
//! Owns: its lines and its JSON. Never: waits for one.

use crate::failure::Outcome;
use crate::output::Out;
use crate::text::{bytes, count, duration, list, milliseconds, things};
use grotto::consumer::{Change, Refresh, RefreshReport, StepKind};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::{self, error::TrySendError};

/// Refreshes that wait to be told.
pub(super) const MOST_WAITING: usize = 1_024;

/// Hands over what there is to tell. Never waits: a terminal that stands still must not hold up the
/// consumer, nor take memory for what it does not show.
pub(super) fn listener(
    sender: mpsc::Sender<News>,
    untold: Arc<AtomicU64>,
) -> impl Fn(News) + Send + Sync {
    move |news| match sender.try_send(news) {
        // Nobody listens any more once the command ends.
        Ok(()) | Err(TrySendError::Closed(_)) => {}
        Err(TrySendError::Full(_)) => _ = untold.fetch_add(1, Ordering::Relaxed),
    }
}

/// What is told of a refresh: a few lines, where a report may name millions of records.
pub(super) struct News {
    pub(super) to: u64,
    text: String,
    json: Value,
}

impl News {
    pub(super) fn of(refresh: &Refresh) -> Self {
        let changes = changes(refresh);
        Self {
            to: refresh.to,
            text: text(refresh, &changes),
            json: line(refresh, &changes),
        }
    }

    pub(super) fn show(&self, out: &mut Out) -> Outcome<()> {
        if out.is_json() {
            return out.json(&self.json);
        }
        out.line(format_args!("{}", self.text))
    }
}

/// How many records of a type changed, as `grotto publish` and `grotto diff` count them: by primary key.
struct Changes {
    type_name: String,
    added: u64,
    removed: u64,
    modified: u64,
}

/// What changed per type, in the order of the schema.
fn changes(refresh: &Refresh) -> Vec<Changes> {
    let types = refresh.after().schema().types().iter();
    types
        .filter_map(|one| Changes::of(refresh, &one.name))
        .collect()
}

impl Changes {
    /// `None` where no record changed.
    fn of(refresh: &Refresh, type_name: &str) -> Option<Self> {
        let ordinals = refresh.ordinals.get(type_name)?;
        let [mut added, mut removed, mut modified] =
            [&ordinals.added, &ordinals.removed, &ordinals.modified].map(|list| list.len() as u64);
        // Where records only came, as in a first load, or only went, no two need be compared.
        let plain = modified == 0 && (added == 0 || removed == 0);
        // A type that the schema has can be compared.
        if !plain && let Ok(records) = refresh.changes_of(type_name) {
            (added, removed, modified) = (0, 0, 0);
            for change in records {
                match change {
                    Change::Added(_) => added += 1,
                    Change::Removed(_) => removed += 1,
                    Change::Modified { .. } => modified += 1,
                }
            }
        }
        let type_name = type_name.to_owned();
        (added + removed + modified > 0).then_some(Self {
            type_name,
            added,
            removed,
            modified,
        })
    }
}

fn text(report: &RefreshReport, changes: &[Changes]) -> String {
    let (length, time) = (bytes(report.bytes()), duration(report.duration));
    let mut lines = vec![format!(
        "version {} by {}, {length} in {time}",
        report.to,
        way(report)
    )];
    lines.extend(changes.iter().map(|c| {
        let (added, removed) = (things(c.added, "record"), count(c.removed));
        let (name, modified) = (&c.type_name, count(c.modified));
        format!("    {name}: {added} added, {removed} removed, {modified} modified")
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

fn line(report: &RefreshReport, changes: &[Changes]) -> Value {
    let steps: Vec<Value> = report
        .steps
        .iter()
        .map(|step| json!({ "kind": step.kind.name(), "to": step.to, "bytes": step.bytes }))
        .collect();
    let changes: serde_json::Map<String, Value> = changes
        .iter()
        .map(|c| {
            let counts = json!({ "added": c.added, "removed": c.removed, "modified": c.modified });
            (c.type_name.clone(), counts)
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

    fn news(to: u64) -> News {
        News {
            to,
            text: String::new(),
            json: Value::Null,
        }
    }

    #[test]
    fn what_cannot_be_told_in_time_is_counted_and_takes_no_memory() {
        let (sender, mut told) = mpsc::channel(2);
        let untold = Arc::new(AtomicU64::new(0));
        let listener = listener(sender, Arc::clone(&untold));
        for to in 1..=5 {
            listener(news(to));
        }
        assert_eq!(untold.load(Ordering::Relaxed), 3);
        assert_eq!(told.try_recv().unwrap().to, 1);
        assert_eq!(told.try_recv().unwrap().to, 2);
        drop(told);
        listener(news(6));
        assert_eq!(untold.load(Ordering::Relaxed), 3);
    }
}
