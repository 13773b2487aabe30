//! Fetching some sections of a blob: its head, then the ranges that are wanted.
//!
//! Owns: when that pays, and what is asked for. Never: decides which sections are wanted.
//!
//! An excerpt is not proven by the checksum of the whole blob: whoever asks for one compares what it leads to with the
//! log. Where anything about it is odd the whole blob is fetched, whose bytes are either those of the log or refused.

use std::fmt::Debug;
use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use grotto_format::blob::{BlobError, BlobHeader, Head};

use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Ranges;
use crate::source::{Place, Source};

/// Bytes between two wanted ranges up to which they are asked for as one: a request costs more.
const GAP: u64 = 64 << 10;

/// Says which sections of blobs are of use.
pub trait Choice: Debug + Send + Sync {
    /// By type of the blob's schema: whether its sections are wanted; `None` for all.
    fn of(&self, header: &BlobHeader) -> Option<Vec<bool>>;
}

impl Dataset {
    /// A blob with the sections that are chosen, and maybe others: an intact blob by itself.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub async fn fetch_chosen(&self, blob: &Source, choice: &dyn Choice) -> Result<Bytes> {
        let Ranges { excerpt_from, .. } = self.store.options().ranges;
        if !matches!(blob.place(), Place::File) || blob.length() < excerpt_from {
            return self.fetch(blob).await;
        }
        if let Some(bytes) = self.cached(blob).await {
            return Ok(bytes);
        }
        match self.fetch_excerpt(blob, choice).await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => self.fetch_file(blob).await,
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::warn!(%error, blob = blob.name(), "fetching a blob whole");
                self.fetch_file(blob).await
            }
            Err(error) => Err(error),
        }
    }

    /// `None` where it would save little.
    async fn fetch_excerpt(&self, blob: &Source, choice: &dyn Choice) -> Result<Option<Bytes>> {
        let corrupt =
            |e: BlobError| Error::corrupt(format!("blob {}: {e}", blob.name())).with_source(e);
        let head = self.fetch_head(blob, &corrupt).await?;
        let Some(types) = choice.of(head.header()) else {
            return Ok(None);
        };
        let wanted = head.ranges(&types);
        let requests = requests(&wanted, self.store.options().ranges.bytes);
        let asked: u64 = requests.iter().map(|range| range.end - range.start).sum();
        if asked > blob.length() / 4 * 3 {
            return Ok(None);
        }
        let path = self.layout.blob(blob.name());
        let mut excerpt = head.excerpt(&types);
        let mut parts = futures::stream::iter(requests)
            .map(|range| async {
                let bytes = self.fetch_range(blob, &path, Some(range.clone())).await?;
                Ok::<_, Error>((range, bytes))
            })
            .buffered(self.store.options().ranges.at_once.max(1));
        while let Some((range, bytes)) = parts.try_next().await? {
            for part in within(&wanted, &range) {
                let (start, end) = (part.start - range.start, part.end - range.start);
                excerpt.push(&bytes[start as usize..end as usize]);
            }
        }
        excerpt.finish().map(Some).map_err(corrupt)
    }

    async fn fetch_head(
        &self,
        blob: &Source,
        corrupt: &(dyn Fn(BlobError) -> Error + Sync),
    ) -> Result<Head> {
        let path = self.layout.blob(blob.name());
        let first = (self.store.options().ranges.excerpt_from / 4).clamp(64, blob.length().max(64));
        let mut prefix = self.fetch_range(blob, &path, Some(0..first)).await?;
        let needed = Head::length(&prefix).map_err(corrupt)?;
        if needed > blob.length() {
            let length = blob.length();
            let reason = format!(
                "blob {}: a head of {needed} bytes in a file of {length}",
                blob.name()
            );
            return Err(Error::corrupt(reason));
        }
        if needed > prefix.len() as u64 {
            prefix = self.fetch_range(blob, &path, Some(0..needed)).await?;
        }
        Head::read(&prefix, blob.length()).map_err(corrupt)
    }
}

/// What is asked for to get some ranges: neighbours together, in requests of at most so many bytes.
fn requests(wanted: &[Range<u64>], most: u64) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in wanted {
        match joined
            .last_mut()
            .filter(|last| range.start - last.end <= GAP)
        {
            Some(last) => last.end = range.end,
            None => joined.push(range.clone()),
        }
    }
    let step = usize::try_from(most.max(1)).unwrap_or(usize::MAX);
    let cut = joined.into_iter().flat_map(|range| {
        let end = range.end;
        range
            .step_by(step)
            .map(move |at| at..end.min(at.saturating_add(most.max(1))))
    });
    cut.collect()
}

/// The parts of some ranges that lie within another one.
fn within<'a>(
    wanted: &'a [Range<u64>],
    range: &'a Range<u64>,
) -> impl Iterator<Item = Range<u64>> + 'a {
    let parts = wanted
        .iter()
        .map(|part| part.start.max(range.start)..part.end.min(range.end));
    parts.filter(|part| part.start < part.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_join_neighbours_and_are_cut() {
        let far = 200_000;
        let wanted = [10..30, 40..50, far..far + 25];
        assert_eq!(requests(&wanted, 1 << 20), [10..50, far..far + 25]);
        assert_eq!(
            requests(&wanted, 20),
            [10..30, 30..50, far..far + 20, far + 20..far + 25]
        );
        assert_eq!(requests(&[], 20), []);
        let parts = |range: Range<u64>| within(&wanted, &range).collect::<Vec<_>>();
        assert_eq!(parts(0..45), [10..30, 40..45]);
        assert_eq!(parts(20..45), [20..30, 40..45]);
        assert_eq!(parts(30..40), []);
    }
}
