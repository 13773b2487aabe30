//! Publishing: blobs up, then the log entry.
//!
//! Owns: the order fence, upload, commit. Nothing refers to a blob before its entry exists; whatever
//! dies on the way leaves orphans and nothing else.

use crate::error::{Error, Result};
use crate::producer::{Core, Producer, Worked};
use grotto_state::{Counts, Encoded};
use grotto_store::{BlobKind, BlobRef, CommitFields, EntryBlobs, ErrorKind};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often a commit without an answer is asked for again before the caller hears of it.
const COMMIT_TRIES: u32 = 3;

/// A version that was committed.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its version.
    pub version: u64,
    /// Records handed over in the cycle.
    pub records: u64,
    /// Records per type, and what changed.
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
}

/// Where the time of a cycle went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Taking in the records.
    pub populate: Duration,
    /// Finding, encoding and checking the difference.
    pub encode: Duration,
    /// Uploading blobs, with the fence of a lazy producer.
    pub upload: Duration,
    /// Creating the log entry.
    pub commit: Duration,
}

impl Producer {
    pub(crate) async fn publish(
        &self,
        core: &mut Core,
        worked: Worked,
    ) -> Result<Option<Published>> {
        let Worked {
            encoded: Some(mut encoded),
            records,
            mut times,
        } = worked
        else {
            return Ok(None);
        };
        let clock = &self.shared.env.clock;
        let start = clock.monotonic();
        let version = encoded.next.version();
        self.ensure_fence(version).await?;
        let beginning = match core.starts_over {
            true => Some(
                self.shared
                    .upload_snapshot(Arc::clone(&encoded.next))
                    .await?,
            ),
            false => None,
        };
        let blobs = match beginning {
            // A delta from nothing would fit no consumer: they all come by the snapshot.
            Some(_) => EntryBlobs::default(),
            None => self.upload(&mut encoded, version).await?,
        };
        let uploaded = clock.monotonic();
        let length = |blob: &Option<BlobRef>| blob.as_ref().map(|blob| blob.length);
        let (delta_bytes, reverse_bytes) =
            (length(&blobs.delta).unwrap_or(0), length(&blobs.reverse));
        self.shared
            .metrics
            .bytes
            .inc_by(delta_bytes + reverse_bytes.unwrap_or(0));
        let counts = encoded.counts.clone();
        let state_checksum = encoded.next.checksum();
        let fields = CommitFields {
            blobs,
            state_checksum,
            counts: counts
                .iter()
                .map(|c| (c.type_name.clone(), c.live))
                .collect(),
            schema_hash: encoded.next.schema_hash(),
            sources: BTreeMap::new(),
            tags: BTreeMap::new(),
        };
        self.commit(core, encoded, fields).await?;
        if let Some(blob) = beginning {
            self.shared.writer.announce_snapshot(version, blob).await?;
            core.starts_over = false;
        }
        let committed = clock.monotonic();
        times.upload = uploaded - start;
        times.commit = committed - uploaded;
        let total = times.populate + times.encode + times.upload + times.commit;
        self.shared
            .metrics
            .cycle_seconds
            .observe(total.as_secs_f64());
        self.shared.start_chores();
        let snapshot_started = self.start_snapshot_if_due(core);
        tracing::info!(
            dataset = self.shared.name,
            version,
            records,
            delta_bytes,
            "version committed"
        );
        let published = Published {
            version,
            records,
            counts,
            delta_bytes,
            reverse_bytes,
            snapshot_started,
            state_checksum,
            times,
        };
        Ok(Some(published))
    }

    /// A lazy producer fences now; the version must be the one that was encoded.
    async fn ensure_fence(&self, version: u64) -> Result<()> {
        let writer = &self.shared.writer;
        if writer.epoch().is_none() {
            writer.fence().await?;
        }
        if writer.next_version() == version {
            return Ok(());
        }
        let message = format!(
            "expected to commit version {version}, but the log is at {}",
            writer.next_version() - 1
        );
        Err(Error::new(ErrorKind::Fenced, message))
    }

    async fn upload(&self, encoded: &mut Encoded, version: u64) -> Result<EntryBlobs> {
        let writer = &self.shared.writer;
        let bytes = std::mem::take(&mut encoded.delta);
        let delta = writer.upload(BlobKind::Delta, version, bytes.into());
        let reverse = encoded.reverse.take();
        let reverse = async {
            match reverse {
                Some(bytes) => {
                    let uploaded = writer
                        .upload(BlobKind::Reverse, version, bytes.into())
                        .await;
                    uploaded.map(Some)
                }
                None => Ok(None),
            }
        };
        let (delta, reverse) = tokio::try_join!(delta, reverse)?;
        Ok(EntryBlobs {
            delta: Some(delta),
            reverse,
        })
    }

    /// Commits, asking again when there is no answer.
    ///
    /// The cycle is remembered first: a caller that stops waiting drops this future, while the entry
    /// may land all the same. Only an answer, at the latest the one the next cycle asks for, decides.
    async fn commit(&self, core: &mut Core, encoded: Encoded, fields: CommitFields) -> Result<()> {
        core.pending = Some((encoded, fields));
        let mut tries = 1;
        loop {
            match self.settle(core).await {
                Err(_) if core.pending.is_some() && tries < COMMIT_TRIES => tries += 1,
                settled => return settled,
            }
        }
    }
}
