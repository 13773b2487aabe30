//! Fetching blobs: bounded, by range when large, verified whole before anyone sees a byte.
//!
//! Owns: the transfer and its verification. Never: knows what is in a blob.

use std::future::Future;
use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use grotto_format::blob::verify_footer;
use grotto_format::log::{BlobKind, BlobRef};
use object_store::path::Path;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Ranges;
use crate::source::{Place, Source};
use crate::whole::Whole;

impl Dataset {
    /// A blob's bytes, exactly those that were published.
    ///
    /// # Errors
    /// `Missing` if the blob is gone, `Corrupt` if two fetches gave other bytes than the
    /// log promises, `Unavailable` if the store does not answer. Memory: the blob's length, which
    /// is allocated only after the store confirmed it; of a store [with a spool](crate::Store::with_spool) a file
    /// instead, for large ones.
    pub async fn fetch_blob(&self, blob: &BlobRef) -> Result<Bytes> {
        self.fetch(&Source::from(blob)).await
    }

    /// The same for a blob that may ride in a log entry. One whose checksum is not known must be whole
    /// by its own footer; that it is the right one, its header tells who applies it.
    ///
    /// # Errors
    /// As [`fetch_blob`](Self::fetch_blob); `Missing` also when its log entry has no such blob.
    pub async fn fetch(&self, blob: &Source) -> Result<Bytes> {
        match blob.place() {
            Place::Here(bytes) => Ok(bytes.clone()),
            Place::Entry { version, kind, .. } => self.fetch_inline(*version, *kind, blob).await,
            Place::File => match self.cached(blob).await {
                Some(bytes) => Ok(bytes),
                None => self.fetch_file(blob).await,
            },
        }
    }

    /// From the store, and into the cache.
    pub(crate) async fn fetch_file(&self, blob: &Source) -> Result<Bytes> {
        let bytes = match self.fetch_once(blob).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::warn!(%error, blob = blob.name(), "fetching a damaged blob again");
                self.fetch_once(blob).await
            }
            other => other,
        }?;
        self.keep(blob, &bytes).await;
        Ok(bytes)
    }

    /// From the log entry that holds it; its checksum covers the blob.
    async fn fetch_inline(&self, version: u64, kind: BlobKind, blob: &Source) -> Result<Bytes> {
        let entry = self.read_entry(version).await?;
        let entry = entry.ok_or_else(|| gone(blob))?;
        let bytes = entry.inline(kind).cloned();
        let bytes = bytes.ok_or_else(|| {
            let name = blob.name();
            Error::corrupt(format!("blob {name}: the log entry does not hold it"))
        })?;
        check_length(blob, bytes.len() as u64)?;
        Ok(bytes)
    }

    async fn fetch_once(&self, blob: &Source) -> Result<Bytes> {
        let path = self.layout.blob(blob.name());
        let mut hash = Xxh3::new();
        let bytes = if blob.length() <= self.store.options().ranges.bytes {
            let bytes = self.fetch_range(blob, &path, None).await?;
            hash.update(&bytes);
            bytes
        } else {
            self.fetch_ranges(blob, &path, &mut hash).await?
        };
        check_bytes(blob, &bytes, hash.digest())?;
        Ok(bytes)
    }

    /// Several ranges at a time, in order. The length is checked before anything is allocated, and
    /// before a range is asked for that a torn blob does not have.
    async fn fetch_ranges(&self, blob: &Source, path: &Path, hash: &mut Xxh3) -> Result<Bytes> {
        let found = self.with_retry(blob, || self.store.length(path)).await?;
        check_length(blob, found)?;
        let folder = self.store.spool_for(blob.length());
        let mut whole = Whole::begin(blob, folder)?;
        let Ranges { bytes, at_once, .. } = self.store.options().ranges;
        let mut parts = futures::stream::iter(ranges(blob.length(), bytes))
            .map(|range| self.fetch_range(blob, path, Some(range)))
            .buffered(at_once.max(1));
        while let Some(part) = parts.try_next().await? {
            hash.update(&part);
            whole.push(&part, folder)?;
        }
        whole.finish(folder)
    }

    /// One range, or all of a small blob: exactly as many bytes as were asked for.
    pub(crate) async fn fetch_range(
        &self,
        blob: &Source,
        path: &Path,
        range: Option<Range<u64>>,
    ) -> Result<Bytes> {
        let expected = range.as_ref().map_or(blob.length(), |r| r.end - r.start);
        let fetch = || self.store.get_part(path, range.clone(), expected);
        let bytes = self.with_retry(blob, fetch).await?;
        let found = bytes.len() as u64;
        match &range {
            None => check_length(blob, found)?,
            Some(range) if found != expected => {
                return Err(Error::corrupt(format!(
                    "blob {}: {expected} bytes expected at {}, {found} found",
                    blob.name(),
                    range.start
                )));
            }
            Some(_) => {}
        }
        Ok(bytes)
    }

    /// Tries again while the store is unavailable; an absent blob is an error here, as the log
    /// named it.
    async fn with_retry<T, F, Fut>(&self, blob: &Source, operation: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<Option<T>>>,
    {
        self.store
            .reading(operation)
            .await?
            .ok_or_else(|| gone(blob))
    }
}

fn gone(blob: &Source) -> Error {
    Error::missing(format!("blob {} is gone from the store", blob.name()))
}

/// Whether bytes are those of a blob, wherever they come from.
pub(crate) fn verify(blob: &Source, bytes: &[u8]) -> Result<()> {
    check_length(blob, bytes.len() as u64)?;
    check_bytes(blob, bytes, xxh3_64(bytes))
}

fn check_bytes(blob: &Source, bytes: &[u8], found: u64) -> Result<()> {
    let name = blob.name();
    let Some(expected) = blob.checksum() else {
        let whole = verify_footer(bytes).map(|_| ());
        return whole.map_err(|e| Error::corrupt(format!("blob {name}: {e}")).with_source(e));
    };
    if found == expected {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "blob {name}: checksum expected {expected:016x}, found {found:016x}"
    )))
}

fn check_length(blob: &Source, found: u64) -> Result<()> {
    if found == blob.length() {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "blob {}: length expected {}, found {found}",
        blob.name(),
        blob.length()
    )))
}

/// Cuts `0..end` into requests.
fn ranges(end: u64, bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let bytes = bytes.max(1);
    let step = usize::try_from(bytes).unwrap_or(usize::MAX);
    (0..end)
        .step_by(step)
        .map(move |at| at..end.min(at.saturating_add(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_everything_once() {
        let cut: Vec<_> = ranges(25, 10).collect();
        assert_eq!(cut, [0..10, 10..20, 20..25]);
        assert_eq!(ranges(20, 10).count(), 2);
        assert_eq!(ranges(3, 0).count(), 3);
        assert_eq!(ranges(0, 10).count(), 0);
    }
}
