//! `grotto accept`: releases a version that consumers hold back.
//!
//! Owns: who says so, and what is printed. Never: decides what is held; consumers do.

use crate::failure::{Failure, Outcome, one_line};
use crate::output::Out;
use crate::place::user_and_host;
use crate::target::{TargetArgs, nothing_published};
use crate::text::date;
use grotto::store::{Acceptance, AcceptedVersion};
use grotto_service::config::Role;
use serde_json::json;

/// Has consumers serve a version that they hold back
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  grotto accept --store ./store --dataset cities 42 --reason 'the new countries came in'

Consumers hold a version back that doubles in size or drops to a tenth, by their guards, and go on with the
one before. Look at it with `grotto diff` or `grotto log`; if it is right, this command releases it, for all consumers
of the dataset and for good. Later versions are compared with it. Whoever holds one looks for it at the next
poll, within `max_backoff`.")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// The version, such as a consumer says that it holds
    version: u64,
    /// Why it is right, for those who ask later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Who says so; the user and the host unless given
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let (name, version) = (dataset.name().to_owned(), args.version);
    if dataset.read_entry(version).await?.is_none() {
        let Some(head) = dataset.head().await? else {
            return Err(nothing_published(&name, &target).await);
        };
        let newest = head.version;
        return Err(Failure::not_found(format!(
            "dataset {name}: version {version} is not in the log, whose newest is {newest}"
        )));
    }
    let note = Acceptance {
        by: args.by.clone().unwrap_or_else(user_and_host),
        reason: args.reason.clone(),
    };
    let (accepted, is_new) = dataset.accept(version, &note).await?;
    if out.is_json() {
        return out.json(&json!({
            "dataset": name,
            "version": version,
            "new": is_new,
            "by": accepted.by,
            "reason": accepted.reason,
            "time_ms": accepted.time_ms,
        }));
    }
    out.line(told(&name, &accepted, is_new))
}

fn told(name: &str, accepted: &AcceptedVersion, is_new: bool) -> String {
    let (version, by) = (accepted.version, one_line(&accepted.by));
    if is_new {
        return format!(
            "{name}: version {version} is accepted: consumers that hold it back serve it with their next look"
        );
    }
    let (when, reason) = (date(accepted.time_ms), one_line(&accepted.reason));
    let reason = match reason.is_empty() {
        true => String::new(),
        false => format!(": {reason}"),
    };
    format!("{name}: version {version} was accepted already, by {by} at {when}{reason}")
}
