//! A state directory that cannot be refreshed here, as another process keeps it as a rule.
//!
//! Owns: how long is waited for that process, and what is said where it does not bring the newest
//! version. Never: writes to the directory.

use crate::failure::{Failure, Outcome};
use crate::place::Place;
use crate::reader::{Reading, check_name, from_store, refreshed};
use crate::target::{Target, nothing_published};
use grotto::consumer::{Attached, Consumer};
use grotto::store::Dataset;
use std::time::Duration;

/// How long whoever keeps the directory may take to bring the newest version: many times as long as it
/// waits between looks.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest wait between looks here.
const PAUSE: Duration = Duration::from_millis(100);
/// Somebody keeps a directory whose state was known to be the newest this time ago.
const FRESH: Duration = Duration::from_secs(10);

/// The newest state, once the directory holds it; the state that it holds when that takes too long.
pub(crate) async fn read(place: &Place, target: &Target, refusal: Failure) -> Outcome<Reading> {
    let dataset = match target.open().await {
        Ok(dataset) => dataset,
        Err(failure) => return as_it_is(attach(place, target)?, None, failure.message(), refusal),
    };
    let newest = match newest_of(&dataset, target).await {
        Ok(newest) => newest,
        Err(failure) => return as_it_is(attach(place, target)?, None, failure.message(), refusal),
    };
    let env = dataset.store().env();
    let (until, mut pause) = (env.clock.monotonic() + PATIENCE, Duration::from_millis(5));
    let (mut attached, mut refusal) = (None, refusal);
    loop {
        if attached.is_none() {
            attached = attach(place, target)?;
        }
        if let Some(attached) = attached.as_ref().filter(|at| at.version() >= newest) {
            return Ok(Reading::newest(attached.state()));
        }
        let kept = refusal.is_busy() || attached.as_ref().is_some_and(is_fresh);
        if !kept || env.clock.monotonic() >= until {
            return late(place, target, attached, newest, refusal).await;
        }
        env.sleep(pause).await;
        pause = (2 * pause).min(PAUSE);
        // Whoever kept it may have ended: a command that reads keeps it for a moment only.
        match refreshed(place, target).await {
            Err(failure) if failure.is_loss() => return Err(failure),
            Err(failure) => refusal = failure,
            done => return done,
        }
    }
}

async fn newest_of(dataset: &Dataset, target: &Target) -> Outcome<u64> {
    match dataset.head().await? {
        Some(head) => Ok(head.version),
        None => Err(nothing_published(dataset.name(), target).await),
    }
}

/// What the directory holds now; `None` while it holds nothing that can be read.
fn attach(place: &Place, target: &Target) -> Outcome<Option<Attached>> {
    let Ok(attached) = Consumer::attach(&place.dir) else {
        return Ok(None);
    };
    check_name(&attached, target.dataset.as_deref(), &place.dir)?;
    Ok(Some(attached))
}

fn is_fresh(attached: &Attached) -> bool {
    attached.staleness().is_some_and(|age| age < FRESH)
}

/// To wait longer may be in vain.
async fn late(
    place: &Place,
    target: &Target,
    attached: Option<Attached>,
    newest: u64,
    refusal: Failure,
) -> Outcome<Reading> {
    if attached.is_none() && refusal.is_busy() {
        // Whoever keeps it has nothing to show yet; the store has.
        return from_store(target, None).await;
    }
    let (dir, waited) = (place.dir.display(), PATIENCE.as_secs());
    let reason = if refusal.is_busy() {
        format!("whoever keeps state directory {dir} did not bring it within {waited} s")
    } else {
        refusal.message().to_owned()
    };
    as_it_is(attached, Some(newest), &reason, refusal)
}

/// What the directory holds is still good to read.
fn as_it_is(
    attached: Option<Attached>,
    newest: Option<u64>,
    reason: &str,
    refusal: Failure,
) -> Outcome<Reading> {
    let attached = attached.ok_or(refusal)?;
    Ok(Reading::stale(attached.state(), newest, reason))
}
