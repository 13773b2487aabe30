//! `grotto config`: checking configuration files.
//!
//! Owns: saying what a file comes to. Never: acts on it.

use crate::commands::publish::read_schema;
use crate::config::{Performance, Role, Settings};
use crate::failure::Outcome;
use crate::output::Out;
use serde_json::json;
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

Unknown keys, keys given twice and bad values are refused with the line, and so is a schema file that cannot be
read. Relative paths start at the folder of the file.")]
    Check {
        /// The file
        file: PathBuf,
    },
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let Action::Check { file } = &args.action;
    let settings = Settings::load(file)?;
    // What a command would trip over when it runs.
    if let Some(schema) = settings.schema() {
        read_schema(&schema)?;
    }
    let performance = settings.performance();
    let number = |of: fn(&Performance) -> Option<u64>| {
        performance.and_then(of).map(|number| number.to_string())
    };
    let url = |role| settings.store(role).map(|url| url.to_string());
    let path = |path: Option<PathBuf>| path.map(|path| path.display().to_string());
    let poll = settings
        .poll_interval()
        .map(|interval| format!("{}ms", interval.as_millis()));
    let resolved = [
        (
            "producer.dataset",
            settings
                .producer
                .as_ref()
                .and(settings.dataset(Role::Writer)),
        ),
        ("producer.schema", path(settings.schema())),
        ("producer.store", url(Role::Writer)),
        (
            "producer.performance.snapshot_frequency",
            number(|set| set.snapshot_frequency),
        ),
        (
            "producer.performance.enable_compression",
            performance
                .and_then(|set| set.enable_compression)
                .map(|on| on.to_string()),
        ),
        (
            "producer.performance.inline_blobs",
            number(|set| set.inline_blobs),
        ),
        (
            "producer.performance.worker_pool_size",
            number(|set| set.worker_pool_size.map(|threads| threads as u64)),
        ),
        (
            "consumer.dataset",
            settings
                .consumer
                .as_ref()
                .and(settings.dataset(Role::Reader)),
        ),
        (
            "consumer.store",
            settings.consumer.as_ref().and(url(Role::Reader)),
        ),
        ("consumer.state_dir", path(settings.state_dir())),
        (
            "consumer.state_mode",
            settings.state_mode().map(|mode| format!("{mode:03o}")),
        ),
        ("consumer.state_group", settings.state_group()),
        ("consumer.poll_interval", poll),
    ];
    let given = resolved
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    if out.is_json() {
        let given: serde_json::Map<String, serde_json::Value> = given
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        return out
            .json(&json!({ "file": file.display().to_string(), "ok": true, "settings": given }));
    }
    out.line(format_args!("ok: {}", file.display()))?;
    given
        .into_iter()
        .try_for_each(|(key, value)| out.line(format_args!("  {key} = {value}")))
}
