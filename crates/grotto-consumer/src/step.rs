//! One step of a refresh: verify, apply, compare, publish.
//!
//! Owns: everything between fetched bytes and a served state; it runs on a thread of its own.
//! Never: lets anything be seen before every check has passed.

use crate::error::{Error, ErrorKind, Result, no_state};
use crate::shared::Shared;
use bytes::Bytes;
use grotto_format::blob::Blob;
use grotto_state::{Changes, Promise, Seal, State};
use grotto_store::plan::Step;
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
            let (name, place) = (self.dataset.name(), &mut keeper.place);
            let (state, changes) = build(
                name,
                &job.step,
                job.bytes.as_ref(),
                &job.base,
                place,
                self.threads,
            )?;
            if let Some(promise) = &job.promise {
                promise.check(&state).map_err(Error::corrupt)?;
            }
            let state = Arc::new(state);
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
}

/// What a step leads to from `base`; its blob is checked before anything is made of it.
pub(crate) fn build(
    dataset: &str,
    step: &Step,
    bytes: Option<&Bytes>,
    base: &State,
    seal: &mut dyn Seal,
    threads: usize,
) -> Result<(State, Changes)> {
    let to = step.to();
    let (Some(blob), Some(bytes)) = (step.blob(), bytes) else {
        return Ok((base.at_version(to), Changes::default()));
    };
    let what = |reason: &str| format!("version {to}, blob {}: {reason}", blob.name());
    let parsed = Blob::parse(bytes.clone())
        .map_err(|e| Error::corrupt(what(&e.to_string())).with_source(e))?;
    step.check_header(dataset, &parsed.header)
        .map_err(|reason| Error::corrupt(what(&reason)))?;
    let empty = base.origin();
    let base = match step {
        Step::Snapshot { .. } => &empty,
        _ => base,
    };
    let applied = base.apply_on(&parsed, seal, threads);
    applied.map_err(|e| no_state(&format!("version {to}, blob {}", blob.name()), e))
}
