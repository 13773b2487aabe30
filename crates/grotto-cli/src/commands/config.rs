//! `grotto config`: checking configuration files.
//!
//! Owns: saying what a file comes to. Never: acts on it.

use crate::failure::Outcome;
use crate::output::{Out, note};
use crate::target::environment;
use grotto_service::config::{Key, check};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Works with configuration files
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Read a file as other commands would, and say what it comes to
    #[command(after_help = "\
Example:
  grotto config check configs/cities.yaml

Unknown keys, keys given twice and bad values are refused with the line, and so is what a daemon could not start with:
a schema that cannot be read, a folder that cannot be written to, a token that others may read. Nothing is made or
changed. Relative paths start at the folder of the file. A variable of the environment named GROTTO_ and the path of
a key, in upper case with _ for each dot, wins over the file: GROTTO_PRODUCER_BATCHING_MAX_BATCH_SIZE=500.
Of section consumer, CONSUMER_ID, POLL_INTERVAL, MAX_BACKOFF and HEALTH_CHECK_PORT are short for id, poll_interval,
max_backoff and monitoring.health_check_port.")]
    Check {
        /// The file
        file: PathBuf,
    },
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let Action::Check { file } = &args.action;
    let checked = check(file, &environment())?;
    let keys = checked.settings.keys();
    if out.is_json() {
        let settings: serde_json::Map<String, Value> =
            keys.into_iter().map(|key| (key.path, key.value)).collect();
        let (file, notes) = (file.display().to_string(), checked.notes);
        return out
            .json(&json!({ "file": file, "ok": true, "notes": notes, "settings": settings }));
    }
    out.line(format_args!("ok: {}", file.display()))?;
    keys.iter()
        .try_for_each(|key| out.line(format_args!("  {} = {}", key.path, plain(key))))?;
    checked.notes.iter().for_each(note);
    Ok(())
}

/// The value as one would write it.
fn plain(key: &Key) -> String {
    match &key.value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
