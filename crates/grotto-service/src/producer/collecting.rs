//! Removing from the store what no reader needs, now and then.
//!
//! Owns: when, and what is said of it. Never: decides what goes; the store library does.

use super::daemon::Daemon;
use super::kept::Kept;
use crate::config::Retention;
use grotto::Result;
use grotto::store::{self, Collection};
use std::sync::Arc;
use tokio::sync::watch;

/// Collects a dataset every so often, while this daemon is the one that publishes it, until it ends.
pub(crate) async fn collect_on_schedule(
    daemon: Arc<Daemon>,
    name: String,
    mut stopped: watch::Receiver<bool>,
) {
    let mut failures = 0_u32;
    loop {
        let settings = daemon.dataset_settings(&name);
        let retention = settings
            .map(|settings| settings.retention)
            .unwrap_or_default();
        tokio::select! {
            biased;
            _ = stopped.changed() => return,
            () = daemon.env.sleep(retention.interval) => {}
        }
        let producer = daemon.datasets.get(&name).and_then(Kept::pipeline);
        let Some(producer) = producer
            .and_then(|pipeline| pipeline.producer())
            .filter(|_| retention.enabled)
        else {
            continue;
        };
        let options = options(&retention);
        match tell(&name, producer.collect(&options).await) {
            true => failures = 0,
            false => failures = failures.saturating_add(1),
        }
        if failures > 1 && failures.is_power_of_two() {
            tracing::warn!(
                dataset = name,
                failures,
                "nothing is removed from the store: it grows"
            );
        }
    }
}

fn options(retention: &Retention) -> store::Retention {
    store::Retention {
        snapshots: usize::try_from(retention.snapshots).unwrap_or(usize::MAX),
        grace: retention.grace,
    }
}

/// Whether it worked.
fn tell(dataset: &str, collected: Result<Collection>) -> bool {
    match collected {
        Ok(done) if done.objects.is_empty() => true,
        Ok(done) => {
            let (files, bytes) = (done.objects.len(), done.bytes());
            let kept_from = done.boundary + 1;
            tracing::info!(dataset, files, bytes, kept_from, "collected");
            true
        }
        Err(error) => {
            tracing::warn!(dataset, %error, "collecting failed; the next one goes on");
            false
        }
    }
}
