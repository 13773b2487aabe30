//! Other processes: loading, restarting, attaching, and the memory of one and of ten.
//!
//! Owns: their figures. A time is what the child says from the start of its `main`, and with
//! `_process` in the name what the parent sees from spawning it.

use super::Settings;
use super::child::{Task, start};
use super::read;
use crate::deploy::{Deployment, state_dir_of};
use crate::figure::{Report, ms};
use crate::workload::Workload;
use anyhow::Result;

/// Metrics of other processes.
pub(super) const METRICS: &[&str] = &[
    "load",
    "load_process",
    "load_dir",
    "load_dir_process",
    "restart",
    "restart_process",
    "attach",
    "attach_process",
    "pss_1",
    "pss_10",
    "pss_10_ratio",
    "private_of_10",
];

/// All of them, and reads of the mapped state while it is there.
pub(super) fn all<W: Workload + 'static>(
    report: &Report,
    settings: &Settings,
    deploy: &Deployment<W>,
) -> Result<()> {
    times(report, settings, deploy, Task::Load, "load")?;
    times(report, settings, deploy, Task::LoadDir, "load_dir")?;
    let consumer = deploy.consumer(Some(&state_dir_of(deploy.place())))?;
    deploy.verify(&consumer.state())?;
    if report.wants_any(read::MAPPED) {
        read::mapped(report, settings, deploy.model(), &consumer.state())?;
    }
    deploy.runtime().block_on(consumer.shutdown());
    // What it maps would be shared with those that are measured.
    drop(consumer);
    times(report, settings, deploy, Task::Restart, "restart")?;
    times(report, settings, deploy, Task::Attach, "attach")?;
    if report.wants_any(&METRICS[8..]) {
        memory(report, deploy)?;
    }
    Ok(())
}

fn key<W: Workload + 'static>(deploy: &Deployment<W>) -> i64 {
    deploy.model().keys(1).first().copied().unwrap_or_default()
}

fn times<W: Workload + 'static>(
    report: &Report,
    settings: &Settings,
    deploy: &Deployment<W>,
    task: Task,
    name: &str,
) -> Result<()> {
    let process = format!("{name}_process");
    if !report.wants_any(&[name, &process]) {
        return Ok(());
    }
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for _ in 0..settings.runs {
        let (time, child) = report.time(|| start(task, W::NAME, deploy.place(), key(deploy)));
        let child = child?;
        inside.push(ms(child.inside));
        outside.push(ms(time));
        child.end()?;
    }
    report.print(name, 0, "ms", inside)?;
    report.print(&process, 0, "ms", outside)
}

/// What processes that have read everything hold together.
fn memory<W: Workload + 'static>(report: &Report, deploy: &Deployment<W>) -> Result<()> {
    let sum = |count: usize| -> Result<(f64, Vec<f64>)> {
        let hold = || start(Task::Hold, W::NAME, deploy.place(), key(deploy));
        let children = (0..count).map(|_| hold()).collect::<Result<Vec<_>>>()?;
        let (mut pss, mut private) = (0.0, Vec::new());
        for child in &children {
            let memory = child.pss()?;
            pss += memory.pss;
            private.push(memory.private);
        }
        children
            .into_iter()
            .try_for_each(super::child::Waiting::end)?;
        Ok((pss, private))
    };
    let (one, _) = sum(1)?;
    let (ten, private) = sum(10)?;
    report.print("pss_1", 0, "bytes", vec![one])?;
    report.print("pss_10", 0, "bytes", vec![ten])?;
    report.print("pss_10_ratio", 0, "ratio", vec![ten / one])?;
    report.print("private_of_10", 0, "bytes", private)
}
