//! What the log promises of a blob.
//!
//! Owns: comparing it with the blob's header. Never reads a blob.

use grotto::format::blob::{BlobHeader, BlobKind as Kind};

/// What a blob must lead to.
pub(super) struct Promise {
    pub(super) kind: Kind,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) checksum: u64,
}

impl Promise {
    pub(super) fn compare(&self, header: &BlobHeader, dataset: &str) -> Result<(), String> {
        let expected = (dataset, self.kind, self.from, self.to, self.checksum);
        let found = (
            header.dataset.as_str(),
            header.kind,
            header.from,
            header.to,
            header.to_checksum,
        );
        if expected == found {
            return Ok(());
        }
        let show = |(dataset, kind, from, to, checksum): (&str, Kind, u64, u64, u64)| {
            format!(
                "{} of {dataset} from version {from} to {to}, state checksum {checksum:016x}",
                kind.name()
            )
        };
        Err(format!(
            "expected a {}, found a {}",
            show(expected),
            show(found)
        ))
    }
}
