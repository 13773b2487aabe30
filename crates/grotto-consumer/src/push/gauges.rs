//! What a consumer tells of announcements in its metrics.
//!
//! Owns: these metrics and their names. Never: counts by itself; what was heard is counted where it is heard.

use crate::status::PushStatus;
use grotto_store::PushLink;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::Ordering;

/// Figures of announcements. Clones share their values.
#[derive(Clone, Debug, Default)]
pub(crate) struct PushGauges {
    up: Gauge,
    breaks: Counter,
    announcements: Family<OfOutcome, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}

impl PushGauges {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "1 while announcements of versions are heard, 0 while they are not or nobody is to be heard";
        registry.register("push_up", help, self.up.clone());
        let help = "Times that announcements of versions ceased to be heard";
        registry.register("push_breaks", help, self.breaks.clone());
        let help = "Announcements heard by outcome: news, known, of another dataset, or unreadable";
        registry.register("announcements", help, self.announcements.clone());
    }

    pub(crate) fn set(&self, push: Option<&PushStatus>) {
        let Some(push) = push else {
            return;
        };
        self.up.set(i64::from(push.link == PushLink::Up));
        let counts = push.counts;
        store(&self.breaks, counts.breaks);
        for (outcome, count) in [
            ("news", counts.news),
            ("known", counts.known),
            ("other", counts.other),
            ("unreadable", counts.unreadable),
        ] {
            let counter = self.announcements.get_or_create(&OfOutcome { outcome });
            store(&counter, count);
        }
    }
}

/// Counted elsewhere.
fn store(counter: &Counter, count: u64) {
    counter.inner().store(count, Ordering::Relaxed);
}
