//! Restoring: the newest version, from blobs.
//!
//! Owns: the producer's way to the state its next delta starts from. Whether the head can move meanwhile
//! is for whoever takes over to know ([`crate::takeover`]); which blobs lead there, and what is done
//! without, for the store.

use crate::{Error, Result};
use grotto_env::Env;
use grotto_format::blob::Blob;
use grotto_state::{HashSeed, HeapSeal, Promise, SegmentOptions, State, StateError};
use grotto_store::follow::{Fetched, Journey, Traveller};
use grotto_store::plan::Step;
use grotto_store::{Dataset, ErrorKind, LogEntry};

/// A state to start from, with a hash seed of its own.
fn empty(dataset: &Dataset) -> State {
    let random = &dataset.store().env().random;
    State::empty(HashSeed::new(random.secret()))
}

/// How a state is restored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub(crate) segments: SegmentOptions,
    pub(crate) threads: usize,
}

/// A restored version.
pub(crate) struct Restored {
    pub(crate) state: State,
    /// Version of the newest snapshot that is announced; 0 for none.
    pub(crate) newest: u64,
}

impl Restored {
    fn of(state: State, newest: u64) -> Self {
        Self { state, newest }
    }

    /// The empty state, for a start that builds on nothing.
    pub(crate) fn nothing(dataset: &Dataset) -> Self {
        Self::of(empty(dataset), 0)
    }
}

/// Loads the state of `head`; the empty state without one.
pub(crate) async fn restore(
    dataset: &Dataset,
    head: Option<&LogEntry>,
    how: How,
) -> Result<Restored> {
    let state = empty(dataset);
    let seed = state.seed();
    let mut restoring = Restoring {
        env: dataset.store().env().clone(),
        dataset: dataset.name().to_owned(),
        state,
        seed,
        how,
    };
    let Some(head) = head else {
        return Ok(Restored::of(restoring.state, 0));
    };
    let mut journey = Journey::new(dataset, head);
    journey.travel(&mut restoring).await?;
    let state = check(restoring.state, head)?;
    Ok(Restored::of(state, journey.newest_snapshot()))
}

/// As consumers do: whatever the entry says of its state must be true of what was restored.
fn check(state: State, head: &LogEntry) -> Result<State> {
    let promise = Promise::of(head);
    match promise.check(&state) {
        Ok(()) => Ok(state.at_version(head.version)),
        Err(message) => Err(Error::new(ErrorKind::Corrupt, message)),
    }
}

/// A state on its way to the head.
struct Restoring {
    env: Env,
    dataset: String,
    state: State,
    seed: HashSeed,
    how: How,
}

impl Traveller for Restoring {
    type Error = Error;

    fn kind(error: &Error) -> ErrorKind {
        error.kind()
    }

    fn version(&self) -> u64 {
        self.state.version()
    }

    fn start_from_nothing(&mut self) {
        self.state = State::empty(self.seed);
    }

    async fn apply(&mut self, step: &Step, fetched: Fetched, _last: bool) -> Result<()> {
        let base = match step {
            Step::Snapshot { .. } => State::empty(self.seed),
            _ => std::mem::replace(&mut self.state, State::empty(self.seed)),
        };
        let (Some(blob), Some(bytes)) = (step.blob(), fetched.bytes) else {
            self.state = base.at_version(step.to());
            return Ok(());
        };
        let mut seal = HeapSeal::with_options(self.how.segments);
        let (step, dataset, threads) = (step.clone(), self.dataset.clone(), self.how.threads);
        let work = move || -> Result<State> {
            let blob = Blob::parse(bytes).map_err(|e| Error::from(StateError::from(e)))?;
            step.check_header(&dataset, &blob.header)
                .map_err(|reason| Error::new(ErrorKind::Corrupt, reason))?;
            Ok(base.apply_on(&blob, &mut seal, threads)?.0)
        };
        let applied = self.env.blocking(work).await;
        self.state = applied
            .map_err(|e| Error::internal(format!("restoring stopped: {e}")))?
            .map_err(|error| error.at(format_args!("blob {}", blob.name())))?;
        Ok(())
    }

    async fn recover(&mut self, error: &Error, blob: &str, _misfit: bool) -> bool {
        tracing::warn!(%blob, %error, "cannot restore through this blob, trying another way");
        self.start_from_nothing();
        true
    }
}
