//! The one writer of a dataset: its reign, its uploads, its commits.
//!
//! Owns: fencing. Never: decides by time who writes, and never writes to the log again after it
//! lost a slot. Spec: `docs/format/spec.md`, section "Commit log".
//!
//! **Invariants**
//! - A reign begins with an entry that carries the next epoch, a fence or a first commit: every slot
//!   from there on was created by the same writer.
//! - An attempt whose outcome is unknown is settled before anything else is attempted, under its
//!   own nonce and with its own bytes.
//! - Once `Fenced`, always `Fenced`.

mod commit;
mod compose;
mod fence;
mod gap;
mod position;
mod probe;
mod slot;
mod upload;

use std::sync::OnceLock;

use bytes::Bytes;
use grotto_format::log::{BlobRef, FORMAT, LeaderHint, LogEntry, SnapshotEntry, SnapshotRef};
use parking_lot::Mutex;

use crate::control::unencodable;
use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::object::Created;

use position::Position;

pub use compose::CommitFields;
pub use upload::Uploaded;

/// How to become and be the writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterOptions {
    /// Who this is, for people: host, service, process.
    pub writer: String,
    /// Write to a store that failed the fencing probe. Only right where one writer is certain by
    /// construction; logged as a warning.
    pub allow_unfenced: bool,
    /// How often to try to take over when others take over at the same time.
    pub takeover_tries: u32,
    /// Where the newest log entries are damaged, goes on after them, from the newest intact one. What
    /// they said is lost: the next commit must be a new start, and nothing can be fenced before.
    pub past_damage: bool,
    /// A delta and a reverse delta of at most so many bytes together ride in the log entry instead of
    /// being objects of their own. Larger than [`MAX_INLINE_BYTES`] counts as that.
    pub inline_bytes: usize,
    /// A source whose position is the epoch in every entry of this writer. Later writers carry it on unchanged, so
    /// that whoever reads the newest entry sees whether it is of this writer, or of whom shares its mark.
    pub mark: Option<String>,
}

/// The most that [`WriterOptions::inline_bytes`] can ask for: the entry must stay within its limit.
pub const MAX_INLINE_BYTES: usize = 256 << 10;

/// No blob is small enough: how large they may be is for producers to say.
const DEFAULT_INLINE_BYTES: usize = 0;

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            writer: "unnamed".to_owned(),
            allow_unfenced: false,
            takeover_tries: 5,
            past_damage: false,
            inline_bytes: DEFAULT_INLINE_BYTES,
            mark: None,
        }
    }
}

/// The writer of a dataset. Share it behind an `Arc`: uploads run side by side, commits in turn.
#[derive(Debug)]
pub struct Writer {
    dataset: Dataset,
    options: WriterOptions,
    /// Held while a slot is being created: one at a time.
    turn: tokio::sync::Mutex<()>,
    position: Mutex<Position>,
    /// Why this writer ended.
    ended: OnceLock<String>,
}

impl Writer {
    /// Becomes the writer: probes the store, then creates the fence at the head of the log.
    /// Returns the head as it was before the fence, from which the caller restores its state.
    ///
    /// # Errors
    /// `Invalid` if the store does not fence; `Unavailable` if it does not answer or if
    /// others took over at the same time too often.
    pub async fn acquire(
        dataset: Dataset,
        options: WriterOptions,
    ) -> Result<(Self, Option<LogEntry>)> {
        fence::acquire(dataset, options).await
    }

    /// Reads the head without taking over, for a command that may find that there is nothing to
    /// write. Call [`Writer::claim`] or [`Writer::fence`] before the first upload.
    ///
    /// # Errors
    /// `Corrupt` when the head of the log is damaged and the options do not go past it; `Unavailable` or
    /// `Overloaded` when the store does not answer or asks for less.
    pub async fn prepare(
        dataset: Dataset,
        options: WriterOptions,
    ) -> Result<(Self, Option<LogEntry>)> {
        let dataset = dataset.alone();
        let position = Position::find(&dataset, options.past_damage).await?;
        let head = position.head.clone();
        let writer = Self {
            dataset,
            options,
            turn: tokio::sync::Mutex::new(()),
            position: Mutex::new(position),
            ended: OnceLock::new(),
        };
        Ok((writer, head))
    }

    /// The dataset it writes.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The newest intact entry this writer knows, its own fence and commits included.
    pub fn head(&self) -> Option<LogEntry> {
        self.position.lock().head.clone()
    }

    /// Whether entries past the head are damaged, so that nobody can tell what they said. Only with
    /// [`WriterOptions::past_damage`]; over with the next commit.
    pub fn is_past_damage(&self) -> bool {
        self.position.lock().is_past_damage()
    }

    /// Its epoch; `None` before it claimed one or fenced.
    pub fn epoch(&self) -> Option<u64> {
        self.position.lock().reign.epoch()
    }

    /// The version that the next commit will create. Stays the same until a commit succeeds.
    pub fn next_version(&self) -> u64 {
        self.position.lock().newest + 1
    }

    /// Whether another writer took over; if so, nothing can be written any more.
    pub fn is_fenced(&self) -> bool {
        self.ended.get().is_some()
    }

    /// Tells consumers that a snapshot of a committed version exists. If one was announced before,
    /// that one stays and is returned; one that does not count or is damaged is replaced.
    ///
    /// # Errors
    /// `Invalid` when the version is not committed; `Fenced` when another writer took over; `Unavailable` or
    /// `Overloaded` when the store does not answer or asks for less.
    pub async fn announce_snapshot(&self, version: u64, blob: BlobRef) -> Result<SnapshotEntry> {
        let epoch = self.reign()?;
        if version >= self.next_version() {
            return Err(Error::invalid(format!(
                "cannot announce a snapshot of version {version}: it is not committed"
            )));
        }
        let state_checksum = self.committed(version).await?.state_checksum;
        let env = self.dataset.store.env();
        let entry = SnapshotEntry {
            format: FORMAT,
            dataset: self.dataset.name().to_owned(),
            version,
            state_checksum,
            blob,
            epoch,
            nonce: env.random.nonce(),
            time_ms: env.clock.wall_ms(),
        };
        let announced = self.create_announcement(entry).await?;
        self.learn_snapshot(&announced);
        Ok(announced)
    }

    /// Writes the hint where the head is, for standbys and for readers far behind. Call it after
    /// commits and at intervals; failing costs nobody anything but time, so it is only logged.
    pub async fn heartbeat(&self) {
        if let Err(error) = self.write_hint(false).await {
            tracing::warn!(%error, dataset = self.dataset.name(), "cannot write the leader hint");
        }
    }

    /// Looks whether another writer took over, which this one would otherwise learn at its next commit only.
    ///
    /// # Errors
    /// `Fenced` when one did; `Corrupt` when what lies at the next version is damaged; `Unavailable` or `Overloaded`
    /// when the store does not answer or asks for less.
    pub async fn look_out(&self) -> Result<()> {
        let epoch = self.reign()?;
        let next = self.dataset.read_entry(self.next_version()).await?;
        match next.filter(|next| next.epoch > epoch) {
            None => Ok(()),
            Some(next) => Err(self.end(format!(
                "writer {:?} of epoch {} took over with version {} from this one of epoch {epoch}",
                next.writer, next.epoch, next.version
            ))),
        }
    }

    /// Looks whether anybody has written since this writer fenced, or claimed its epoch; for one that has committed
    /// nothing since.
    ///
    /// # Errors
    /// As [`look_out`](Self::look_out).
    pub async fn check_newest(&self) -> Result<()> {
        self.reign()?;
        let next = self.dataset.read_entry(self.next_version()).await?;
        match next {
            None => Ok(()),
            Some(next) => Err(self.end(format!(
                "writer {:?} of epoch {} wrote version {} since this one took over",
                next.writer, next.epoch, next.version
            ))),
        }
    }

    /// Says in the hint that this writer has ended, so that whoever stands by takes over at once.
    ///
    /// # Errors
    /// `Fenced` when another writer took over already; `Unavailable` or `Overloaded` when the store does not
    /// answer or asks for less.
    pub async fn resign(&self) -> Result<()> {
        let store = &self.dataset.store;
        store.writing(|| self.write_hint(true)).await
    }

    async fn write_hint(&self, resigned: bool) -> Result<()> {
        let epoch = self.reign()?;
        if !self.position.lock().reign.is_held() {
            return Ok(()); // not the writer yet
        }
        let env = self.dataset.store.env();
        let hint = LeaderHint {
            format: FORMAT,
            dataset: self.dataset.name().to_owned(),
            version: self.next_version() - 1,
            epoch,
            writer: self.options.writer.clone(),
            time_ms: env.clock.wall_ms(),
            resigned,
        };
        let bytes = hint.encode().map_err(unencodable)?;
        let path = self.dataset.layout.leader();
        self.dataset.store.put(&path, bytes.into()).await
    }

    /// The epoch to write under.
    fn reign(&self) -> Result<u64> {
        self.check_alive()?;
        self.epoch()
            .ok_or_else(|| Error::invalid("this writer has neither claimed an epoch nor fenced"))
    }

    fn check_alive(&self) -> Result<()> {
        match self.ended.get() {
            Some(reason) => Err(Error::fenced(reason.clone())),
            None => Ok(()),
        }
    }

    /// Ends this writer for good.
    fn end(&self, reason: String) -> Error {
        tracing::warn!(
            dataset = self.dataset.name(),
            reason,
            "this writer has ended"
        );
        Error::fenced(self.ended.get_or_init(|| reason).clone())
    }

    async fn create_announcement(&self, entry: SnapshotEntry) -> Result<SnapshotEntry> {
        let bytes = Bytes::from(entry.encode().map_err(unencodable)?);
        let path = self.dataset.layout.snapshot_entry(entry.version);
        let store = &self.dataset.store;
        let create = || store.create(&path, bytes.clone());
        if store.writing(create).await? == Created::New {
            return Ok(entry);
        }
        match self.dataset.snapshot_entry(entry.version).await {
            Ok(Some(there)) => return Ok(there),
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            Err(error) => return Err(error),
        }
        // Nobody may use what is there, and the log entry that decides so never changes.
        store.writing(|| store.put(&path, bytes.clone())).await?;
        Ok(entry)
    }

    /// The log entry of a version up to the head.
    async fn committed(&self, version: u64) -> Result<LogEntry> {
        if let Some(head) = self.head().filter(|head| head.version == version) {
            return Ok(head);
        }
        let entry = self.dataset.read_entry(version).await?;
        entry.ok_or_else(|| {
            Error::invalid(format!(
                "cannot announce a snapshot of version {version}: the log does not have it"
            ))
        })
    }

    fn learn_snapshot(&self, announced: &SnapshotEntry) {
        let mut position = self.position.lock();
        let known = position.snapshot.as_ref().map_or(0, |s| s.version);
        if announced.version >= known {
            position.snapshot = Some(SnapshotRef {
                version: announced.version,
                blob: announced.blob.clone(),
            });
        }
    }
}
