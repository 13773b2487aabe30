//! Uploading blobs, before anything names them.
//!
//! Owns: their names, and which of them need none. Never: makes anybody see a blob.

use bytes::Bytes;
use grotto_env::Random;
use grotto_format::log::{
    BlobKind, BlobRef, EntryBlobs, InlineBlobs, StepNonce, Stored, StoredBlobs,
};
use parking_lot::Mutex;

use super::{MAX_INLINE_BYTES, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::object::Created;
use crate::source::fresh_nonce;

/// The blobs of a version that is not committed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    pub(super) version: u64,
    pub(super) epoch: u64,
    pub(super) blobs: EntryBlobs,
}

impl Uploaded {
    /// What the log entry will say of them.
    pub fn blobs(&self) -> &EntryBlobs {
        &self.blobs
    }

    /// Bytes that became objects.
    pub fn stored_bytes(&self) -> u64 {
        match &self.blobs {
            EntryBlobs::Inline(_) => 0,
            stored => stored.delta_bytes() + stored.reverse_bytes().unwrap_or(0),
        }
    }
}

/// What became of a blob.
enum Sent {
    There,
    /// Another blob has its name: two clones of one machine may draw the same nonce.
    Taken,
}

impl Sent {
    fn or_taken(self, version: u64) -> Result<()> {
        match self {
            Self::There => Ok(()),
            Self::Taken => Err(Error::unavailable(format!(
                "the name of a blob of version {version} is taken"
            ))),
        }
    }
}

/// Which blobs of a step are yet to be sent, and the nonce of their names.
#[derive(Clone, Copy, Debug)]
struct Missing {
    nonce: StepNonce,
    delta: bool,
    reverse: bool,
}

impl Missing {
    fn all(nonce: StepNonce) -> Self {
        Self {
            nonce,
            delta: true,
            reverse: true,
        }
    }

    /// Takes note of a try. Where a name is taken, both blobs need others.
    fn note(&mut self, delta: &Result<Sent>, reverse: &Result<Sent>, random: &dyn Random) {
        if matches!(delta, Ok(Sent::Taken)) || matches!(reverse, Ok(Sent::Taken)) {
            *self = Self::all(fresh_nonce(random));
            return;
        }
        self.delta &= delta.is_err();
        self.reverse &= reverse.is_err();
    }
}

impl Writer {
    /// Uploads the way to a version and the way back, for [`Writer::commit`]. Small ones are kept for the
    /// log entry instead. Nothing refers to them until an entry does.
    ///
    /// # Errors
    /// `Fenced` when another writer took over; `Unavailable` or `Overloaded` when the store does not answer or
    /// asks for less.
    pub async fn upload_step(
        &self,
        version: u64,
        delta: Bytes,
        reverse: Option<Bytes>,
    ) -> Result<Uploaded> {
        let epoch = self.reign()?;
        let together = delta.len() + reverse.as_ref().map_or(0, Bytes::len);
        let blobs = if together <= self.options.inline_bytes.min(MAX_INLINE_BYTES) {
            EntryBlobs::Inline(InlineBlobs { delta, reverse })
        } else {
            let stored = self.store_step(version, epoch, delta, reverse).await?;
            EntryBlobs::Stored(stored)
        };
        Ok(Uploaded {
            version,
            epoch,
            blobs,
        })
    }

    /// Uploads a snapshot of a version under a name nobody else picks. Nothing refers to it until
    /// [`Writer::announce_snapshot`] or a commit does.
    ///
    /// # Errors
    /// As [`upload_step`](Self::upload_step).
    pub async fn upload_snapshot(&self, version: u64, bytes: Bytes) -> Result<BlobRef> {
        let epoch = self.reign()?;
        let length = bytes.len() as u64;
        let checksum = self.checksum_of(bytes.clone()).await?;
        let store = &self.dataset.store;
        let create = || async {
            let nonce = store.env().random.nonce();
            let name = |nonce: &str| BlobKind::Snapshot.blob_name(version, epoch, nonce);
            if store.takes_parts(length) {
                // Parts write over what has their name: where that tells the content, only with the same.
                let name = name(&format!("{nonce}{checksum:016x}"));
                let path = self.dataset.layout.blob(&name);
                store.put_in_parts(&path, &bytes).await?;
                return Ok(name);
            }
            let name = name(&nonce);
            self.create_blob(&name, &bytes).await?;
            Ok(name)
        };
        let name = store.writing(create).await?;
        Ok(BlobRef {
            name,
            length,
            checksum,
        })
    }

    /// Both under one nonce. What a try brought there, the next one does not send again.
    async fn store_step(
        &self,
        version: u64,
        epoch: u64,
        delta: Bytes,
        reverse: Option<Bytes>,
    ) -> Result<StoredBlobs> {
        let random = &*self.dataset.store.env().random;
        let missing = Mutex::new(Missing::all(fresh_nonce(random)));
        let create = || async {
            let Missing {
                nonce,
                delta: delta_missing,
                reverse: reverse_missing,
            } = *missing.lock();
            let send = |kind, bytes: Option<Bytes>| async move {
                match bytes {
                    Some(bytes) => {
                        let name = nonce.name(kind, version, epoch);
                        self.create_or_find(&name, &bytes).await
                    }
                    None => Ok(Sent::There),
                }
            };
            let (delta, reverse) = tokio::join!(
                send(
                    BlobKind::Delta,
                    Some(delta.clone()).filter(|_| delta_missing)
                ),
                send(
                    BlobKind::Reverse,
                    reverse.clone().filter(|_| reverse_missing)
                ),
            );
            missing.lock().note(&delta, &reverse, random);
            for sent in [delta, reverse] {
                sent?.or_taken(version)?;
            }
            Ok(nonce)
        };
        let nonce = self.dataset.store.writing(create).await?;
        let reverse = match reverse {
            Some(bytes) => Some(self.stored(bytes).await?),
            None => None,
        };
        Ok(StoredBlobs {
            nonce,
            delta: self.stored(delta).await?,
            reverse,
        })
    }

    /// Creates a blob; one of the same name and bytes is as good. That is how a try that landed without
    /// an answer is found.
    async fn create_or_find(&self, name: &str, bytes: &Bytes) -> Result<Sent> {
        let store = &self.dataset.store;
        let path = self.dataset.layout.blob(name);
        if store.create(&path, bytes.clone()).await? == Created::New {
            return Ok(Sent::There);
        }
        match store.get_part(&path, None, bytes.len() as u64).await {
            Ok(Some(found)) if found == bytes => {
                store.confirm(&path).await?;
                Ok(Sent::There)
            }
            Ok(None) => Err(Error::unavailable(format!(
                "{path} exists and does not: the store contradicts itself"
            ))),
            Ok(Some(_)) => Ok(Sent::Taken),
            // Longer than ours.
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Sent::Taken),
            Err(error) => Err(error),
        }
    }

    /// Creates a blob, and never writes over one: two clones of one machine may draw the same nonce. A
    /// try that landed without an answer leaves an orphan.
    async fn create_blob(&self, name: &str, bytes: &Bytes) -> Result<()> {
        let path = self.dataset.layout.blob(name);
        match self.dataset.store.create(&path, bytes.clone()).await? {
            Created::New => Ok(()),
            Created::Exists => Err(Error::unavailable(format!("{path} is taken"))),
        }
    }

    async fn stored(&self, bytes: Bytes) -> Result<Stored> {
        Ok(Stored {
            length: bytes.len() as u64,
            checksum: self.checksum_of(bytes).await?,
        })
    }

    /// Hashes on a thread of its own where it would hold up the others.
    async fn checksum_of(&self, bytes: Bytes) -> Result<u64> {
        const SMALL: usize = 1 << 20;
        if bytes.len() <= SMALL {
            return Ok(xxhash_rust::xxh3::xxh3_64(&bytes));
        }
        let env = self.dataset.store.env();
        env.blocking(move || xxhash_rust::xxh3::xxh3_64(&bytes))
            .await
            .map_err(|e| Error::new(ErrorKind::Internal, "hashing ended early").with_source(e))
    }
}
