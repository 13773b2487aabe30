//! Taking over: the probe, then the fence.
//!
//! Owns: how a writer's epoch begins. Never: waits for or asks the previous writer.

use bytes::Bytes;
use grotto_format::log::{EntryKind, LogEntry};

use super::compose;
use super::probe::prove_fencing;
use super::{Pending, Writer, WriterOptions};
use crate::control::unencodable;
use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};

/// Fences at the head, again with the new head while others take over at the same time.
pub(super) async fn acquire(
    dataset: Dataset,
    options: WriterOptions,
) -> Result<(Writer, Option<LogEntry>)> {
    let unfenced = probe(&dataset, &options).await?;
    let mut tries = options.takeover_tries.max(1);
    loop {
        let (writer, head) = Writer::prepare(dataset.clone(), options.clone()).await?;
        writer.position.lock().unfenced = unfenced;
        match writer.create_fence().await {
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
    /// Takes over at the head that [`Writer::prepare`] read. If the log has moved on since, this
    /// writer ends with `Fenced`. Returns the fence; once fenced, returns the head again.
    pub async fn fence(&self) -> Result<LogEntry> {
        self.check_alive()?;
        if let (Some(_), Some(head)) = (self.epoch(), self.head()) {
            return Ok(head);
        }
        let unfenced = probe(&self.dataset, &self.options).await?;
        self.position.lock().unfenced = unfenced;
        self.create_fence().await
    }

    async fn create_fence(&self) -> Result<LogEntry> {
        let _turn = self.turn.lock().await;
        self.check_alive()?;
        if let (Some(_), Some(head)) = (self.epoch(), self.head()) {
            return Ok(head); // another caller was faster
        }
        // A fence whose outcome is unknown is driven on; nothing else can be pending yet.
        let undecided = self.pending().filter(|p| p.entry.kind == EntryKind::Fence);
        let pending = match undecided {
            Some(pending) => pending,
            None => self.compose_fence()?,
        };
        self.settle(pending).await
    }

    fn compose_fence(&self) -> Result<Pending> {
        let head = self.head();
        let epoch = head.as_ref().map_or(0, |head| head.epoch) + 1;
        let entry = compose::fence(self.author(epoch), head.as_ref());
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
