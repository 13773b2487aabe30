//! Publishing what is acknowledged.
//!
//! Owns: becoming the producer, when a batch is taken, encoding one while the last one is uploaded, and what is
//! done about failures. Never: acknowledges, and never gives up what is acknowledged.

use super::Condition;
use super::inner::{Inner, Phase};
use super::queue::{Due, Queued};
use crate::{AnyError, Error, ErrorKind, FullCycle, Producer, Published, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What fills a full-state cycle.
type Fill = Box<dyn FnOnce(&mut FullCycle) -> Result<(), AnyError> + Send>;

/// Something to do between batches.
pub(super) enum Command {
    Full {
        fill: Fill,
        reply: oneshot::Sender<Result<Option<Published>>>,
    },
}

/// How publishing with one producer ended.
enum Ended {
    /// All is published, or nobody waits for it any more.
    Done,
    /// The producer is of no use any more: another one has to be opened.
    Reopen(Error),
}

/// What is to be done about a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// Try again with the same producer.
    Again,
    /// Open another producer.
    Reopen,
    /// Nothing: another producer took over.
    Stop,
}

fn remedy(error: &Error) -> Remedy {
    match error.kind() {
        ErrorKind::Fenced => Remedy::Stop,
        ErrorKind::Unavailable | ErrorKind::Overloaded | ErrorKind::Busy => Remedy::Again,
        // A validator refused, or dead letters cannot be written.
        ErrorKind::Invalid | ErrorKind::UserError | ErrorKind::UserPanic => Remedy::Again,
        _ => Remedy::Reopen,
    }
}

impl Inner {
    /// Publishes until the pipeline ends, or has failed.
    pub(super) async fn publish_all(
        self: Arc<Self>,
        commands: &tokio::sync::Mutex<mpsc::UnboundedReceiver<Command>>,
    ) {
        let mut commands = commands.lock().await;
        while let Some(producer) = self.open().await {
            *self.producer.lock() = Some(producer.clone());
            let ended = self.publish_with(&producer, &mut commands).await;
            match ended {
                Ok(Ended::Done) => break,
                Ok(Ended::Reopen(error)) => {
                    self.failed_once(&error);
                    *self.producer.lock() = None;
                    self.back_off().await;
                }
                Err(error) => {
                    self.fail(&error);
                    break;
                }
            }
        }
        self.set_phase(Phase::Ended);
    }

    /// Becomes the producer of the dataset, however long that takes; `None` when the pipeline ends before.
    async fn open(&self) -> Option<Producer> {
        loop {
            if self.phase() >= Phase::Ended {
                return None;
            }
            let opened = tokio::select! {
                biased;
                () = self.reached(Phase::Ended) => return None,
                opened = self.builder.clone().open() => opened,
            };
            match opened {
                Ok(producer) => return Some(producer),
                Err(error) => {
                    self.failed_once(&error.at("opening the dataset"));
                    self.back_off().await;
                }
            }
        }
    }

    /// Notes a failure, and says so when it is another one than before.
    fn failed_once(&self, error: &Error) {
        self.metrics.write_failures.inc();
        self.state.lock().failures += 1;
        self.set_condition(Condition::Degraded, Some(error.to_string()));
    }

    /// Waits after a failure, the longer the more there were.
    async fn back_off(&self) {
        let policy = self.options.lock().retry;
        let failures = self.state.lock().failures;
        self.metrics.retries.inc();
        self.pause(policy.delay(failures.max(1), &*self.env.random))
            .await;
    }

    /// Publishes with one producer.
    ///
    /// # Errors
    /// When nothing can be published any more.
    async fn publish_with(
        self: &Arc<Self>,
        producer: &Producer,
        commands: &mut mpsc::UnboundedReceiver<Command>,
    ) -> Result<Ended> {
        self.resume(producer);
        let mut healthy = true;
        loop {
            if healthy {
                self.state.lock().failures = 0;
                self.set_condition(Condition::Running, None);
            }
            let done = tokio::select! {
                biased;
                () = self.reached(Phase::Ended) => return Ok(Ended::Done),
                Some(command) = commands.recv() => self.obey(producer, command).await,
                due = self.when_due() => match due {
                    Some(()) => self.publish_batch(producer, Some(commands)).await,
                    None => return Ok(Ended::Done),
                },
            };
            let Err(error) = done else {
                healthy = true;
                continue;
            };
            healthy = false;
            self.queue.lock().untake();
            match remedy(&error) {
                Remedy::Stop => return Err(error),
                Remedy::Reopen => return Ok(Ended::Reopen(error)),
                Remedy::Again => {
                    self.failed_once(&error);
                    self.back_off().await;
                }
            }
        }
    }

    /// Goes on where the newest version says that this log was read to.
    fn resume(&self, producer: &Producer) {
        let Some(wal) = self.wal() else {
            // What is in memory is all there is.
            self.queue.lock().untake();
            return;
        };
        let committed = self.committed_by(producer);
        self.committed.fetch_max(committed, Ordering::AcqRel);
        self.queue.lock().begin(committed, wal.last());
        self.progress.lock().advance(committed, producer.version());
    }

    pub(super) fn committed_by(&self, producer: &Producer) -> u64 {
        let positions = producer.positions();
        let source = self.source.as_deref();
        source
            .and_then(|source| positions.get(source))
            .copied()
            .unwrap_or(0)
    }

    /// Waits until a batch is due; `None` when none will be.
    pub(super) async fn when_due(self: &Arc<Self>) -> Option<()> {
        loop {
            self.refill().await;
            let batching = self.options.lock().batching;
            let flush = self.flush.load(Ordering::Acquire) > self.progress.lock().through();
            let draining = self.phase() >= Phase::Draining;
            let due = self.queue.lock().due(&batching, flush || draining);
            let time = match due {
                Due::Now => return Some(()),
                Due::Never if draining && self.is_drained() => return None,
                Due::Never => None,
                Due::At(time) => {
                    let now = self.env.clock.monotonic();
                    match time.checked_sub(now).filter(|left| !left.is_zero()) {
                        Some(left) => Some(left),
                        None => return Some(()),
                    }
                }
            };
            let timer = async {
                match time {
                    Some(time) => self.env.sleep(time).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.queue_filled.notified() => {}
                () = timer => {}
            }
        }
    }

    fn is_drained(&self) -> bool {
        self.room.lock().is_idle() && self.queue.lock().is_empty()
    }

    /// Reads entries back that are in the log only, if there is room for them.
    async fn refill(self: &Arc<Self>) {
        let batching = self.options.lock().batching;
        let Some((from, bytes)) = self.queue.lock().wants_refill(&batching) else {
            return;
        };
        let Some(wal) = self.wal() else {
            return;
        };
        let read = self.env.blocking(move || wal.read(from, bytes)).await;
        let read = match read {
            Ok(read) => read,
            Err(error) => Err(Error::internal(format!("reading the log stopped: {error}"))),
        };
        match read {
            Ok(read) => {
                let arrived = self.env.clock.monotonic();
                let queued = read.into_iter().map(|read| Queued {
                    number: read.number,
                    entry: Arc::new(read.entry),
                    rejected: read.rejected.into(),
                    arrived,
                });
                self.queue.lock().refill(queued.collect(), &batching);
            }
            Err(error) => {
                self.failed_once(&error.at("reading the write-ahead log"));
                self.back_off().await;
            }
        }
    }

    async fn obey(self: &Arc<Self>, producer: &Producer, command: Command) -> Result<()> {
        let Command::Full { fill, reply } = command;
        let done = self.run_full_cycle(producer, fill).await;
        let told = done.as_ref().map(|_| ()).map_err(Clone::clone);
        // Who asked may be gone.
        _ = reply.send(done);
        match told {
            // The records of whoever asked are no failure of the pipeline.
            Err(error) if remedy(&error) != Remedy::Again || error.kind().is_outage() => Err(error),
            _ => Ok(()),
        }
    }

    /// Publishes what is acknowledged, then a full-state cycle.
    async fn run_full_cycle(
        self: &Arc<Self>,
        producer: &Producer,
        fill: Fill,
    ) -> Result<Option<Published>> {
        let last = self.queue.lock().last();
        while self.progress.lock().through() < last {
            self.refill().await;
            self.publish_batch(producer, None).await?;
        }
        let source = self.source.clone();
        let fill = move |cycle: &mut FullCycle| {
            fill(cycle)?;
            if let Some(source) = source.filter(|_| last > 0) {
                cycle.set_position(&source, last);
            }
            Ok(())
        };
        let published = producer.run_cycle(fill).await?;
        self.note_committed(producer);
        if let Some(published) = &published {
            self.announce(published);
        }
        Ok(published)
    }
}

/// How long nothing is tried after the tasks of a pipeline panicked.
pub(super) const AFTER_PANIC: Duration = Duration::from_secs(1);
