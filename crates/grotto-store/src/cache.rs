//! Blobs that are kept near: the seam through which a cache comes in.
//!
//! Owns: the [`BlobCache`] trait, and what is believed of what a cache gives: nothing that was not verified in
//! the same way as what the store gives. Never: keeps a byte itself.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::blob::verify;
use crate::dataset::Dataset;
use crate::source::{Place, Source};

/// What a blob is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlobKey {
    /// Name of the dataset.
    pub dataset: String,
    /// Path under the dataset's prefix; of a blob that is uploaded, never used again.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// Checksum of the whole file, where the log tells it.
    pub checksum: Option<u64>,
}

/// Keeps blobs that were fetched. Nothing about it is an error: what does not work is as if there were no
/// cache. Its methods may wait for a disk; they are called beside the threads of the async runtime.
pub trait BlobCache: fmt::Debug + Send + Sync {
    /// What was kept under a key, if it is still there; whoever asks verifies it.
    fn get(&self, key: &BlobKey) -> Option<Bytes>;

    /// Keeps a blob that was verified.
    fn put(&self, key: &BlobKey, bytes: &Bytes);

    /// What was given under a key is not the blob.
    fn refuse(&self, key: &BlobKey);
}

impl Dataset {
    /// The same dataset, whose blobs are looked for in a cache before they are fetched.
    #[must_use]
    pub fn with_cache(mut self, cache: Arc<dyn BlobCache>) -> Self {
        self.cache = Some(cache);
        self
    }

    /// A blob out of the cache, if it is there and intact.
    pub(crate) async fn cached(&self, blob: &Source) -> Option<Bytes> {
        let (cache, key) = (self.cache.clone()?, self.key_of(blob)?);
        let (asked, looked_for) = (Arc::clone(&cache), key.clone());
        let env = self.store.env();
        let get = move || asked.get(&looked_for);
        // Work that ends early found nothing.
        let bytes = env.blocking(get).await.ok()??;
        match verify(blob, &bytes) {
            Ok(()) => Some(bytes),
            Err(error) => {
                tracing::warn!(%error, "a blob in the cache is damaged: fetching it");
                let refuse = move || cache.refuse(&key);
                // Then it stays, and is refused again.
                let _ = env.blocking(refuse).await;
                None
            }
        }
    }

    /// Keeps a blob that was fetched and verified.
    pub(crate) async fn keep(&self, blob: &Source, bytes: &Bytes) {
        let (Some(cache), Some(key)) = (self.cache.clone(), self.key_of(blob)) else {
            return;
        };
        let bytes = bytes.clone();
        // Then it is not kept.
        let _ = self
            .store
            .env()
            .blocking(move || cache.put(&key, &bytes))
            .await;
    }

    /// Blobs that ride in log entries come with them.
    fn key_of(&self, blob: &Source) -> Option<BlobKey> {
        matches!(blob.place(), Place::File).then(|| BlobKey {
            dataset: self.name().to_owned(),
            name: blob.name().to_owned(),
            length: blob.length(),
            checksum: blob.checksum(),
        })
    }
}
