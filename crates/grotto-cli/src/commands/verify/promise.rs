//! What the log promises of a blob.
//!
//! Owns: comparing it with the blob's header. Never reads a blob.

use grotto::engine::format::blob::{BlobHeader, BlobKind as Kind};
use grotto::schema::Schema;
use grotto::store::LogEntry;

/// What a blob must lead from, or to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Side {
    version: u64,
    /// Checksum and schema hash, where the entry of the version is known.
    state: Option<(u64, u64)>,
}

impl Side {
    pub(super) fn of(entry: &LogEntry) -> Self {
        Self {
            version: entry.version,
            state: Some((entry.state_checksum, entry.schema_hash)),
        }
    }

    /// The empty state.
    pub(super) fn nothing() -> Self {
        Self {
            version: 0,
            state: Some((0, Schema::default().hash())),
        }
    }

    /// That of a version which may have no entry.
    pub(super) fn find(version: u64, entry: Option<&LogEntry>) -> Self {
        match entry {
            Some(entry) => Self::of(entry),
            None if version == 0 => Self::nothing(),
            None => Self {
                version,
                state: None,
            },
        }
    }

    fn compare(&self, side: &str, checksum: u64, schema_hash: u64) -> Result<(), String> {
        let Some(expected) = self.state else {
            return Ok(());
        };
        for (what, expected, found) in [
            ("state checksum", expected.0, checksum),
            ("schema hash", expected.1, schema_hash),
        ] {
            if expected != found {
                let version = self.version;
                return Err(format!(
                    "{what} of version {version}, which it leads {side}: expected {expected:016x}, found {found:016x}"
                ));
            }
        }
        Ok(())
    }
}

/// What a blob must lead from and to.
pub(super) struct Promise {
    pub(super) kind: Kind,
    pub(super) from: Side,
    pub(super) to: Side,
}

impl Promise {
    pub(super) fn compare(&self, header: &BlobHeader, dataset: &str) -> Result<(), String> {
        let expected = (dataset, self.kind, self.from.version, self.to.version);
        let found = (header.dataset.as_str(), header.kind, header.from, header.to);
        if expected != found {
            let show = |(dataset, kind, from, to): (&str, Kind, u64, u64)| {
                format!("{} of {dataset} from version {from} to {to}", kind.name())
            };
            return Err(format!(
                "expected a {}, found a {}",
                show(expected),
                show(found)
            ));
        }
        let (from, to) = (&self.from, &self.to);
        from.compare("from", header.from_checksum, header.from_schema_hash)?;
        to.compare("to", header.to_checksum, header.schema_hash)
    }
}
