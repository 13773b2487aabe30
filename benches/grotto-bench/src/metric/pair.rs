//! Two reader threads against one while a consumer refreshes ten times a second.
//!
//! Owns: their figures. A reader takes the newest state for each batch, as a server would, so this
//! also shows what two threads pay for counting the same state. The versions are published before
//! anything is timed: a producer would be somebody else's work on the same cores.

use super::Settings;
use crate::deploy::Deployment;
use crate::figure::Report;
use crate::workload::Workload;
use anyhow::{Result, anyhow};
use grotto::consumer::Consumer;
use grotto::engine::env::Clock;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

/// Metrics of reader threads beside refreshes.
pub(super) const METRICS: &[&str] = &[
    "get_1thread_refresh",
    "get_2threads_refresh",
    "get_2threads_refresh_ratio",
];

/// Lookups of one state.
const BATCH: usize = 16;
/// Refreshes of one round, a tenth of a second apart.
const REFRESHES: u64 = 10;
const APART: Duration = Duration::from_millis(100);

/// One reader and two, in turns, so that both see the same machine.
pub(super) fn all<W: Workload + 'static>(
    report: &Report,
    settings: &Settings,
    deploy: &mut Deployment<W>,
) -> Result<()> {
    let consumer = deploy.consumer(None)?;
    let keys = deploy.model().keys(1 << 20);
    let halves: Vec<&[i64]> = keys.chunks(keys.len() / 2).collect();
    let (mut one, mut two, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    // Once for nothing, so that the first measured round does not warm the caches for the others.
    for turn in 0..=settings.runs {
        let mut round = |readers: &[&[i64]]| -> Result<f64> {
            for _ in 0..REFRESHES {
                deploy.publish(settings.k)?;
            }
            beside_refreshes(report, deploy, &consumer, readers)
        };
        let (alone, both) = if turn % 2 == 0 {
            (round(&halves[..1])?, round(&halves[..2])?)
        } else {
            let both = round(&halves[..2])?;
            (round(&halves[..1])?, both)
        };
        if turn > 0 {
            one.push(alone);
            two.push(both);
            ratios.push(both / alone);
        }
    }
    deploy.verify(&consumer.state())?;
    deploy.runtime().block_on(consumer.shutdown());
    report.print("get_1thread_refresh", settings.k, "million/s", one)?;
    report.print("get_2threads_refresh", settings.k, "million/s", two)?;
    report.print("get_2threads_refresh_ratio", settings.k, "ratio", ratios)
}

/// Million lookups a second of all readers while the consumer follows what was published.
fn beside_refreshes<W: Workload + 'static>(
    report: &Report,
    deploy: &Deployment<W>,
    consumer: &Consumer,
    readers: &[&[i64]],
) -> Result<f64> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let start = report.clock.monotonic();
        let threads: Vec<_> = readers
            .iter()
            .map(|keys| scope.spawn(|| read::<W>(consumer, keys, &stop)))
            .collect();
        let refreshed = refresh_all(report, deploy, consumer);
        stop.store(true, Ordering::Relaxed);
        let mut lookups = 0;
        for thread in threads {
            lookups += thread.join().map_err(|_| anyhow!("a reader panicked"))??;
        }
        let lasted = report.clock.monotonic() - start;
        refreshed?;
        Ok(lookups as f64 / lasted.as_secs_f64() / 1e6)
    })
}

/// Moves the consumer one version on every tenth of a second.
fn refresh_all<W: Workload + 'static>(
    report: &Report,
    deploy: &Deployment<W>,
    consumer: &Consumer,
) -> Result<()> {
    let (_sender, never) = channel::<()>();
    let (start, first) = (report.clock.monotonic(), consumer.version());
    for turn in 1..=REFRESHES {
        let due = start + APART * turn as u32;
        // Nobody sends: it ends when the time is over.
        let _ = never.recv_timeout(due.saturating_sub(report.clock.monotonic()));
        deploy
            .runtime()
            .block_on(consumer.refresh_to(first + turn))?;
    }
    Ok(())
}

/// Looks up batches until `stop`; gives the number of lookups.
fn read<W: Workload>(consumer: &Consumer, keys: &[i64], stop: &AtomicBool) -> Result<usize> {
    let (mut sum, mut lookups) = (0_i64, 0);
    for batch in keys.chunks_exact(BATCH).cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let state = consumer.state();
        let typed = state.typed::<W::Typed>()?;
        for key in batch {
            // A key may have been deleted since it was drawn.
            sum = sum.wrapping_add(typed.get(*key)?.map_or(0, W::number));
        }
        lookups += BATCH;
    }
    black_box(sum);
    Ok(lookups)
}
