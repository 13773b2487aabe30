//! What the commands for pins, channels and rollouts share.
//!
//! Owns: who sets a pointer and why, and what is wrong with a version that none may name. Never: decides who follows.

use super::rollout;
use crate::failure::{Failure, Outcome, one_line};
use crate::place::user_and_host;
use crate::target::{Target, nothing_published};
use crate::text::date;
use grotto::store::{Dataset, Note, Pointer, PointerName};
use serde_json::{Value, json};

/// Who does something, and why.
#[derive(Debug, clap::Args)]
pub(super) struct NoteArgs {
    /// Why, for those who ask later
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Who says so; the user and the host unless given
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl NoteArgs {
    pub(super) fn note(&self) -> Note {
        Note {
            by: self.by.clone().unwrap_or_else(user_and_host),
            reason: self.reason.clone(),
        }
    }
}

/// Has a pointer name a version; tells which it named before, if that could be read.
pub(super) async fn set(
    dataset: &Dataset,
    target: &Target,
    name: &PointerName,
    (version, note): (u64, &Note),
) -> Outcome<(Option<u64>, Pointer)> {
    check_in_log(dataset, target, version).await?;
    let before = match dataset.pointer(name).await {
        Err(error) if error.kind().is_outage() => return Err(error.into()),
        found => found.ok().flatten().map(|before| before.version),
    };
    let pointer = dataset.set_pointer(name, version, note).await?;
    Ok((before, pointer))
}

/// Refuses a version that nobody could serve.
pub(super) async fn check_in_log(dataset: &Dataset, target: &Target, version: u64) -> Outcome<()> {
    if version > 0 && dataset.read_entry(version).await?.is_some() {
        return Ok(());
    }
    let name = dataset.name();
    let Some(head) = dataset.head().await? else {
        return Err(nothing_published(name, target).await);
    };
    let newest = head.version;
    let message =
        format!("dataset {name}: version {version} is not in the log, whose newest is {newest}");
    Err(Failure::not_found(message).hint("`grotto log` lists the versions"))
}

/// `by ada@host-1 at 2026-11-30 04:00:00: the reason`
pub(super) fn set_by(pointer: &Pointer) -> String {
    let (by, when) = (one_line(&pointer.by), date(pointer.time_ms));
    match one_line(&pointer.reason) {
        reason if reason.is_empty() => format!("by {by} at {when}"),
        reason => format!("by {by} at {when}: {reason}"),
    }
}

/// ` instead of version 41`, or nothing where nothing was named before.
pub(super) fn instead_of(before: Option<u64>) -> String {
    before.map_or_else(String::new, |before| {
        format!(" instead of version {before}")
    })
}

/// What [`set`] did, for programs.
pub(super) fn set_as_json(dataset: &Dataset, before: Option<u64>, pointer: &Pointer) -> Value {
    let mut told = as_json(pointer);
    told["dataset"] = dataset.name().into();
    told["before"] = before.into();
    told
}

/// What a pointer says, for programs.
pub(super) fn as_json(pointer: &Pointer) -> Value {
    json!({
        "version": pointer.version,
        "by": pointer.by,
        "reason": pointer.reason,
        "time_ms": pointer.time_ms,
        "rollout": pointer.rollout.as_ref().map(rollout::as_json),
    })
}
