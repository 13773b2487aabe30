//! Batches become versions, one after the other.
//!
//! Owns: encoding one batch while the last one is uploaded, and forgetting what is committed. Never: decides what
//! is done about a failure; what was taken and not published is taken again.

use super::inner::Inner;
use super::publish::{Command, Next};
use super::work::{Batched, Cycled, work};
use crate::producer::Core;
use crate::run::{Trouble, Worked};
use crate::{Error, Producer, Published, Result};
use grotto_env::Stopped;
use grotto_state::{Mode, WriteState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{Notify, OwnedMutexGuard, mpsc};
use tracing::Instrument as _;

impl Inner {
    /// Publishes a batch, and, unless there are commands to be obeyed, those that become due while it is on its
    /// way.
    pub(super) async fn publish_batch(
        self: &Arc<Self>,
        producer: &Producer,
        commands: Option<&mpsc::UnboundedReceiver<Command>>,
    ) -> Result<()> {
        let published = self.publish_in_turn(producer, commands).await;
        if published.is_err() {
            producer.shared.metrics.failed_cycles.inc();
            // What was taken is to be taken again.
            self.queue.lock().untake();
        }
        published
    }

    async fn publish_in_turn(
        self: &Arc<Self>,
        producer: &Producer,
        commands: Option<&mpsc::UnboundedReceiver<Command>>,
    ) -> Result<()> {
        let mut core = producer.enter(Mode::Incremental).await?;
        // A commit that had no answer may have turned out to be in the log.
        self.note_committed(producer).await;
        let Some(batched) = self.take_batch() else {
            // That commit was all that was left to do: nothing is wrong any more, and no later version tells of it.
            if let Some(settled) = core.take_settled() {
                self.announce(&settled);
            }
            self.recovered();
            return Ok(());
        };
        let write = core.write.clone();
        let mut next = Some(self.cycle_on(producer, write, batched).await?);
        while let Some((batched, cycled)) = next.take() {
            let goes_on = commands.is_some_and(mpsc::UnboundedReceiver::is_empty);
            next = self
                .publish_one(producer, &mut core, batched, cycled, goes_on)
                .await?;
        }
        Ok(())
    }

    /// Publishes one batch; gives the next one if it became due and was encoded meanwhile.
    async fn publish_one(
        self: &Arc<Self>,
        producer: &Producer,
        core: &mut OwnedMutexGuard<Core>,
        batched: Batched,
        cycled: Cycled,
        goes_on: bool,
    ) -> Result<Option<(Batched, Cycled)>> {
        let worked = self.settle_refusals(cycled).await?;
        let ahead = worked.ahead.clone().filter(|_| goes_on);
        producer.shared.metrics.records.inc_by(worked.records);
        let (began, done) = (producer.now(), Notify::new());
        self.metrics.active_writes.set(1);
        let span = tracing::info_span!(parent: &batched.span, "publish");
        let publish = async {
            let published = producer.publish(core, worked).instrument(span).await;
            done.notify_one();
            published
        };
        let (published, next) = tokio::join!(publish, self.next_ahead(producer, ahead, &done));
        self.metrics.active_writes.set(0);
        let published = published?;
        let took = producer.now().saturating_sub(began);
        self.metrics.write.observe(took.as_secs_f64());
        self.note_published(producer, &batched, published.as_ref())
            .await;
        match next {
            Some(Ok(next)) => Ok(Some(next)),
            // The next try tells what is wrong with it.
            Some(Err(_)) => {
                self.queue.lock().untake();
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Writes the dead letters of a batch before its version is committed. They stay dead letters then, also if
    /// the version has to be tried again and more could be applied.
    async fn settle_refusals(self: &Arc<Self>, cycled: Cycled) -> Result<Worked> {
        let Cycled {
            worked,
            letters,
            refused,
            failed,
        } = cycled;
        if !letters.is_empty() {
            let inner = Arc::clone(self);
            let buried = self.env.blocking(move || inner.bury(letters)).await;
            buried.map_err(|e| Error::internal(format!("dead letters stopped: {e}")))??;
            self.buried.lock().extend(refused);
        }
        let mut progress = self.progress.lock();
        for (number, error) in failed {
            progress.fail(number, error);
        }
        Ok(worked)
    }

    /// Encodes the next batch on the state that the last one will lead to, if it becomes due before that is
    /// published.
    async fn next_ahead(
        self: &Arc<Self>,
        producer: &Producer,
        ahead: Option<WriteState>,
        done: &Notify,
    ) -> Option<Result<(Batched, Cycled), Error>> {
        let ahead = ahead?;
        // Not given up when the upload ends first: what was read would have to be read again.
        self.refill().await.ok()?;
        tokio::select! {
            biased;
            () = done.notified() => return None,
            next = self.when_due() => match next {
                Ok(Next::Batch) => {}
                _ => return None,
            },
        }
        let batched = self.take_batch()?;
        Some(self.cycle_on(producer, ahead, batched).await)
    }

    async fn cycle_on(
        self: &Arc<Self>,
        producer: &Producer,
        write: WriteState,
        batched: Batched,
    ) -> Result<(Batched, Cycled)> {
        let shared = Arc::clone(&producer.shared);
        let began = producer.now();
        let cycled = move || {
            let encode = tracing::info_span!(parent: &batched.span, "encode");
            let cycled = encode.in_scope(|| work(&shared, &write, &batched, began));
            (batched, cycled)
        };
        self.finish_cycle(self.env.blocking(cycled).await)
    }

    fn finish_cycle(
        &self,
        cycled: Result<(Batched, Result<Cycled, Trouble>), Stopped>,
    ) -> Result<(Batched, Cycled)> {
        match cycled {
            Ok((batched, Ok(cycled))) => Ok((batched, cycled)),
            Ok((_, Err(Trouble::Records(error) | Trouble::Version(error)))) => Err(error),
            Err(stopped) => Err(Error::internal(format!("the cycle stopped: {stopped}"))),
        }
    }

    fn take_batch(&self) -> Option<Batched> {
        let batching = self.options.lock().batching;
        let mut queue = self.queue.lock();
        if queue.is_pressed(&batching) {
            self.metrics.pressure.inc();
        }
        let entries = queue.take(&batching);
        drop(queue);
        let (first, last) = (entries.first()?.number, entries.last()?.number);
        let span = tracing::info_span!(parent: None, "cycle", dataset = self.name, first, last);
        let buried = self.buried.lock();
        let of_batch = buried.range((first, None)..=(last, Some(usize::MAX)));
        Some(Batched {
            entries,
            source: self.source.clone(),
            commit_position: self.log_is_long(),
            buried: of_batch
                .map(|(name, error)| (*name, error.clone()))
                .collect(),
            schema: Arc::clone(self.admission.schema()),
            span,
        })
    }

    /// Whether positions are worth a version without a change: the log could not be cut otherwise.
    fn log_is_long(&self) -> bool {
        self.journal().is_some_and(|journal| journal.is_long())
    }

    /// Forgets what is committed.
    pub(super) async fn note_committed(&self, producer: &Producer) {
        let committed = self.committed_by(producer);
        if !self.is_logged() || committed <= self.committed.fetch_max(committed, Ordering::AcqRel) {
            return;
        }
        self.forget(committed, producer.version());
        self.release(committed).await;
    }

    async fn note_published(
        &self,
        producer: &Producer,
        batched: &Batched,
        published: Option<&Published>,
    ) {
        self.note_committed(producer).await;
        if let Some(last) = batched.entries.last() {
            // Also where nothing changed, so that no version was needed.
            self.forget(last.number, producer.version());
        }
        self.metrics.batches.inc();
        match published {
            Some(published) => self.announce(published),
            None => _ = producer.shared.metrics.quiet_cycles.inc(),
        }
        if let Some(first) = batched.entries.first() {
            let took = producer.now().saturating_sub(first.arrived);
            self.metrics.flush.observe(took.as_secs_f64());
        }
        self.recovered();
    }

    fn forget(&self, through: u64, version: u64) {
        let now = self.env.clock.monotonic();
        for queued in self.queue.lock().commit(through) {
            let records = queued.entry.changes.len() as u64;
            self.metrics.batched.inc_by(records);
            let took = now.saturating_sub(queued.arrived);
            self.metrics.to_published.observe(took.as_secs_f64());
        }
        self.buried
            .lock()
            .retain(|(number, _), _| *number > through);
        self.progress.lock().advance(through, version);
        if !self.is_logged() {
            // There is room for more in memory.
            self.room_filled.notify_one();
        }
    }

    pub(super) fn announce(&self, published: &Published) {
        self.state.lock().published_ms = Some(self.env.clock.wall_ms());
        for earlier in &published.settled {
            _ = self.published.send(Arc::new(earlier.clone()));
        }
        // Nobody may listen.
        _ = self.published.send(Arc::new(published.clone()));
    }

    /// Gives the disk, or the store, back what is committed.
    pub(super) async fn release(&self, committed: u64) {
        let Some(journal) = self.journal() else {
            return;
        };
        if let Err(error) = journal.release(&self.env, committed).await {
            tracing::warn!(dataset = self.name, %error, "the write-ahead log could not be cut");
        }
        self.room_freed.notify_waiters();
        self.room_filled.notify_one();
    }
}
