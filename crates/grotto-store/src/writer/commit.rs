//! Committing: one slot, won or lost for good.
//!
//! Owns: settling attempts. Never: attempts anything new while an older attempt is undecided.

use bytes::Bytes;
use futures::future::try_join;
use grotto_format::log::LogEntry;

use super::Writer;
use super::compose::{self, Author, CommitFields};
use super::position::{Pending, Reign};
use super::slot::{self, Slot};
use crate::control::unencodable;
use crate::error::{Error, Result};

impl Writer {
    /// Commits the next version. When this returns `Ok`, the version is visible to everyone. The first
    /// commit under a claimed epoch is also the fence.
    ///
    /// # Errors
    /// `Fenced`, another writer took over, stop for good. After any other error the outcome
    /// is unknown while [`Writer::is_undecided`]: call again with the same fields until it is known.
    /// Calling with other fields settles the older attempt first and then fails with `Invalid`, as
    /// the new fields were made for a state that is no longer the newest.
    pub async fn commit(&self, fields: CommitFields) -> Result<LogEntry> {
        let _turn = self.turn.lock().await;
        self.reign()?;
        if let Some(pending) = self.pending() {
            let same = pending.fields.as_ref() == Some(&fields);
            let settled = self.settle(pending).await?;
            if same {
                return Ok(settled);
            }
            return Err(Error::invalid(format!(
                "an earlier commit of version {} was undecided and has landed: build on it",
                settled.version
            )));
        }
        let pending = self.compose_commit(fields)?;
        self.settle(pending).await
    }

    /// Whether an attempt is in doubt: it may be in the log or may still get there, whatever the error
    /// was that it ended in.
    pub fn is_undecided(&self) -> bool {
        self.pending().is_some()
    }

    /// Settles a commit whose outcome is unknown and returns it; `None` if there is none.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub async fn settle_pending(&self) -> Result<Option<LogEntry>> {
        let _turn = self.turn.lock().await;
        self.check_alive()?;
        match self.pending() {
            Some(pending) => self.settle(pending).await.map(Some),
            None => Ok(None),
        }
    }

    /// Drives an attempt to its end. The attempt is remembered first, so that neither an error nor
    /// a caller that stops waiting can lose it.
    pub(super) async fn settle(&self, pending: Pending) -> Result<LogEntry> {
        self.position.lock().pending = Some(pending.clone());
        let unfenced = self.position.lock().unfenced;
        let entry = &pending.entry;
        match slot::create(&self.dataset, entry, &pending.bytes, unfenced).await? {
            Slot::Lost(other) => Err(self.end(lost_to(entry, &other))),
            Slot::Won => {
                // One request beside the other.
                try_join(self.check_boundary(entry), self.check_gap(entry)).await?;
                Ok(self.advance(pending.entry))
            }
        }
    }

    pub(super) fn pending(&self) -> Option<Pending> {
        self.position.lock().pending.clone()
    }

    pub(super) fn author(&self, epoch: u64) -> Author {
        let env = self.dataset.store.env();
        Author {
            dataset: self.dataset.name().to_owned(),
            writer: self.options.writer.clone(),
            epoch,
            nonce: env.random.nonce(),
            time_ms: env.clock.wall_ms(),
            mark: self.options.mark.clone(),
        }
    }

    fn compose_commit(&self, fields: CommitFields) -> Result<Pending> {
        let epoch = self.reign()?;
        let author = self.author(epoch);
        let position = self.position.lock();
        let entry = compose::commit(author, &position, &fields)?;
        let bytes = Bytes::from(entry.encode().map_err(unencodable)?);
        Ok(Pending {
            entry,
            bytes,
            fields: Some(fields),
        })
    }

    /// A slot that was collected can be created again by a writer that slept through it. The
    /// range was raised before the slot was deleted, so it tells.
    async fn check_boundary(&self, entry: &LogEntry) -> Result<()> {
        let collected = self.dataset.collected().await?;
        if collected < entry.version {
            return Ok(());
        }
        let path = self.dataset.layout.log_entry(entry.version);
        // Readers check the boundary too; removing the entry only tidies up.
        if let Err(error) = self.dataset.store.delete(&path).await {
            tracing::warn!(%error, %path, "cannot remove an entry below the collection boundary");
        }
        Err(self.end(format!(
            "version {} was collected long ago (boundary {collected}): the log has moved on",
            entry.version
        )))
    }

    fn advance(&self, entry: LogEntry) -> LogEntry {
        let mut position = self.position.lock();
        position.pending = None;
        position.reign = Reign::Held(entry.epoch);
        position.newest = entry.version;
        let known = position.snapshot.as_ref().map(|known| known.version);
        if entry.snapshot.as_ref().map(|named| named.version) > known {
            // A new start names its own; one announced meanwhile is newer than what others name.
            position.snapshot.clone_from(&entry.snapshot);
        }
        position.head = Some(entry.clone());
        entry
    }
}

fn lost_to(own: &LogEntry, other: &LogEntry) -> String {
    format!(
        "version {} was created by writer {:?} of epoch {}, not by this one of epoch {}",
        other.version, other.writer, other.epoch, own.epoch
    )
}
