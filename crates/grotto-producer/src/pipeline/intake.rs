//! Taking submissions in.
//!
//! Owns: who may come in, who waits, who is refused, and what a submitter is told. Never: acknowledges; that is
//! told by whoever makes a submission durable.

use super::Pipeline;
use super::batch::{Batch, weight};
use super::inner::{Inner, Phase};
use super::journal::Journal;
use super::options::Shedding;
use super::room::{Offered, Receipt, Submission};
use crate::{Error, ErrorKind, Result};
use futures::FutureExt;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

/// Wait that is advised to who finds no room: room comes with the next batches.
const SOON: Duration = Duration::from_secs(1);

/// What became of a submission.
#[derive(Debug)]
pub struct Ack {
    inner: Arc<Inner>,
    durable: Durable,
}

#[derive(Debug)]
enum Durable {
    Waiting(oneshot::Receiver<Result<Receipt>>),
    Known(Result<Receipt>),
}

/// A task that had the submission ended without an answer.
fn lost() -> Error {
    Error::unavailable("the acknowledgement was lost: the submission may be durable or not")
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pipeline of {}", self.name)
    }
}

impl Ack {
    /// Waits until the submission will survive whatever happens to this process, or to the host if the log is
    /// synced or in the store; the number of its entry in the log.
    ///
    /// # Errors
    /// `Unavailable` when it could not be made durable, which says nothing of it: an entry of which only the end
    /// could not be synced may still be published. `Overloaded` when it was given up for others.
    pub async fn durable(&mut self) -> Result<u64> {
        if let Durable::Waiting(told) = &mut self.durable {
            let mut told = told.await.unwrap_or_else(|_| Err(lost()));
            if let (Ok(receipt), false) = (&told, self.inner.is_logged()) {
                // What is in memory only is not durable before it is published.
                let receipt = *receipt;
                told = self.inner.published(receipt.number).await.map(|_| receipt);
            }
            self.durable = Durable::Known(told);
        }
        match &self.durable {
            Durable::Known(known) => Ok(known.clone()?.number),
            Durable::Waiting(_) => Err(Error::internal("the acknowledgement was lost")),
        }
    }

    /// What [`published`](Self::published) would give if it need not wait.
    pub fn try_published(&mut self) -> Option<Result<u64>> {
        self.published().now_or_never()
    }

    /// Whether a submission of the same key was known, so that nothing of this one was taken: what is told is about
    /// the first one. `false` before it is known to be durable.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        matches!(&self.durable, Durable::Known(Ok(receipt)) if receipt.is_repeated)
    }

    /// Waits until the submission is published: a version that has it.
    ///
    /// # Errors
    /// Those of [`durable`](Self::durable); `Invalid` when nothing of it could be applied and it became a dead
    /// letter; `Unavailable` when the pipeline ends before, `Fenced` when another producer took over: it stays in
    /// the write-ahead log then.
    pub async fn published(&mut self) -> Result<u64> {
        let number = self.durable().await?;
        self.inner.published(number).await
    }
}

/// How long to wait before what was refused as `Overloaded` is worth sending again.
#[must_use]
pub fn retry_after(error: &Error) -> Option<Duration> {
    error.inner::<RetryAfter>().map(|after| after.0)
}

#[derive(Debug)]
struct RetryAfter(Duration);

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "try again after {} ms", self.0.as_millis())
    }
}

impl std::error::Error for RetryAfter {}

fn overloaded(message: impl Into<String>, after: Duration) -> Error {
    Error::new(ErrorKind::Overloaded, message).with_source(RetryAfter(after))
}

impl Pipeline {
    /// Submits a batch, waiting as long as there is no room for it. It is on its way when this returns, and
    /// [acknowledged](Ack::durable) later; a future that is dropped before submits nothing.
    ///
    /// # Errors
    /// `Invalid` for an empty batch, or one that the log could never take; `Unavailable` when the pipeline ends;
    /// `Fenced` and others when it has failed.
    pub async fn submit(&self, batch: Batch) -> Result<Ack> {
        let inner = &self.inner;
        inner.check(&batch)?;
        loop {
            let Err(wait) = inner
                .limiter()
                .take_records(batch.len() + batch.refused.len())
            else {
                break;
            };
            inner.pause(wait).await;
            inner.check_open()?;
        }
        loop {
            let Err(wait) = inner.limiter().take_bytes(batch.bytes()) else {
                break;
            };
            inner.pause(wait).await;
            inner.check_open()?;
        }
        let (records, bytes) = (batch.len(), batch.bytes());
        let (submission, ack) = inner.submission(batch);
        loop {
            let freed = inner.room_freed.notified();
            tokio::pin!(freed);
            // Before looking: what is freed after it must not be missed.
            freed.as_mut().enable();
            inner.check_open()?;
            let limits = inner.options.lock().waiting;
            {
                let mut room = inner.room.lock();
                if room.is_closed() {
                    return Err(inner.ended());
                }
                if room.fits(records, bytes, &limits) && inner.log_has_room(room.bytes() + bytes) {
                    room.push(submission);
                    break;
                }
            }
            freed.await;
        }
        inner.came_in(records);
        Ok(ack)
    }

    /// Submits a batch without waiting for room.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), and `Overloaded` where that would wait; [`retry_after`] says for how long.
    pub fn try_submit(&self, batch: Batch) -> Result<Ack> {
        let inner = &self.inner;
        inner.check(&batch)?;
        let limiter = inner.limiter();
        let passed = limiter.take_records(batch.len() + batch.refused.len());
        let passed = passed.and_then(|()| limiter.take_bytes(batch.bytes()));
        let records = batch.len();
        if let Err(wait) = passed {
            inner.metrics.refused.inc_by(records as u64);
            let message = format!("dataset {}: more than its rate limit was sent", inner.name);
            return Err(overloaded(message, wait));
        }
        let limits = inner.options.lock().waiting;
        let waiting = inner.room.lock().bytes();
        let full = !inner.log_has_room(waiting + batch.bytes());
        if full && limits.shedding == Shedding::Reject {
            inner.metrics.refused.inc_by(records as u64);
            let message = format!("dataset {}: the write-ahead log is full", inner.name);
            return Err(overloaded(message, SOON));
        }
        let (submission, ack) = inner.submission(batch);
        let offered = inner.room.lock().offer(submission, &limits);
        match offered {
            Offered::Taken(shed) => inner.give_up(shed),
            Offered::Refused(_) if inner.room.lock().is_closed() => return Err(inner.ended()),
            Offered::Refused(submission) => {
                inner.metrics.refused.inc_by(submission.records() as u64);
                let message = format!("dataset {}: too much waits to be written", inner.name);
                return Err(overloaded(message, SOON));
            }
        }
        inner.came_in(records);
        Ok(ack)
    }
}

impl Inner {
    fn limiter(&self) -> Arc<super::Limiter> {
        Arc::clone(&self.limiter.lock())
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        self.check_open()?;
        batch.check()?;
        let bytes = weight(&batch.entry) as u64;
        self.journal()
            .map_or(Ok(()), |journal| journal.check(&batch.entry, bytes))
    }

    /// Refuses submissions to a pipeline that takes none.
    fn check_open(&self) -> Result<()> {
        match self.phase() {
            Phase::Running => Ok(()),
            _ => Err(self.ended()),
        }
    }

    /// Whether so many more bytes are within the disk budget.
    fn log_has_room(&self, bytes: usize) -> bool {
        let fits = |journal: Journal| journal.has_room(bytes as u64);
        !self.log_is_full.load(Ordering::Acquire) && self.journal().is_none_or(fits)
    }

    fn submission(self: &Arc<Self>, batch: Batch) -> (Submission, Ack) {
        let (reply, told) = oneshot::channel();
        let bytes = batch.bytes();
        let mut entry = batch.entry;
        if entry.changes.is_empty() {
            // Nothing was taken: what is mended may come under the same key.
            entry.key = None;
        }
        entry.time_ms = self.env.clock.wall_ms();
        let submission = Submission {
            entry: Arc::new(entry),
            refused: batch.refused,
            bytes,
            priority: batch.priority,
            arrived: self.env.clock.monotonic(),
            reply,
        };
        let ack = Ack {
            inner: Arc::clone(self),
            durable: Durable::Waiting(told),
        };
        (submission, ack)
    }

    fn came_in(&self, records: usize) {
        self.metrics.submitted.inc_by(records as u64);
        self.room_filled.notify_one();
    }

    fn give_up(&self, shed: Vec<Submission>) {
        for submission in shed {
            self.metrics.shed.inc_by(submission.records() as u64);
            let message = format!("dataset {}: given up for other submissions", self.name);
            _ = submission.reply.send(Err(overloaded(message, SOON)));
        }
    }
}
