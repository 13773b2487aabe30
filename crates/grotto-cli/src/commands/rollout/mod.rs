//! `grotto rollout`: a channel leads to a version step by step, as long as the consumers that go are well.
//!
//! Owns: the commands and their options. Never: keeps anything outside the store: whoever resumes a rollout goes on with
//! what its channel says.

mod drive;
mod judge;
mod show;
mod stages;

use super::channel::channel;
use super::pointing::{NoteArgs, check_in_log};
use crate::failure::{Failure, Outcome};
use crate::output::Out;
use crate::target::{Target, TargetArgs};
use drive::{Drive, Ended};
use grotto::engine::env::Env;
use grotto::engine::format::log::{Rollout, WHOLE};
use grotto::store::{ChannelId, Dataset, Pointer, PointerName};
use grotto_service::config::{Role, parse_duration};
use serde_json::json;
pub(super) use show::{as_json, remark};
use stages::{Stages, share_text};
use std::time::Duration;

/// Has a channel lead to a version step by step, and halt where consumers are not well with it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto rollout start --store ./store --dataset cities stable 42 --stages 1%,10%,100% --wait 5m
  grotto rollout status --store ./store --dataset cities
  grotto rollout resume --store ./store --dataset cities stable
  grotto rollout abort --store ./store --dataset cities stable

In each stage the given share of the channel's followers goes to the version, one of them at least, chosen by their names.
They are watched for the wait: one that is gone, was started anew, is not `ready`, holds the version back or does not get
there halts the rollout, with exit code 10. It stays at that stage until somebody resumes or aborts it; with --back it goes
back by itself. After the last stage the channel names the version.

The command has to run until the end: it watches, the store keeps how far it is. Ctrl-C leaves the rollout at its stage, and
`grotto rollout resume` goes on there, on any host. Consumers are watched by their leases, so those without a lease go with
the last stage and are not watched.")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Begin a rollout, and watch it to its end
    Start(StartArgs),
    /// Show how far rollouts are
    Status(StatusArgs),
    /// Go on at the stage where a rollout stopped or was halted
    Resume(OneArgs),
    /// End a rollout: all go back to the version that the channel named before
    Abort(AbortArgs),
}

#[derive(Debug, clap::Args)]
struct StartArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The channel, such as stable
    #[arg(value_parser = channel)]
    channel: ChannelId,
    /// The version that it is to lead to
    version: u64,
    /// Which share of the followers goes in each stage
    #[arg(long, value_name = "SHARES", default_value = "1%,10%,100%", value_parser = stages::parse)]
    stages: Stages,
    /// How long the consumers of a stage are watched; longer than they need to get there and to tell
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    wait: Duration,
    /// Where it halts, have all go back instead of leaving those there that went
    #[arg(long)]
    back: bool,
    #[command(flatten)]
    note: NoteArgs,
}

#[derive(Debug, clap::Args)]
struct StatusArgs {
    #[command(flatten)]
    target: TargetArgs,
}

#[derive(Debug, clap::Args)]
struct OneArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The channel
    #[arg(value_parser = channel)]
    channel: ChannelId,
    /// Where it halts, have all go back instead of leaving those there that went
    #[arg(long)]
    back: bool,
}

#[derive(Debug, clap::Args)]
struct AbortArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The channel
    #[arg(value_parser = channel)]
    channel: ChannelId,
    #[command(flatten)]
    note: NoteArgs,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    match &args.what {
        What::Start(args) => start(args, out).await,
        What::Status(args) => show::status(&args.target, out).await,
        What::Resume(args) => resume(args, out).await,
        What::Abort(args) => abort(args, out).await,
    }
}

async fn start(args: &StartArgs, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let (before, pointer) = begun(args, &dataset, &target).await?;
    let drive = Drive::new(dataset, args.channel.clone(), args.back, out.is_json());
    finish(drive.run(before, pointer, out).await?)
}

/// The channel as it is, and as it is to be when the first stage begins.
async fn begun(
    args: &StartArgs,
    dataset: &Dataset,
    target: &Target,
) -> Outcome<(Pointer, Pointer)> {
    let (channel, version) = (&args.channel, args.version);
    check_in_log(dataset, target, version).await?;
    check_no_pin(dataset).await?;
    let before = current(dataset, channel).await?;
    if let Some(rollout) = &before.rollout {
        let (to, share) = (rollout.to, share_text(rollout.share));
        let message = format!("channel {channel}: a rollout of version {to} is at {share}");
        return Err(Failure::invalid(message).hint(format!(
            "`grotto rollout resume {channel}` goes on with it, `grotto rollout abort {channel}` ends it"
        )));
    }
    if before.version == version {
        let message = format!("channel {channel} names version {version} already");
        return Err(Failure::invalid(message));
    }
    let note = args.note.note();
    let env = Env::system();
    let pointer = Pointer {
        by: note.by,
        reason: note.reason,
        time_ms: env.clock.wall_ms(),
        rollout: Some(Rollout {
            to: version,
            nonce: format!("{:016x}", env.random.next_u64()),
            stages: args.stages.0.clone(),
            stage: 0,
            share: args.stages.0.first().copied().unwrap_or(WHOLE),
            wait_ms: u64::try_from(args.wait.as_millis()).unwrap_or(u64::MAX),
            halted: None,
        }),
        ..before.clone()
    };
    Ok((before, pointer))
}

async fn resume(args: &OneArgs, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let (before, pointer) = resumed(&dataset, &args.channel).await?;
    let drive = Drive::new(dataset, args.channel.clone(), args.back, out.is_json());
    finish(drive.run(before, pointer, out).await?)
}

/// The channel as it is, and as it is to be when its rollout goes on.
async fn resumed(dataset: &Dataset, channel: &ChannelId) -> Outcome<(Pointer, Pointer)> {
    check_no_pin(dataset).await?;
    let before = current(dataset, channel).await?;
    let mut pointer = before.clone();
    let Some(rollout) = &mut pointer.rollout else {
        return Err(without_rollout(channel));
    };
    rollout.halted = None;
    Ok((before, pointer))
}

async fn abort(args: &AbortArgs, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let before = current(&dataset, &args.channel).await?;
    let Some(rollout) = &before.rollout else {
        return Err(without_rollout(&args.channel));
    };
    let (name, note) = (PointerName::Channel(args.channel.clone()), args.note.note());
    let pointer = dataset.set_pointer(&name, before.version, &note).await?;
    let (version, to) = (pointer.version, rollout.to);
    if out.is_json() {
        let channel = args.channel.as_str();
        return out.json(
            &json!({ "event": "aborted", "channel": channel, "version": version, "to": to }),
        );
    }
    out.line(format_args!(
        "{name}: the rollout of version {to} is aborted: all followers go back to version {version} with their next look"
    ))
}

fn finish(ended: Ended) -> Outcome<()> {
    match ended {
        Ended::Done => Ok(()),
        Ended::Halted(failure) => Err(failure),
    }
}

/// What a channel says that there has to be.
async fn current(dataset: &Dataset, channel: &ChannelId) -> Outcome<Pointer> {
    let name = PointerName::Channel(channel.clone());
    dataset.pointer(&name).await?.ok_or_else(|| {
        let failure = Failure::not_found(format!("{}: there is no {name}", dataset.name()));
        failure.hint(format!(
            "make it with `grotto channel set {channel} VERSION`"
        ))
    })
}

/// While there is a pin nobody goes where a channel leads.
async fn check_no_pin(dataset: &Dataset) -> Outcome<()> {
    match dataset.pointer(&PointerName::Pin).await? {
        None => Ok(()),
        Some(pin) => {
            let message = format!(
                "{}: all consumers are pinned to version {}",
                dataset.name(),
                pin.version
            );
            Err(Failure::invalid(message).hint("`grotto unpin` ends that"))
        }
    }
}

fn without_rollout(channel: &ChannelId) -> Failure {
    Failure::not_found(format!("channel {channel} has no rollout under way"))
}
