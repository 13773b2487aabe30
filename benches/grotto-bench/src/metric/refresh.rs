//! Refreshes as a consumer makes them: news found, blob fetched from a local store, applied,
//! verified, swapped.
//!
//! Owns: their figures.

use super::Settings;
use crate::deploy::{Deployment, state_dir_of};
use crate::figure::{Report, ms};
use crate::workload::Workload;
use anyhow::{Result, ensure};

/// Metrics of whole refreshes.
pub(super) const METRICS: &[&str] = &["refresh_heap", "refresh_dir"];

/// With the state on the heap and in a state directory.
pub(super) fn all<W: Workload + 'static>(
    report: &Report,
    settings: &Settings,
    deploy: &mut Deployment<W>,
) -> Result<()> {
    let heap = deploy.consumer(None)?;
    let dir = deploy.consumer(Some(&state_dir_of(deploy.place())))?;
    let (mut on_heap, mut in_dir) = (Vec::new(), Vec::new());
    for _ in 0..settings.runs * 3 {
        deploy.publish(settings.k)?;
        for (consumer, times) in [(&heap, &mut on_heap), (&dir, &mut in_dir)] {
            let (time, refreshed) = report.time(|| deploy.runtime().block_on(consumer.refresh()));
            ensure!(
                refreshed?.is_some(),
                "a refresh after a publication found nothing"
            );
            times.push(ms(time));
        }
    }
    deploy.verify(&heap.state())?;
    deploy.verify(&dir.state())?;
    deploy.runtime().block_on(async {
        heap.shutdown().await;
        dir.shutdown().await;
    });
    report.print("refresh_heap", settings.k, "ms", on_heap)?;
    report.print("refresh_dir", settings.k, "ms", in_dir)
}
