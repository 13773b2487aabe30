//! Taking over: the probe, then the fence.
//!
//! Owns: how a writer's epoch begins. Never: waits for or asks the previous writer.

use std::collections::BTreeMap;

use bytes::Bytes;
use grotto_format::log::LogEntry;

use super::compose;
use super::position::{Pending, Reign};
use super::probe::prove_fencing;
use super::{Writer, WriterOptions};
use crate::control::unencodable;
use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};

/// Fences at the head, again with the new head while others take over at the same time.
pub(super) async fn acquire(
    dataset: Dataset,
    options: WriterOptions,
) -> Result<(Writer, Option<LogEntry>)> {
    let dataset = dataset.alone();
    let unfenced = probe(&dataset, &options).await?;
    let mut tries = options.takeover_tries.max(1);
    loop {
        let (writer, head) = Writer::prepare(dataset.clone(), options.clone()).await?;
        writer.position.lock().unfenced = unfenced;
        match writer.create_fence(BTreeMap::new()).await {
            Ok(_) => return Ok((writer, head)),
            Err(error) if error.kind() == ErrorKind::Fenced => {
                tries -= 1;
                if tries == 0 {
                    return Err(Error::unavailable(format!(
                        "lost the race for dataset {} {} times",
                        dataset.name(),
                        options.takeover_tries.max(1)
                    ))
                    .with_source(error));
                }
            }
            Err(error) => return Err(error),
        }
    }
}

impl Writer {
    /// Proves that the store fences, and takes the next epoch for the first commit: creating that is
    /// the fence. For a writer that may find nothing to write, or writes one version; until the
    /// commit others may commit, and then this writer ends with `Fenced`.
    ///
    /// # Errors
    /// `Fenced` when another writer took over; `Invalid` when the store does not fence; `Unavailable` or
    /// `Overloaded` when the store does not answer or asks for less.
    pub async fn claim(&self) -> Result<()> {
        self.check_alive()?;
        if self.epoch().is_some() {
            return Ok(());
        }
        let unfenced = probe(&self.dataset, &self.options).await?;
        let mut position = self.position.lock();
        if position.reign == Reign::None {
            position.unfenced = unfenced;
            position.reign = Reign::Claimed(position.next_epoch());
        }
        Ok(())
    }

    /// Takes over at the head that [`Writer::prepare`] read. If the log has moved on since, this
    /// writer ends with `Fenced`. Returns the fence; once fenced, returns the head again. A first commit
    /// that is in doubt is settled instead, and returned.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub async fn fence(&self) -> Result<LogEntry> {
        self.fence_at(BTreeMap::new()).await
    }

    /// The same, and moves positions of sources with it. Those that are not named stay where the head has them.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub async fn fence_at(&self, positions: BTreeMap<String, u64>) -> Result<LogEntry> {
        self.check_alive()?;
        if let Some(head) = self.held_head() {
            return Ok(head);
        }
        let unfenced = probe(&self.dataset, &self.options).await?;
        self.position.lock().unfenced = unfenced;
        self.create_fence(positions).await
    }

    fn held_head(&self) -> Option<LogEntry> {
        let position = self.position.lock();
        position.head.clone().filter(|_| position.reign.is_held())
    }

    async fn create_fence(&self, positions: BTreeMap<String, u64>) -> Result<LogEntry> {
        let _turn = self.turn.lock().await;
        self.check_alive()?;
        if let Some(head) = self.held_head() {
            return Ok(head); // another caller was faster
        }
        // What is in doubt is driven on, a fence or the first commit of a claimed epoch: either begins
        // the reign, and another attempt would lose the slot to it.
        let pending = match self.pending() {
            Some(pending) => pending,
            None => self.compose_fence(positions)?,
        };
        self.settle(pending).await
    }

    fn compose_fence(&self, positions: BTreeMap<String, u64>) -> Result<Pending> {
        let position = self.position.lock();
        if position.is_past_damage() {
            return Err(Error::invalid(format!(
                "version {} is damaged: a fence cannot tell what its state is",
                position.newest
            )));
        }
        let entry = compose::fence(self.author(position.next_epoch()), &position, positions);
        let bytes = Bytes::from(entry.encode().map_err(unencodable)?);
        Ok(Pending {
            entry,
            bytes,
            fields: None,
        })
    }
}

/// Proves that the store fences. Returns whether it does not and that is allowed.
async fn probe(dataset: &Dataset, options: &WriterOptions) -> Result<bool> {
    match prove_fencing(dataset).await {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == ErrorKind::Invalid && options.allow_unfenced => {
            tracing::warn!(
                %error,
                dataset = dataset.name(),
                "writing to a store that does not fence: a second writer would destroy data"
            );
            Ok(true)
        }
        Err(error) => Err(error),
    }
}
