//! Readers beside refreshes: how long batches of 16 lookups take, and how many refreshes a second
//! one producer and one consumer sustain with a reader beside them.
//!
//! Owns: their figures. The reader takes the newest state for each batch, as a server would.

use super::Settings;
use crate::engine::{Engine, apply, parse};
use crate::figure::{Report, ms};
use crate::workload::Workload;
use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use grotto::engine::env::Clock;
use grotto_state::State;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Metrics of readers beside refreshes.
pub(super) const METRICS: &[&str] = &[
    "reader_quiet_p50",
    "reader_quiet_p99",
    "reader_quiet_p999",
    "reader_quiet_max",
    "reader_refresh_p50",
    "reader_refresh_p99",
    "reader_refresh_p999",
    "reader_refresh_max",
    "reader_p50_ratio",
    "reader_p99_ratio",
    "reader_p999_ratio",
    "reader_max_ratio",
    "refresh_interval_miss",
    "sustained_cycles",
    "sustained_reads",
];

/// Batches that one round remembers; a reader ends early after so many.
const MOST: usize = 1 << 24;
/// Lookups of one batch.
const BATCH: usize = 16;
/// Seconds of one round.
const ROUND: u64 = 2;
/// Refreshes in a second while the reader is watched.
const RATE: u64 = 10;

/// Both.
pub(super) fn all<W: Workload>(
    report: &Report,
    settings: &Settings,
    engine: &mut Engine<W>,
) -> Result<()> {
    let keys = engine.model.keys(1 << 20);
    if report.wants_any(&METRICS[..13]) {
        percentiles(report, settings, engine, &keys)?;
    }
    if report.wants_any(&["sustained_cycles", "sustained_reads"]) {
        sustained(report, settings, engine, &keys)?;
    }
    Ok(())
}

/// Nanoseconds of each batch until `stop`.
fn watch<W: Workload>(
    report: &Report,
    served: &ArcSwap<State>,
    keys: &[i64],
    stop: &AtomicBool,
) -> Result<Vec<u64>> {
    // Written once before: a page fault would otherwise be taken for a slow read.
    let mut times = vec![1_u64; MOST];
    times.clear();
    for batch in keys.chunks_exact(BATCH).cycle() {
        if stop.load(Ordering::Relaxed) || times.len() == MOST {
            break;
        }
        let start = report.clock.monotonic();
        let state = served.load();
        let typed = state.typed::<W::Typed>()?;
        let mut sum = 0_i64;
        for key in batch {
            // A key may have been deleted since it was drawn.
            sum = sum.wrapping_add(typed.get(*key)?.map_or(0, W::number));
        }
        black_box(sum);
        drop(state);
        times.push((report.clock.monotonic() - start).as_nanos() as u64);
    }
    Ok(times)
}

/// Runs `work` beside a reader and gives the reader's batch times with what `work` gave.
fn beside<W: Workload, T>(
    report: &Report,
    served: &ArcSwap<State>,
    keys: &[i64],
    work: impl FnOnce() -> Result<T>,
) -> Result<(Vec<u64>, T)> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| watch::<W>(report, served, keys, &stop));
        let done = work();
        stop.store(true, Ordering::Relaxed);
        let times = reader
            .join()
            .map_err(|_| anyhow::anyhow!("the reader panicked"))?;
        Ok((times?, done?))
    })
}

/// Shares of the batches that are at least as fast.
const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)];

/// The nanoseconds of each percentile.
fn percentiles_of(mut times: Vec<u64>) -> Result<[f64; 4]> {
    times.sort_unstable();
    let last = times
        .len()
        .checked_sub(1)
        .context("the reader read nothing")?;
    Ok(PERCENTILES
        .map(|(_, share)| times[((times.len() as f64 * share) as usize).min(last)] as f64))
}

/// Waits without sleeping: nobody ever sends.
fn wait(never: &Receiver<()>, time: Duration) {
    // Either way the time is over or nobody is left to wait for.
    let (Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) | Ok(())) =
        never.recv_timeout(time);
}

/// Rounds of the reader alone and of the reader beside refreshes, in turns, so that both see the
/// same machine.
fn percentiles<W: Workload>(
    report: &Report,
    settings: &Settings,
    engine: &mut Engine<W>,
    keys: &[i64],
) -> Result<()> {
    let served = ArcSwap::new(engine.loaded()?);
    let (_sender, never) = channel::<()>();
    let round = Duration::from_secs(ROUND);
    let idle = || {
        wait(&never, round);
        Ok(())
    };
    // Once for nothing, so that the first measured round does not warm the caches for the others.
    beside::<W, _>(report, &served, keys, idle)?;
    let (mut alone, mut refreshed, mut worst) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..(settings.seconds / ROUND).max(1) {
        let deltas = (0..ROUND * RATE)
            .map(|_| engine.publish(settings.k))
            .collect::<Result<Vec<_>>>()?;
        let (times, ()) = beside::<W, _>(report, &served, keys, idle)?;
        alone.push(percentiles_of(times)?);
        let refresh = || refresh_all(report, &served, &never, deltas);
        let (times, late) = beside::<W, _>(report, &served, keys, refresh)?;
        refreshed.push(percentiles_of(times)?);
        worst.push(late);
    }
    let of =
        |rounds: &[[f64; 4]], which: usize| rounds.iter().map(|r| r[which]).collect::<Vec<_>>();
    for (which, (name, _)) in PERCENTILES.iter().enumerate() {
        let (alone, refreshed) = (of(&alone, which), of(&refreshed, which));
        let ratios = alone.iter().zip(&refreshed).map(|(a, r)| r / a).collect();
        report.print(&format!("reader_quiet_{name}"), 0, "ns", alone)?;
        report.print(
            &format!("reader_refresh_{name}"),
            settings.k,
            "ns",
            refreshed,
        )?;
        report.print(&format!("reader_{name}_ratio"), settings.k, "ratio", ratios)?;
    }
    report.print("refresh_interval_miss", settings.k, "ms", worst)
}

/// Applies one delta every tenth of a second; gives how late the latest of them was.
fn refresh_all(
    report: &Report,
    served: &ArcSwap<State>,
    never: &Receiver<()>,
    deltas: Vec<Vec<u8>>,
) -> Result<f64> {
    let start = report.clock.monotonic();
    let mut worst = 0.0_f64;
    for (turn, delta) in deltas.into_iter().enumerate() {
        let due = start + Duration::from_millis(1_000 / RATE) * (turn as u32 + 1);
        wait(never, due.saturating_sub(report.clock.monotonic()));
        let next = apply(&served.load(), &parse(delta)?)?;
        served.store(Arc::new(next));
        worst = worst.max(ms(report.clock.monotonic().saturating_sub(due)));
    }
    Ok(worst)
}

fn sustained<W: Workload>(
    report: &Report,
    settings: &Settings,
    engine: &mut Engine<W>,
    keys: &[i64],
) -> Result<()> {
    let served = ArcSwap::new(engine.loaded()?);
    let mut cycles = 0_u32;
    let (times, lasted) = beside::<W, _>(report, &served, keys, || {
        let start = report.clock.monotonic();
        let end = start + Duration::from_secs(settings.seconds);
        while report.clock.monotonic() < end {
            let delta = engine.publish(settings.k)?;
            let next = apply(&served.load(), &parse(delta)?)?;
            served.store(Arc::new(next));
            cycles += 1;
        }
        Ok(report.clock.monotonic() - start)
    })?;
    let seconds = lasted.as_secs_f64();
    report.print(
        "sustained_cycles",
        settings.k,
        "1/s",
        vec![f64::from(cycles) / seconds],
    )?;
    report.print(
        "sustained_reads",
        settings.k,
        "million/s",
        vec![(times.len() * BATCH) as f64 / seconds / 1e6],
    )
}
