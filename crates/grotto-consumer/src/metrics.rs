//! What a consumer counts.
//!
//! Owns: the metrics and their names. Never: slows a read; reads are not counted one by one.

use crate::cache::CacheMetrics;
use crate::error::ErrorKind;
use crate::gauges::StatusGauges;
use crate::report::{RefreshReport, StepKind};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::AtomicU64;

/// What a consumer counts. Clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    dataset: String,
    versions_processed: Counter,
    bytes_fetched: Counter,
    refresh_seconds: Family<StepLabels, Histogram>,
    latency_seconds: Histogram,
    errors: Family<ErrorLabels, Counter>,
    damage: Counter,
    scrubbed: Counter,
    current_version: Gauge,
    newest_version: Gauge,
    staleness_seconds: Gauge<f64, AtomicU64>,
    records: Gauge,
    held_version: Gauge,
    pinned_version: Gauge,
    channel_version: Gauge,
    pub(crate) cache: CacheMetrics,
    pub(crate) status: StatusGauges,
    refreshes: Counter,
    pub(crate) readers: ReaderGauges,
    lease_renewals: Family<OutcomeLabels, Counter>,
}

/// How far each subscription of the consumer is behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReaderGauges {
    waiting: Family<ReaderLabels, Gauge>,
    behind: Family<ReaderLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReaderLabels {
    subscription: String,
}

impl ReaderGauges {
    pub(crate) fn set(&self, name: &str, waiting: u64, behind: u64) {
        let labels = ReaderLabels {
            subscription: name.to_owned(),
        };
        self.waiting.get_or_create(&labels).set(signed(waiting));
        self.behind.get_or_create(&labels).set(signed(behind));
    }

    pub(crate) fn remove(&self, name: &str) {
        let labels = ReaderLabels {
            subscription: name.to_owned(),
        };
        self.waiting.remove(&labels);
        self.behind.remove(&labels);
    }

    fn register(&self, registry: &mut Registry) {
        let help = "Updates that wait for a subscription's reader";
        registry.register("subscription_waiting", help, self.waiting.clone());
        let help = "Versions that a subscription's reader is behind what is served";
        registry.register("subscription_behind_versions", help, self.behind.clone());
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    kind: Name,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    kind: Name,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: Name,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name(Cow<'static, str>);

impl EncodeLabelValue for Name {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.0.as_ref().encode(encoder)
    }
}

impl Metrics {
    /// Metrics of one dataset, all zero.
    #[must_use]
    pub fn new(dataset: &str) -> Self {
        // From 50 µs to about 100 s.
        let buckets = || Histogram::new(exponential_buckets(0.000_05, 2.0, 21));
        Self {
            dataset: dataset.to_owned(),
            versions_processed: Counter::default(),
            bytes_fetched: Counter::default(),
            refresh_seconds: Family::new_with_constructor(buckets),
            latency_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 21)),
            errors: Family::default(),
            damage: Counter::default(),
            scrubbed: Counter::default(),
            current_version: Gauge::default(),
            newest_version: Gauge::default(),
            staleness_seconds: Gauge::default(),
            records: Gauge::default(),
            held_version: Gauge::default(),
            pinned_version: Gauge::default(),
            channel_version: Gauge::default(),
            cache: CacheMetrics::default(),
            status: StatusGauges::default(),
            refreshes: Counter::default(),
            readers: ReaderGauges::default(),
            lease_renewals: Family::default(),
        }
    }

    /// Adds the metrics to a registry, labelled with the dataset.
    pub fn register(&self, registry: &mut Registry) {
        let label = (Cow::Borrowed("dataset"), Cow::Owned(self.dataset.clone()));
        let registry = registry.sub_registry_with_prefix("grotto_consumer");
        let registry = registry.sub_registry_with_label(label);
        registry.register(
            "versions_processed",
            "Versions moved to",
            self.versions_processed.clone(),
        );
        registry.register_with_unit(
            "fetched",
            "Bytes of blobs fetched",
            Unit::Bytes,
            self.bytes_fetched.clone(),
        );
        let help = "Time to verify, apply and publish a step";
        registry.register_with_unit("refresh", help, Unit::Seconds, self.refresh_seconds.clone());
        let help = "Time from the commit of a version, by the writer's clock, to being served";
        registry.register_with_unit("latency", help, Unit::Seconds, self.latency_seconds.clone());
        registry.register(
            "errors",
            "Errors by kind, those worked around included",
            self.errors.clone(),
        );
        registry.register(
            "damage_found",
            "Times that a file of the state directory was not what was written there",
            self.damage.clone(),
        );
        let help = "Bytes of the state directory that were verified again in the background";
        registry.register_with_unit("scrubbed", help, Unit::Bytes, self.scrubbed.clone());
        registry.register(
            "current_version",
            "Version served",
            self.current_version.clone(),
        );
        registry.register(
            "newest_version",
            "Newest version known",
            self.newest_version.clone(),
        );
        let help = "Time since the served version was known to be the newest";
        registry.register_with_unit(
            "staleness",
            help,
            Unit::Seconds,
            self.staleness_seconds.clone(),
        );
        self.cache.register(registry);
        self.status.register(registry);
        let help = "Refreshes that led to another state";
        registry.register("refreshes", help, self.refreshes.clone());
        registry.register(
            "held_version",
            "Version that a guard holds back; 0 while none is",
            self.held_version.clone(),
        );
        let help = "Version that the pin of the fleet names; 0 without one";
        registry.register("pinned_version", help, self.pinned_version.clone());
        let help = "Version that the channel names that is followed; 0 without one, and while a pin counts";
        registry.register("channel_version", help, self.channel_version.clone());
        registry.register("records", "Live records of all types", self.records.clone());
        self.readers.register(registry);
        registry.register(
            "lease_renewals",
            "Renewals of the lease by outcome: renewed or failed",
            self.lease_renewals.clone(),
        );
    }

    /// The metrics in the OpenMetrics text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut registry = Registry::default();
        self.register(&mut registry);
        let mut text = String::new();
        // Writing to a string does not fail.
        if encode(&mut text, &registry).is_err() {
            tracing::error!("metrics do not encode");
        }
        text
    }

    pub(crate) fn served(&self, version: u64, records: u64) {
        self.current_version.set(signed(version));
        self.records.set(signed(records));
    }

    pub(crate) fn step(&self, kind: StepKind, bytes: u64, seconds: f64) {
        self.bytes_fetched.inc_by(bytes);
        let labels = StepLabels {
            kind: Name(Cow::Borrowed(kind.name())),
        };
        self.refresh_seconds.get_or_create(&labels).observe(seconds);
    }

    pub(crate) fn refreshed(&self, report: &RefreshReport) {
        self.refreshes.inc();
        self.versions_processed.inc_by(report.steps.len() as u64);
    }

    pub(crate) fn latency(&self, seconds: f64) {
        self.latency_seconds.observe(seconds);
    }

    pub(crate) fn newest(&self, version: u64) {
        self.newest_version.set(signed(version));
    }

    /// 0 for none.
    pub(crate) fn holding(&self, version: u64) {
        self.held_version.set(signed(version));
    }

    /// Which versions the pin and the channel name; 0 for none.
    pub(crate) fn told(&self, pin: u64, channel: u64) {
        self.pinned_version.set(signed(pin));
        self.channel_version.set(signed(channel));
    }

    pub(crate) fn stale_for(&self, seconds: f64) {
        self.staleness_seconds.set(seconds);
    }

    pub(crate) fn scrubbed(&self, bytes: u64) {
        self.scrubbed.inc_by(bytes);
    }

    pub(crate) fn damaged(&self) {
        self.damage.inc();
    }

    pub(crate) fn lease_renewed(&self, succeeded: bool) {
        let outcome = if succeeded { "renewed" } else { "failed" };
        let labels = OutcomeLabels {
            outcome: Name(Cow::Borrowed(outcome)),
        };
        self.lease_renewals.get_or_create(&labels).inc();
    }

    pub(crate) fn error(&self, kind: ErrorKind) {
        let labels = ErrorLabels {
            kind: Name(Cow::Owned(kind.to_string())),
        };
        self.errors.get_or_create(&labels).inc();
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_carries_the_dataset() {
        let metrics = Metrics::new("cities");
        metrics.served(7, 100);
        metrics.error(ErrorKind::Corrupt);
        metrics.step(StepKind::Delta, 1_000, 0.002);
        let text = metrics.text();
        for line in [
            "grotto_consumer_current_version{dataset=\"cities\"} 7",
            "grotto_consumer_records{dataset=\"cities\"} 100",
            "grotto_consumer_fetched_bytes_total{dataset=\"cities\"} 1000",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        let errors = text
            .lines()
            .find(|line| line.starts_with("grotto_consumer_errors_total{"));
        assert!(
            errors.is_some_and(|line| line.contains("kind=\"corrupt\"")),
            "{text}"
        );
    }
}
