//! The control documents of a dataset: leader hint and collection boundary.
//!
//! Owns: reading and writing them. Never: decides who writes; the log does.
//! Spec: `docs/format/spec.md`, section "Store layout".

use grotto_format::log::{FORMAT, GcBoundary, LeaderHint, LogError, MAX_CONTROL_BYTES};

use crate::dataset::Dataset;
use crate::error::{Error, Result};

impl Dataset {
    /// Where the head was when its writer last said so; `None` if it never did.
    pub async fn leader_hint(&self) -> Result<Option<LeaderHint>> {
        let path = self.layout.leader();
        self.read_document(&path, MAX_CONTROL_BYTES, LeaderHint::decode)
            .await
    }

    /// What a collector removed for good; `None` if nothing yet.
    pub async fn gc_boundary(&self) -> Result<Option<GcBoundary>> {
        let path = self.layout.gc_boundary();
        let boundary = self
            .read_document(&path, MAX_CONTROL_BYTES, GcBoundary::decode)
            .await?;
        if let Some(boundary) = &boundary {
            self.check_dataset(&path, &boundary.dataset)?;
        }
        Ok(boundary)
    }

    /// Declares versions up to `version` gone for good. A collector calls this before it deletes
    /// anything; there must be only one collector. Never lowers the boundary.
    pub async fn raise_gc_boundary(&self, version: u64) -> Result<()> {
        let current = self.gc_boundary().await?.map_or(0, |gone| gone.version);
        if version <= current {
            return Ok(());
        }
        let boundary = GcBoundary {
            format: FORMAT,
            dataset: self.name().to_owned(),
            version,
            time_ms: self.store.env().clock.wall_ms(),
        };
        let bytes = boundary.encode().map_err(unencodable)?;
        let path = self.layout.gc_boundary();
        self.store
            .writing(|| self.store.put(&path, bytes.clone().into()))
            .await
    }
}

/// A document that its own reader would refuse.
pub(crate) fn unencodable(error: LogError) -> Error {
    Error::invalid(format!("cannot encode: {error}")).with_source(error)
}
