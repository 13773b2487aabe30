//! Batches become versions, one after the other.
//!
//! Owns: encoding one batch while the last one is uploaded, and forgetting what is committed. Never: decides what
//! is done about a failure; what was taken and not published is taken again.

use super::inner::Inner;
use super::publish::Command;
use super::work::{Batched, Cycled, work};
use crate::cycle::IncrementalCycle;
use crate::producer::Core;
use crate::run::Trouble;
use crate::wal::Wal;
use crate::{Error, Producer, Published, Result};
use grotto_env::Stopped;
use grotto_format::Schema;
use grotto_state::{Mode, WriteState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{Notify, OwnedMutexGuard, mpsc};

impl Inner {
    /// Publishes a batch, and, unless there are commands to be obeyed, those that become due while it is on its
    /// way.
    pub(super) async fn publish_batch(
        self: &Arc<Self>,
        producer: &Producer,
        commands: Option<&mpsc::UnboundedReceiver<Command>>,
    ) -> Result<()> {
        let mut core = producer.enter(Mode::Incremental).await?;
        // A commit that had no answer may have turned out to be in the log.
        self.note_committed(producer);
        let Some(batched) = self.take_batch(&core) else {
            return Ok(());
        };
        let mut next = Some(self.cycle_on(producer, &core, batched).await?);
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
        let Cycled {
            mut worked,
            letters,
            failed,
        } = cycled;
        let inner = Arc::clone(self);
        let buried = self.env.blocking(move || inner.bury(letters)).await;
        buried.map_err(|e| Error::internal(format!("dead letters stopped: {e}")))??;
        let schema = Arc::clone(&batched.schema);
        worked.ahead = worked
            .encoded
            .as_ref()
            .map(|encoded| core.write.ahead(encoded));
        let ahead = worked.ahead.clone().filter(|_| goes_on);
        let (began, done) = (producer.now(), Notify::new());
        self.metrics.active_writes.inc();
        let publish = async {
            let published = producer.publish(core, worked).await;
            done.notify_one();
            published
        };
        let (published, next) =
            tokio::join!(publish, self.next_ahead(producer, ahead, schema, &done));
        self.metrics.active_writes.dec();
        let published = published?;
        let took = producer.now().saturating_sub(began);
        self.metrics.write.observe(took.as_secs_f64());
        self.note_published(producer, &batched, failed, published.as_ref());
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

    /// Encodes the next batch on the state that the last one will lead to, if it becomes due before that is
    /// published.
    async fn next_ahead(
        self: &Arc<Self>,
        producer: &Producer,
        ahead: Option<WriteState>,
        schema: Arc<Schema>,
        done: &Notify,
    ) -> Option<Result<(Batched, Cycled), Error>> {
        let ahead = ahead?;
        tokio::select! {
            biased;
            () = done.notified() => return None,
            due = self.when_due() => due?,
        }
        let batched = self.take_under(&schema)?;
        let shared = Arc::clone(&producer.shared);
        let began = producer.now();
        let cycled = move || {
            let begin = || shared.begin_on(&ahead, &batched.schema, &IncrementalCycle::FORM);
            let cycled = work(&shared, &batched, began, &begin);
            (batched, cycled)
        };
        Some(self.finish_cycle(self.env.blocking(cycled).await))
    }

    async fn cycle_on(
        self: &Arc<Self>,
        producer: &Producer,
        core: &Core,
        batched: Batched,
    ) -> Result<(Batched, Cycled)> {
        let (shared, write) = (Arc::clone(&producer.shared), core.write.clone());
        let began = producer.now();
        let cycled = move || {
            let begin = || shared.begin_on(&write, &batched.schema, &IncrementalCycle::FORM);
            let cycled = work(&shared, &batched, began, &begin);
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

    fn take_batch(&self, core: &Core) -> Option<Batched> {
        self.take_under(&core.schema)
    }

    fn take_under(&self, schema: &Arc<Schema>) -> Option<Batched> {
        let batching = self.options.lock().batching;
        let mut queue = self.queue.lock();
        if queue.is_pressed(&batching) {
            self.metrics.pressure.inc();
        }
        let entries = queue.take(&batching);
        drop(queue);
        (!entries.is_empty()).then(|| Batched {
            entries,
            source: self.source.clone(),
            commit_position: self.log_is_long(),
            schema: Arc::clone(schema),
        })
    }

    /// Whether positions are worth a version without a change: the log could not be cut otherwise.
    fn log_is_long(&self) -> bool {
        let of = |wal: Arc<Wal>| wal.bytes() > wal.options().segment_bytes.saturating_mul(2);
        self.wal().is_some_and(of)
    }

    /// Forgets what is committed.
    pub(super) fn note_committed(self: &Arc<Self>, producer: &Producer) {
        let committed = self.committed_by(producer);
        if !self.is_logged() || committed <= self.committed.fetch_max(committed, Ordering::AcqRel) {
            return;
        }
        self.forget(committed, producer.version());
        let inner = Arc::clone(self);
        self.spawn_release(inner, committed);
    }

    fn note_published(
        self: &Arc<Self>,
        producer: &Producer,
        batched: &Batched,
        failed: Vec<(u64, Error)>,
        published: Option<&Published>,
    ) {
        {
            let mut progress = self.progress.lock();
            for (number, error) in failed {
                progress.fail(number, error);
            }
        }
        self.note_committed(producer);
        if let Some(last) = batched.entries.last() {
            // Also where nothing changed, so that no version was needed.
            self.forget(last.number, producer.version());
        }
        self.metrics.batches.inc();
        if let Some(published) = published {
            self.announce(published);
        }
        if let Some(first) = batched.entries.first() {
            let took = producer.now().saturating_sub(first.arrived);
            self.metrics.flush.observe(took.as_secs_f64());
        }
    }

    fn forget(&self, through: u64, version: u64) {
        let now = self.env.clock.monotonic();
        for queued in self.queue.lock().commit(through) {
            self.metrics
                .batched
                .inc_by(queued.entry.changes.len() as u64);
            let took = now.saturating_sub(queued.arrived);
            self.metrics.to_published.observe(took.as_secs_f64());
        }
        self.progress.lock().advance(through, version);
        if !self.is_logged() {
            // There is room for more in memory.
            self.room_filled.notify_one();
        }
    }

    pub(super) fn announce(&self, published: &Published) {
        self.state.lock().published_ms = Some(self.env.clock.wall_ms());
        // Nobody may listen.
        _ = self.published.send(Arc::new(published.clone()));
    }

    /// Gives the disk back what is committed.
    fn spawn_release(&self, inner: Arc<Self>, committed: u64) {
        let Some(wal) = self.wal() else {
            return;
        };
        let env = self.env.clone();
        tokio::spawn(async move {
            let released = env.blocking(move || wal.release(committed)).await;
            if let Ok(Err(error)) = released {
                tracing::warn!(dataset = inner.name, %error, "the write-ahead log could not be cut");
            }
            inner.room_freed.notify_waiters();
        });
    }
}
