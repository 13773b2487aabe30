//! What a look at a fleet looks like.
//!
//! Owns: words and layout, for people and for programs. Never: asks the store.

use super::look::{Behind, Consumer, Look, Looked};
use crate::failure::one_line;
use crate::terminal::cut;
use crate::text::{Table, count, duration, rough, things};
use grotto::store::{Lease, LogEntry};
use serde_json::{Value, json};
use std::time::Duration;

/// Letters of a reason that a line shows.
const MOST_OF_REASON: usize = 160;

/// The lines of a look.
pub(super) fn lines(look: &Look, all: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for one in &look.datasets {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(head(one, look.wall_ms));
        lines.extend(consumers(one, all));
    }
    lines
}

/// `cities: version 42, committed 12 s ago by host-1:812, 3 consumers, 1 behind`
fn head(one: &Looked, now_ms: u64) -> String {
    let name = &one.name;
    let newest = match &one.head {
        Err(why) => format!("the newest version is damaged ({})", one_line(why)),
        Ok(head) => {
            let age = rough(now_ms.saturating_sub(head.time_ms) / 1000);
            let writer = one_line(&head.writer);
            format!("version {}, committed {age} ago by {writer}", head.version)
        }
    };
    let present = || one.consumers.iter().filter(|one| !one.expired);
    let number = things(present().count() as u64, "consumer");
    let behind = present().filter(|one| one.behind != Behind::No).count();
    let behind = match behind {
        0 => String::new(),
        behind => format!(", {} behind", count(behind as u64)),
    };
    let complete = if one.complete { "" } else { " or more" };
    format!("{name}: {newest}, {number}{complete}{behind}")
}

/// A line for each consumer, and below those in trouble why.
fn consumers(one: &Looked, all: bool) -> Vec<String> {
    let shown: Vec<&Consumer> = one.consumers.iter().filter(|c| all || !c.expired).collect();
    let gone = one.consumers.len() - shown.len();
    let mut lines = Vec::new();
    if !shown.is_empty() {
        let names = [
            "consumer", "version", "behind", "health", "since", "held", "host", "up",
        ];
        let mut table = Table::new(names.len(), &names);
        shown.iter().for_each(|consumer| table.row(cells(consumer)));
        let mut rows = table.lines();
        lines.extend(rows.next());
        for (row, consumer) in rows.zip(&shown) {
            lines.push(row);
            lines.extend(reasons(consumer));
        }
    }
    if gone > 0 {
        let gone = things(gone as u64, "consumer");
        lines.push(format!("  {gone} not heard of any more left out (--all)"));
    }
    lines
}

fn cells(one: &Consumer) -> Vec<String> {
    let none = || "–".to_owned();
    let lease = match &one.lease {
        Ok(lease) => lease,
        Err(_) => {
            let health = if one.expired {
                gone(one)
            } else {
                "damaged".to_owned()
            };
            let unknown = [none(), none(), health, none(), none(), none(), none()];
            return std::iter::once(one.id.clone()).chain(unknown).collect();
        }
    };
    let health = match one.expired {
        true => gone(one),
        false => lease.health.clone(),
    };
    let version = match lease.pinned {
        Some(_) => format!("{} (pinned)", lease.version),
        None => lease.version.to_string(),
    };
    vec![
        one.id.clone(),
        version,
        behind(one.behind),
        health,
        rough(seconds(lease.health_ms, one.age)),
        lease.held.map_or_else(none, |held| held.to_string()),
        format!("{}:{}", one_line(&lease.host), one_line(&lease.process)),
        rough(seconds(lease.running_ms, one.age)),
    ]
}

fn gone(one: &Consumer) -> String {
    format!("gone {}", rough(one.age.as_secs()))
}

fn seconds(told_ms: u64, age: Duration) -> u64 {
    (told_ms / 1000).saturating_add(age.as_secs())
}

/// `2 versions, 31 s`
fn behind(behind: Behind) -> String {
    match behind {
        Behind::No => "–".to_owned(),
        Behind::Other => "another dataset".to_owned(),
        Behind::By(versions, since) => {
            let since = match since.as_secs() {
                0..100 => duration(since),
                seconds => rough(seconds),
            };
            format!("{}, {since}", things(versions, "version"))
        }
    }
}

fn reasons(one: &Consumer) -> Vec<String> {
    let reasons = match &one.lease {
        _ if one.expired => return Vec::new(),
        Ok(lease) => lease.reasons.clone(),
        Err(why) => vec![why.clone()],
    };
    let line = |reason: &String| format!("    {}", cut(&one_line(reason), MOST_OF_REASON));
    reasons.iter().map(line).collect()
}

/// A look as one value.
pub(super) fn json(look: &Look, all: bool) -> Value {
    let datasets: Vec<Value> = look
        .datasets
        .iter()
        .map(|one| dataset(one, look.wall_ms, all))
        .collect();
    json!({ "time_ms": look.wall_ms, "datasets": datasets })
}

fn dataset(one: &Looked, now_ms: u64, all: bool) -> Value {
    let shown = one.consumers.iter().filter(|one| all || !one.expired);
    let expired = one.consumers.iter().filter(|one| one.expired).count();
    let head = one.head.as_deref().ok();
    let number = |of: fn(&LogEntry) -> u64| head.map(of);
    json!({
        "dataset": one.name,
        "version": number(|head| head.version),
        "committed_ms": number(|head| head.time_ms),
        "committed_age_ms": head.map(|head| now_ms.saturating_sub(head.time_ms)),
        "epoch": number(|head| head.epoch),
        "writer": head.map(|head| head.writer.as_str()),
        "damaged": one.head.as_ref().err(),
        "consumers": shown.map(consumer).collect::<Vec<Value>>(),
        "expired": expired,
        "complete": one.complete,
    })
}

fn consumer(one: &Consumer) -> Value {
    let lease = one.lease.as_deref().ok();
    let text = |of: fn(&Lease) -> &str| lease.map(of);
    let number = |of: fn(&Lease) -> u64| lease.map(of);
    let (versions, since) = match one.behind {
        Behind::By(versions, since) => (Some(versions), Some(since.as_millis() as u64)),
        Behind::No => (lease.map(|_| 0), None),
        Behind::Other => (None, None),
    };
    json!({
        "consumer": one.id,
        "host": text(|lease| &lease.host),
        "process": text(|lease| &lease.process),
        "version": number(|lease| lease.version),
        "newest_known": number(|lease| lease.newest),
        "versions_behind": versions,
        "behind_ms": since,
        "another_dataset": one.behind == Behind::Other,
        "pinned": lease.and_then(|lease| lease.pinned),
        "held": lease.and_then(|lease| lease.held),
        "health": text(|lease| &lease.health),
        "reasons": lease.map(|lease| &lease.reasons),
        "staleness_ms": number(|lease| lease.staleness_ms),
        "health_seconds": lease.map(|lease| seconds(lease.health_ms, one.age)),
        "up_seconds": lease.map(|lease| seconds(lease.running_ms, one.age)),
        "renewed_age_ms": one.age.as_millis() as u64,
        "expires_after_s": number(|lease| lease.expires_after_s),
        "expired": one.expired,
        "damaged": one.lease.as_ref().err(),
    })
}

#[cfg(test)]
mod tests;
