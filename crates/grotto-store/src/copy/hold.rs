//! Holding off the collector of the source.
//!
//! Owns: a lease like that of a consumer, which says from where on versions are needed. Never: fails a copy; where
//! the source takes no writes, a collection that comes between is noticed and the copy goes on from a newer snapshot.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grotto_format::log::{FORMAT, Lease, LogEntry};

use super::CopyHold;
use crate::dataset::Dataset;

/// Seconds after which the lease of a copy that died is believed no longer; a collector adds its grace.
const EXPIRES_AFTER_S: u64 = 600;
/// Between two renewals: several may fail.
const RENEWED_EVERY: Duration = Duration::from_secs(60);

/// A lease that is renewed while a copy is made.
pub(super) struct Hold<'a> {
    dataset: &'a Dataset,
    lease: Option<Lease>,
    from: AtomicU64,
    began: Duration,
}

impl<'a> Hold<'a> {
    /// Holds everything, until [`only_from`](Self::only_from) says better.
    pub(super) async fn begin(
        dataset: &'a Dataset,
        hold: Option<&CopyHold>,
        head: &LogEntry,
    ) -> Self {
        let mut held = Self {
            dataset,
            lease: hold.map(|hold| lease(dataset, hold, head)),
            from: AtomicU64::new(1),
            began: dataset.store.env().clock.monotonic(),
        };
        if !held.renew().await {
            held.lease = None;
        }
        held
    }

    /// Holds nothing before this version any more.
    pub(super) async fn only_from(&self, version: u64) {
        let version = version.max(1);
        if self.from.swap(version, Ordering::Relaxed) != version {
            self.renew().await;
        }
    }

    /// Renews the lease for as long as it is waited for.
    pub(super) async fn keep(&self) -> Infallible {
        loop {
            self.dataset.store.env().sleep(RENEWED_EVERY).await;
            self.renew().await;
        }
    }

    pub(super) async fn end(self) {
        let Some(lease) = self.lease else { return };
        let Ok(id) = crate::ConsumerId::parse(&lease.consumer) else {
            return;
        };
        if let Err(error) = self.dataset.remove_lease(&id).await {
            tracing::warn!(%error, "the lease of this copy stays until it expires");
        }
    }

    /// Whether it is held.
    async fn renew(&self) -> bool {
        let Some(lease) = &self.lease else {
            return false;
        };
        let clock = &self.dataset.store.env().clock;
        let running = clock.monotonic().saturating_sub(self.began);
        let lease = Lease {
            version: self.from.load(Ordering::Relaxed),
            running_ms: u64::try_from(running.as_millis()).unwrap_or(u64::MAX),
            time_ms: clock.wall_ms(),
            ..lease.clone()
        };
        let renewed = self.dataset.write_lease(&lease).await;
        if let Err(error) = &renewed {
            tracing::warn!(%error, "a collector may remove what is being copied: its lease cannot be written");
        }
        renewed.is_ok()
    }
}

fn lease(dataset: &Dataset, hold: &CopyHold, head: &LogEntry) -> Lease {
    let lease = Lease {
        format: FORMAT,
        dataset: dataset.name().to_owned(),
        dataset_id: head.dataset_id.clone(),
        consumer: hold.id.to_string(),
        host: hold.host.clone(),
        process: hold.process.clone(),
        version: 1,
        newest: head.version,
        pinned: None,
        channel: None,
        told: None,
        held: None,
        health: "ready".to_owned(),
        health_ms: 0,
        reasons: Vec::new(),
        staleness_ms: 0,
        running_ms: 0,
        expires_after_s: EXPIRES_AFTER_S,
        time_ms: 0,
    };
    lease.shortened()
}
