//! Following a plan to a version: fetch ahead, apply in order, set a bad blob aside, plan again.
//!
//! Owns: the order of things, what is fetched when, and what is worked around. Never: knows what a
//! state is; whoever travels applies the blobs.
//!
//! **Invariants**: steps are applied in the order of the plan. Blobs under way never exceed
//! [`Ahead`], except for one that is larger by itself. What failed is set aside for this journey
//! only; the next one tries it anew, and first, before it applies anything else for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use grotto_format::log::LogEntry;

use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::excerpt::Choice;
use crate::plan::{Plan, PlanWeights, REQUESTS_AT_ONCE, Step};
use crate::route::Routes;
use crate::source::Source;

/// Blobs that are worked around within one journey.
const MOST_FAULTS: usize = 64;

/// How far fetching runs ahead of applying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Blobs under way at a time; 0 counts as 1.
    pub blobs: usize,
    /// Bytes in memory for them together, those of the log entries included that some ride in; one blob is
    /// fetched whatever its length.
    pub bytes: u64,
}

impl Default for Ahead {
    fn default() -> Self {
        Self {
            blobs: REQUESTS_AT_ONCE,
            bytes: 64 << 20,
        }
    }
}

/// The blob of a step, fetched and verified.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Its bytes; `None` for a step without a blob.
    pub bytes: Option<Bytes>,
    /// Time to fetch it.
    pub time: Duration,
}

/// Whoever goes from one version to another: a consumer that refreshes, a producer that restores.
pub trait Traveller: Send {
    /// What applying fails with.
    type Error: From<Error> + Send;

    /// What to do about an error.
    fn kind(error: &Self::Error) -> ErrorKind;

    /// The version to go on from; 0 for the empty state.
    fn version(&self) -> u64;

    /// Goes on from the empty state: nothing leads on from the one that is held.
    fn start_from_nothing(&mut self);

    /// Applies a step; `last` if it leads to the target.
    fn apply(
        &mut self,
        step: &Step,
        fetched: Fetched,
        last: bool,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// A blob could not be fetched, or (`misfit`) it is what the log names and could not be applied.
    /// Goes back to a state that is good to go on from; returns whether the blob is to blame, which is
    /// then done without.
    fn recover(
        &mut self,
        error: &Self::Error,
        blob: &str,
        misfit: bool,
    ) -> impl Future<Output = bool> + Send;
}

/// Names of blobs that stopped earlier journeys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suspects(BTreeSet<String>);

/// A step that failed.
struct Fault<E> {
    error: E,
    /// The blob that did not come or did not fit.
    blob: Option<String>,
    misfit: bool,
}

/// A way to a target.
#[derive(Debug)]
pub struct Journey<'a> {
    dataset: &'a Dataset,
    routes: Routes<'a>,
    ahead: Ahead,
    suspects: Suspects,
    choice: Option<Arc<dyn Choice>>,
}

impl<'a> Journey<'a> {
    /// A journey to the state of `target`.
    pub fn new(dataset: &'a Dataset, target: &LogEntry) -> Self {
        Self {
            dataset,
            routes: Routes::new(dataset, target),
            ahead: Ahead::default(),
            suspects: Suspects::default(),
            choice: None,
        }
    }

    /// Fetches only the sections that are chosen, where that saves much. What is applied is then proven by the log's
    /// checksums of types alone.
    #[must_use]
    pub fn choosing(mut self, choice: Option<Arc<dyn Choice>>) -> Self {
        self.choice = choice;
        self
    }

    /// Fetches further ahead, or less far.
    #[must_use]
    pub fn ahead(mut self, ahead: Ahead) -> Self {
        self.ahead = ahead;
        self
    }

    /// Weighs bytes against requests in another way.
    #[must_use]
    pub fn weights(mut self, weights: PlanWeights) -> Self {
        self.routes.weigh(weights);
        self
    }

    /// Asks first for blobs that stopped an earlier journey: while they do not come, nothing is
    /// applied that would be thrown away.
    #[must_use]
    pub fn suspects(mut self, suspects: Suspects) -> Self {
        self.suspects = suspects;
        self
    }

    /// The blobs that stopped this journey, or may have; none after one that arrived.
    pub fn into_suspects(self) -> Suspects {
        self.suspects
    }

    /// Version of the newest snapshot that is known, at or below the target; 0 for none.
    pub fn newest_snapshot(&self) -> u64 {
        self.routes.newest_snapshot()
    }

    /// Plans and applies until the target is reached, around blobs that are damaged or missing.
    ///
    /// # Errors
    /// That of the traveller or of the store. Where no intact blobs lead to the target, that of the
    /// first blob that was set aside, and `Missing` when there was none.
    pub async fn travel<T: Traveller>(&mut self, traveller: &mut T) -> Result<(), T::Error> {
        let mut first: Option<T::Error> = None;
        for _ in 0..MOST_FAULTS {
            let plan = match self.find_way(traveller).await {
                Ok(plan) => plan,
                // The blob that blocks the way says more than that there is none.
                Err(error) if error.kind() == ErrorKind::Missing => {
                    return Err(first.unwrap_or_else(|| error.into()));
                }
                Err(error) => return Err(error.into()),
            };
            let Err(fault) = self.follow(&plan, traveller).await else {
                self.suspects = Suspects::default();
                return Ok(());
            };
            let kind = T::kind(&fault.error);
            let bad = matches!(kind, ErrorKind::Corrupt | ErrorKind::Missing);
            let Some(blob) = fault.blob.filter(|_| bad) else {
                return Err(fault.error);
            };
            let misfit = fault.misfit && kind == ErrorKind::Corrupt;
            if traveller.recover(&fault.error, &blob, misfit).await {
                self.routes.exclude(&blob);
                first.get_or_insert(fault.error);
            }
        }
        let none = || Error::internal("the journey made no progress").into();
        Err(first.unwrap_or_else(none))
    }

    /// A plan from where the traveller is, or, when there is none, from nothing.
    async fn find_way<T: Traveller>(&mut self, traveller: &mut T) -> Result<Plan> {
        let from = traveller.version();
        match self.routes.plan(from).await {
            Err(error) if error.kind() == ErrorKind::Missing && from > 0 => {
                let plan = match self.routes.plan(0).await {
                    Err(none) if none.kind() == ErrorKind::Missing => return Err(error),
                    other => other?,
                };
                traveller.start_from_nothing();
                Ok(plan)
            }
            other => other,
        }
    }

    /// Applies the steps of a plan while the next blobs are fetched.
    async fn follow<T: Traveller>(
        &mut self,
        plan: &Plan,
        traveller: &mut T,
    ) -> Result<(), Fault<T::Error>> {
        let choice = self.choice.clone();
        let mut fetches = Fetches::new(self.dataset, &plan.steps, self.ahead, choice.as_deref());
        fetches.ready = self.ask_suspects(plan).await?;
        let mut next = fetches.next().await;
        for (position, step) in plan.steps.iter().enumerate() {
            let fetched = next
                .unwrap_or_else(|| Err(Error::internal("a step was fetched that is not there")))
                .map_err(|error| self.blame(error, step))?;
            let last = position + 1 == plan.steps.len();
            let (applied, following) =
                tokio::join!(traveller.apply(step, fetched, last), fetches.next());
            applied.map_err(|error| Fault {
                error,
                blob: step.blob().map(|blob| blob.name().to_owned()),
                misfit: true,
            })?;
            next = following;
        }
        Ok(())
    }

    /// Fetches the suspects that the plan needs, before anything is applied.
    async fn ask_suspects<E: From<Error>>(
        &mut self,
        plan: &Plan,
    ) -> Result<BTreeMap<usize, Fetched>, Fault<E>> {
        let mut ready = BTreeMap::new();
        let mut bytes = 0;
        for (position, step) in plan.steps.iter().enumerate() {
            let Some(blob) = step
                .blob()
                .filter(|blob| self.suspects.0.contains(blob.name()))
            else {
                continue;
            };
            let fetched = fetch(self.dataset, step, self.choice.as_deref())
                .await
                .map_err(|error| self.blame(error, step))?;
            bytes += blob.length();
            if bytes <= self.ahead.bytes {
                ready.insert(position, fetched);
            }
        }
        Ok(ready)
    }

    fn blame<E: From<Error>>(&mut self, error: Error, step: &Step) -> Fault<E> {
        let blob = step.blob().map(|blob| blob.name().to_owned());
        if self.suspects.0.len() < MOST_FAULTS {
            self.suspects.0.extend(blob.clone());
        }
        Fault {
            error: error.into(),
            blob,
            misfit: false,
        }
    }
}

/// The blobs of a plan, in order, fetched ahead of their use.
struct Fetches<'a> {
    dataset: &'a Dataset,
    choice: Option<&'a dyn Choice>,
    steps: &'a [Step],
    /// Index of the first step whose blob was not asked for.
    position: usize,
    ahead: Ahead,
    /// What was fetched before.
    ready: BTreeMap<usize, Fetched>,
    under_way: FuturesOrdered<BoxFuture<'a, (u64, Result<Fetched>)>>,
    /// What is in memory for those under way.
    bytes: u64,
}

impl<'a> Fetches<'a> {
    fn new(
        dataset: &'a Dataset,
        steps: &'a [Step],
        ahead: Ahead,
        choice: Option<&'a dyn Choice>,
    ) -> Self {
        Self {
            dataset,
            choice,
            steps,
            position: 0,
            ahead,
            ready: BTreeMap::new(),
            under_way: FuturesOrdered::new(),
            bytes: 0,
        }
    }

    /// The blob of the next step; `None` behind the last one.
    async fn next(&mut self) -> Option<Result<Fetched>> {
        self.start_more();
        let (weight, fetched) = self.under_way.next().await?;
        self.bytes = self.bytes.saturating_sub(weight);
        Some(fetched)
    }

    /// Asks for blobs as far ahead as is allowed.
    fn start_more(&mut self) {
        while let Some(step) = self.steps.get(self.position) {
            let weight = step.blob().map_or(0, Source::in_flight);
            let full = self.under_way.len() >= self.ahead.blobs
                || self.bytes.saturating_add(weight) > self.ahead.bytes;
            if full && !self.under_way.is_empty() {
                return;
            }
            let (dataset, choice) = (self.dataset, self.choice);
            let ready = self.ready.remove(&self.position);
            let fetched = async move {
                match ready {
                    Some(fetched) => (weight, Ok(fetched)),
                    None => (weight, fetch(dataset, step, choice).await),
                }
            };
            self.under_way.push_back(fetched.boxed());
            self.bytes = self.bytes.saturating_add(weight);
            self.position += 1;
        }
    }
}

/// The blob of a step; an error names the version that it was to lead to.
async fn fetch(dataset: &Dataset, step: &Step, choice: Option<&dyn Choice>) -> Result<Fetched> {
    let Some(blob) = step.blob() else {
        return Ok(Fetched::default());
    };
    let clock = &dataset.store().env().clock;
    let began = clock.monotonic();
    // A panic here would drop the application of the step before halfway, while it goes on elsewhere.
    let fetched = async {
        match choice {
            Some(choice) => dataset.fetch_chosen(blob, choice).await,
            None => dataset.fetch(blob).await,
        }
    };
    let fetched = AssertUnwindSafe(fetched).catch_unwind();
    let panicked = |_| {
        Err(Error::internal(format!(
            "fetching {} panicked",
            blob.name()
        )))
    };
    match fetched.await.unwrap_or_else(panicked) {
        Ok(bytes) => Ok(Fetched {
            bytes: Some(bytes),
            time: clock.monotonic().saturating_sub(began),
        }),
        Err(error) => {
            let message = format!("version {}: {error}", step.to());
            Err(Error::new(error.kind(), message).with_source(error))
        }
    }
}
