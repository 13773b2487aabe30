//! What the producer counts.
//!
//! Owns: the metrics, their names and units. Never decides anything.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::borrow::Cow;

/// What a producer counts. Clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    dataset: String,
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
    /// Metrics of one dataset, all zero.
    #[must_use]
    pub fn new(dataset: &str) -> Self {
        Self {
            dataset: dataset.to_owned(),
            records: Counter::default(),
            versions: Counter::default(),
            quiet_cycles: Counter::default(),
            failed_cycles: Counter::default(),
            bytes: Counter::default(),
            snapshots: Counter::default(),
            failed_snapshots: Counter::default(),
            version: Gauge::default(),
            cycle_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 18)),
        }
    }

    /// Adds the metrics to a registry, labelled with the dataset.
    pub fn register(&self, registry: &mut Registry) {
        let registry = self.sub_registry(registry);
        let counters = [
            (
                "records",
                "Records added, upserted or deleted by cycles",
                &self.records,
            ),
            ("versions", "Versions committed", &self.versions),
            (
                "quiet_cycles",
                "Cycles that found no change",
                &self.quiet_cycles,
            ),
            ("failed_cycles", "Cycles that failed", &self.failed_cycles),
            ("snapshots", "Snapshots written", &self.snapshots),
            (
                "failed_snapshots",
                "Snapshots that failed",
                &self.failed_snapshots,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register_with_unit(
            "written",
            "Bytes of blobs uploaded",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register("version", "Newest version committed", self.version.clone());
        let help = "Time of a cycle from its first record to its commit";
        registry.register_with_unit(
            "cycle_duration",
            help,
            Unit::Seconds,
            self.cycle_seconds.clone(),
        );
    }

    /// The metrics in the OpenMetrics text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut registry = Registry::default();
        self.register(&mut registry);
        text_of(&registry, &self.dataset)
    }

    /// Where metrics of the dataset go.
    pub(crate) fn sub_registry<'r>(&self, registry: &'r mut Registry) -> &'r mut Registry {
        let label = (Cow::Borrowed("dataset"), Cow::Owned(self.dataset.clone()));
        let registry = registry.sub_registry_with_prefix("grotto_producer");
        registry.sub_registry_with_label(label)
    }
}

/// A registry in the OpenMetrics text format.
pub(crate) fn text_of(registry: &Registry, dataset: &str) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    if encode(&mut text, registry).is_err() {
        tracing::error!(dataset, "metrics do not encode");
    }
    text
}
