//! The state that a reading command reads.
//!
//! Owns: the choice between heap and state directory, between the store and what is mapped here.
//! Never: moves a state directory back to an older version; others may be reading it.

use crate::config::Role;
use crate::failure::{Failure, Outcome};
use crate::output::note;
use crate::target::{Target, TargetArgs, nothing_published};
use grotto::consumer::{Attached, Consumer};
use grotto::engine::state::State;
use grotto::store::Dataset;
use std::path::{Path, PathBuf};
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
    /// Keep the state in this folder, mapped, so that the next command starts from it
    #[arg(long, value_name = "FOLDER", env = "GROTTO_STATE_DIR", hide_env = true)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Read what the state directory holds without asking the store for news
    #[arg(long)]
    pub(crate) offline: bool,
}

impl ReadArgs {
    /// The state that was asked for. It stays readable for as long as it is held.
    pub(crate) async fn state(&self) -> Outcome<Arc<State>> {
        if self.offline && self.target.config.is_none() {
            return self.offline(self.state_dir.as_deref());
        }
        let target = self.target.resolve(Role::Reader)?;
        let dir = self
            .state_dir
            .clone()
            .or_else(|| target.settings.state_dir());
        if self.offline {
            return self.offline(dir.as_deref());
        }
        let state = match (dir, self.version) {
            (Some(dir), None) => newest_in(&dir, &target).await?,
            (Some(dir), Some(version)) => match held_in(&dir, version, &target) {
                Some(state) => state,
                None => from_store(&target, Some(version)).await?,
            },
            (None, version) => from_store(&target, version).await?,
        };
        if state.version() == 0 {
            let name = target.dataset.as_deref().unwrap_or("of this store");
            return Err(nothing_published(name, &target).await);
        }
        Ok(state)
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
    // Only the version's own entry is asked for: the newest may be damaged.
    if version > 0 && dataset.read_entry(version).await?.is_none() {
        return Err(not_in_log(dataset, version));
    }
    Ok(builder.open_at(version).await?)
}

/// What to do about a newest log entry that cannot be read.
async fn with_hint(failure: Failure, dataset: &Dataset) -> Failure {
    let head = dataset.head().await;
    if !failure.is_loss() || head.is_ok_and(|head| head.is_some()) {
        return failure;
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

async fn from_store(target: &Target, version: Option<u64>) -> Outcome<Arc<State>> {
    let dataset = target.open().await?;
    match version {
        // The empty state is one to compare with, not one to read.
        Some(0) => Err(not_in_log(&dataset, 0)),
        Some(_) => Ok(consumer(&dataset, version).await?.state()),
        None => match consumer(&dataset, None).await {
            Ok(consumer) => Ok(consumer.state()),
            Err(failure) => Err(with_hint(failure, &dataset).await),
        },
    }
}

/// The newest state, by way of the directory.
async fn newest_in(dir: &Path, target: &Target) -> Outcome<Arc<State>> {
    let failure = match refreshed(dir, target).await {
        Ok((state, failure)) => {
            if let Some(failure) = failure {
                note_stale(&state, &failure);
            }
            return Ok(state);
        }
        // What is there was asked for its worth already.
        Err(failure) if failure.is_loss() => return Err(failure),
        Err(failure) => failure,
    };
    // Another process keeps it, it cannot be written, or the store is away: what it holds is still
    // good to read.
    let Ok(attached) = Consumer::attach(dir) else {
        return Err(failure);
    };
    check_name(&attached, target.dataset.as_deref(), dir)?;
    let state = attached.state();
    if !is_kept_by_another(&failure) {
        note_stale(&state, &failure);
    }
    Ok(state)
}

fn note_stale(state: &State, failure: &Failure) {
    let (version, reason) = (state.version(), failure.message());
    note(format_args!("serving version {version} as it is: {reason}"));
}

/// The state after a refresh, and why it may not be the newest.
async fn refreshed(dir: &Path, target: &Target) -> Outcome<(Arc<State>, Option<Failure>)> {
    let dataset = target.open().await?;
    let builder = Consumer::builder(dataset.name(), dataset.store().clone());
    let builder = builder.state_dir(dir).wait_for_dataset(true);
    let consumer = builder.open().await?;
    // A refresh that met trouble on its way may end early: only one that finds nothing to do says
    // that this is the newest version.
    for _ in 0..MOST_REFRESHES {
        match consumer.refresh().await {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => return Ok((consumer.state(), Some(error.into()))),
        }
    }
    Ok((consumer.state(), None))
}

/// Its keeper brings news by itself: nothing to remark.
fn is_kept_by_another(failure: &Failure) -> bool {
    failure.is_busy()
}

/// The state of a version, if the directory happens to hold it.
fn held_in(dir: &Path, version: u64, target: &Target) -> Option<Arc<State>> {
    let attached = Consumer::attach(dir).ok()?;
    check_name(&attached, target.dataset.as_deref(), dir).ok()?;
    Some(attached.state()).filter(|state| state.version() == version)
}

fn check_name(attached: &Attached, expected: Option<&str>, dir: &Path) -> Outcome<()> {
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
