//! What is counted of announcing.
//!
//! Owns: these metrics and their names. Never: decides anything.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::borrow::Cow;

/// Counts of one dataset. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct TellMetrics {
    dataset: String,
    pub(crate) sent: Counter,
    pub(crate) failed: Counter,
    pub(crate) superseded: Counter,
}

impl TellMetrics {
    pub(crate) fn new(dataset: &str) -> Self {
        Self {
            dataset: dataset.to_owned(),
            sent: Counter::default(),
            failed: Counter::default(),
            superseded: Counter::default(),
        }
    }

    /// As text in the OpenMetrics format.
    pub(crate) fn text(&self, is_up: bool) -> String {
        let mut registry = Registry::default();
        let label = (Cow::Borrowed("dataset"), Cow::Owned(self.dataset.clone()));
        let inner = registry.sub_registry_with_prefix("grotto_producer");
        let inner = inner.sub_registry_with_label(label);
        let up: Gauge = Gauge::default();
        up.set(i64::from(is_up));
        let help =
            "1 while versions can be announced, 0 while the server of announcements is not there";
        inner.register("push_up", help, up);
        let help = "Announcements that the server of announcements confirmed";
        inner.register("announcements_sent", help, self.sent.clone());
        let help = "Tries to announce a version that failed";
        inner.register("announcements_failed", help, self.failed.clone());
        let help = "Announcements that a newer one replaced before they were sent";
        inner.register("announcements_superseded", help, self.superseded.clone());
        let mut text = String::new();
        // Writing to a string does not fail.
        if encode(&mut text, &registry).is_err() {
            tracing::error!(dataset = self.dataset, "metrics do not encode");
        }
        text
    }
}
