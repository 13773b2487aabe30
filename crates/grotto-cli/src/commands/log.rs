//! `grotto log`: the versions of a dataset.
//!
//! Owns: how the commit log is shown. Never: fetches a blob.

use crate::failure::{Outcome, one_line};
use crate::output::Out;
use crate::target::{TargetArgs, nothing_published};
use crate::text::{self, Table};
use grotto::store::{BlobKind, BlobRef, EntryKind, LogEntry, Outline, RecordChanges, Source};
use grotto_service::config::Role;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Types whose changes have a place in a line.
const MOST_CHANGES: usize = 3;

/// Lists the versions of a dataset, oldest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto log --store ./store --dataset cities
  grotto log --store ./store --dataset cities --limit 5 --json

The changes of a version are how many records of a type it added (+), removed (-) and modified (~), of the
types with most of them; `grotto diff` tells which. Records are those that came by themselves, not within others.

A fence is the version at which a writer takes over; the records stay as they were, and only --all lists it.")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Only the newest N versions, fences counted
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// List fences too
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let versions = dataset.list_versions(1..=u64::MAX).await?;
    let Some(newest) = versions.last().copied() else {
        return Err(nothing_published(dataset.name(), &target).await);
    };
    let first = args
        .limit
        .map_or(1, |limit| newest.saturating_sub(limit) + 1);
    let entries = dataset.outlines(first..=newest).await?;
    let damaged = damaged(&versions, first, &entries);
    let snapshots: BTreeMap<u64, BlobRef> = dataset
        .snapshot_entries()
        .await?
        .into_iter()
        .map(|entry| (entry.version, entry.blob))
        .collect();
    let is_shown = |told: &Outline| args.all || told.entry().kind != EntryKind::Fence;
    let (entries, fences): (Vec<Outline>, Vec<Outline>) = entries.into_iter().partition(is_shown);
    if out.is_json() {
        entries
            .iter()
            .try_for_each(|told| out.json(&line(told, snapshots.get(&told.entry().version))))?;
        return damaged
            .iter()
            .try_for_each(|version| out.json(&json!({ "version": version, "kind": "damaged" })));
    }
    let shown = text::things((entries.len() + damaged.len()) as u64, "version");
    let left_out = match fences.len() as u64 {
        0 => String::new(),
        fences => format!(", {} left out (--all)", text::things(fences, "fence")),
    };
    let name = dataset.name();
    out.line(format_args!("{name}: {shown}, newest {newest}{left_out}\n"))?;
    let table = table(&entries, &snapshots);
    table.lines().try_for_each(|line| out.line(line))?;
    damaged.iter().try_for_each(|version| {
        out.line(format_args!("version {version}: its log entry is damaged"))
    })
}

/// A line for each version. Positions and tags have columns only where some version has any.
fn table(outlines: &[Outline], snapshots: &BTreeMap<u64, BlobRef>) -> Table {
    let entries = || outlines.iter().map(Outline::entry);
    let mut notes: Vec<(&str, Notes)> = Vec::new();
    if entries().any(|entry| !entry.sources.is_empty()) {
        notes.push(("positions", |entry| pairs(&entry.sources)));
    }
    if entries().any(|entry| !entry.tags.is_empty()) {
        notes.push(("tags", |entry| pairs(&entry.tags)));
    }
    let figures = ["epoch", "delta", "reverse", "snapshot", "records"];
    let mut names = vec!["version", "kind", "time (UTC)", "writer", "changes"];
    names.extend(notes.iter().map(|(name, _)| name));
    let left = names.len();
    names.extend(figures);
    let mut table = Table::new(left, &names);
    for outline in outlines {
        let entry = outline.entry();
        let mut cells = vec![
            entry.version.to_string(),
            kind(entry).to_owned(),
            text::date(entry.time_ms),
            one_line(&entry.writer),
            changes(entry),
        ];
        cells.extend(notes.iter().map(|(_, show)| show(entry)));
        cells.extend(figures_of(outline, snapshots.get(&entry.version)));
        table.row(cells);
    }
    table
}

/// What a commit changed, most first: `City +2 -1 ~12`. Nothing of an entry that passes a state on.
fn changes(entry: &LogEntry) -> String {
    let changed = entry.types.iter();
    let changed = changed.filter_map(|(name, ty)| Some((name, ty.changed?)));
    let is_commit = entry.kind == EntryKind::Commit;
    let mut changed: Vec<(&String, RecordChanges)> = changed.filter(|_| is_commit).collect();
    let all = |changed: &RecordChanges| {
        let RecordChanges {
            added,
            removed,
            modified,
        } = changed;
        added.saturating_add(*removed).saturating_add(*modified)
    };
    changed.sort_by_key(|(_, changed)| std::cmp::Reverse(all(changed)));
    let mut words: Vec<String> = changed.iter().take(MOST_CHANGES).map(of_type).collect();
    if changed.len() > MOST_CHANGES {
        words.push(text::things((changed.len() - MOST_CHANGES) as u64, "type") + " more");
    }
    words.join(", ")
}

fn of_type((name, changed): &(&String, RecordChanges)) -> String {
    let RecordChanges {
        added,
        removed,
        modified,
    } = changed;
    let mut text = (*name).clone();
    for (sign, number) in [("+", added), ("-", removed), ("~", modified)] {
        if *number > 0 {
            text.push_str(&format!(" {sign}{}", text::count(*number)));
        }
    }
    text
}

/// What a column of notes shows of a version.
type Notes = fn(&LogEntry) -> String;

/// `name=value`, by name.
fn pairs<V: std::fmt::Display>(of: &BTreeMap<String, V>) -> String {
    let shown: Vec<String> = of.iter().map(|(name, v)| format!("{name}={v}")).collect();
    one_line(&shown.join(", "))
}

/// The versions whose entries are there and cannot be read.
fn damaged(versions: &[u64], first: u64, outlines: &[Outline]) -> Vec<u64> {
    let intact: BTreeSet<u64> = outlines.iter().map(|told| told.entry().version).collect();
    let listed = versions.iter().copied().filter(|version| *version >= first);
    listed.filter(|version| !intact.contains(version)).collect()
}

fn kind(entry: &LogEntry) -> &'static str {
    match entry.kind {
        EntryKind::Commit => "commit",
        EntryKind::Fence => "fence",
        EntryKind::Positions => "positions",
    }
}

fn figures_of(outline: &Outline, snapshot: Option<&BlobRef>) -> [String; 5] {
    let entry = outline.entry();
    let size = |length: Option<u64>| length.map_or_else(|| "–".to_owned(), text::bytes);
    let delta = outline.blob(BlobKind::Delta).map(Source::length);
    let reverse = outline.blob(BlobKind::Reverse).map(Source::length);
    [
        entry.epoch.to_string(),
        size(delta),
        size(reverse),
        size(snapshot.map(|blob| blob.length)),
        text::count(entry.top_level_records()),
    ]
}

fn line(outline: &Outline, snapshot: Option<&BlobRef>) -> serde_json::Value {
    let entry = outline.entry();
    json!({
        "version": entry.version,
        "kind": kind(entry),
        "epoch": entry.epoch,
        "time_ms": entry.time_ms,
        "writer": entry.writer,
        "state_version": entry.state_version,
        "state_checksum": format!("{:016x}", entry.state_checksum),
        "schema_hash": format!("{:016x}", entry.schema_hash),
        "types": entry.types,
        "sources": entry.sources,
        "tags": entry.tags,
        "delta": outline.blob(BlobKind::Delta).map(blob),
        "reverse": outline.blob(BlobKind::Reverse).map(blob),
        "snapshot": snapshot,
    })
}

/// A blob of a commit: a file of its own, or in the entry under this name.
fn blob(source: &Source) -> serde_json::Value {
    json!({
        "name": source.name(),
        "length": source.length(),
        "inline": source.is_inline(),
        "checksum": source.checksum().map(|checksum| format!("{checksum:016x}")),
    })
}
