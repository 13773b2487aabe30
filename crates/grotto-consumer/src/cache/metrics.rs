//! What a cache of blobs counts.
//!
//! Owns: the metrics and their names. Never: decides anything.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// What a cache counts. Clones share their values.
#[derive(Clone, Debug, Default)]
pub(crate) struct CacheMetrics {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) hit_bytes: Counter,
    pub(super) evictions: Counter,
    bytes: Gauge,
    pub(super) failures: Family<Reason, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Reason {
    pub(super) reason: &'static str,
}

impl CacheMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Blobs that were in the cache, damaged ones included";
        registry.register("cache_hits", help, self.hits.clone());
        let help = "Blobs that were looked for in the cache and not there";
        registry.register("cache_misses", help, self.misses.clone());
        let help = "Bytes of blobs that came out of the cache";
        registry.register_with_unit("cache_hit", help, Unit::Bytes, self.hit_bytes.clone());
        let help = "Blobs removed from the cache because they were too many or too old";
        registry.register("cache_evictions", help, self.evictions.clone());
        let help = "Blobs in the cache as of the last look at it";
        registry.register_with_unit("cache", help, Unit::Bytes, self.bytes.clone());
        let help = "What did not work in the cache, by what it was; no refresh failed for it";
        registry.register("cache_failures", help, self.failures.clone());
    }

    pub(super) fn hit(&self, bytes: u64) {
        self.hits.inc();
        self.hit_bytes.inc_by(bytes);
    }

    pub(super) fn missed(&self) {
        self.misses.inc();
    }

    pub(super) fn evicted(&self) {
        self.evictions.inc();
    }

    pub(super) fn holds(&self, bytes: u64) {
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> i64 {
        self.bytes.get()
    }

    pub(super) fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&Reason { reason }).inc();
    }
}
