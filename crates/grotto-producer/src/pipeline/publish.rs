//! Publishing what is acknowledged.
//!
//! Owns: becoming the producer, when a batch is taken, encoding one while the last one is uploaded, and what is
//! done about failures. Never: acknowledges, and never gives up what is acknowledged.

use super::Condition;
use super::inner::{Inner, Phase};
use super::journal::Journal;
use super::queue::{Due, Queued, Refill};
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

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// To publish a batch.
    Batch,
    /// Nothing: all is published, and nothing more comes.
    Drained,
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
        while let Some(producer) = self.open(&mut commands).await {
            *self.producer.lock() = Some(producer.clone());
            match self.publish_with(&producer, &mut commands).await {
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
    async fn open(
        self: &Arc<Self>,
        commands: &mut mpsc::UnboundedReceiver<Command>,
    ) -> Option<Producer> {
        loop {
            while let Ok(Command::Full { reply, .. }) = commands.try_recv() {
                // Who asked may be gone.
                _ = reply.send(Err(self.not_open()));
            }
            if self.phase() >= Phase::Ended {
                return None;
            }
            match self.open_once().await {
                Ok(producer) => {
                    self.reigns(&producer).await;
                    return Some(producer);
                }
                Err(error) if error.kind() == ErrorKind::Fenced => {
                    self.fail(&error);
                    return None;
                }
                Err(error) => {
                    self.failed_once(&error.at("opening the dataset"));
                    self.back_off().await;
                }
            }
        }
    }

    async fn open_once(self: &Arc<Self>) -> Result<Producer> {
        let store = self.store.lock().clone();
        // Looks at the disk where it is a folder.
        let renewed = self.env.blocking(move || store.renewed()).await;
        let store =
            renewed.map_err(|e| Error::internal(format!("opening the store stopped: {e}")))??;
        *self.store.lock() = store.clone();
        let mut builder = self.builder.clone().store(store);
        let inner = Arc::clone(self);
        builder.judge = Some(Arc::new(move |head, proof| inner.may_lead(head, proof)));
        builder.open().await
    }

    /// Notes a failure, and says so when it is another one than before.
    fn failed_once(&self, error: &Error) {
        self.metrics.write_failures.inc();
        self.state.lock().failures += 1;
        self.set_condition(Condition::Degraded, Some(error.clone()));
        self.log_changed.notify_waiters();
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
        match self.resume(producer).await {
            // What is in the store may come back, and a disk that is damaged does not.
            Err(error) if remedy(&error) == Remedy::Again || self.may_heal(&error) => {
                return Ok(Ended::Reopen(error));
            }
            resumed => resumed?,
        }
        loop {
            let done = tokio::select! {
                biased;
                () = self.reached(Phase::Ended) => return Ok(Ended::Done),
                Some(command) = commands.recv() => self.obey(producer, command).await,
                next = self.when_due() => match next {
                    Ok(Next::Batch) => self.publish_batch(producer, Some(commands)).await,
                    Ok(Next::Drained) => return Ok(Ended::Done),
                    // A log that lacks what was acknowledged is for a person to look at.
                    Err(error) if error.kind() == ErrorKind::Corrupt && !self.may_heal(&error) => {
                        return Err(error);
                    }
                    Err(error) => Err(error),
                },
            };
            let Err(error) = done else {
                continue;
            };
            match remedy(&error) {
                Remedy::Stop => return Err(error),
                Remedy::Reopen => return Ok(Ended::Reopen(error)),
                Remedy::Again if self.store.lock().is_spent() => {
                    return Ok(Ended::Reopen(error));
                }
                Remedy::Again => {
                    self.failed_once(&error);
                    self.back_off().await;
                }
            }
        }
    }

    /// Goes on where the newest version says that this log was read to.
    ///
    /// # Errors
    /// When the log is not the one that the version tells of.
    async fn resume(&self, producer: &Producer) -> Result<()> {
        let committed = self.committed_by(producer);
        let Some(journal) = self.journal() else {
            // What is in memory is all there is.
            self.queue.lock().untake();
            self.progress.lock().begin(0, producer.version());
            return self.opened();
        };
        match &journal {
            Journal::Host(wal) => self.resume_host(producer, wal, committed).await?,
            Journal::Store(log) => self.take_log(producer, log, committed).await?,
        }
        self.committed.fetch_max(committed, Ordering::AcqRel);
        {
            // What is appended meanwhile comes into the queue when this is done, or is in the log already.
            let mut queue = self.queue.lock();
            queue.begin(committed, journal.last());
        }
        self.progress.lock().begin(committed, producer.version());
        self.log_changed.notify_waiters();
        // The process before may have ended between a commit and this.
        self.release(committed).await;
        self.opened()
    }

    /// It can be published from now on, unless something is wrong with what there is.
    fn opened(&self) -> Result<()> {
        if self.state.lock().failures == 0 || self.queue.lock().is_empty() {
            self.recovered();
        }
        Ok(())
    }

    /// All is well.
    pub(super) fn recovered(&self) {
        self.state.lock().failures = 0;
        self.set_condition(Condition::Running, None);
    }

    pub(super) fn committed_by(&self, producer: &Producer) -> u64 {
        let positions = producer.positions();
        let source = self.source.as_deref();
        let committed = source.and_then(|source| positions.get(source));
        committed.copied().unwrap_or(0)
    }

    /// Waits until there is something to do.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(super) async fn when_due(&self) -> Result<Next> {
        loop {
            self.refill().await?;
            let time = match self.due_now() {
                Ok(next) => return Ok(next),
                Err(time) => time,
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

    /// What there is to do now, or when to look again.
    fn due_now(&self) -> Result<Next, Option<Duration>> {
        let batching = self.options.lock().batching;
        let through = self.progress.lock().through();
        let flush = self.flush.load(Ordering::Acquire) > through;
        let draining = self.phase() >= Phase::Draining;
        let due = self.queue.lock().due(&batching, flush || draining);
        match due {
            Due::Now => Ok(Next::Batch),
            Due::Never if draining && self.is_drained() => Ok(Next::Drained),
            Due::Never => Err(None),
            Due::At(time) => {
                let now = self.env.clock.monotonic();
                let left = time.checked_sub(now).filter(|left| !left.is_zero());
                left.map_or(Ok(Next::Batch), |left| Err(Some(left)))
            }
        }
    }

    fn is_drained(&self) -> bool {
        self.room.lock().is_idle() && self.queue.lock().is_empty()
    }

    /// Reads entries back that are in the log only, if there is room for them.
    ///
    /// # Errors
    /// When the log cannot be read, or lacks some.
    pub(super) async fn refill(&self) -> Result<()> {
        let batching = self.options.lock().batching;
        let Some(wanted) = self.queue.lock().wants_refill(&batching) else {
            return Ok(());
        };
        let Some(journal) = self.journal() else {
            return Ok(());
        };
        let Refill {
            from,
            bytes,
            records,
        } = wanted;
        let read = journal.read_up_to(&self.env, from, bytes, records).await;
        let read = read.map_err(|error| error.at("reading the write-ahead log"))?;
        let (now, wall_ms) = (self.env.clock.monotonic(), self.env.clock.wall_ms());
        let queued = read.into_iter().map(|read| {
            let age = Duration::from_millis(wall_ms.saturating_sub(read.entry.time_ms));
            Queued {
                number: read.number,
                entry: Arc::new(read.entry),
                rejected: read.rejected.into(),
                arrived: now.saturating_sub(age),
            }
        });
        let queued = queued.collect();
        let rest = self.queue.lock().refill(queued, &batching);
        rest.map(drop).map_err(|(expected, found)| {
            Error::new(
                ErrorKind::Corrupt,
                format!(
                    "the write-ahead log begins with entry {found}, expected {expected}: the dataset is older than \
                     it; move its folder away to begin a new one"
                ),
            )
        })
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
            self.refill().await?;
            self.publish_batch(producer, None).await?;
        }
        // Batches may have taken later ones too.
        let through = self.progress.lock().through();
        let source = self.source.clone();
        let fill = move |cycle: &mut FullCycle| {
            fill(cycle)?;
            if let Some(source) = source.filter(|_| through > 0) {
                cycle.set_position(&source, through);
            }
            Ok(())
        };
        let published = producer.run_cycle(fill).await?;
        self.note_committed(producer).await;
        if let Some(published) = &published {
            self.announce(published);
        }
        Ok(published)
    }
}

/// How long nothing is tried after the tasks of a pipeline panicked.
pub(super) const AFTER_PANIC: Duration = Duration::from_secs(1);
