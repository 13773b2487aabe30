//! How far rollouts are, for people and for programs.
//!
//! Owns: words and layout. Never: changes a rollout.

use super::judge;
use super::stages::share_text;
use crate::failure::{Outcome, one_line};
use crate::output::Out;
use crate::target::TargetArgs;
use crate::text::things;
use grotto::engine::format::log::Rollout;
use grotto::store::{Dataset, FoundLease, Pointer, PointerName};
use grotto_service::config::Role;
use serde_json::{Value, json};

/// Most names of a line.
const MOST_NAMES: usize = 5;

/// What happens in a rollout.
pub(super) enum Event<'a> {
    /// Consumers go.
    Stage {
        rollout: &'a Rollout,
        from: u64,
        watched: &'a [&'a str],
        /// Of so many followers.
        of: usize,
        left_out: &'a [String],
    },
    /// So many consumers of a stage are there, and its time is over.
    Well(&'a Rollout, usize),
    /// The channel names the version.
    Done(u64),
}

impl Event<'_> {
    pub(super) fn lines(&self, channel: &str) -> Vec<String> {
        match self {
            Self::Stage {
                rollout,
                from,
                watched,
                of,
                left_out,
            } => {
                let (stage, to) = (told(rollout), rollout.to);
                let number = things(watched.len() as u64, "consumer");
                let mut lines = vec![format!(
                    "{stage}: {number} of {of} from version {from} to {to}: {}",
                    named(watched)
                )];
                let left_out = left_out.iter().map(|one| one_line(one));
                lines.extend(left_out.map(|one| format!("  not watched: {one}")));
                lines
            }
            Self::Well(rollout, there) => {
                let (stage, there) = (told(rollout), things(*there as u64, "consumer"));
                vec![format!("{stage}: well, {there} at version {}", rollout.to)]
            }
            Self::Done(version) => vec![format!("channel {channel} names version {version}")],
        }
    }

    pub(super) fn json(&self, channel: &str) -> Value {
        match self {
            Self::Stage {
                rollout,
                from,
                watched,
                of,
                left_out,
            } => json!({
                "event": "stage",
                "channel": channel,
                "from": from,
                "rollout": as_json(rollout),
                "watched": watched,
                "followers": of,
                "left_out": left_out,
            }),
            Self::Well(rollout, there) => json!({
                "event": "well",
                "channel": channel,
                "rollout": as_json(rollout),
                "there": there,
            }),
            Self::Done(version) => {
                json!({ "event": "done", "channel": channel, "version": version })
            }
        }
    }
}

/// `stage 2 of 3 (10%)`
pub(super) fn told(rollout: &Rollout) -> String {
    let (stage, of) = (usize::from(rollout.stage) + 1, rollout.stages.len());
    let share = rollout.stages.get(usize::from(rollout.stage));
    let share = share_text(share.copied().unwrap_or(rollout.share));
    format!("stage {stage} of {of} ({share})")
}

fn named(names: &[&str]) -> String {
    let shown = names.iter().take(MOST_NAMES).copied();
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if names.len() > MOST_NAMES {
        text.push_str(&format!(" and {} more", names.len() - MOST_NAMES));
    }
    text
}

/// A rollout as one value.
pub(in crate::commands) fn as_json(rollout: &Rollout) -> Value {
    json!({
        "to": rollout.to,
        "stages": rollout.stages.iter().map(|share| share_text(*share)).collect::<Vec<_>>(),
        "stage": rollout.stage + 1,
        "share": share_text(rollout.share),
        "wait_ms": rollout.wait_ms,
        "halted": rollout.halted,
    })
}

/// `, rolling out 42: stage 2 of 3 (10%)`, and why it halted; nothing without a rollout.
pub(in crate::commands) fn remark(pointer: &Pointer) -> String {
    let Some(rollout) = &pointer.rollout else {
        return String::new();
    };
    let (to, stage) = (rollout.to, told(rollout));
    let halted = match &rollout.halted {
        Some(why) => format!(", halted: {}", one_line(why)),
        None => String::new(),
    };
    format!(", rolling out {to}: {stage}{halted}")
}

/// `grotto rollout status`
pub(super) async fn status(args: &TargetArgs, out: &mut Out) -> Outcome<()> {
    let target = args.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let leases = dataset.leases().await?;
    let pointers = dataset.pointers().await?;
    let channels = pointers.iter().filter_map(|one| {
        let pointer = one.content.as_ref().ok()?;
        Some((&one.name, pointer, pointer.rollout.as_ref()?))
    });
    let mut number = 0;
    for (name, pointer, rollout) in channels {
        number += 1;
        show(&dataset, (name, pointer, rollout), &leases.found, out)?;
    }
    if number == 0 && !out.is_json() {
        out.line(format_args!("{}: no rollout is under way", dataset.name()))?;
    }
    Ok(())
}

fn show(
    dataset: &Dataset,
    (name, pointer, rollout): (&PointerName, &Pointer, &Rollout),
    leases: &[FoundLease],
    out: &mut Out,
) -> Outcome<()> {
    let Some(channel) = name.channel() else {
        return Ok(());
    };
    let go = judge::followers(leases, channel).filter(|(_, lease)| {
        let consumer = Some(lease.consumer.as_str());
        rollout.includes(consumer)
    });
    let there: Vec<bool> = go.map(|(_, lease)| lease.version == rollout.to).collect();
    let (of, there) = (there.len(), there.iter().filter(|there| **there).count());
    if out.is_json() {
        return out.json(&json!({
            "dataset": dataset.name(),
            "channel": channel.as_str(),
            "from": pointer.version,
            "rollout": as_json(rollout),
            "consumers": of,
            "there": there,
        }));
    }
    let (from, to, stage) = (pointer.version, rollout.to, told(rollout));
    let of = things(of as u64, "consumer");
    out.line(format_args!(
        "{name}: from version {from} to {to}: {stage}, {there} of {of} there"
    ))?;
    match &rollout.halted {
        Some(why) => out.line(format_args!("  halted: {}", one_line(why))),
        None => Ok(()),
    }
}
