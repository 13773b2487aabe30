//! An open cycle: filled by its owner, who commits it.
//!
//! Owns: the handle beside the closures of [`Producer::run_cycle`](crate::Producer::run_cycle). Never publishes
//! unless it is committed.

use crate::Result;
use crate::producer::{Core, Producer};
use crate::publish::Published;
use crate::run::Form;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// A cycle that was begun: fill it as a [`FullCycle`](crate::FullCycle) or an
/// [`IncrementalCycle`](crate::IncrementalCycle), then [`commit`](Self::commit) it. Dropping it is giving it up:
/// nothing is published, and the next cycle starts from the committed state.
///
/// Other cycles, and [`Producer::set_schema`], wait until it is committed or dropped: who begins a second one
/// before, on the same task, waits forever. Adding a record is work for the processor and never waits for the
/// store; from an async task, add what a batch holds and then wait for the next.
#[must_use = "a cycle that is not committed publishes nothing"]
pub struct OpenCycle<C: 'static> {
    pub(crate) producer: Producer,
    pub(crate) core: OwnedMutexGuard<Core>,
    pub(crate) cycle: C,
    pub(crate) form: &'static Form<C>,
    /// When it was begun, by the monotonic clock.
    pub(crate) began: Duration,
}

impl<C: Send + 'static> OpenCycle<C> {
    /// Ends the cycle and publishes what it changed; `None` when it changed nothing and moved no position.
    ///
    /// A future that is dropped stops nothing half-way, as [`Producer::run_cycle`] describes.
    ///
    /// # Errors
    /// As [`Producer::run_cycle`], without those of a closure.
    pub async fn commit(self) -> Result<Option<Published>> {
        let Self {
            producer,
            core,
            cycle,
            form,
            began,
        } = self;
        let closed = move |_: &Core| (form.close)(cycle, Ok(()));
        producer.finish_cycle(core, began, closed).await
    }
}

impl<C> Deref for OpenCycle<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.cycle
    }
}

impl<C> DerefMut for OpenCycle<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.cycle
    }
}

impl<C: fmt::Debug> fmt::Debug for OpenCycle<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {:?}", self.producer, self.cycle)
    }
}
