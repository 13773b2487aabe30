//! `grotto dead-letters`: records that were refused.
//!
//! Owns: asking a daemon for them, or reading their files, and printing them. Never: changes the files itself; the
//! daemon that writes them does.

use crate::daemon::{self, DaemonArgs};
use crate::failure::{Failure, Outcome, one_line};
use crate::output::Out;
use crate::text::{date, things};
use grotto::engine::env::SystemFiles;
use grotto::producer::dead_letter::{DeadLetter, list_folder};
use serde_json::Value;
use std::path::PathBuf;

/// Letters of one request.
const PAGE: usize = 1_000;

/// Shows records that were refused, sends them again, removes them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print dead letters, oldest first
    #[command(after_help = "\
Examples:
  grotto dead-letters list --dataset cities
  grotto dead-letters list --dir /var/lib/grotto/dead-letters/cities")]
    List {
        #[command(flatten)]
        at: DaemonArgs,
        /// Read the files of this folder instead of asking a daemon, which may run meanwhile
        #[arg(long, value_name = "FOLDER", conflicts_with_all = ["dataset", "token_file"])]
        dir: Option<PathBuf>,
        /// Only letters behind this number
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u64,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Send dead letters again, after what refused them is mended; what is refused again stays
    #[command(after_help = "\
Example:
  grotto dead-letters replay --dataset cities")]
    Replay {
        #[command(flatten)]
        at: DaemonArgs,
        /// Only letters up to this number
        #[arg(long, value_name = "NUMBER")]
        through: Option<u64>,
    },
    /// Remove dead letters for good
    #[command(after_help = "\
Example:
  grotto dead-letters purge --dataset cities --through 4711")]
    Purge {
        #[command(flatten)]
        at: DaemonArgs,
        /// Only letters up to this number; all without it
        #[arg(long, value_name = "NUMBER")]
        through: Option<u64>,
    },
}

/// Has something done with letters up to a number.
fn post(at: &DaemonArgs, action: &str, through: Option<u64>) -> Outcome<Value> {
    let through = through.map(|number| format!("?through={number}"));
    let path = at.path(&format!(
        "dead-letters/{action}{}",
        through.unwrap_or_default()
    ))?;
    at.client()?.post(&path).map_err(daemon::failed)
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    match &args.action {
        Action::List {
            at,
            dir,
            after,
            limit,
        } => {
            let letters = match dir {
                Some(dir) => of_folder(dir, *after, *limit)?,
                None => of_daemon(at, *after, *limit)?,
            };
            letters.iter().try_for_each(|letter| print(letter, out))
        }
        Action::Replay { at, through } => {
            let told = post(at, "replay", *through)?;
            replayed(&told, out)
        }
        Action::Purge { at, through } => {
            let told = post(at, "purge", *through)?;
            if out.is_json() {
                return out.json(&told);
            }
            let removed = told["removed"].as_u64().unwrap_or(0);
            out.line(format_args!("removed {}", things(removed, "dead letter")))
        }
    }
}

fn of_folder(dir: &std::path::Path, mut after: u64, limit: usize) -> Outcome<Vec<Value>> {
    let mut all = Vec::new();
    while all.len() < limit {
        let letters = list_folder(&SystemFiles, dir, after, limit - all.len())?;
        let Some(last) = letters.last() else { break };
        after = last.id;
        all.extend(letters.iter().map(DeadLetter::to_json));
    }
    Ok(all)
}

/// A daemon gives only so many at once.
fn of_daemon(at: &DaemonArgs, mut after: u64, limit: usize) -> Outcome<Vec<Value>> {
    let (client, path) = (at.client()?, at.path("dead-letters")?);
    let mut all = Vec::new();
    while all.len() < limit {
        let page = PAGE.min(limit - all.len());
        let told = client.get(&format!("{path}?after={after}&limit={page}"));
        let mut told = told.map_err(daemon::failed)?;
        let Value::Array(letters) = told["dead_letters"].take() else {
            return Err(Failure::internal("expected dead letters in the answer"));
        };
        let Some(last) = letters.last() else { break };
        after = last["id"].as_u64().unwrap_or(u64::MAX);
        all.extend(letters);
    }
    Ok(all)
}

/// `7  2026-11-29 18:00:00  http line 3: reason`, then what was sent.
fn print(letter: &Value, out: &mut Out) -> Outcome<()> {
    if out.is_json() {
        return out.json(letter);
    }
    let text = |name: &str| one_line(letter[name].as_str().unwrap_or_default());
    let number = |name: &str| letter[name].as_u64();
    let position = number("position").map(|line| format!(" line {line}"));
    out.line(format_args!(
        "{}  {}  {}{}: {}",
        number("id").unwrap_or(0),
        date(number("time_ms").unwrap_or(0)),
        text("source"),
        position.unwrap_or_default(),
        text("reason")
    ))?;
    out.line(format_args!("    {}", text("text")))
}

fn replayed(told: &Value, out: &mut Out) -> Outcome<()> {
    if out.is_json() {
        return out.json(told);
    }
    let number = |name: &str| told[name].as_u64().unwrap_or(0);
    let (taken, refused) = (number("replayed"), number("refused_letters"));
    out.line(format_args!("taken in: {}", things(taken, "dead letter")))?;
    if refused == 0 {
        return Ok(());
    }
    out.line(format_args!(
        "refused again: {}",
        things(refused, "dead letter")
    ))?;
    let again = told["refused"].as_array().cloned().unwrap_or_default();
    again.iter().try_for_each(|one| {
        let message = one_line(one["message"].as_str().unwrap_or_default());
        out.line(format_args!("  {}: {message}", one["id"]))
    })
}
