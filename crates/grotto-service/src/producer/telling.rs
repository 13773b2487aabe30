//! What a daemon says by itself.
//!
//! Owns: a line for every version, and figures now and then. Never: changes anything.

use super::daemon::Daemon;
use super::health::{Readiness, judge};
use crate::logs::whole_ms;
use crate::process::resources;
use crate::supervise;
use grotto::producer::Published;
use grotto::producer::pipeline::Pipeline;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// Is told of every version.
pub type OnPublish = Arc<dyn Fn(&str, &Published) + Send + Sync>;

/// Tells of the versions of a dataset until its pipeline ends.
pub(crate) async fn tell_versions(pipeline: Pipeline, on_publish: Option<OnPublish>) {
    let dataset = pipeline.dataset().to_owned();
    let mut versions = pipeline.subscribe();
    // The pipeline ends with its last handle.
    drop(pipeline);
    loop {
        match versions.recv().await {
            Ok(published) => {
                let Published {
                    version,
                    records,
                    delta_bytes,
                    times,
                    ..
                } = &*published;
                let commit_ms = whole_ms(times.commit);
                // A cycle has the number of the version that comes of it.
                tracing::info!(
                    dataset,
                    cycle = version,
                    version,
                    records,
                    delta_bytes,
                    commit_ms,
                    "published"
                );
                if let Some(tell) = &on_publish {
                    tell(&dataset, &published);
                }
            }
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(dataset, missed, "versions were published faster than told");
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Tells figures now and then, and the service manager when the readiness changes.
pub(crate) async fn tell_figures(daemon: Arc<Daemon>) {
    let mut told: Option<Readiness> = None;
    loop {
        let interval = daemon
            .settings()
            .map_or(std::time::Duration::from_secs(30), |settings| {
                settings.monitoring.metrics_interval
            });
        let readiness = judge(&daemon.views());
        if told.replace(readiness) != Some(readiness) {
            supervise::tell_status(readiness.word());
        }
        daemon.env.sleep(interval).await;
        let found = resources();
        for pipeline in daemon.pipelines() {
            let status = pipeline.status();
            tracing::info!(
                dataset = status.dataset,
                condition = %status.condition,
                version = status.version,
                waiting_records = status.waiting_records,
                pending_records = status.pending_records,
                pending_submissions = status.pending_entries,
                lag_ms = status.lag_ms,
                wal_bytes = status.wal_bytes,
                memory_bytes = found.memory_bytes,
                "figures"
            );
        }
    }
}
