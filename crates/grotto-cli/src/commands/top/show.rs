//! What a look at a daemon looks like.
//!
//! Owns: words and layout, for people and for programs. Never: asks the daemon.

use super::look::{Dataset, Look, Rates};
use crate::failure::one_line;
use crate::text::{bytes, count, date, duration, rough, things};
use serde_json::{Value, json};
use std::time::Duration;

/// The lines of a look.
pub(super) fn lines(producer: &str, look: &Look, rates: &[Rates]) -> Vec<String> {
    let mut lines = vec![head(producer, look)];
    for (one, rates) in look.datasets.iter().zip(rates) {
        lines.extend(of_dataset(one, *rates, look.wall_ms));
    }
    lines
}

/// `http://127.0.0.1:8081  2026-11-29 18:00:00 UTC  up 62 s  memory 20.1 MiB`
fn head(producer: &str, look: &Look) -> String {
    let mut head = format!("{producer}  {} UTC", date(look.wall_ms));
    if let Some(seconds) = look.uptime {
        head.push_str(&format!("  up {}", rough(seconds as u64)));
    }
    if let Some(memory) = look.memory_bytes {
        head.push_str(&format!("  memory {}", bytes(memory as u64)));
    }
    head
}

fn of_dataset(one: &Dataset, rates: Rates, now_ms: u64) -> Vec<String> {
    let row = |name: &str, text: String| format!("  {name:<13}{text}");
    let mut lines = vec![format!("{}: {}", one.dataset, one.condition)];
    let reasons = one.reasons.iter();
    lines.extend(reasons.map(|reason| row("wrong", one_line(reason))));
    let Some(breaker) = &one.breaker else {
        return lines;
    };
    lines.push(row("version", version(one, now_ms)));
    lines.push(row("taken in", flow(rates.taken_in, one.taken_in)));
    lines.push(row("published", flow(rates.published, one.published)));
    lines.push(row("waiting", things(one.waiting_records, "record")));
    lines.push(row("pending", pending(one)));
    let lag = duration(Duration::from_millis(one.lag_ms));
    let lag = if one.lag_ms == 0 { "none" } else { &lag };
    lines.push(row("lag", lag.to_owned()));
    if let Some(length) = one.wal_bytes {
        lines.push(row("wal", bytes(length)));
    }
    let failed = match one.failures {
        0 => String::new(),
        failures => format!(", {} in a row", things(failures, "failure")),
    };
    lines.push(row("breaker", format!("{breaker}{failed}")));
    if let Some(letters) = one.dead_letters {
        lines.push(row("dead letters", count(letters)));
    }
    lines
}

/// `7, published 12 s ago`
fn version(one: &Dataset, now_ms: u64) -> String {
    let version = one.version.map_or("none yet".to_owned(), |v| v.to_string());
    match age(one, now_ms) {
        Some(age) => format!("{version}, published {} ago", rough(age / 1000)),
        None => version,
    }
}

/// Milliseconds since the last version; clocks of two hosts may differ.
fn age(one: &Dataset, now_ms: u64) -> Option<u64> {
    one.published_ms.map(|at| now_ms.saturating_sub(at))
}

/// `1,200 records/s (35,000 since the start)`
fn flow(rate: Option<f64>, total: Option<f64>) -> String {
    let total = total.unwrap_or(0.0) as u64;
    match rate {
        Some(rate) => format!(
            "{} records/s ({} since the start)",
            a_second(rate),
            count(total)
        ),
        None => format!("{} since the start", things(total, "record")),
    }
}

/// Slow ones keep a digit behind the point.
fn a_second(rate: f64) -> String {
    match rate {
        rate if rate > 0.0 && rate < 10.0 => format!("{rate:.1}"),
        rate => count(rate.round() as u64),
    }
}

/// `300 records of 3 submissions, and more in the wal only (spilled)`
fn pending(one: &Dataset) -> String {
    let (records, submissions) = (one.pending_records, one.pending_submissions);
    let spilled = match one.spilled {
        true => ", and more in the wal only (spilled)",
        false => "",
    };
    let of = things(submissions, "submission");
    format!("{} of {of}{spilled}", things(records, "record"))
}

/// A look as one value.
pub(super) fn json(producer: &str, look: &Look, rates: &[Rates]) -> Value {
    let of = |(one, rates): (&Dataset, &Rates)| {
        json!({
            "dataset": one.dataset,
            "condition": one.condition,
            "reasons": one.reasons,
            "version": one.version,
            "published_ms": one.published_ms,
            "published_age_ms": age(one, look.wall_ms),
            "taken_in_records": one.taken_in,
            "taken_in_per_second": rates.taken_in,
            "published_records": one.published,
            "published_per_second": rates.published,
            "waiting_records": one.waiting_records,
            "pending_records": one.pending_records,
            "pending_submissions": one.pending_submissions,
            "spilled": one.spilled,
            "lag_ms": one.lag_ms,
            "wal_bytes": one.wal_bytes,
            "breaker": one.breaker,
            "failures": one.failures,
            "dead_letters": one.dead_letters,
        })
    };
    let datasets: Vec<Value> = look.datasets.iter().zip(rates).map(of).collect();
    json!({
        "producer": producer,
        "time_ms": look.wall_ms,
        "uptime_seconds": look.uptime,
        "memory_bytes": look.memory_bytes,
        "datasets": datasets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(status: Value) -> Look {
        let mut dataset: Dataset = serde_json::from_value(status).unwrap();
        (dataset.taken_in, dataset.published) = (Some(35_000.0), Some(34_700.0));
        Look {
            at: Duration::ZERO,
            wall_ms: 1_767_225_600_000,
            uptime: Some(7_500.0),
            memory_bytes: Some(2_000_000.0),
            datasets: vec![dataset],
        }
    }

    #[test]
    fn a_dataset_in_trouble_says_so_first() {
        let look = look(json!({
            "dataset": "cities", "condition": "degraded", "reasons": ["no\nstore"], "version": 7,
            "published_ms": 1_767_225_588_000_u64, "waiting_records": 1, "pending_records": 300,
            "pending_submissions": 3, "spilled": true, "lag_ms": 3200, "wal_bytes": 2_000_000, "failures": 4,
            "breaker": "open", "dead_letters": 2,
        }));
        let rates = Rates {
            taken_in: Some(1200.4),
            published: Some(0.25),
        };
        let expected = "\
http://h:1  2026-01-01 00:00:00 UTC  up 2 h 5 min  memory 1.9 MiB
cities: degraded
  wrong        no store
  version      7, published 12 s ago
  taken in     1,200 records/s (35,000 since the start)
  published    0.2 records/s (34,700 since the start)
  waiting      1 record
  pending      300 records of 3 submissions, and more in the wal only (spilled)
  lag          3.20 s
  wal          1.9 MiB
  breaker      open, 4 failures in a row
  dead letters 2";
        assert_eq!(lines("http://h:1", &look, &[rates]).join("\n"), expected);
    }

    #[test]
    fn a_dataset_that_could_not_be_opened_has_no_figures() {
        let look = look(json!({ "dataset": "d", "condition": "failed", "reasons": ["schema"] }));
        let lines = lines("http://h:1", &look, &[Rates::default()]);
        assert_eq!(lines[1..], ["d: failed", "  wrong        schema"]);
    }
}
