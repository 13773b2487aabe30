//! What time it is in the store.
//!
//! Owns: asking. Never: lets the clock of a host decide what is old: one that is ahead would take everything for that.

use bytes::Bytes;
use object_store::path::Path;

use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::lease::StoreTime;

/// By an object that is written, looked at and removed again.
pub(super) async fn ask(dataset: &Dataset) -> Result<StoreTime> {
    let store = &dataset.store;
    let path = dataset.layout.probe(&store.env().random.nonce());
    store
        .writing(|| store.put(&path, Bytes::from_static(b"time")))
        .await?;
    let told = written(dataset, &path).await;
    // One that stays is found by the next collection.
    if let Err(error) = store.delete(&path).await {
        tracing::debug!(%error, %path, "cannot remove what was written to ask the store for its time");
    }
    told
}

/// The same for somebody who may not be able to write: by what is there, and the own clock, as far as that may be trusted.
pub(super) async fn ask_or_guess(dataset: &Dataset) -> Result<StoreTime> {
    match ask(dataset).await {
        Err(error) if error.kind() == ErrorKind::Invalid => {
            tracing::warn!(%error, "the clock of this host tells what is old, as the store takes no writes");
            let (store, folder) = (&dataset.store, dataset.layout.log());
            let (entries, _) = store.list_objects(&folder, None, usize::MAX).await?;
            let times = entries.iter().map(crate::lease::renewed_ms);
            Ok(StoreTime::of(times, dataset.store.env().clock.wall_ms()))
        }
        other => other,
    }
}

async fn written(dataset: &Dataset, path: &Path) -> Result<StoreTime> {
    let store = &dataset.store;
    let found = store.reading(|| store.written_ms(path)).await?;
    let ms = found.ok_or_else(|| {
        Error::unavailable(format!(
            "{path} was written and cannot be found: the store contradicts itself"
        ))
    })?;
    Ok(StoreTime::told(ms))
}
