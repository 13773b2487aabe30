//! What a look at a fleet looks like.
//!
//! Owns: words and layout, for people and for programs. Never: asks the store.

use super::look::{Behind, Consumer, Look, Looked};
use crate::commands::pointing::{as_json, set_by};
use crate::commands::rollout::remark;
use crate::failure::one_line;
use crate::terminal::cut;
use crate::text::{Table, count, duration, rough, things};
use grotto::store::{ChannelId, FoundPointer, Lease, LogEntry, ToldBy};
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
        lines.extend(one.pointers.iter().map(pointer));
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

/// `  the pin: version 41, set by ada at 2026-11-30 04:00:00: 42 lacks the capitals`
fn pointer(one: &FoundPointer) -> String {
    let name = &one.name;
    let line = match &one.content {
        Ok(pointer) => format!(
            "  {name}: version {}{}, set {}",
            pointer.version,
            remark(pointer),
            set_by(pointer)
        ),
        Err(error) => format!("  {name} cannot be read: {}", one_line(error.message())),
    };
    cut(&line, MOST_OF_REASON)
}

/// A line for each consumer, and below those in trouble why.
fn consumers(one: &Looked, all: bool) -> Vec<String> {
    let shown: Vec<&Consumer> = one.consumers.iter().filter(|c| all || !c.expired).collect();
    let gone = one.consumers.len() - shown.len();
    let mut lines = Vec::new();
    if !shown.is_empty() {
        let mut names = vec![
            "consumer", "version", "behind", "health", "since", "held", "host", "up",
        ];
        // Where nobody is told anything, all follow the newest.
        let follows = |one: &&Consumer| {
            let lease = one.lease.as_deref();
            lease.is_ok_and(|lease| lease.channel.is_some() || lease.told.is_some())
        };
        let with_follows = !one.pointers.is_empty() || shown.iter().any(follows);
        if with_follows {
            names.insert(2, "follows");
        }
        let mut table = Table::new(names.len(), &names);
        for consumer in &shown {
            let mut cells = cells(consumer);
            if with_follows {
                cells.insert(2, followed(consumer));
            }
            table.row(cells);
        }
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

/// What a consumer goes by: `pin 41`, `stable 42`, `newest`.
fn followed(one: &Consumer) -> String {
    let Ok(lease) = &one.lease else {
        return "–".to_owned();
    };
    let name = match lease.told {
        Some(told) if told.by == ToldBy::Pin => "pin",
        _ => lease.channel.as_deref().unwrap_or("newest"),
    };
    match lease.told {
        Some(told) => format!("{name} {}", told.version),
        None => name.to_owned(),
    }
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
    let pin = one.pointers.iter().find(|one| one.name.channel().is_none());
    let channels = one.pointers.iter();
    let channels = channels.filter(|one| one.name.channel().is_some());
    json!({
        "dataset": one.name,
        "version": number(|head| head.version),
        "committed_ms": number(|head| head.time_ms),
        "committed_age_ms": head.map(|head| now_ms.saturating_sub(head.time_ms)),
        "epoch": number(|head| head.epoch),
        "writer": head.map(|head| head.writer.as_str()),
        "damaged": one.head.as_ref().err(),
        "pin": pin.map(told),
        "channels": channels.map(told).collect::<Vec<Value>>(),
        "consumers": shown.map(consumer).collect::<Vec<Value>>(),
        "expired": expired,
        "complete": one.complete,
    })
}

/// What a pointer says, with the name of the channel if it is one.
fn told(one: &FoundPointer) -> Value {
    let mut told = match &one.content {
        Ok(pointer) => as_json(pointer),
        Err(error) => json!({ "damaged": error.message() }),
    };
    if let Some(channel) = one.name.channel().map(ChannelId::as_str) {
        told["channel"] = channel.into();
    }
    told
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
        "channel": lease.and_then(|lease| lease.channel.as_deref()),
        "told": lease.and_then(|lease| lease.told).map(|told| json!({
            "by": match told.by {
                ToldBy::Pin => "pin",
                ToldBy::Channel => "channel",
            },
            "version": told.version,
        })),
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
