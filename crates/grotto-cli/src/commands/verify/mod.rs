//! `grotto verify`: every blob, and every version in every way.
//!
//! Owns: what is told. What is checked, and in which order, is in `walk`. Never: repairs.

mod directory;
mod faults;
mod log;
mod orphans;
mod promise;
mod rules;
mod walk;

use crate::failure::{Failure, Outcome};
use crate::output::Out;
use crate::progress::Bar;
use crate::target::{Spelled, TargetArgs, nothing_published};
use crate::text::{bytes, count, things};
use faults::Fault;
use grotto::State;
use grotto::engine::state::HashSeed;
use grotto::store::{Dataset, ErrorKind};
use grotto_service::config::Role;
use serde_json::json;
use std::path::PathBuf;
use walk::Walk;

/// Checks every blob and rebuilds every version in every way
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto verify --store ./store --dataset cities
  grotto verify --state-dir ./state

Walks the log, reads every blob that it names, and rebuilds every version forward by deltas, back by
reverse deltas, and from each snapshot. All ways must give what the log says of the version: checksums,
schema and counts. Entries must keep the rules that every writer keeps, from one to the next.
The exit code is 0 only if all of it holds. Blobs that nothing refers to and files that end in # and a number
are leftovers of writers that died; they harm nobody and are only reported.

With --state-dir it needs no store and takes none: it reads every byte of what that folder holds and names
the parts of files that do not hold what was written there. It changes nothing, and another process may keep the
folder meanwhile.")]
pub(crate) struct Args {
    #[command(flatten)]
    spelled: Spelled,
    #[command(flatten)]
    target: TargetArgs,
    /// Check the state in this folder instead of the store
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
}

/// The state that every walk starts from.
fn empty(dataset: &Dataset) -> State {
    let random = &dataset.store().env().random;
    State::empty(HashSeed::new(random.secret()))
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    if let Some(dir) = &args.state_dir {
        if args.spelled.store {
            let message = "--state-dir checks a folder without its store: expected no --store and no --config";
            return Err(Failure::invalid(message).hint("to check the store, leave --state-dir out"));
        }
        let dataset = args.target.dataset.as_deref();
        return directory::verify(dir, dataset.filter(|_| args.spelled.dataset), out);
    }
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let bar = Bar::new("verifying", out.is_json());
    let mut walk = Walk::begin(&dataset, bar).await?;
    if walk.is_empty() {
        return Err(nothing_published(dataset.name(), &target).await);
    }
    walk.forward().await?;
    walk.back().await?;
    let orphans = orphans::find(&target.url, &dataset, walk.named_blobs()).await?;
    let found = walk.finish();
    report(dataset.name(), &found, &orphans, out)?;
    match found.faults.first() {
        None => Ok(()),
        Some(first) => Err(failure(first, found.faults.len())),
    }
}

/// What was checked.
pub(super) struct Found {
    first: u64,
    last: u64,
    commits: u64,
    blobs: u64,
    bytes: u64,
    /// States that were rebuilt and compared.
    states: u64,
    /// Versions of which a snapshot is announced that the log does not bear out.
    unborne: Vec<u64>,
    faults: Vec<Fault>,
}

fn report(dataset: &str, found: &Found, orphans: &orphans::Orphans, out: &mut Out) -> Outcome<()> {
    if out.is_json() {
        let faults: Vec<_> = found
            .faults
            .iter()
            .map(|fault| json!({ "kind": fault.kind.to_string(), "message": fault.message }))
            .collect();
        return out.json(&json!({
            "dataset": dataset, "ok": faults.is_empty(), "faults": faults,
            "first_version": found.first, "last_version": found.last, "commits": found.commits,
            "blobs": found.blobs, "bytes": found.bytes, "states_compared": found.states,
            "orphans": orphans.blobs.names, "orphan_bytes": orphans.blobs.bytes,
            "unfinished": orphans.unfinished.names, "unfinished_bytes": orphans.unfinished.bytes,
            "announcements_without_entry": found.unborne,
        }));
    }
    for fault in &found.faults {
        out.line(format_args!("damaged: {}", fault.message))?;
    }
    let verdict = if found.faults.is_empty() {
        "OK"
    } else {
        "DAMAGED"
    };
    let (first, last) = (found.first, found.last);
    let commits = match found.commits {
        all if all == last - first + 1 => String::new(),
        1 => ", of which 1 is a commit".to_owned(),
        several => format!(", of which {} are commits", count(several)),
    };
    out.line(format_args!(
        "{verdict}: {dataset}, versions {first} to {last}{commits}"
    ))?;
    let (blobs, states) = (things(found.blobs, "blob"), things(found.states, "state"));
    let length = bytes(found.bytes);
    out.line(format_args!(
        "{blobs} of {length} read, {states} rebuilt and compared"
    ))?;
    for version in &found.unborne {
        out.line(format_args!(
            "a snapshot is announced for version {version}, which the log does not have or has with \
             another state: the end of the log was lost once (ignored by all)"
        ))?;
    }
    orphans.print(out)?;
    out.flush()
}

fn failure(first: &Fault, number: usize) -> Failure {
    let kind = if first.kind == ErrorKind::Invalid {
        ErrorKind::Corrupt
    } else {
        first.kind
    };
    let more = if number > 1 {
        format!(" (and {} more)", number - 1)
    } else {
        String::new()
    };
    Failure::new(kind, format!("{}{more}", first.message)).hint(
        "consumers go around damaged blobs where others lead to the same version; a new snapshot \
         (`grotto publish --snapshot`) makes them reach the newest",
    )
}
