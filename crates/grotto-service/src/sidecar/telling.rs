//! What a sidecar says by itself, and does now and then.
//!
//! Owns: figures in the log, the readiness for the service manager, letting go of what was held for scans. Never: changes
//! what is served.

use super::daemon::Daemon;
use super::health::Readiness;
use crate::logs::whole_ms;
use crate::operators::{Operated as _, aside};
use crate::process::resources;
use crate::supervise;
use std::sync::Arc;
use std::time::Duration;

/// How often the service manager may hear that the readiness changed, and held versions are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Tells the service manager when the readiness changes, and lets go of versions that scans left behind.
pub(crate) async fn watch(daemon: Arc<Daemon>) {
    let mut told: Option<Readiness> = None;
    loop {
        let readiness = match aside(&daemon, Daemon::condition).await {
            Ok(found) => found.readiness,
            Err(error) => {
                tracing::error!(%error, "the datasets do not say how they are");
                Readiness::Degraded
            }
        };
        if told.replace(readiness) != Some(readiness) {
            supervise::tell_status(readiness.word());
        }
        let (now, limits) = (daemon.env.clock.monotonic(), daemon.limits());
        for followed in daemon.datasets.values() {
            followed
                .held
                .let_go(now, limits.held_for, limits.held_at_most);
            followed.make_room();
        }
        daemon.env.sleep(LOOK).await;
    }
}

/// Tells figures now and then.
pub(crate) async fn tell_figures(daemon: Arc<Daemon>) {
    loop {
        let interval = daemon.settings().map_or(Duration::from_secs(30), |found| {
            found.monitoring.metrics_interval
        });
        daemon.env.sleep(interval).await;
        let found = resources();
        for followed in daemon.datasets.values() {
            let Some(consumer) = followed.consumer() else {
                let (dataset, reason) = (&followed.name, followed.trouble());
                tracing::info!(dataset, reason, "not open yet");
                continue;
            };
            let state = consumer.state();
            tracing::info!(
                dataset = followed.name,
                version = state.version(),
                records = state.total(),
                staleness_ms = whole_ms(consumer.staleness()),
                memory_bytes = found.memory_bytes,
                "figures"
            );
        }
    }
}
