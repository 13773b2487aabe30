//! `grotto datasets`: what is in a store.
//!
//! Owns: a line per dataset. Never: fetches a blob.

use crate::failure::{Failure, Outcome};
use crate::output::Out;
use crate::target::TargetArgs;
use crate::text::{self, Table};
use grotto::store::{Dataset, LogEntry, Store};
use grotto_service::config::Role;
use serde_json::{Value, json};

/// Lists the datasets of a store
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  grotto datasets --store ./store

A folder of the store without a log is no dataset and left out.")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
}

/// A dataset, with its newest version or why that cannot be read.
struct Listed {
    name: String,
    head: Result<LogEntry, String>,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let store = Store::open(&target.url)?;
    let mut all = Vec::new();
    for name in store.datasets().await? {
        let named = target.dataset.as_ref();
        if named.is_some_and(|named| *named != name) {
            continue;
        }
        let Ok(dataset) = Dataset::open(store.clone(), &name) else {
            continue;
        };
        let head = match dataset.head().await {
            Ok(None) => continue,
            Ok(Some(head)) => Ok(head),
            Err(error) if error.kind().is_outage() => return Err(error.into()),
            Err(error) => Err(error.to_string()),
        };
        all.push(Listed { name, head });
    }
    if all.is_empty() {
        let url = &target.url;
        return Err(match &target.dataset {
            Some(name) => Failure::not_found(format!("store {url} has no dataset {name}")),
            None => Failure::not_found(format!("store {url} has no dataset"))
                .hint("`grotto publish` makes one"),
        });
    }
    if out.is_json() {
        return all.iter().try_for_each(|listed| out.json(&line(listed)));
    }
    let mut table = Table::new(2, &["dataset", "newest (UTC)", "version", "records"]);
    for Listed { name, head } in &all {
        let cells = match head {
            Ok(head) => [
                text::date(head.time_ms),
                head.version.to_string(),
                text::count(head.top_level_records()),
            ],
            Err(_) => ["damaged".to_owned(), "–".to_owned(), "–".to_owned()],
        };
        table.row(std::iter::once(name.clone()).chain(cells).collect());
    }
    table.lines().try_for_each(|line| out.line(line))
}

fn line(listed: &Listed) -> Value {
    match &listed.head {
        Ok(head) => json!({
            "dataset": listed.name, "version": head.version, "time_ms": head.time_ms, "records": head.records(),
        }),
        Err(why) => json!({ "dataset": listed.name, "damaged": why }),
    }
}
