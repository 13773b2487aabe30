//! Publishing: blobs up, then the log entry.
//!
//! Owns: the order claim or fence, upload, commit. Nothing refers to a blob before its entry exists; whatever
//! dies on the way leaves orphans and nothing else.

use bytes::Bytes;

use crate::notes::Notes;
use crate::producer::{Core, Producer};
use crate::run::Worked;
use crate::{Error, Result};
use grotto_state::{Counts, Encoded, WriteState};
use grotto_store::{BlobRef, CommitFields, EntryBlobs, ErrorKind, Uploaded};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How often a commit without an answer is asked for again before the caller hears of it.
const COMMIT_TRIES: u32 = 3;

/// A version that was committed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Published {
    /// Its version.
    pub version: u64,
    /// Records handed over in the cycle.
    pub records: u64,
    /// Records per type, and what changed; empty for a version that only moves positions.
    pub counts: Vec<Counts>,
    /// Bytes of the delta blob.
    pub delta_bytes: u64,
    /// Bytes of the reverse delta blob; `None` for the first version.
    pub reverse_bytes: Option<u64>,
    /// Whether a snapshot is now being written in the background; see
    /// [`Producer::finish`](crate::Producer::finish).
    pub snapshot_started: bool,
    /// State checksum.
    pub state_checksum: u64,
    /// Where the time went.
    pub times: Times,
    /// Versions of earlier cycles, oldest first, whose commits had no answer when those cycles ended
    /// with an error, and that are published after all.
    pub settled: Vec<Published>,
}

/// One line for a log: `version 7 from 1200 records, delta of 40311 bytes`.
impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            version,
            records,
            delta_bytes,
            ..
        } = self;
        write!(
            f,
            "version {version} from {records} records, delta of {delta_bytes} bytes"
        )
    }
}

/// Where the time of a cycle went.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Times {
    /// Taking in the records.
    pub populate: Duration,
    /// Finding, encoding and checking the difference.
    pub encode: Duration,
    /// Uploading blobs, with the proof that the store fences for a lazy producer.
    pub upload: Duration,
    /// Creating the log entry.
    pub commit: Duration,
}

/// A cycle whose commit is under way, or has no answer: it may or may not be in the log.
pub(crate) struct Pending {
    /// `None` where only positions and tags moved.
    pub(crate) encoded: Option<Encoded>,
    ahead: Option<WriteState>,
    pub(crate) fields: CommitFields,
    /// What is told once it is known to be in the log.
    published: Published,
    /// When its blobs were uploaded.
    uploaded: Duration,
}

impl Producer {
    /// Publishes what a cycle made. Without a change, returns an earlier version that turned out to be
    /// published since.
    pub(crate) async fn publish(
        &self,
        core: &mut Core,
        worked: Worked,
    ) -> Result<Option<Published>> {
        self.check_awaited()?;
        if let Some(pending) = self.prepare(core, worked).await? {
            // Uploading takes a while.
            self.check_awaited()?;
            self.commit(core, pending).await?;
        }
        Ok(core.take_settled())
    }

    /// Uploads what a cycle made; `None` if it changes nothing.
    async fn prepare(&self, core: &Core, worked: Worked) -> Result<Option<Pending>> {
        let Worked {
            encoded,
            ahead,
            records,
            notes,
            mut times,
            ..
        } = worked;
        let Some(mut encoded) = encoded else {
            return self.prepare_notes(core, notes, records, times).await;
        };
        let start = self.shared.env.clock.monotonic();
        let version = encoded.next.version();
        self.claim(version).await?;
        let (blobs, snapshot) = self.upload(core, &mut encoded, version).await?;
        let uploaded = self.shared.env.clock.monotonic();
        times.upload = uploaded - start;
        let fields = fields(&encoded, blobs, snapshot, notes);
        let blobs = fields.blobs.as_ref().map(Uploaded::blobs);
        let published = Published {
            version,
            records,
            counts: encoded.counts.clone(),
            delta_bytes: blobs.map_or(0, EntryBlobs::delta_bytes),
            reverse_bytes: blobs.and_then(EntryBlobs::reverse_bytes),
            snapshot_started: false,
            state_checksum: fields.state_checksum,
            times,
            settled: Vec::new(),
        };
        Ok(Some(Pending {
            encoded: Some(encoded),
            ahead,
            fields,
            published,
            uploaded,
        }))
    }

    /// A version of nothing but positions and tags, if any of them moved. Before the first state there is
    /// nothing to resume: the records that led there come again.
    async fn prepare_notes(
        &self,
        core: &Core,
        notes: Notes,
        records: u64,
        times: Times,
    ) -> Result<Option<Pending>> {
        let state = core.write.state();
        let began = !state.schema().types().is_empty() && !core.starts_over;
        if !began || !notes.move_on(&self.positions()) {
            return Ok(None);
        }
        let version = self.shared.writer.next_version();
        self.claim(version).await?;
        let published = Published {
            version,
            records,
            counts: Vec::new(),
            delta_bytes: 0,
            reverse_bytes: None,
            snapshot_started: false,
            state_checksum: state.checksum(),
            times,
            settled: Vec::new(),
        };
        let fields = CommitFields {
            sources: notes.all_positions(),
            tags: notes.tags,
            positions_only: true,
            ..CommitFields::default()
        };
        Ok(Some(Pending {
            encoded: None,
            ahead: None,
            fields,
            published,
            uploaded: self.shared.env.clock.monotonic(),
        }))
    }

    /// Commits, asking again when there is no answer.
    ///
    /// The cycle is remembered first: a caller that stops waiting drops this future, while the entry
    /// may land all the same. Only an answer, at the latest the one the next cycle asks for, decides.
    async fn commit(&self, core: &mut Core, pending: Pending) -> Result<()> {
        core.pending = Some(pending);
        let mut tries = 1;
        loop {
            match self.settle(core).await {
                Err(_) if core.pending.is_some() && tries < COMMIT_TRIES => tries += 1,
                settled => return settled,
            }
        }
    }

    /// Commits what is pending, or finds out what became of it. Whatever the error, short of having
    /// lost the version to another writer, it stays pending while the attempt may be in the log or
    /// may still get there; also when this future is dropped.
    pub(crate) async fn settle(&self, core: &mut Core) -> Result<()> {
        let Some(pending) = &core.pending else {
            return Ok(());
        };
        let version = pending.published.version;
        let writer = &self.shared.writer;
        let Err(error) = writer.commit(pending.fields.clone()).await else {
            return self.committed(core).await;
        };
        if error.kind() == ErrorKind::Fenced || !writer.is_undecided() {
            core.pending = None;
            return Err(error);
        }
        let doubt = format!("version {version} may or may not be published");
        Err(error.at(doubt))
    }

    /// Builds on the pending cycle, which is in the log.
    async fn committed(&self, core: &mut Core) -> Result<()> {
        let Some(pending) = core.pending.take() else {
            return Err(Error::internal("nothing was pending"));
        };
        let Pending {
            encoded,
            ahead,
            fields,
            mut published,
            uploaded,
        } = pending;
        self.shared.announce();
        let moved = encoded.is_some();
        if let Some(encoded) = encoded {
            core.starts_over = false;
            self.advance(core, encoded, ahead);
        }
        let times = &mut published.times;
        times.commit = self.shared.env.clock.monotonic() - uploaded;
        let total = times.populate + times.encode + times.upload + times.commit;
        self.shared
            .metrics
            .cycle_seconds
            .observe(total.as_secs_f64());
        self.shared.start_chores();
        if fields.snapshot.is_some() {
            // Before one is found to be due: this version is its own snapshot.
            self.shared.count_snapshots_from_here();
        }
        published.snapshot_started = moved && self.start_snapshot_if_due(core);
        // A daemon tells of every version itself; `grotto publish` prints it.
        tracing::debug!(
            dataset = self.shared.name,
            version = published.version,
            records = published.records,
            delta_bytes = published.delta_bytes,
            "version committed"
        );
        let version = published.version;
        core.settled.push(published);
        if let Some(blob) = fields.snapshot {
            self.shared.announce_or_warn(version, blob).await;
        }
        Ok(())
    }

    /// A producer that did not fence claims its epoch now; the version must be the one that was
    /// encoded.
    async fn claim(&self, version: u64) -> Result<()> {
        let writer = &self.shared.writer;
        writer.claim().await?;
        if writer.next_version() == version {
            return Ok(());
        }
        let message = format!(
            "expected to commit version {version}, but the log is at {}",
            writer.next_version() - 1
        );
        Err(Error::new(ErrorKind::Fenced, message))
    }

    /// The blobs of a version: its difference to the one before, or, for a new start, the whole of it.
    /// A delta from nothing would fit no consumer: they all come by the snapshot.
    async fn upload(
        &self,
        core: &Core,
        encoded: &mut Encoded,
        version: u64,
    ) -> Result<(Option<Uploaded>, Option<BlobRef>)> {
        if core.starts_over {
            let next = Arc::clone(&encoded.next);
            let snapshot = self.shared.upload_snapshot(next).await?;
            return Ok((None, Some(snapshot)));
        }
        let blobs = self.upload_steps(encoded, version).await?;
        self.shared.metrics.bytes.inc_by(blobs.stored_bytes());
        Ok((Some(blobs), None))
    }

    async fn upload_steps(&self, encoded: &mut Encoded, version: u64) -> Result<Uploaded> {
        let delta = std::mem::take(&mut encoded.delta);
        let reverse = encoded.reverse.take().map(Bytes::from);
        let writer = &self.shared.writer;
        writer.upload_step(version, delta.into(), reverse).await
    }
}

fn fields(
    encoded: &Encoded,
    blobs: Option<Uploaded>,
    snapshot: Option<BlobRef>,
    notes: Notes,
) -> CommitFields {
    CommitFields {
        blobs,
        snapshot,
        state_checksum: encoded.next.checksum(),
        types: encoded.summary(),
        schema_hash: encoded.next.schema_hash(),
        sources: notes.all_positions(),
        tags: notes.tags,
        positions_only: false,
    }
}
