//! Whether the consumers of a stage are well.
//!
//! Owns: who is watched, and what halts a rollout. Never: asks the store, or waits.

use crate::failure::one_line;
use grotto::engine::format::log::Rollout;
use grotto::store::{ChannelId, FoundLease, Lease};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a consumer's health is if nothing is wrong.
const WELL: &str = "ready";
/// By how much a process may seem to have run for a shorter time than before without having been started anew.
const SLACK_MS: u64 = 1_000;

/// The consumers that are watched, with how long each was running when it was seen last.
#[derive(Debug, Default)]
pub(super) struct Watched {
    running_ms: BTreeMap<String, u64>,
}

/// What a look at them shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// How many are there, and well.
    pub(super) there: usize,
    /// Who is still on the way.
    pub(super) on_the_way: Vec<String>,
    /// What is wrong, one line each.
    pub(super) wrong: Vec<String>,
}

/// Followers of a channel that live, and what each says.
pub(super) fn followers<'a>(
    leases: &'a [FoundLease],
    channel: &ChannelId,
) -> impl Iterator<Item = (&'a FoundLease, &'a Lease)> {
    let alive = leases.iter().filter(|found| !found.is_expired());
    let told = alive.filter_map(|found| Some((found, found.lease()?)));
    let channel = channel.as_str().to_owned();
    told.filter(move |(_, lease)| lease.channel.as_deref() == Some(&channel))
}

/// Whether a consumer may show that a version is right: it is well, and goes where its channel leads.
pub(super) fn is_eligible(lease: &Lease) -> bool {
    lease.health == WELL && lease.pinned.is_none()
}

/// The share of a stage: where that were nobody who can be watched, as many as the first of them needs. `None` where nobody
/// can be watched at all.
pub(super) fn share(rollout: &Rollout, stage: u16, followers: &[&Lease]) -> Option<u16> {
    let least = *rollout.stages.get(usize::from(stage))?;
    let eligible = followers.iter().filter(|lease| is_eligible(lease));
    let first = eligible.map(|lease| rollout.place(&lease.consumer)).min()?;
    Some(least.max(first.saturating_add(1)))
}

impl Watched {
    /// Those who go in this stage and are well before it begins; and who is left out, and why.
    pub(super) fn of(rollout: &Rollout, followers: &[&Lease]) -> (Self, Vec<String>) {
        let go = |lease: &&&Lease| rollout.includes(Some(&lease.consumer));
        let (mut watched, mut left_out) = (Self::default(), Vec::new());
        for lease in followers.iter().filter(go) {
            let name = &lease.consumer;
            if is_eligible(lease) {
                watched.running_ms.insert(name.clone(), lease.running_ms);
            } else if lease.pinned.is_some() {
                left_out.push(format!("{name} is pinned by its own program"));
            } else {
                let health = &lease.health;
                left_out.push(format!("{name} was {health} before"));
            }
        }
        (watched, left_out)
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.running_ms.keys().map(String::as_str).collect()
    }

    /// How they are with the version.
    pub(super) fn look(&mut self, leases: &[FoundLease], to: u64) -> Seen {
        let mut seen = Seen::default();
        for (name, running_ms) in &mut self.running_ms {
            let found = leases.iter().find(|one| one.consumer.as_str() == name);
            match judge(found, *running_ms, to) {
                Ok((there, now_ms)) => {
                    *running_ms = now_ms;
                    match there {
                        true => seen.there += 1,
                        false => seen.on_the_way.push(name.clone()),
                    }
                }
                Err(why) => seen.wrong.push(format!("{name} {why}")),
            }
        }
        seen
    }
}

/// Whether a consumer is there, and for how long it has been running; or what is wrong.
fn judge(found: Option<&FoundLease>, running_ms: u64, to: u64) -> Result<(bool, u64), String> {
    let found = found.ok_or("has ended")?;
    if found.is_expired() {
        let seconds = found.age.max(Duration::from_secs(1)).as_secs();
        return Err(format!("is gone: not heard of for {seconds} s"));
    }
    let lease = found.lease().ok_or("has a lease that cannot be read")?;
    if lease.running_ms.saturating_add(SLACK_MS) < running_ms {
        return Err("was started anew".to_owned());
    }
    if lease.health != WELL {
        let (health, version) = (&lease.health, lease.version);
        let why = lease
            .reasons
            .first()
            .map(|why| format!(": {}", one_line(why)));
        return Err(format!(
            "is {health} at version {version}{}",
            why.unwrap_or_default()
        ));
    }
    if let Some(held) = lease.held {
        return Err(format!("holds version {held} back"));
    }
    Ok((lease.version == to, lease.running_ms))
}

#[cfg(test)]
mod tests;
