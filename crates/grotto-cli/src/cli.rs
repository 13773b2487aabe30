//! The command line as a user types it.
//!
//! Owns: the list of commands and the help around them. Never: runs one; their options are with
//! their code, in `commands`.

use crate::commands::{
    accept, channel, config, copy, datasets, dead_letters, demo, diff, export, follow, gc, get,
    hand_over, health, inspect, log, manual, pin, producer, publish, rollout, scan, schema,
    set_aside, sidecar, status, top, verify,
};
use crate::failure::EXIT_CODES;
use clap::{Parser, Subcommand};
use grotto::engine::format;

const AFTER_HELP: &str = "\
Environment:
  GROTTO_STORE, GROTTO_DATASET, GROTTO_STATE_DIR  defaults of the options of these names
  GROTTO_LOG                                      what to log on stderr, such as info or debug
  GROTTO_TRACES                                   collector of traces, in builds with the feature otel
  GROTTO_PRODUCER_…                               settings of `grotto producer`: the path of the key, in upper case

Start with `grotto demo`.";

/// The exit codes, and what else holds for all commands.
fn after_help() -> String {
    let code = |(code, name, what): &(u8, &str, &str)| match *name {
        "" => format!("  {code}  {what}\n"),
        name => format!("  {code}  {name}: {what}\n"),
    };
    let codes: String = EXIT_CODES.iter().map(code).collect();
    format!("Exit codes:\n{codes}\n{AFTER_HELP}")
}

/// Version, commit, and the numbers of the formats that it writes.
fn version() -> String {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("GROTTO_COMMIT"));
    let (blob, log) = (format::blob::FORMAT, format::log::FORMAT);
    format!("{version} (commit {commit}, blob format {blob}, log format {log})")
}

/// Publishes datasets as versioned blobs and reads them anywhere.
#[derive(Debug, Parser)]
#[command(name = "grotto", version = version(), after_help = after_help(), max_term_width = 100)]
pub(crate) struct Cli {
    /// Answer as JSON, one object per line; errors too, on stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Command {
    /// Whether it runs until it is told to end.
    pub(crate) fn is_daemon(&self) -> bool {
        matches!(self, Self::Producer(_) | Self::Sidecar(_))
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show everything in ten seconds: publish five real editions of a dataset and follow them
    Demo(demo::Args),
    /// Publish records as the next version of a dataset
    Publish(publish::Args),
    /// Take records in by HTTP, file or pipe and publish them: the producer daemon
    Producer(producer::Args),
    /// Serve datasets to everybody on this host, by HTTP and as mapped files: the sidecar
    Sidecar(sidecar::Args),
    /// Show what a producer daemon does, refreshing in place
    Top(top::Args),
    /// Ask a sidecar or a producer daemon whether it is ready
    Health(health::Args),
    /// Have a producer daemon hand a dataset over to one that stands by
    HandOver(hand_over::Args),
    /// Show records that another producer overtook, send them again, drop them
    SetAside(set_aside::Args),
    /// Show records that the daemon refused, send them again, remove them
    DeadLetters(dead_letters::Args),
    /// Print the record with a primary key
    Get(get::Args),
    /// Print records in the order in which they are stored
    Scan(scan::Args),
    /// Print all records of a type, ordered by primary key; or write a whole dataset into an archive
    Export(export::Args),
    /// Read a dataset from an archive into a store
    Import(copy::archive::ImportArgs),
    /// List the datasets of a store
    Datasets(datasets::Args),
    /// List the versions of a dataset
    Log(log::Args),
    /// Follow a dataset and tell of every version as it comes
    Follow(follow::Args),
    /// Show which consumers follow a dataset, which version each serves, and how each is
    Status(status::Args),
    /// Show what a blob consists of
    Inspect(inspect::Args),
    /// Check every blob and rebuild every version in every way
    Verify(verify::Args),
    /// Show what changed between two versions, by key and field
    Diff(diff::Args),
    /// Has consumers serve a version that they hold back
    Accept(accept::Args),
    /// Copy a dataset to another store, or bring the copy there up to date
    Backup(copy::backup::Args),
    /// Copy a dataset from a backup, to its newest version or to an older one
    Restore(copy::restore::Args),
    /// Has all consumers serve a version, and stay there
    Pin(pin::Args),
    /// Lets consumers follow the newest version again, or their channel
    Unpin(pin::UnpinArgs),
    /// Sets, lists and removes channels: named versions that consumers follow instead of the newest
    Channel(channel::Args),
    /// Has a channel lead to a version step by step, and halt where consumers are not well with it
    Rollout(rollout::Args),
    /// Removes versions and files that no reader needs any more
    Gc(gc::Args),
    /// Make a schema for records that have none; print, check and compare schemas
    Schema(schema::Args),
    /// Work with configuration files
    Config(config::Args),
    /// Print completions for a shell
    Completions(manual::CompletionArgs),
    /// Write the manual pages
    Man(manual::ManArgs),
}
