//! What the producer counts.
//!
//! Owns: names and units of the metrics. Never decides anything.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Counters of one producer.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) records: Counter,
    pub(crate) versions: Counter,
    pub(crate) quiet_cycles: Counter,
    pub(crate) failed_cycles: Counter,
    pub(crate) bytes: Counter,
    pub(crate) snapshots: Counter,
    pub(crate) failed_snapshots: Counter,
    pub(crate) version: Gauge,
    pub(crate) cycle_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            records: Counter::default(),
            versions: Counter::default(),
            quiet_cycles: Counter::default(),
            failed_cycles: Counter::default(),
            bytes: Counter::default(),
            snapshots: Counter::default(),
            failed_snapshots: Counter::default(),
            version: Gauge::default(),
            cycle_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 18)),
        };
        let registry = registry.sub_registry_with_prefix("grotto_producer");
        let counters = [
            (
                "records",
                "Records added, upserted or deleted by cycles",
                &metrics.records,
            ),
            ("versions", "Versions committed", &metrics.versions),
            (
                "quiet_cycles",
                "Cycles that found no change",
                &metrics.quiet_cycles,
            ),
            (
                "failed_cycles",
                "Cycles that failed",
                &metrics.failed_cycles,
            ),
            ("snapshots", "Snapshots written", &metrics.snapshots),
            (
                "failed_snapshots",
                "Snapshots that failed",
                &metrics.failed_snapshots,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register_with_unit(
            "written",
            "Bytes of blobs uploaded",
            Unit::Bytes,
            metrics.bytes.clone(),
        );
        registry.register(
            "version",
            "Newest version committed",
            metrics.version.clone(),
        );
        let help = "Time of a cycle from its first record to its commit";
        registry.register_with_unit(
            "cycle_duration",
            help,
            Unit::Seconds,
            metrics.cycle_seconds.clone(),
        );
        metrics
    }
}
