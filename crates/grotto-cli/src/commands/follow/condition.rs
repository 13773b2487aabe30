//! Whether refreshes succeed, told once per change.
//!
//! Owns: what counts as a change, and how it is told. Never: refreshes.

use crate::failure::Failure;
use crate::output::{note, note_as_json};
use crate::text::{date, duration, milliseconds};
use grotto::Error;
use grotto::consumer::Consumer;
use grotto::engine::env::{Clock, Env};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Reasons that are told until refreshes succeed again: one that differs with every attempt must not fill a log.
const MOST_REASONS: usize = 16;

/// A refresh that failed.
#[derive(Clone, Debug)]
struct Failed {
    at: Duration,
    wall_ms: u64,
    kind: String,
    reason: String,
}

/// Hears of refreshes that fail. Only the last is kept.
pub(super) struct Failures {
    clock: Arc<dyn Clock>,
    last: watch::Sender<Option<Failed>>,
}

impl Failures {
    pub(super) fn heard(&self, error: &Error) {
        let kind = error.kind().to_string();
        let failure = Failure::of_library(error.kind(), error.message(), error);
        self.last.send_replace(Some(Failed {
            at: self.clock.monotonic(),
            wall_ms: self.clock.wall_ms(),
            kind,
            reason: failure.message().to_owned(),
        }));
    }
}

/// Whether refreshes succeed, as far as it was told.
pub(super) struct Condition {
    clock: Arc<dyn Clock>,
    as_json: bool,
    failures: watch::Receiver<Option<Failed>>,
    trouble: Option<Trouble>,
}

/// From the first refresh that failed until one succeeds.
struct Trouble {
    since: Duration,
    last: Duration,
    /// Reasons that were told.
    reasons: Vec<String>,
}

impl Condition {
    pub(super) fn new(env: &Env, as_json: bool) -> (Failures, Self) {
        let (last, failures) = watch::channel(None);
        let condition = Self {
            clock: Arc::clone(&env.clock),
            as_json,
            failures,
            trouble: None,
        };
        let clock = Arc::clone(&env.clock);
        (Failures { clock, last }, condition)
    }

    /// Whether the last refresh that is known of failed.
    pub(super) fn is_bad(&self) -> bool {
        self.trouble.is_some()
    }

    /// Waits until a refresh failed since the last look.
    pub(super) async fn changed(&mut self) {
        if self.failures.changed().await.is_err() {
            // The consumer has ended: nothing will fail any more.
            std::future::pending::<()>().await;
        }
        // For the look that comes next.
        self.failures.mark_changed();
    }

    /// Tells what has changed since the last look.
    pub(super) fn look(&mut self, consumer: &Consumer) {
        let failed = match self.failures.has_changed() {
            Ok(false) => None,
            _ => self.failures.borrow_and_update().clone(),
        };
        if let Some(failed) = failed
            && self.is_news(&failed)
        {
            self.tell_failure(&failed, consumer.version());
        }
        // The clock is read before the staleness is: later, a success just before the failure would
        // pass for one after it.
        let now = self.clock.monotonic();
        if let Some(trouble) = &self.trouble
            && consumer.staleness() < now.saturating_sub(trouble.last)
        {
            self.tell_recovery(now.saturating_sub(trouble.since), consumer.version());
            self.trouble = None;
        }
    }

    /// Notes a failure; whether there is something to tell of it.
    fn is_news(&mut self, failed: &Failed) -> bool {
        let trouble = self.trouble.get_or_insert_with(|| Trouble {
            since: failed.at,
            last: failed.at,
            reasons: Vec::new(),
        });
        trouble.last = failed.at;
        if trouble.reasons.len() == MOST_REASONS || trouble.reasons.contains(&failed.reason) {
            return false;
        }
        trouble.reasons.push(failed.reason.clone());
        true
    }

    fn tell_failure(&self, failed: &Failed, version: u64) {
        let message = match version {
            0 => format!("cannot refresh: {}", failed.reason),
            _ => format!(
                "cannot refresh, still at version {version}: {}",
                failed.reason
            ),
        };
        let fields = json!({ "condition": "failing", "kind": failed.kind, "version": version });
        self.tell(failed.wall_ms, &message, fields);
    }

    fn tell_recovery(&self, after: Duration, version: u64) {
        let message = format!("refreshing again after {}", duration(after));
        let after_ms = milliseconds(after);
        let fields = json!({ "condition": "refreshing", "version": version, "after_ms": after_ms });
        self.tell(self.clock.wall_ms(), &message, fields);
    }

    fn tell(&self, wall_ms: u64, message: &str, mut fields: Value) {
        if !self.as_json {
            note(format_args!("{} UTC: {message}", date(wall_ms)));
            return;
        }
        fields["time_ms"] = wall_ms.into();
        fields["message"] = message.into();
        note_as_json(&fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_news_once_and_many_reasons_are_told_up_to_a_limit() {
        let env = Env::deterministic(1);
        let (failures, mut condition) = Condition::new(&env, true);
        let mut is_news = |reason: String| {
            failures.heard(&Error::unavailable(reason));
            let failed = condition.failures.borrow_and_update().clone().unwrap();
            condition.is_news(&failed)
        };
        assert!(is_news("gone".into()));
        assert!(!is_news("gone".into()));
        assert!(is_news("denied".into()));
        assert!(!is_news("gone".into()));
        let told = (0..100).filter(|n| is_news(format!("request {n}"))).count();
        assert_eq!(told + 2, MOST_REASONS);
    }
}
