//! What is wrong beside a pipeline.
//!
//! Owns: one reason for each source that does not get on. Never: decides what follows from it.

use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Reasons by their sources.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<BTreeMap<&'static str, String>>);

impl Troubles {
    /// A source does not get on.
    pub(crate) fn set(&self, source: &'static str, reason: impl Into<String>) {
        self.0.lock().insert(source, reason.into());
    }

    /// It does again.
    pub(crate) fn clear(&self, source: &'static str) {
        self.0.lock().remove(source);
    }

    /// All of them, for people.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let all = self.0.lock();
        let shown = all
            .iter()
            .map(|(source, reason)| format!("{source}: {reason}"));
        shown.collect()
    }
}
