//! What a pipeline counts.
//!
//! Owns: the metrics of taking in, waiting and batching, their names and units. Those of cycles are the
//! producer's. Never decides anything.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// What a pipeline counts. Clones share their values.
#[derive(Clone, Debug)]
pub(super) struct PipelineMetrics {
    pub(super) submitted: Counter,
    pub(super) acknowledged: Counter,
    pub(super) repeated: Counter,
    pub(super) refused: Counter,
    pub(super) shed: Counter,
    pub(super) batches: Counter,
    pub(super) batched: Counter,
    pub(super) write_failures: Counter,
    pub(super) retries: Counter,
    pub(super) pressure: Counter,
    pub(super) spilled: Counter,
    pub(super) dead_letters: Counter,
    pub(super) panics: Counter,
    pub(super) wal_failures: Counter,
    pub(super) to_durable: Histogram,
    pub(super) to_published: Histogram,
    pub(super) flush: Histogram,
    pub(super) write: Histogram,
    pub(super) waiting_records: Gauge,
    pub(super) pending_records: Gauge,
    pub(super) pending_bytes: Gauge,
    pub(super) pending_entries: Gauge,
    pub(super) active_writes: Gauge,
    pub(super) wal_bytes: Gauge,
    pub(super) wal_lag: Gauge,
    pub(super) breaker: Gauge,
    pub(super) breaker_trips: Counter,
}

impl PipelineMetrics {
    pub(super) fn new() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.000_25, 2.0, 20));
        Self {
            submitted: Counter::default(),
            acknowledged: Counter::default(),
            repeated: Counter::default(),
            refused: Counter::default(),
            shed: Counter::default(),
            batches: Counter::default(),
            batched: Counter::default(),
            write_failures: Counter::default(),
            retries: Counter::default(),
            pressure: Counter::default(),
            spilled: Counter::default(),
            dead_letters: Counter::default(),
            panics: Counter::default(),
            wal_failures: Counter::default(),
            to_durable: seconds(),
            to_published: seconds(),
            flush: seconds(),
            write: seconds(),
            waiting_records: Gauge::default(),
            pending_records: Gauge::default(),
            pending_bytes: Gauge::default(),
            pending_entries: Gauge::default(),
            active_writes: Gauge::default(),
            wal_bytes: Gauge::default(),
            wal_lag: Gauge::default(),
            breaker: Gauge::default(),
            breaker_trips: Counter::default(),
        }
    }

    /// Adds the metrics to a registry that carries prefix and label.
    pub(super) fn register(&self, registry: &mut Registry) {
        self.register_counters(registry);
        self.register_gauges(registry);
        let histograms = [
            (
                "submission_to_durable",
                "Time from a submission to its acknowledgement",
                &self.to_durable,
            ),
            (
                "submission_to_published",
                "Time from a submission to its version",
                &self.to_published,
            ),
            (
                "batch_flush",
                "Time of a batch from its first record to its commit",
                &self.flush,
            ),
            ("write", "Time of an upload and commit", &self.write),
        ];
        for (name, help, histogram) in histograms {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
    }

    fn register_counters(&self, registry: &mut Registry) {
        let counters = [
            ("submitted_records", "Records submitted", &self.submitted),
            (
                "acknowledged_records",
                "Records acknowledged as durable",
                &self.acknowledged,
            ),
            (
                "repeated_submissions",
                "Submissions whose idempotency key was known",
                &self.repeated,
            ),
            (
                "refused_records",
                "Records refused before they were acknowledged",
                &self.refused,
            ),
            (
                "shed_records",
                "Records given up unacknowledged because too much waited",
                &self.shed,
            ),
            ("batches", "Batches published", &self.batches),
            (
                "batched_records",
                "Records in batches published",
                &self.batched,
            ),
            (
                "write_failures",
                "Batches that could not be published at a try",
                &self.write_failures,
            ),
            (
                "retries",
                "Tries of a batch after the first one",
                &self.retries,
            ),
            (
                "pressure_events",
                "Batches flushed early because too much was pending",
                &self.pressure,
            ),
            (
                "spilled_submissions",
                "Submissions kept in the write-ahead log only",
                &self.spilled,
            ),
            (
                "dead_letters",
                "Records that became dead letters",
                &self.dead_letters,
            ),
            (
                "breaker_trips",
                "Times that the breaker of the store opened",
                &self.breaker_trips,
            ),
            (
                "panics",
                "Panics of the pipeline's tasks that were survived",
                &self.panics,
            ),
            (
                "wal_failures",
                "Groups that the write-ahead log could not take",
                &self.wal_failures,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
    }

    fn register_gauges(&self, registry: &mut Registry) {
        let gauges = [
            (
                "waiting_records",
                "Records that wait to become durable",
                &self.waiting_records,
            ),
            (
                "pending_records",
                "Acknowledged records in memory, not published",
                &self.pending_records,
            ),
            (
                "pending_submissions",
                "Acknowledged submissions, not published",
                &self.pending_entries,
            ),
            (
                "active_writes",
                "Uploads and commits under way",
                &self.active_writes,
            ),
            (
                "wal_lag_submissions",
                "Submissions that a restart would replay",
                &self.wal_lag,
            ),
            (
                "breaker_state",
                "Breaker of the store: 0 closed, 1 half-open, 2 open",
                &self.breaker,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        let bytes = [
            (
                "pending",
                "Acknowledged records in memory, not published",
                &self.pending_bytes,
            ),
            ("wal_size", "Files of the write-ahead log", &self.wal_bytes),
        ];
        for (name, help, gauge) in bytes {
            registry.register_with_unit(name, help, Unit::Bytes, gauge.clone());
        }
    }
}
