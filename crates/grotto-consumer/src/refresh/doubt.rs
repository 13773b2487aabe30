//! A refresh that failed at a blob which did not fit what it was to be applied to.
//!
//! Owns: loading afresh, as either of the two may be wrong: where the log lost its end and was written anew, the number of
//! what is served stands for another state, and every delta that follows seems to be damaged. Never: lets go of what is
//! served before the new state is whole.

use super::Run;
use crate::error::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Twice as long each time, up to 64 times the first wait.
const MOST_DOUBLINGS: u32 = 6;

/// When what is served may be doubted again: loading afresh takes much, and may be in vain.
#[derive(Debug)]
pub(crate) struct Doubts {
    first_wait: Duration,
    last: Mutex<Option<Doubted>>,
}

/// A served version, and how often loading afresh did not help.
#[derive(Clone, Copy, Debug)]
struct Doubted {
    version: u64,
    tries: u32,
    /// By the monotonic clock.
    until: Duration,
}

impl Default for Doubts {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_secs(30),
            last: Mutex::default(),
        }
    }
}

impl Doubts {
    pub(crate) fn wait_first(&mut self, first_wait: Duration) {
        self.first_wait = first_wait;
    }

    fn may(&self, version: u64, now: Duration) -> bool {
        let last = *self.last.lock();
        last.is_none_or(|last| last.version != version || last.until <= now)
    }

    fn in_vain(&self, version: u64, now: Duration) {
        let mut last = self.last.lock();
        let tries = last
            .filter(|last| last.version == version)
            .map_or(0, |last| (last.tries + 1).min(MOST_DOUBLINGS));
        *last = Some(Doubted {
            version,
            tries,
            until: now.saturating_add(self.first_wait.saturating_mul(1 << tries)),
        });
    }
}

impl Run<'_> {
    /// Goes to the target without what is served, after a way from that failed with `error` at something that did not
    /// fit. What does not fit then either is damaged.
    pub(super) async fn doubt_base(&mut self, error: Error) -> Result<()> {
        let shared = self.shared;
        let served = shared.served();
        let (version, clock) = (served.version(), Arc::clone(&shared.env.clock));
        let misfit = std::mem::take(&mut self.misfit) && is_of_blobs(&error) && !self.afresh;
        if !misfit || !shared.doubts.may(version, clock.monotonic()) {
            return Err(error);
        }
        let reason = format!(
            "version {version} or what follows it is not what the other expects: loading afresh"
        );
        tracing::warn!(dataset = shared.dataset.name(), reason);
        self.report.recovered.push(reason);
        self.useless = served;
        self.afresh = true;
        self.watch = Arc::new(self.watch.anew());
        self.set_out_from(shared.origin());
        let Err(again) = self.journey().await else {
            return Ok(());
        };
        shared.doubts.in_vain(version, clock.monotonic());
        self.afresh = false;
        self.go_back();
        match is_of_blobs(&again) && self.refusal_in(&again).is_none() {
            true => Err(error),
            false => Err(again),
        }
    }
}

fn is_of_blobs(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Missing)
}
