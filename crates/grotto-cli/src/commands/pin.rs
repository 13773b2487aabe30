//! `grotto pin` and `grotto unpin`: which version all consumers serve, whatever is published.
//!
//! Owns: what is printed. Never: moves a consumer; each looks at the pin itself.

use super::pointing::{NoteArgs, instead_of, set, set_as_json, set_by};
use crate::failure::Outcome;
use crate::output::Out;
use crate::target::TargetArgs;
use grotto::store::PointerName;
use grotto_service::config::Role;
use serde_json::json;

/// Has all consumers serve a version, and stay there
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto pin --store ./store --dataset cities 41 --reason '42 lacks the capitals'
  grotto unpin --store ./store --dataset cities

All consumers of the dataset go to the version, back or forward, with their next look, within `max_backoff`, and stay
there whatever is published; those that follow a channel, too. Back they go over reverse deltas. The pin counts for
everybody but a program that asked for a version of its own. A version that guards would hold is held on the way
forward, and not on the way back. `grotto status` shows who is there.")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// The version
    version: u64,
    #[command(flatten)]
    note: NoteArgs,
}

/// Lets consumers follow the newest version again, or their channel
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  grotto unpin --store ./store --dataset cities

Consumers go on with their next look, within `max_backoff`. A pin that cannot be read is removed, too.")]
pub(crate) struct UnpinArgs {
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let (version, note) = (args.version, args.note.note());
    let set = set(&dataset, &target, &PointerName::Pin, (version, &note));
    let (before, pin) = set.await?;
    if out.is_json() {
        return out.json(&set_as_json(&dataset, before, &pin));
    }
    let before = instead_of(before);
    out.line(format_args!(
        "{}: all consumers go to version {version}{before} with their next look, and stay there until `grotto unpin`",
        dataset.name()
    ))
}

pub(crate) async fn unpin(args: &UnpinArgs, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let name = dataset.name();
    let before = match dataset.pointer(&PointerName::Pin).await {
        Err(error) if error.kind().is_outage() => return Err(error.into()),
        found => found.ok().flatten(),
    };
    let removed = dataset.remove_pointer(&PointerName::Pin).await?;
    if out.is_json() {
        let version = before.map(|pin| pin.version);
        return out.json(&json!({ "dataset": name, "removed": removed, "version": version }));
    }
    let then = "consumers follow the newest version, or their channel, with their next look";
    match (removed, before) {
        (false, _) => out.line(format_args!("{name}: there is no pin")),
        (true, None) => out.line(format_args!("{name}: the pin is removed: {then}")),
        (true, Some(pin)) => {
            let (version, by) = (pin.version, set_by(&pin));
            out.line(format_args!(
                "{name}: the pin at version {version} is removed, set {by}; {then}"
            ))
        }
    }
}
