//! `grotto gc`: removes what no reader needs any more.
//!
//! Owns: its options and what is printed. Never: decides what goes; the store library does.

use crate::failure::Outcome;
use crate::output::Out;
use crate::target::{TargetArgs, nothing_published};
use crate::text::{bytes, things};
use grotto::store::{Collection, Hold, Retention, Why};
use grotto_service::config::{Role, parse_duration};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Removes versions and files that no reader needs any more
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto gc --store ./store --dataset cities --dry-run
  grotto gc --store ./store --dataset cities --keep-snapshots 3 --grace 1h

What stays: the newest snapshots and every version from the oldest of them on; what a consumer serves or is pinned to, by
its lease; and whatever is younger than the grace. Removed versions are gone for good: their numbers are never used again.
Also removed are files that a crashed or outrun writer left. It may run beside producers, consumers and other
collectors, and may be stopped at any time; the next one goes on.")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Say what would go and why, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// How many of the newest snapshots to keep
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    keep_snapshots: u16,
    /// Keep what is younger; longer than any upload and any refresh takes
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    grace: Duration,
    /// Name every file
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let retention = Retention {
        snapshots: usize::from(args.keep_snapshots),
        grace: args.grace,
    };
    let done = match args.dry_run {
        true => dataset.plan_collection(&retention).await?,
        false => dataset.collect(&retention).await?,
    };
    if done.newest == 0 {
        return Err(nothing_published(dataset.name(), &target).await);
    }
    if out.is_json() {
        return out.json(&as_json(dataset.name(), args.dry_run, &done));
    }
    tell(dataset.name(), args, &done, out)
}

fn tell(name: &str, args: &Args, done: &Collection, out: &mut Out) -> Outcome<()> {
    let (from, newest) = (done.boundary + 1, done.newest);
    out.line(format!("{name}: versions {from} to {newest} stay"))?;
    for hold in shown(&done.holds) {
        out.line(format!("  from {}: {}", hold.from, hold.why))?;
    }
    let (word, removed) = match args.dry_run {
        true => ("would go", "nothing would go"),
        false => ("removed", "nothing to remove"),
    };
    if done.objects.is_empty() {
        return out.line(removed);
    }
    let files = things(done.objects.len() as u64, "file");
    let size = bytes(done.bytes());
    out.line(format!("{word}: {files}, {size}"))?;
    let mut by_why: BTreeMap<Why, (u64, u64)> = BTreeMap::new();
    for object in &done.objects {
        let (count, length) = by_why.entry(object.why).or_default();
        (*count, *length) = (*count + 1, *length + object.bytes);
        if args.verbose {
            out.line(format!("  {}: {}", object.name, object.why))?;
        }
    }
    for (why, (count, length)) in by_why {
        let files = things(count, "file");
        out.line(format!("  {files}, {}: {why}", bytes(length)))?;
    }
    Ok(())
}

/// The holds that keep more than those after them: a thousand consumers at the newest version say nothing.
fn shown(holds: &[Hold]) -> &[Hold] {
    const MOST: usize = 5;
    &holds[..holds.len().min(MOST)]
}

fn as_json(name: &str, dry_run: bool, done: &Collection) -> serde_json::Value {
    let holds = done.holds.iter();
    let holds = holds.map(|hold| json!({"from": hold.from, "why": hold.why}));
    let objects = done.objects.iter().map(
        |object| json!({"name": object.name, "bytes": object.bytes, "why": object.why.to_string()}),
    );
    json!({
        "dataset": name,
        "dry_run": dry_run,
        "collected_before": done.before,
        "collected": done.boundary,
        "newest": done.newest,
        "bytes": done.bytes(),
        "holds": holds.collect::<Vec<_>>(),
        "objects": objects.collect::<Vec<_>>(),
    })
}
