//! The control documents of a dataset: leader hint and collected range.
//!
//! Owns: reading and writing them. Never: decides who writes; the log does.
//! Spec: `docs/format/spec.md`, section "Store layout".

use bytes::Bytes;
use grotto_format::log::{CollectedRow, FORMAT, LeaderHint, LogError, MAX_CONTROL_BYTES};

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::layout::version_of;

impl Dataset {
    /// Where the head was when its writer last said so; `None` if it never did.
    ///
    /// # Errors
    /// `Corrupt` when the hint is damaged; `Unavailable` or `Overloaded` when the store does not answer or asks
    /// for less.
    pub async fn leader_hint(&self) -> Result<Option<LeaderHint>> {
        let path = self.layout.leader();
        self.read_document(&path, MAX_CONTROL_BYTES, LeaderHint::decode)
            .await
    }

    /// The newest version that is gone for good; 0 if nothing was collected yet. One listing of a few
    /// rows: their names say it all, so that no row that is damaged can hide what is gone.
    ///
    /// # Errors
    /// `Unavailable` or `Overloaded` when the store does not answer or asks for less.
    pub async fn collected(&self) -> Result<u64> {
        let rows = self.collected_rows().await?;
        Ok(rows.last().copied().unwrap_or(0))
    }

    /// Declares versions up to `version` gone for good. A collector calls this before it deletes anything.
    /// Nobody can lower the range: a row of a lower version changes nothing.
    ///
    /// # Errors
    /// `Unavailable` or `Overloaded` when the store does not answer or asks for less.
    pub async fn raise_collected(&self, version: u64) -> Result<()> {
        let row = CollectedRow {
            format: FORMAT,
            dataset: self.name().to_owned(),
            version,
            time_ms: self.store.env().clock.wall_ms(),
        };
        let bytes = Bytes::from(row.encode().map_err(unencodable)?);
        let path = self.layout.collected_row(version);
        // There already is as good as created: nothing but its name counts.
        let create = || self.store.create(&path, bytes.clone());
        self.store.writing(create).await?;
        self.thin_rows().await
    }

    /// Removes rows that say nothing. The two highest stay: a listing under way while rows come and go
    /// must meet one of them.
    async fn thin_rows(&self) -> Result<()> {
        let mut rows = self.collected_rows().await?;
        rows.truncate(rows.len().saturating_sub(2));
        for version in rows {
            self.store
                .delete(&self.layout.collected_row(version))
                .await?;
        }
        Ok(())
    }

    async fn collected_rows(&self) -> Result<Vec<u64>> {
        let prefix = self.layout.collected();
        let paths = self.store.list(&prefix, None).await?;
        let mut rows: Vec<u64> = paths.iter().filter_map(version_of).collect();
        rows.sort_unstable();
        Ok(rows)
    }
}

/// A document that its own reader would refuse.
pub(crate) fn unencodable(error: LogError) -> Error {
    Error::invalid(format!("cannot encode: {error}")).with_source(error)
}
