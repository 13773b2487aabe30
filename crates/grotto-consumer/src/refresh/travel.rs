//! A refresh as one who travels from version to version.
//!
//! Owns: what is done with a step, and with a blob that does not come or does not fit. Never: chooses the way.

use super::Run;
use crate::error::{Error, ErrorKind, Result};
use crate::report::{StepKind, StepReport};
use crate::shared::blocking;
use grotto_store::follow::{Fetched, Traveller};
use grotto_store::plan::Step;
use std::io;
use std::sync::Arc;

impl Run<'_> {
    /// A version on the way for which there is no room is done without, if another way does not lead over it: the
    /// target may be smaller.
    fn around(&mut self, error: Error, last: bool) -> Error {
        if last || !is_full(&error) {
            return error;
        }
        let missing = Error::new(ErrorKind::Missing, error.message());
        self.no_room.get_or_insert(error);
        missing
    }
}

/// Whether there was no room for a file.
fn is_full(error: &Error) -> bool {
    let mut causes =
        std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.any(|cause| {
        let cause = cause.downcast_ref::<io::Error>();
        cause.is_some_and(|e| {
            matches!(
                e.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        })
    })
}

impl Traveller for Run<'_> {
    type Error = Error;

    fn kind(error: &Error) -> ErrorKind {
        error.kind()
    }

    fn version(&self) -> u64 {
        self.at.version()
    }

    fn start_from_nothing(&mut self) {
        self.set_out_from(self.shared.origin());
    }

    async fn apply(&mut self, step: &Step, fetched: Fetched, last: bool) -> Result<()> {
        let clock = Arc::clone(&self.shared.env.clock);
        let (bytes, fetch) = (fetched.bytes.as_ref().map_or(0, |b| b.len()), fetched.time);
        let job = self.job(step, fetched, last);
        let published = job.publish;
        let began = clock.monotonic();
        let shared = Arc::clone(self.shared);
        let applied = blocking(&self.shared.env, move || shared.apply(job)).await?;
        if let Err(error) = &applied {
            // Only the log says that a step without a blob does not lead to the target.
            let untold = step.blob().is_none() && error.kind() == ErrorKind::Corrupt;
            self.misfit |= untold && self.descends;
        }
        let applied = applied.map_err(|error| self.around(error, last))?;
        let done = StepReport {
            kind: StepKind::of(step),
            to: step.to(),
            bytes: bytes as u64,
            fetch,
            apply: clock.monotonic().saturating_sub(began),
        };
        self.advance(applied, done, published);
        Ok(())
    }

    async fn recover(&mut self, error: &Error, blob: &str, misfit: bool) -> bool {
        if misfit && !self.afresh && self.is_damaged().await {
            return false;
        }
        self.misfit |= misfit && self.descends;
        let dataset = self.shared.dataset.name();
        tracing::warn!(%error, dataset, blob, "trying to do without a blob");
        // A state that does not fit is no error of its own.
        if self.refusal_in(error).is_none() {
            self.shared.note_error(error.kind());
        }
        self.report.recovered.push(error.to_string());
        self.keep_part().await;
        self.go_back();
        true
    }
}
