//! The state that a reading command reads.
//!
//! Owns: the choice between heap and state directory, between the store and what is mapped here.
//! Never: moves a state directory back to an older version, but for a pin of the fleet; others may be reading it.

use crate::failure::{Failure, Outcome, one_line};
use crate::kept;
use crate::output::{note, note_as_json};
use crate::place::{Place, PlaceArgs};
use crate::target::{Target, TargetArgs, nothing_published};
use grotto::consumer::{Attached, Consumer};
use grotto::engine::state::State;
use grotto::store::Dataset;
use grotto_service::config::Role;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// Refreshes in a row, so that a busy publisher does not keep a command from its answer.
const MOST_REFRESHES: usize = 64;

/// What to read.
#[derive(Debug, clap::Args)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Version to read instead of the newest
    #[arg(long, value_name = "N")]
    pub(crate) version: Option<u64>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Read what the state directory holds without asking the store for news
    #[arg(long)]
    pub(crate) offline: bool,
}

/// A state that was asked for.
#[derive(Debug)]
pub(crate) struct Reading {
    /// It stays readable for as long as it is held.
    pub(crate) state: Arc<State>,
    /// The newest version, where it is known not to be this one.
    pub(crate) newer: Option<u64>,
    /// Why this may not be the newest version.
    reason: Option<String>,
}

impl Reading {
    /// What was asked for.
    pub(crate) fn newest(state: Arc<State>) -> Self {
        Self {
            state,
            newer: None,
            reason: None,
        }
    }

    /// What there is instead of the newest version, which may be known.
    pub(crate) fn stale(state: Arc<State>, newest: Option<u64>, reason: &str) -> Self {
        Self {
            newer: newest.filter(|newest| *newest > state.version()),
            reason: Some(reason.to_owned()),
            state,
        }
    }

    /// What a consumer serves, and why if a pin says what.
    fn of(consumer: &Consumer) -> Self {
        let state = consumer.state();
        let status = consumer.status();
        match status.told {
            Some(told) if told.version == state.version() => {
                let by = match one_line(&told.reason) {
                    reason if reason.is_empty() => one_line(&told.set_by),
                    reason => format!("{}: {reason}", one_line(&told.set_by)),
                };
                let reason = format!("{} names it ({by})", told.by);
                Self::stale(state, Some(status.newest), &reason)
            }
            _ => Self::newest(state),
        }
    }

    /// Says that this may not be the newest version.
    fn remark(&self, as_json: bool) {
        let Some(reason) = &self.reason else { return };
        let version = self.state.version();
        let message = match self.newer {
            Some(newer) => format!(
                "serving version {version}, not version {newer}, which is the newest: {reason}"
            ),
            None => format!("serving version {version} as it is: {reason}"),
        };
        if as_json {
            note_as_json(&json!({ "message": message, "version": version, "newest": self.newer }));
        } else {
            note(message);
        }
    }
}

impl ReadArgs {
    /// The state that was asked for. Where another one has to do, that is said on the standard error
    /// stream.
    pub(crate) async fn read(&self, as_json: bool) -> Outcome<Reading> {
        if self.offline && self.target.config.is_none() {
            return Ok(Reading::newest(
                self.offline(self.place.state_dir.as_deref())?,
            ));
        }
        let target = self.target.resolve(Role::Reader)?;
        let place = self.place.resolve(&target.settings)?;
        if self.offline {
            let dir = place.as_ref().map(|place| place.dir.as_path());
            return Ok(Reading::newest(self.offline(dir)?));
        }
        let reading = match (place, self.version) {
            (Some(place), None) => newest_in(&place, &target).await?,
            (Some(place), Some(version)) => match held_in(&place.dir, version, &target) {
                Some(state) => Reading::newest(state),
                None => from_store(&target, Some(version)).await?,
            },
            (None, version) => from_store(&target, version).await?,
        };
        if reading.state.version() == 0 {
            let name = target.dataset.as_deref().unwrap_or("of this store");
            return Err(nothing_published(name, &target).await);
        }
        reading.remark(as_json);
        Ok(reading)
    }

    fn offline(&self, dir: Option<&Path>) -> Outcome<Arc<State>> {
        let dir = dir.ok_or_else(|| Failure::invalid("--offline: expected --state-dir as well"))?;
        let attached = Consumer::attach(dir)?;
        check_name(&attached, self.target.dataset.as_deref(), dir)?;
        let state = attached.state();
        match self.version {
            Some(version) if version != state.version() => {
                let (dir, held) = (dir.display(), state.version());
                let message =
                    format!("state directory {dir}: expected version {version}, found {held}");
                Err(Failure::not_found(message)
                    .hint("without --offline it is fetched from the store"))
            }
            _ => Ok(state),
        }
    }
}

/// A consumer on the heap, at the version or the newest. Version 0 is the empty state.
pub(crate) async fn consumer(dataset: &Dataset, version: Option<u64>) -> Outcome<Consumer> {
    let builder = Consumer::builder(dataset.name(), dataset.store().clone()).wait_for_dataset(true);
    let Some(version) = version else {
        return Ok(builder.open().await?);
    };
    check_in_log(dataset, version).await?;
    Ok(builder.open_at(version).await?)
}

/// Refuses a version that the log does not have. Only its own entry is asked for: the newest may be damaged.
pub(crate) async fn check_in_log(dataset: &Dataset, version: u64) -> Outcome<()> {
    match version > 0 && dataset.read_entry(version).await?.is_none() {
        true => Err(not_in_log(dataset, version)),
        false => Ok(()),
    }
}

/// What to do about a newest version that cannot be read.
async fn with_hint(failure: Failure, dataset: &Dataset) -> Failure {
    if !failure.is_loss() {
        return failure;
    }
    if dataset.head().await.is_ok_and(|head| head.is_some()) {
        return failure.hint(
            "older versions can be read with --version (`grotto log` lists them); `grotto verify` lists \
             everything that is damaged",
        );
    }
    failure.hint(
        "older versions can be read with --version (`grotto log` lists them); `grotto publish \
         --start-over` with a full input goes on after what is damaged",
    )
}

fn not_in_log(dataset: &Dataset, version: u64) -> Failure {
    let name = dataset.name();
    Failure::not_found(format!(
        "dataset {name}: version {version} is not in the log"
    ))
}

pub(crate) async fn from_store(target: &Target, version: Option<u64>) -> Outcome<Reading> {
    let dataset = target.open().await?;
    match version {
        // The empty state is one to compare with, not one to read.
        Some(0) => Err(not_in_log(&dataset, 0)),
        Some(_) => Ok(Reading::newest(consumer(&dataset, version).await?.state())),
        None => match consumer(&dataset, None).await {
            Ok(consumer) => Ok(Reading::of(&consumer)),
            Err(failure) => Err(with_hint(failure, &dataset).await),
        },
    }
}

/// The newest state, by way of the directory.
async fn newest_in(place: &Place, target: &Target) -> Outcome<Reading> {
    match refreshed(place, target).await {
        // The local state was tried already and is unusable.
        Err(failure) if failure.is_loss() => Err(failure),
        // Another process keeps it, it cannot be written, or the store is away.
        Err(failure) => kept::read(place, target, failure).await,
        done => done,
    }
}

/// The state after a refresh.
pub(crate) async fn refreshed(place: &Place, target: &Target) -> Outcome<Reading> {
    let dataset = target.open().await?;
    let builder = Consumer::builder(dataset.name(), dataset.store().clone());
    let builder = place.set(builder).wait_for_dataset(true);
    let consumer = builder.open().await?;
    // A refresh that met trouble on its way may end early: only one that finds nothing to do says
    // that this is the newest version.
    for _ in 0..MOST_REFRESHES {
        match consumer.refresh().await {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => {
                let failure = Failure::from(error);
                return Ok(Reading::stale(consumer.state(), None, failure.message()));
            }
        }
    }
    Ok(Reading::of(&consumer))
}

/// The state of a version, if the directory happens to hold it.
fn held_in(dir: &Path, version: u64, target: &Target) -> Option<Arc<State>> {
    let attached = Consumer::attach(dir).ok()?;
    check_name(&attached, target.dataset.as_deref(), dir).ok()?;
    Some(attached.state()).filter(|state| state.version() == version)
}

pub(crate) fn check_name(attached: &Attached, expected: Option<&str>, dir: &Path) -> Outcome<()> {
    match expected {
        Some(name) if name != attached.dataset() => {
            let (dir, found) = (dir.display(), attached.dataset());
            Err(Failure::invalid(format!(
                "state directory {dir}: expected dataset {name}, found {found}"
            )))
        }
        _ => Ok(()),
    }
}
