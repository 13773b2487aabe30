//! `grotto diff`: what changed between two versions.
//!
//! Owns: how changes are shown. Finding them is in `compare`. Never: changes a state directory.

mod compare;
mod sorted;

use crate::failure::Outcome;
use crate::output::Out;
use crate::reader;
use crate::records;
use crate::target::{TargetArgs, nothing_published};
use crate::text::{self, Table};
use compare::{Change, Compared};
use grotto::engine::state::State;
use grotto_service::config::Role;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Longest value that is shown to people, in characters.
const SHOWN: usize = 60;

/// Shows what changed between two versions, by primary key and field
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto diff --store ./store --dataset cities 5 6
  grotto diff --store ./store --dataset cities 6 5        the way back
  grotto diff --store ./store --dataset cities 5 6 --json | jq 'select(.change == \"removed\")'
  grotto diff --store ./store --dataset cities 5 6 --summary

A field that only one of the versions has is shown as null in the other.")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Version before
    #[arg(value_name = "V1")]
    before: u64,
    /// Version after
    #[arg(value_name = "V2")]
    after: u64,
    /// Only this type
    #[arg(long = "type", value_name = "TYPE")]
    type_name: Option<String>,
    /// Only the figures
    #[arg(long)]
    summary: bool,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    if dataset.head().await?.is_none() {
        return Err(nothing_published(dataset.name(), &target).await);
    }
    let consumer = reader::consumer(&dataset, Some(args.before)).await?;
    let before = consumer.state();
    reader::check_in_log(&dataset, args.after).await?;
    consumer.refresh_to(args.after).await?;
    let after = consumer.state();
    let mut table = Table::new(
        1,
        &["type", "before", "after", "added", "removed", "modified"],
    );
    let mut figures = Vec::new();
    for name in types(&before, &after, args.type_name.as_deref())? {
        let mut show = |change: &Change<'_>| {
            if args.summary {
                Ok(())
            } else {
                show(&name, change, out)
            }
        };
        let compared = compare::types(&before, &after, &name, &mut show)?;
        table.row(row(&name, &compared));
        figures.push(summary(&name, &compared));
    }
    if out.is_json() {
        return out.json(&json!({ "change": "summary", "from": args.before, "to": args.after, "types": figures }));
    }
    out.line(format_args!(
        "from version {} to {}",
        args.before, args.after
    ))?;
    table.lines().try_for_each(|line| out.line(line))
}

/// Types of either version whose records stand by themselves, or the one that was asked for.
fn types(before: &State, after: &State, wanted: Option<&str>) -> Outcome<BTreeSet<String>> {
    let of = |state: &State| {
        let schema = state.schema();
        records::top_level(schema)
            .iter()
            .map(|id| schema.get(*id).name.clone())
            .collect::<BTreeSet<String>>()
    };
    let mut names = of(before);
    names.extend(of(after));
    let Some(name) = wanted else {
        return Ok(names);
    };
    let after = after.schema().require(name);
    before.schema().find(name).map_or(after, Ok)?;
    Ok(BTreeSet::from([name.to_owned()]))
}

fn show(type_name: &str, change: &Change<'_>, out: &mut Out) -> Outcome<()> {
    if out.is_json() {
        return out.json(&line(type_name, change));
    }
    match change {
        Change::Added { key, record } => {
            out.line(format_args!("+ {type_name} {key} {}", shortened(record)))
        }
        Change::Removed { key, record } => {
            out.line(format_args!("- {type_name} {key} {}", shortened(record)))
        }
        Change::Modified { key, fields } => {
            out.line(format_args!("~ {type_name} {key}"))?;
            fields.iter().try_for_each(|(name, old, new)| {
                out.line(format_args!(
                    "    {name}: {} → {}",
                    shortened(old),
                    shortened(new)
                ))
            })
        }
    }
}

fn line(type_name: &str, change: &Change<'_>) -> Value {
    match change {
        Change::Added { key, record } => {
            json!({ "change": "added", "type": type_name, "key": key, "record": record })
        }
        Change::Removed { key, record } => {
            json!({ "change": "removed", "type": type_name, "key": key, "record": record })
        }
        Change::Modified { key, fields } => {
            let fields: serde_json::Map<String, Value> = fields
                .iter()
                .map(|(name, old, new)| (name.clone(), json!({ "before": old, "after": new })))
                .collect();
            json!({ "change": "modified", "type": type_name, "key": key, "fields": fields })
        }
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn row(name: &str, compared: &Compared) -> Vec<String> {
    let Compared {
        before,
        after,
        added,
        removed,
        modified,
    } = *compared;
    let figures = [before, after, added, removed, modified];
    std::iter::once(name.to_owned())
        .chain(figures.map(text::count))
        .collect()
}

fn summary(name: &str, compared: &Compared) -> Value {
    let Compared {
        before,
        after,
        added,
        removed,
        modified,
    } = *compared;
    json!({ "type": name, "before": before, "after": after, "added": added, "removed": removed, "modified": modified })
}
