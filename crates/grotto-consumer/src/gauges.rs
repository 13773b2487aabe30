//! What a consumer measures of itself whenever somebody asks for its metrics.
//!
//! Owns: the gauges that are figures of its status, and their names. Never: asks the store. Reads are not counted:
//! a count that all threads share would slow each of them, so whoever serves requests counts those.

use crate::push::PushGauges;
use crate::shared::Shared;
use crate::status::{ConsumerStatus, Health};
use grotto_store::BreakerState;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

/// Types of which records are told one by one, in the order of the schema.
const MOST_TYPES: usize = 100;

/// Figures of the status. Clones share their values.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusGauges {
    health: Gauge,
    breaker: Gauge,
    poll_wait: Gauge<f64, AtomicU64>,
    mapped: Gauge,
    resident: Gauge,
    on_heap: Gauge,
    attached: Gauge,
    errors_per_minute: Gauge,
    push: PushGauges,
    populated: Family<OfType, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfType {
    r#type: String,
}

impl StatusGauges {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "2 ready, 1 degraded, 0 not ready";
        registry.register("health", help, self.health.clone());
        let help = "Circuit breaker of the store: 0 closed, 1 half open, 2 open";
        registry.register("breaker_state", help, self.breaker.clone());
        let help = "Wait between two looks at the log now; 0 where nobody polls";
        registry.register_with_unit("poll_wait", help, Unit::Seconds, self.poll_wait.clone());
        let help = "Segments of all states that are held, mapped or on the heap";
        registry.register_with_unit("mapped", help, Unit::Bytes, self.mapped.clone());
        let help = "Part of these that is in memory, at most ten seconds old; -1 where unknown";
        registry.register_with_unit("resident", help, Unit::Bytes, self.resident.clone());
        let help = "1 where all reads are from the heap, for want of a state directory";
        registry.register("fallback_reads_active", help, self.on_heap.clone());
        let help = "Handles that are attached to the state directory; -1 where unknown";
        registry.register("attached_readers", help, self.attached.clone());
        let help = "Errors of the last 60 seconds";
        registry.register("recent_errors", help, self.errors_per_minute.clone());
        self.push.register(registry);
        let help = "Live records by type, of at most 100 types";
        registry.register("populated_records", help, self.populated.clone());
    }

    fn set(&self, status: &ConsumerStatus, on_heap: bool) {
        self.health.set(match status.health {
            Health::Ready => 2,
            Health::Degraded => 1,
            Health::NotReady => 0,
        });
        self.breaker.set(match status.breaker {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        });
        self.poll_wait.set(status.poll_wait.as_secs_f64());
        self.mapped.set(signed(Some(status.mapped_bytes)));
        self.resident.set(signed(status.resident_bytes));
        self.on_heap.set(i64::from(on_heap));
        self.attached.set(signed(status.attached_readers));
        self.errors_per_minute
            .set(signed(Some(status.errors_per_minute)));
        self.push.set(status.push.as_ref());
    }
}

/// -1 for what is not known.
fn signed(value: Option<u64>) -> i64 {
    value.map_or(-1, |value| i64::try_from(value).unwrap_or(i64::MAX))
}

impl Shared {
    /// Sets the gauges to what holds now.
    pub(crate) fn measure_all(&self) {
        let gauges = &self.metrics.status;
        gauges.set(&self.status(), !self.site.is_folder());
        self.metrics.stale_for(self.staleness().as_secs_f64());
        let state = self.served();
        // A type that is gone is not told any more.
        gauges.populated.clear();
        let types = state.schema().ids().zip(state.schema().types());
        for (id, ty) in types.take(MOST_TYPES) {
            let label = OfType {
                r#type: ty.name.clone(),
            };
            gauges
                .populated
                .get_or_create(&label)
                .set(signed(Some(state.count(id))));
        }
    }
}
