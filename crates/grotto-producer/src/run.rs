//! One cycle, from the state it starts from to what it publishes.
//!
//! Owns: the order of its steps. Processor work runs on blocking threads; only talking to the store is async.

use crate::guard::{guarded, told};
use crate::notes::Notes;
use crate::open::OpenCycle;
use crate::producer::{Core, Producer, Shared};
use crate::publish::{Published, Times};
use crate::validate::{Candidate, refused};
use crate::{AnyError, Error, Result};
use grotto_format::Schema;
use grotto_state::{Cycle, EncodeOptions, Encoded, Mode, Promise, State, WriteState};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// What users hand to a cycle, in messages.
pub(crate) const CLOSURE: &str = "the closure that fills the cycle";

/// Why there is nothing to publish.
pub(crate) enum Trouble {
    /// The records, or some of them.
    Records(Error),
    /// The version that they make, or something else.
    Version(Error),
}

/// How a kind of cycle begins and ends.
pub(crate) struct Form<C> {
    pub(crate) mode: Mode,
    /// Opens a cycle that takes records in on so many threads.
    pub(crate) open: fn(Cycle, usize) -> C,
    /// Ends it, unless it must not be committed; told how filling it ended.
    pub(crate) close: fn(C, Result<()>) -> Result<Filled>,
}

/// What a cycle was filled with.
pub(crate) struct Filled {
    pub(crate) cycle: Cycle,
    pub(crate) records: u64,
    pub(crate) notes: Notes,
}

/// What the CPU part of a cycle gives.
pub(crate) struct Worked {
    /// The state it began with.
    pub(crate) before: Arc<State>,
    pub(crate) encoded: Option<Encoded>,
    /// What the committed state will be, where that is known because the next cycle begins there already.
    pub(crate) ahead: Option<WriteState>,
    pub(crate) records: u64,
    pub(crate) notes: Notes,
    pub(crate) times: Times,
}

impl Producer {
    /// Runs a cycle that a closure fills.
    pub(crate) async fn run<C, F>(
        &self,
        form: &'static Form<C>,
        fill: F,
    ) -> Result<Option<Published>>
    where
        C: 'static,
        F: FnOnce(&mut C) -> Result<(), AnyError> + Send + 'static,
    {
        let core = self.enter(form.mode).await?;
        let (shared, began) = (Arc::clone(&self.shared), self.now());
        let fill = move |core: &Core| {
            let mut open = shared.begin(core, form)?;
            let filled = guarded(CLOSURE, || fill(&mut open))?;
            (form.close)(open, filled.map_err(|failed| told(CLOSURE, failed)))
        };
        self.finish_cycle(core, began, fill).await
    }

    /// Begins a cycle that its owner fills and commits.
    pub(crate) async fn begin<C: Send + 'static>(
        &self,
        form: &'static Form<C>,
    ) -> Result<OpenCycle<C>> {
        let core = self.enter(form.mode).await?;
        let (shared, began) = (Arc::clone(&self.shared), self.now());
        // Looking at all records under another schema takes a while.
        let begin = move || {
            let cycle = shared.begin(&core, form);
            (core, cycle)
        };
        let begun = self.shared.env.blocking(begin).await.map_err(stopped);
        let begun = begun.and_then(|(core, cycle)| Ok((core, cycle?)));
        let (core, cycle) = begun.inspect_err(|_| self.count_failed())?;
        Ok(OpenCycle {
            producer: self.clone(),
            core,
            cycle,
            form,
            began,
        })
    }

    /// Waits for the turn of a cycle; one that cannot begin has failed.
    pub(crate) async fn enter(&self, mode: Mode) -> Result<OwnedMutexGuard<Core>> {
        let entered = self.prepare_core(mode).await;
        entered.inspect_err(|_| self.count_failed())
    }

    /// Waits for the turn of a cycle, settles what is pending, and makes sure of the state to start from.
    async fn prepare_core(&self, mode: Mode) -> Result<OwnedMutexGuard<Core>> {
        let mut core = Arc::clone(&self.core).lock_owned().await;
        self.check_running()?;
        self.settle(&mut core).await?;
        if core.starts_over && mode == Mode::Incremental {
            let message =
                "the newest version cannot be restored: only a full-state cycle can start over";
            return Err(Error::invalid(message));
        }
        self.check_base(&core)?;
        core.write.skip_to(self.version());
        Ok(core)
    }

    /// The next cycle's difference is taken to the state of the head, so that must be the one held.
    fn check_base(&self, core: &Core) -> Result<()> {
        let Some(head) = self.shared.writer.head().filter(|_| !core.starts_over) else {
            return Ok(());
        };
        Promise::of(&head)
            .check(core.write.state())
            .map_err(|reason| Error::internal(format!("{reason}: open it again")))
    }

    /// Encodes, checks and publishes what a cycle that began at `began` was filled with.
    pub(crate) async fn finish_cycle<F>(
        &self,
        core: OwnedMutexGuard<Core>,
        began: Duration,
        filled: F,
    ) -> Result<Option<Published>>
    where
        F: FnOnce(&Core) -> Result<Filled> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let work = move || {
            let worked = filled(&core).and_then(|filled| shared.encode(filled, began));
            (core, worked)
        };
        let outcome = match self.shared.env.blocking(work).await {
            Ok((mut core, Ok(worked))) => self.publish(&mut core, worked).await,
            Ok((_, Err(error))) => Err(error),
            Err(error) => Err(stopped(error)),
        };
        match &outcome {
            Ok(Some(_)) => {}
            Ok(None) => _ = self.shared.metrics.quiet_cycles.inc(),
            Err(_) => self.count_failed(),
        }
        outcome
    }

    fn count_failed(&self) {
        self.shared.metrics.failed_cycles.inc();
    }

    pub(crate) fn now(&self) -> Duration {
        self.shared.env.clock.monotonic()
    }
}

/// A thread of a cycle ended without a result.
fn stopped(error: impl fmt::Display) -> Error {
    Error::internal(format!("the cycle stopped: {error}"))
}

impl Shared {
    pub(crate) fn options(&self, version: u64) -> EncodeOptions {
        EncodeOptions {
            dataset: self.name.clone(),
            version,
            level: self.settings.level,
            threads: self.settings.threads,
        }
    }

    fn begin<C>(&self, core: &Core, form: &Form<C>) -> Result<C> {
        self.begin_on(&core.write, &core.schema, form)
    }

    pub(crate) fn begin_on<C>(
        &self,
        write: &WriteState,
        schema: &Arc<Schema>,
        form: &Form<C>,
    ) -> Result<C> {
        let cycle = write.begin(schema, form.mode)?;
        Ok((form.open)(cycle, self.settings.threads))
    }

    /// Encodes, checks and validates.
    pub(crate) fn encode(&self, filled: Filled, began: Duration) -> Result<Worked> {
        self.metrics.records.inc_by(filled.records);
        self.validated(self.finish(filled, began)?)
    }

    /// Encodes and checks.
    pub(crate) fn finish(&self, filled: Filled, began: Duration) -> Result<Worked> {
        let Filled {
            cycle,
            records,
            notes,
        } = filled;
        let populated = self.env.clock.monotonic();
        let before = Arc::clone(cycle.before());
        let encoded = cycle.finish(&self.options(before.version() + 1))?;
        let times = Times {
            populate: populated - began,
            encode: self.env.clock.monotonic() - populated,
            ..Times::default()
        };
        Ok(Worked {
            before,
            encoded,
            ahead: None,
            records,
            notes,
            times,
        })
    }

    /// What a cycle made, if all validators let it pass.
    pub(crate) fn validated(&self, worked: Worked) -> Result<Worked> {
        if let Some(encoded) = &worked.encoded {
            self.validate(&worked.before, encoded)?;
        }
        Ok(worked)
    }

    fn validate(&self, before: &State, encoded: &Encoded) -> Result<()> {
        let candidate = Candidate {
            before,
            after: &encoded.next,
            ordinals: &encoded.changes,
            counts: &encoded.counts,
        };
        for validator in &self.settings.validators {
            // All that is the user's may panic: its name and the text of its error too.
            let name = guarded("a validator", || validator.name().to_owned())?;
            let name = format!("validator {name}");
            let judge = || {
                let verdict = validator.validate(&candidate);
                verdict.map_err(|reason| refused(&name, reason))
            };
            guarded(&name, judge)??;
        }
        Ok(())
    }
}
