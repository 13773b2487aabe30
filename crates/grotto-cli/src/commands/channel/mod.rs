//! `grotto channel`: named versions that consumers follow instead of the newest.
//!
//! Owns: what is printed. Never: moves a consumer; each looks at its channel itself.

use super::pointing::{self, NoteArgs, as_json, set_by};
use super::rollout::remark;
use crate::failure::{Outcome, one_line};
use crate::output::Out;
use crate::target::TargetArgs;
use crate::text::{Table, date};
use grotto::store::{ChannelId, FoundPointer, PointerName};
use grotto_service::config::Role;
use serde_json::{Value, json};

/// Sets, lists and removes channels: named versions that consumers follow instead of the newest
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto channel set --store ./store --dataset cities stable 42
  grotto channel list --store ./store --dataset cities
  grotto channel remove --store ./store --dataset cities canary

A consumer follows a channel by `consumer.channel: stable` in its configuration, a program by
`Consumer::builder(..).channel(\"stable\")`. It serves the version that the channel names, back or forward; a pin counts
before it. Without the channel it stays at what it serves, and loads nothing if it serves nothing. `grotto rollout` has a
channel lead to a version step by step.")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Have a channel name a version; makes the channel if there is none
    Set(SetArgs),
    /// List the channels, and the pin if there is one
    List(ListArgs),
    /// Remove a channel: its followers stay where they are until it is there again
    Remove(RemoveArgs),
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Name of the channel, such as stable
    #[arg(value_parser = channel)]
    channel: ChannelId,
    /// The version
    version: u64,
    #[command(flatten)]
    note: NoteArgs,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    target: TargetArgs,
}

#[derive(Debug, clap::Args)]
struct RemoveArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Name of the channel
    #[arg(value_parser = channel)]
    channel: ChannelId,
}

/// Reads the name of a channel.
pub(super) fn channel(text: &str) -> Result<ChannelId, String> {
    ChannelId::parse(text).map_err(|error| error.message().to_owned())
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    match &args.what {
        What::Set(args) => set(args, out).await,
        What::List(args) => list(args, out).await,
        What::Remove(args) => remove(args, out).await,
    }
}

async fn set(args: &SetArgs, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let name = PointerName::Channel(args.channel.clone());
    let (version, note) = (args.version, args.note.note());
    let set = pointing::set(&dataset, &target, &name, (version, &note));
    let (before, pointer) = set.await?;
    if out.is_json() {
        let mut told = pointing::set_as_json(&dataset, before, &pointer);
        told["channel"] = args.channel.as_str().into();
        return out.json(&told);
    }
    let before = pointing::instead_of(before);
    out.line(format_args!(
        "{}: {name} names version {version}{before}: its followers go there with their next look",
        dataset.name()
    ))
}

async fn list(args: &ListArgs, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let found = dataset.pointers().await?;
    if out.is_json() {
        return found.iter().try_for_each(|one| out.json(&line(one)));
    }
    if found.is_empty() {
        return out.line(format_args!("{}: there is no channel", dataset.name()));
    }
    let mut table = Table::new(4, &["channel", "version", "set (UTC)", "by"]);
    found.iter().for_each(|one| table.row(cells(one)));
    table.lines().try_for_each(|line| out.line(line))?;
    for one in &found {
        if let Err(error) = &one.content {
            let why = one_line(error.message());
            out.line(format_args!("{} cannot be read: {why}", one.name))?;
        }
    }
    Ok(())
}

fn cells(one: &FoundPointer) -> Vec<String> {
    let name = match one.name.channel() {
        Some(channel) => channel.to_string(),
        None => "(pin)".to_owned(),
    };
    let Ok(pointer) = &one.content else {
        return vec![name, "damaged".to_owned(), String::new(), String::new()];
    };
    let by = match one_line(&pointer.reason) {
        reason if reason.is_empty() => one_line(&pointer.by),
        reason => format!("{}: {reason}", one_line(&pointer.by)),
    };
    vec![
        name,
        format!("{}{}", pointer.version, remark(pointer)),
        date(pointer.time_ms),
        by,
    ]
}

/// A pointer as one value.
fn line(one: &FoundPointer) -> Value {
    let mut told = match &one.content {
        Ok(pointer) => as_json(pointer),
        Err(error) => json!({ "damaged": error.message() }),
    };
    told["channel"] = one.name.channel().map(ChannelId::as_str).into();
    told["pin"] = one.name.channel().is_none().into();
    told
}

async fn remove(args: &RemoveArgs, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let name = PointerName::Channel(args.channel.clone());
    let before = match dataset.pointer(&name).await {
        Err(error) if error.kind().is_outage() => return Err(error.into()),
        found => found.ok().flatten(),
    };
    let removed = dataset.remove_pointer(&name).await?;
    if out.is_json() {
        let version = before.map(|channel| channel.version);
        return out.json(&json!({
            "dataset": dataset.name(),
            "channel": args.channel.as_str(),
            "removed": removed,
            "version": version,
        }));
    }
    let dataset = dataset.name();
    match (removed, before) {
        (false, _) => out.line(format_args!("{dataset}: there is no {name}")),
        (true, None) => out.line(format_args!("{dataset}: {name} is removed")),
        (true, Some(pointer)) => {
            let (version, by) = (pointer.version, set_by(&pointer));
            out.line(format_args!(
                "{dataset}: {name} at version {version} is removed, set {by}; its followers stay where they are"
            ))
        }
    }
}
