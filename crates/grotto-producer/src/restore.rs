//! Restoring: the newest version, from blobs.
//!
//! Owns: the producer's way to the state its next delta starts from. Fences before it is called, so
//! the head does not move meanwhile.

use crate::error::{Error, Result};
use grotto_format::blob::Blob;
use grotto_state::{HashSeed, HeapSeal, SegmentOptions, State};
use grotto_store::plan::{Known, Plan, Step, plan_to_entry};
use grotto_store::{BlobRef, Dataset, ErrorKind, LogEntry};

/// A state to start from, with a hash seed of its own.
pub(crate) fn empty(dataset: &Dataset) -> State {
    let random = &dataset.store().env().random;
    State::empty(HashSeed::new(random.secret()))
}

/// Loads the state of `head`; the empty state without one.
pub(crate) async fn restore(
    dataset: &Dataset,
    head: Option<&LogEntry>,
    segments: SegmentOptions,
) -> Result<State> {
    let Some(head) = head else {
        return Ok(empty(dataset));
    };
    let mut known = Known::new();
    for snapshot in dataset.snapshot_entries().await? {
        known.learn_snapshot(snapshot.version, snapshot.blob);
    }
    if plan_to_entry(None, head, &known).is_none() {
        // The newest entry names only the last transitions; walk the rest of the log.
        for entry in dataset.list_entries(1..=head.version).await? {
            known.learn_entry(&entry);
        }
    }
    let mut first_failure = None;
    while let Some(plan) = plan_to_entry(None, head, &known) {
        match follow(dataset, &plan, segments).await {
            Ok(state) => return check(state, head),
            Err((Some(blob), error)) if error.kind() != ErrorKind::Unavailable => {
                tracing::warn!(%blob, %error, "cannot restore through this blob, trying another way");
                known.exclude(blob);
                first_failure.get_or_insert(error);
            }
            Err((_, error)) => return Err(error),
        }
    }
    Err(first_failure.unwrap_or_else(|| {
        let message = format!(
            "no blobs lead to version {} of {}",
            head.version,
            dataset.name()
        );
        Error::new(ErrorKind::Missing, message)
    }))
}

fn check(state: State, head: &LogEntry) -> Result<State> {
    if state.checksum() == head.state_checksum {
        return Ok(state.at_version(head.version));
    }
    let (expected, found) = (head.state_checksum, state.checksum());
    let message = format!(
        "version {}: expected state checksum {expected:016x}, found {found:016x}",
        head.version
    );
    Err(Error::new(ErrorKind::Corrupt, message))
}

/// Takes the steps of a plan; an error names the blob that failed.
async fn follow(
    dataset: &Dataset,
    plan: &Plan,
    segments: SegmentOptions,
) -> std::result::Result<State, (Option<String>, Error)> {
    let mut state = empty(dataset);
    for step in &plan.steps {
        state = match step {
            Step::Skip { to, .. } => state.at_version(*to),
            Step::Snapshot { blob, .. } => apply(dataset, empty(dataset), blob, segments).await?,
            Step::Delta { blob, .. } | Step::Reverse { blob, .. } => {
                apply(dataset, state, blob, segments).await?
            }
        };
    }
    Ok(state)
}

async fn apply(
    dataset: &Dataset,
    state: State,
    blob: &BlobRef,
    segments: SegmentOptions,
) -> std::result::Result<State, (Option<String>, Error)> {
    let name = blob.name.clone();
    let failed = |error: Error| (Some(name.clone()), error.at(&format!("blob {name}")));
    let bytes = dataset
        .fetch_blob(blob)
        .await
        // The store names the blob itself.
        .map_err(|e| (Some(name.clone()), e.into()))?;
    let work = move || {
        let blob =
            Blob::parse(bytes).map_err(|e| Error::from(grotto_state::StateError::from(e)))?;
        Ok(state.apply(&blob, &mut HeapSeal::with_options(segments))?.0)
    };
    let applied = tokio::task::spawn_blocking(work).await;
    applied
        .map_err(|e| (None, Error::internal(format!("restoring stopped: {e}"))))?
        .map_err(failed)
}
