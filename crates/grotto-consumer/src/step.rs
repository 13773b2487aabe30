//! One step of a refresh: verify, apply, compare, publish.
//!
//! Owns: everything between fetched bytes and a served state; it runs on a thread of its own.
//! Never: lets anything be seen before every check has passed.

use crate::error::{Error, ErrorKind, Result, no_state};
use crate::guards::{Refusal, Watch};
use crate::shared::Shared;
use bytes::Bytes;
use grotto_format::blob::Blob;
use grotto_state::{Changes, Promise, Seal, State};
use grotto_store::plan::Step;
use parking_lot::Mutex;
use std::sync::Arc;

/// A step and what it needs.
#[derive(Debug)]
pub(crate) struct Job {
    /// A state that is of no use any more.
    pub(crate) spent: Option<Arc<State>>,
    /// The state to apply it to.
    pub(crate) base: Arc<State>,
    /// Whether that needs what was sealed since the last publication.
    pub(crate) continues: bool,
    pub(crate) step: Step,
    /// The blob, where the step has one.
    pub(crate) bytes: Option<Bytes>,
    /// Whether the result is to be seen.
    pub(crate) publish: bool,
    /// What the log says about the result, if this is the last step.
    pub(crate) promise: Option<Promise>,
    pub(crate) dataset_id: String,
    /// Whether the result may be seen.
    pub(crate) watch: Arc<Watch>,
    /// Why it may not, and others of this refresh.
    pub(crate) refusals: Arc<Mutex<Vec<Refusal>>>,
}

impl Job {
    /// Gives a version up that a guard does not let pass.
    fn refuse(&self, refusal: Refusal) -> Error {
        let error = refusal.error();
        self.refusals.lock().push(refusal);
        error
    }

    /// One on the way is done without, if another way does not lead over it.
    fn refuse_size(&self, reason: String) -> Error {
        let version = self.step.to();
        let error = self.refuse(Refusal {
            version,
            reason,
            memory: true,
        });
        match self.publish {
            true => error,
            false => error.of_kind(ErrorKind::Missing),
        }
    }
}

impl Shared {
    /// Does a step. A failure leaves nothing of it behind.
    pub(crate) fn apply(&self, mut job: Job) -> Result<(Arc<State>, Changes)> {
        // Makes room before more is built.
        drop(job.spent.take());
        self.reclaim_here();
        let mut keeper = self.keeper();
        if !job.continues {
            // Left by a way that was given up, or by a refresh that ended in the middle of a step.
            keeper.place.roll_back(0);
        }
        let mark = keeper.place.mark();
        let done: Result<_> = (|| {
            let blob = parse(self.dataset.name(), &job.step, job.bytes.as_ref())?;
            let forecast = blob
                .as_ref()
                .and_then(|blob| self.forecast(&job.base, &blob.header));
            if let Some(reason) = forecast {
                return Err(job.refuse_size(reason));
            }
            let (place, threads) = (&mut keeper.place, self.threads);
            let (state, changes) = build(&job.step, blob.as_ref(), &job.base, place, threads)?;
            if let Some(promise) = &job.promise {
                promise.check(&state).map_err(Error::corrupt)?;
            }
            let state = Arc::new(state);
            self.guard(&job, &state)?;
            if job.publish {
                self.publish(&mut keeper, &state, &job.dataset_id)?;
            } else {
                keeper.place.thin(&state);
            }
            Ok((state, changes))
        })();
        if let Err(error) = &done {
            keeper.place.roll_back(mark);
            if error.kind() == ErrorKind::Unavailable {
                keeper.place.reclaim();
            }
        }
        done
    }

    /// Refuses a state that takes too much, and one that may not be seen if it is to be.
    fn guard(&self, job: &Job, built: &State) -> Result<()> {
        if let Some(reason) = self.measure(built) {
            return Err(job.refuse_size(reason));
        }
        let loaded = matches!(job.step, Step::Snapshot { .. });
        job.watch.see((!loaded).then_some(&*job.base), built);
        let refused = job.publish.then(|| job.watch.verdict_at_target(built));
        match refused.flatten() {
            Some(refusal) => Err(job.refuse(refusal)),
            None => Ok(()),
        }
    }
}

/// The blob of a step, which is what led to it; `None` for a step without one.
pub(crate) fn parse(dataset: &str, step: &Step, bytes: Option<&Bytes>) -> Result<Option<Blob>> {
    let (Some(blob), Some(bytes)) = (step.blob(), bytes) else {
        return Ok(None);
    };
    let to = step.to();
    let what = |reason: &str| format!("version {to}, blob {}: {reason}", blob.name());
    let parsed = Blob::parse(bytes.clone())
        .map_err(|e| Error::corrupt(what(&e.to_string())).with_source(e))?;
    step.check_header(dataset, &parsed.header)
        .map_err(|reason| Error::corrupt(what(&reason)))?;
    Ok(Some(parsed))
}

/// What a step and its parsed blob lead to from `base`.
pub(crate) fn build(
    step: &Step,
    parsed: Option<&Blob>,
    base: &State,
    seal: &mut dyn Seal,
    threads: usize,
) -> Result<(State, Changes)> {
    let to = step.to();
    let (Some(blob), Some(parsed)) = (step.blob(), parsed) else {
        return Ok((base.at_version(to), Changes::default()));
    };
    let empty = base.origin();
    let base = match step {
        Step::Snapshot { .. } => &empty,
        _ => base,
    };
    let applied = base.apply_on(parsed, seal, threads);
    applied.map_err(|e| no_state(&format!("version {to}, blob {}", blob.name()), e))
}
