//! What log entries say, without the blobs that ride in them and without their links: for whoever keeps all
//! of a log in memory.
//!
//! Owns: what is left out. Never: holds a byte of a blob.

use grotto_format::log::{BlobKind, Links, LogEntry};

use crate::source::Source;

/// A log entry whose blobs and links are elsewhere: some five hundred bytes, however large it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    entry: LogEntry,
    delta: Option<Source>,
    reverse: Option<Source>,
}

impl Outline {
    /// What an entry says.
    #[must_use]
    pub fn of(mut entry: LogEntry) -> Self {
        let delta = Source::named_by(&entry, BlobKind::Delta);
        let reverse = Source::named_by(&entry, BlobKind::Reverse);
        entry.blobs = None;
        entry.links = Links::default();
        Self {
            entry,
            delta,
            reverse,
        }
    }

    /// All but its blobs and its links: here it has none, whatever there is.
    #[must_use]
    pub fn entry(&self) -> &LogEntry {
        &self.entry
    }

    /// Where a blob of this commit is.
    #[must_use]
    pub fn blob(&self, kind: BlobKind) -> Option<&Source> {
        match kind {
            BlobKind::Delta => self.delta.as_ref(),
            BlobKind::Reverse => self.reverse.as_ref(),
            BlobKind::Snapshot => None,
        }
    }
}

impl From<LogEntry> for Outline {
    fn from(entry: LogEntry) -> Self {
        Self::of(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use grotto_format::log::{EntryBlobs, InlineBlobs, Link, StepNonce};

    fn entry(blobs: Option<EntryBlobs>) -> LogEntry {
        LogEntry {
            format: 1,
            dataset: "cities".to_owned(),
            dataset_id: "1".to_owned(),
            version: 7,
            kind: grotto_format::log::EntryKind::Commit,
            epoch: 1,
            nonce: "1".to_owned(),
            writer: String::new(),
            time_ms: 0,
            parent: 6,
            state_version: 7,
            commits: 7,
            blobs,
            snapshot: None,
            links: Default::default(),
            state_checksum: 0,
            types: Default::default(),
            schema_hash: 0,
            sources: Default::default(),
            tags: Default::default(),
            signature: None,
        }
    }

    #[test]
    fn an_outline_holds_no_byte_of_an_inline_blob_and_tells_where_it_is() {
        let blobs = InlineBlobs {
            delta: Bytes::from(vec![7; 10]),
            reverse: Some(Bytes::from(vec![7; 5])),
        };
        let mut whole = entry(Some(EntryBlobs::Inline(blobs)));
        whole.links.0.push(Link {
            since: 6,
            from: 6,
            epoch: 1,
            nonce: StepNonce::default(),
            delta_bytes: 10,
            reverse_bytes: Some(5),
            inline: true,
        });
        let outline = Outline::of(whole);
        assert_eq!(outline.entry(), &entry(None), "no blobs, no links");
        for (kind, length) in [(BlobKind::Delta, 10), (BlobKind::Reverse, 5)] {
            let blob = outline.blob(kind).unwrap();
            assert_eq!((blob.held(), blob.length()), (0, length));
            assert!(blob.is_inline() && blob.needs_request());
        }
        assert_eq!(outline.blob(BlobKind::Snapshot), None);
    }
}
