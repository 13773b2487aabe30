//! The command line as a user types it.
//!
//! Owns: the list of commands and the help around them. Never: runs one; their options are with
//! their code, in `commands`.

use crate::commands::{
    config, datasets, demo, diff, export, follow, get, inspect, log, publish, scan, schema, verify,
};
use clap::{Parser, Subcommand};

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  internal: a defect of grotto, please report it
  2  invalid: the command, its input or its configuration is wrong
  3  not found: no such record, version or dataset
  4  unavailable: the store did not answer, try again
  5  corrupt: bytes are not those that were written
  6  missing: a blob that the log names is gone
  7  fenced: another writer was faster
  8  overloaded: the store asks for less
  9  busy: another process writes to the state directory

Environment:
  GROTTO_STORE, GROTTO_DATASET, GROTTO_STATE_DIR  defaults of the options of these names
  GROTTO_LOG                                      what to log on stderr, such as info or debug

Start with `grotto demo`.";

/// Publishes datasets as versioned blobs and reads them anywhere.
#[derive(Debug, Parser)]
#[command(name = "grotto", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    /// Answer as JSON, one object per line; errors too, on stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show everything in ten seconds: publish five real editions of a dataset and follow them
    Demo(demo::Args),
    /// Publish records as the next version of a dataset
    Publish(publish::Args),
    /// Print the record with a primary key
    Get(get::Args),
    /// Print records in the order in which they are stored
    Scan(scan::Args),
    /// Print all records of a type, ordered by primary key
    Export(export::Args),
    /// List the datasets of a store
    Datasets(datasets::Args),
    /// List the versions of a dataset
    Log(log::Args),
    /// Follow a dataset and tell of every version as it comes
    Follow(follow::Args),
    /// Show what a blob consists of
    Inspect(inspect::Args),
    /// Check every blob and rebuild every version in every way
    Verify(verify::Args),
    /// Show what changed between two versions, by key and field
    Diff(diff::Args),
    /// Make a schema for records that have none; print, check and compare schemas
    Schema(schema::Args),
    /// Work with configuration files
    Config(config::Args),
}
