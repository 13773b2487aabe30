//! The write-ahead log of a pipeline, wherever it lives.
//!
//! Owns: the differences between a log on a disk and one in the store. Never: decides when something is appended or
//! released.

use super::inner::Inner;
use super::inner::Phase;
use crate::wal::{ReadEntry, StoreLog, Wal, WalEntry};
use crate::{Error, ErrorKind, Producer, Result};
use grotto_env::Env;
use std::sync::Arc;

/// A log that this pipeline has.
#[derive(Clone, Debug)]
pub(super) enum Journal {
    Host(Arc<Wal>),
    Store(Arc<StoreLog>),
}

fn stopped(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("the write-ahead log stopped: {error}"))
}

impl Journal {
    pub(super) fn last(&self) -> u64 {
        match self {
            Self::Host(wal) => wal.last(),
            Self::Store(log) => log.last(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Host(wal) => wal.bytes(),
            Self::Store(log) => log.bytes(),
        }
    }

    pub(super) fn room(&self) -> u64 {
        match self {
            Self::Host(wal) => wal.room(),
            Self::Store(log) => log.room(),
        }
    }

    /// Whether so many more bytes are within the budget.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        bytes <= self.room()
    }

    /// Whether positions alone are worth a version: the log could not be cut otherwise.
    pub(super) fn is_long(&self) -> bool {
        // An entry may take half of the budget, and a segment begins with keys.
        let most = match self {
            Self::Host(wal) => {
                let options = wal.options();
                let segments = options.segment_bytes.saturating_mul(2);
                (options.max_bytes / 4).min(segments)
            }
            Self::Store(log) => log.options().max_bytes / 4,
        };
        self.bytes() > most
    }

    pub(super) fn failed(&self) -> Option<String> {
        match self {
            Self::Host(wal) => wal.failed(),
            Self::Store(log) => log.failed(),
        }
    }

    pub(super) fn known_key(&self, key: &str) -> Option<u64> {
        match self {
            Self::Host(wal) => wal.known_key(key),
            Self::Store(log) => log.known_key(key),
        }
    }

    pub(super) fn check(&self, entry: &WalEntry, bytes: u64) -> Result<()> {
        match self {
            Self::Host(wal) => wal.check(entry, bytes),
            Self::Store(log) => log.check(entry, bytes),
        }
    }

    /// Makes sure of what was written last and had no answer: until then its keys are not known.
    pub(super) async fn settle(&self, env: &Env) -> Result<()> {
        match self {
            Self::Host(wal) if wal.is_unsettled() => {
                let wal = Arc::clone(wal);
                let settled = env.blocking(move || wal.settle_now()).await;
                settled.map_err(stopped)?.map(|_| ())
            }
            Self::Host(_) => Ok(()),
            Self::Store(log) => log.settle().await,
        }
    }

    /// Appends entries as one group; the number of the first.
    pub(super) async fn append(&self, env: &Env, entries: Vec<Arc<WalEntry>>) -> Result<u64> {
        match self {
            Self::Host(wal) => {
                let wal = Arc::clone(wal);
                let appended = env.blocking(move || wal.append(&entries)).await;
                appended.map_err(stopped)?.map(|numbers| *numbers.start())
            }
            Self::Store(log) => log.append(&entries).await,
        }
    }

    pub(super) async fn read_up_to(
        &self,
        env: &Env,
        from: u64,
        bytes: usize,
        changes: usize,
    ) -> Result<Vec<ReadEntry>> {
        match self {
            Self::Host(wal) => {
                let wal = Arc::clone(wal);
                let read = env.blocking(move || wal.read_up_to(from, bytes, changes));
                read.await.map_err(stopped)?
            }
            Self::Store(log) => log.read_up_to(from, bytes, changes).await,
        }
    }

    pub(super) async fn release(&self, env: &Env, through: u64) -> Result<()> {
        match self {
            Self::Host(wal) => {
                let wal = Arc::clone(wal);
                let released = env.blocking(move || wal.release(through)).await;
                released.map_err(stopped)?
            }
            Self::Store(log) => log.release(through).await,
        }
    }
}

impl Inner {
    pub(super) fn journal(&self) -> Option<Journal> {
        self.journal.lock().clone()
    }

    /// The log on a disk of this host.
    pub(super) fn wal(&self) -> Option<Arc<Wal>> {
        match self.journal()? {
            Journal::Host(wal) => Some(wal),
            Journal::Store(_) => None,
        }
    }

    /// The log in the store, where it is not this process's to append to.
    fn not_taken(&self) -> Option<Arc<StoreLog>> {
        match self.journal()? {
            Journal::Store(log) if !log.is_held() => Some(log),
            Journal::Store(_) | Journal::Host(_) => None,
        }
    }

    /// Whether it is worth to ask the log again after an error: one in the store may be read damaged, and be mended.
    pub(super) fn may_heal(&self, error: &Error) -> bool {
        error.kind() != ErrorKind::Fenced && self.wal().is_none()
    }

    /// Whether submissions wait for the log to be taken over: as long as nothing is known to be in the way.
    pub(super) fn waits_for_log(&self) -> bool {
        self.not_taken().is_some() && self.state.lock().failures == 0
    }

    /// Waits until it is known what is in the log.
    ///
    /// # Errors
    /// `Unavailable` when the pipeline ends before.
    pub(super) async fn log_is_taken(&self) -> Result<()> {
        loop {
            let changed = self.log_changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.not_taken().is_none() {
                return Ok(());
            }
            if self.phase() >= Phase::Ended {
                return Err(self.ended());
            }
            changed.await;
        }
    }

    /// Appends to the log; the number of the first entry.
    pub(super) async fn append(&self, entries: Vec<Arc<WalEntry>>) -> Result<u64> {
        match self.journal() {
            Some(_) if self.not_taken().is_some() => Err(self.not_open()),
            Some(journal @ Journal::Host(_)) if !entries.is_empty() => {
                journal.append(&self.env, entries).await
            }
            // Whoever takes over finds what became of it.
            Some(journal @ Journal::Store(_)) if !entries.is_empty() => tokio::select! {
                biased;
                () = self.reached(Phase::Ended) => Err(self.ended()),
                appended = journal.append(&self.env, entries) => appended,
            },
            None if self.is_logged() => Err(self.ended()),
            _ => Ok(self.queue.lock().last() + 1),
        }
    }

    /// Takes the log in the store over, for a producer that leads.
    ///
    /// # Errors
    /// Those of [`StoreLog::take`].
    pub(super) async fn take_log(
        &self,
        producer: &Producer,
        log: &StoreLog,
        committed: u64,
    ) -> Result<()> {
        let epoch = producer.shared.writer.epoch();
        let epoch = epoch.ok_or_else(|| Error::internal("a producer leads without an epoch"))?;
        let leads = producer.shared.writer.check_newest();
        let taken = log.take(epoch, committed, leads).await;
        taken.map_err(|error| error.at("taking over the write-ahead log in the store"))
    }

    /// Makes sure of a log on a disk.
    pub(super) async fn resume_host(
        &self,
        producer: &Producer,
        wal: &Arc<Wal>,
        committed: u64,
    ) -> Result<()> {
        let settling = Arc::clone(wal);
        // Reading behind the end makes durable what an earlier process could not be sure of.
        let settled = self
            .env
            .blocking(move || settling.read(settling.last() + 1, 1))
            .await;
        settled.map_err(|error| Error::internal(format!("the log stopped: {error}")))??;
        let last = wal.last();
        // Nothing that this process took in is committed before it publishes for the first time.
        let end = self.began_at.lock().take().unwrap_or(last);
        if committed > end {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "the write-ahead log ended with entry {end}, and version {} has its entries up to {committed}: \
                     it is older than the dataset; move its folder away to begin a new one",
                    producer.version()
                ),
            ));
        }
        self.forget_aside(wal, committed).await;
        Ok(())
    }
}
