//! States of other versions than the served one, for whoever asks.
//!
//! Owns: the way to one, in memory of this process. Never: changes what is served, pins it, or writes to the state
//! directory.
//!
//! What is built counts to the memory limit, and what is past it is refused.
//!
//! **Invariants**: a way goes on from the served state where deltas lead from it, so that what is built is what
//! differs. Nobody waits for it: refreshes go on meanwhile.

use crate::changes::Composer;
use crate::error::{Error, ErrorKind, Result};
use crate::shared::{Shared, blocking, shut_down};
use crate::step::{build, parse};
use crate::subscribe::{Position, another_version};
use crate::target::was_written;
use grotto_state::{Changes, HeapSeal, Promise, State};
use grotto_store::LogEntry;
use grotto_store::follow::{Fetched, Journey, Traveller};
use grotto_store::plan::Step;
use std::sync::Arc;

/// A state of another version, and the way from the served one to it.
pub(crate) struct Visit {
    pub(crate) state: Arc<State>,
    /// The state that was set out from: served when the visit began.
    pub(crate) from: Arc<State>,
    /// What the way changed.
    pub(crate) changes: Composer,
}

impl Shared {
    /// The state of a version, and how it differs from the served one.
    ///
    /// # Errors
    /// `Missing` when the version is not in the log, is not that of `position`, or no blobs lead to it any more;
    /// `Invalid` when its state is past the memory limit.
    pub(crate) async fn visit(
        self: &Arc<Self>,
        version: u64,
        position: Option<&Position>,
    ) -> Result<Visit> {
        let served = self.served();
        let (name, own) = (self.dataset.name(), served.version() == version);
        if own && was_written(&served) && self.is_sound(&served) {
            return Ok(Visit {
                state: Arc::clone(&served),
                from: served,
                changes: Composer::default(),
            });
        }
        let Some(entry) = self.dataset.read_entry(version).await? else {
            return Err(Error::new(
                ErrorKind::Missing,
                format!("dataset {name}: version {version} is not in the log, or not any more"),
            ));
        };
        // Before anything is fetched: a position may come from anybody.
        let whole = served.filter().is_none();
        if position.is_some_and(|position| whole && !position.is_of(&entry)) {
            return Err(another_version());
        }
        let afresh = !self.is_same_dataset(&entry) || !self.is_sound(&served);
        let mut trip = Trip::new(self, served, entry.clone(), afresh);
        let mut journey = Journey::new(&self.dataset, &entry)
            .weights(self.weights)
            .choosing(self.choice());
        let travelled = journey.travel(&mut trip);
        tokio::select! {
            biased; // the same seed of a simulation must take the same branch
            travelled = travelled => travelled?,
            () = self.ended() => return Err(shut_down()),
        }
        Ok(Visit {
            state: trip.at,
            from: trip.first,
            changes: trip.changes,
        })
    }
}

/// Refuses a state that does not fit in memory, with the figures. One on the way is done without, if another way does not
/// lead over it.
fn too_large(step: &Step, last: bool, reason: Option<String>) -> Result<()> {
    let Some(reason) = reason else {
        return Ok(());
    };
    let error = Error::invalid(format!("version {} does not fit: {reason}", step.to()));
    match last {
        true => Err(error),
        false => Err(error.of_kind(ErrorKind::Missing)),
    }
}

/// On the way to a version.
struct Trip<'a> {
    shared: &'a Arc<Shared>,
    target: LogEntry,
    first: Arc<State>,
    at: Arc<State>,
    /// Gone while a step is applied.
    seal: Option<HeapSeal>,
    /// Whether the way begins at the empty state.
    afresh: bool,
    changes: Composer,
}

impl<'a> Trip<'a> {
    fn new(shared: &'a Arc<Shared>, first: Arc<State>, target: LogEntry, afresh: bool) -> Self {
        let mut trip = Self {
            shared,
            target,
            at: Arc::clone(&first),
            first,
            seal: Some(HeapSeal::default()),
            afresh,
            changes: Composer::default(),
        };
        if afresh {
            trip.start_from_nothing();
        }
        trip
    }
}

impl Traveller for Trip<'_> {
    type Error = Error;

    fn kind(error: &Error) -> ErrorKind {
        error.kind()
    }

    fn version(&self) -> u64 {
        self.at.version()
    }

    fn start_from_nothing(&mut self) {
        self.at = self.shared.origin();
        self.changes.snapshot();
    }

    async fn apply(&mut self, step: &Step, fetched: Fetched, last: bool) -> Result<()> {
        let (base, step_there) = (Arc::clone(&self.at), step.clone());
        let promise = last.then(|| Promise::of(&self.target));
        let shared = Arc::clone(self.shared);
        let mut seal = self.seal.take().unwrap_or_default();
        let work = move || {
            let build_it = || -> Result<_> {
                let parsed = parse(shared.dataset.name(), &step_there, fetched.bytes.as_ref())?;
                let header = parsed.as_ref().map(|blob| &blob.header);
                let forecast = header.and_then(|header| shared.forecast_visit(&base, header));
                too_large(&step_there, last, forecast)?;
                let parts = (parsed.as_ref(), shared.threads);
                let (state, changes) = build(&step_there, parts.0, &base, &mut seal, parts.1)?;
                let promised = promise.map_or(Ok(()), |promise| promise.check(&state));
                promised.map_err(Error::corrupt)?;
                too_large(&step_there, last, shared.measure_visit(&state))?;
                let state = Arc::new(state);
                shared.served.visited(&state);
                Ok((state, changes))
            };
            (build_it(), seal)
        };
        let (built, seal) = blocking(&self.shared.env, work).await?;
        self.seal = Some(seal);
        let (state, changes): (Arc<State>, Changes) = built?;
        match step {
            Step::Snapshot { .. } => self.changes.snapshot(),
            Step::Skip { .. } => {}
            _ => self.changes.step(state.schema(), changes),
        }
        self.at = state;
        Ok(())
    }

    /// Without the blob, and from the beginning: what was built on the way there is in nobody's use.
    async fn recover(&mut self, error: &Error, blob: &str, _misfit: bool) -> bool {
        let dataset = self.shared.dataset.name();
        tracing::warn!(%error, dataset, blob, "trying to do without a blob");
        self.shared.metrics.error(error.kind());
        self.changes = Composer::default();
        if self.afresh {
            self.start_from_nothing();
        } else {
            self.at = Arc::clone(&self.first);
        }
        true
    }
}
