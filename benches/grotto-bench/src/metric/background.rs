//! Versions published while the producer writes a snapshot in the background, and without.
//!
//! Owns: their figures. Both in turns, so that they see the same machine.

use super::Settings;
use crate::deploy::Deployment;
use crate::figure::{Report, median_of, ms};
use crate::workload::Workload;
use anyhow::{Result, ensure};

/// Metrics of publishing beside a snapshot.
pub(super) const METRICS: &[&str] = &["publish", "publish_snapshot", "publish_snapshot_ratio"];

/// Versions of a turn without a snapshot.
const VERSIONS: usize = 5;

/// A version from the changes to the commit in a store in a folder.
pub(super) fn all<W: Workload + 'static>(
    report: &Report,
    settings: &Settings,
    deploy: &mut Deployment<W>,
) -> Result<()> {
    let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..settings.runs {
        let mut quiet = Vec::new();
        for _ in 0..VERSIONS {
            quiet.push(publish(report, settings, deploy)?);
        }
        let snapshot = deploy.start_snapshot();
        let mut busy = Vec::new();
        loop {
            let time = publish(report, settings, deploy)?;
            if snapshot.is_finished() {
                break;
            }
            busy.push(time);
        }
        deploy.runtime().block_on(snapshot)??;
        ensure!(
            !busy.is_empty(),
            "the snapshot was done before a version was: expected more records"
        );
        ratios.push(median_of(busy.clone()) / median_of(quiet.clone()));
        alone.append(&mut quiet);
        beside.append(&mut busy);
    }
    report.print("publish", settings.k, "ms", alone)?;
    report.print("publish_snapshot", settings.k, "ms", beside)?;
    report.print("publish_snapshot_ratio", settings.k, "ratio", ratios)
}

fn publish<W: Workload + 'static>(
    report: &Report,
    settings: &Settings,
    deploy: &mut Deployment<W>,
) -> Result<f64> {
    let (time, published) = report.time(|| deploy.publish(settings.k));
    published?;
    Ok(ms(time))
}
