//! Reads: by key, many keys, keys without a record, scans, from one thread and from two.
//!
//! Owns: their figures. Keys are drawn before anything is timed, and every value read is used. The
//! state is one that a consumer serves: on the heap, or mapped from its state directory.

use super::Settings;
use crate::figure::{Report, ns_each};
use crate::workload::{Model, Ref, Workload};
use anyhow::{Result, ensure};
use grotto::{RecordType, State, Typed};
use std::hint::black_box;

/// Metrics of reads.
pub(super) const METRICS: &[&str] = &[
    "get",
    "get_untyped",
    "get_string",
    "get_many",
    "get_many_string",
    "miss",
    "scan",
    "get_1thread",
    "get_2threads",
    "get_2threads_ratio",
];

/// Keys of one `get_many`.
const MANY: usize = 128;

/// The same reads of a state that is mapped from files.
pub(super) const MAPPED: &[&str] = &[
    "get_mapped",
    "get_string_mapped",
    "get_many_mapped",
    "scan_mapped",
];

/// What is read, and by which keys.
struct Reads<'a, W: Workload> {
    report: &'a Report,
    runs: usize,
    state: &'a State,
    typed: Typed<'a, W::Typed>,
    keys: Vec<i64>,
    /// Keys without a record.
    misses: Vec<i64>,
}

impl<'a, W: Workload> Reads<'a, W> {
    fn new(
        report: &'a Report,
        settings: &Settings,
        model: &Model<W>,
        state: &'a State,
    ) -> Result<Self> {
        let (keys, misses) = (model.keys(settings.lookups), model.misses(settings.lookups));
        Ok(Self {
            report,
            runs: settings.runs,
            state,
            typed: state.typed::<W::Typed>()?,
            keys,
            misses,
        })
    }

    /// Nanoseconds for each of `count` reads.
    fn time(&self, metric: &str, count: usize, read: impl Fn() -> Result<i64>) -> Result<()> {
        if !self.report.wants(metric) {
            return Ok(());
        }
        // Once unmeasured: page tables and caches as they are in a process that has run a while.
        black_box(read()?);
        let mut times = Vec::new();
        for _ in 0..self.runs {
            let (time, sum) = self.report.time(&read);
            black_box(sum?);
            times.push(ns_each(time, count));
        }
        self.report.print(metric, 0, "ns", times)
    }

    fn by_key(&self, ending: &str) -> Result<()> {
        let (typed, keys) = (&self.typed, self.keys.as_slice());
        let number = |record: Ref<'_, W>| W::number(record);
        self.time(&format!("get{ending}"), keys.len(), || {
            get::<W>(typed, keys)
        })?;
        self.time(&format!("get_string{ending}"), keys.len(), || {
            get_string::<W>(typed, keys)
        })?;
        self.time(&format!("get_many{ending}"), keys.len(), || {
            get_many::<W>(typed, keys, number)
        })?;
        let scan = || Ok(typed.iter().map(W::number).fold(0, i64::wrapping_add));
        self.time(&format!("scan{ending}"), typed.len() as usize, scan)
    }

    fn others(&self) -> Result<()> {
        let (typed, keys) = (&self.typed, self.keys.as_slice());
        self.time("get_untyped", keys.len(), || {
            get_untyped::<W>(self.state, keys)
        })?;
        let text = |record: Ref<'_, W>| ends(W::text(record));
        self.time("get_many_string", keys.len(), || {
            get_many::<W>(typed, keys, text)
        })?;
        self.time("miss", self.misses.len(), || miss::<W>(typed, &self.misses))
    }
}

/// All reads of a state on the heap.
pub(super) fn heap<W: Workload>(
    report: &Report,
    settings: &Settings,
    model: &Model<W>,
    state: &State,
) -> Result<()> {
    let reads = Reads::<W>::new(report, settings, model, state)?;
    reads.by_key("")?;
    reads.others()?;
    if report.wants_any(&["get_1thread", "get_2threads", "get_2threads_ratio"]) {
        threads::<W>(report, settings, &reads.typed, &reads.keys)?;
    }
    Ok(())
}

/// Reads of a mapped state.
pub(super) fn mapped<W: Workload>(
    report: &Report,
    settings: &Settings,
    model: &Model<W>,
    state: &State,
) -> Result<()> {
    Reads::<W>::new(report, settings, model, state)?.by_key("_mapped")
}

fn get<W: Workload>(typed: &Typed<'_, W::Typed>, keys: &[i64]) -> Result<i64> {
    let (mut sum, mut found) = (0_i64, 0);
    for key in keys {
        if let Some(record) = typed.get(*key)? {
            sum = sum.wrapping_add(W::number(record));
            found += 1;
        }
    }
    ensure!(found == keys.len(), "found {found} of {} keys", keys.len());
    Ok(sum)
}

/// Without a binding; the number is the third column of both workloads.
fn get_untyped<W: Workload>(state: &State, keys: &[i64]) -> Result<i64> {
    let id = state.type_id(W::Typed::TYPE)?;
    let mut sum = 0_i64;
    for key in keys {
        if let Some(record) = state.find(id, key)? {
            sum = sum.wrapping_add(record.word(2).cast_signed());
        }
    }
    Ok(sum)
}

/// The first and the last byte.
#[inline]
fn ends(text: &str) -> i64 {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => i64::from(*first) + i64::from(*last),
        _ => 0,
    }
}

fn get_string<W: Workload>(typed: &Typed<'_, W::Typed>, keys: &[i64]) -> Result<i64> {
    let mut sum = 0_i64;
    for key in keys {
        if let Some(record) = typed.get(*key)? {
            sum = sum.wrapping_add(ends(W::text(record)));
        }
    }
    Ok(sum)
}

fn get_many<W: Workload>(
    typed: &Typed<'_, W::Typed>,
    keys: &[i64],
    read: impl Fn(Ref<'_, W>) -> i64,
) -> Result<i64> {
    let mut sum = 0_i64;
    for keys in keys.chunks(MANY) {
        for record in typed.get_many(keys)?.into_iter().flatten() {
            sum = sum.wrapping_add(read(record));
        }
    }
    Ok(sum)
}

fn miss<W: Workload>(typed: &Typed<'_, W::Typed>, keys: &[i64]) -> Result<i64> {
    let mut found = 0;
    for key in keys {
        found += i64::from(typed.get(*key)?.is_some());
    }
    ensure!(
        found == 0,
        "found {found} of {} keys that have no record",
        keys.len()
    );
    Ok(found)
}

/// Lookups per second of one thread and of two at once.
fn threads<W: Workload>(
    report: &Report,
    settings: &Settings,
    typed: &Typed<'_, W::Typed>,
    keys: &[i64],
) -> Result<()> {
    let (first, second) = keys.split_at(keys.len() / 2);
    let (mut one, mut two, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..settings.runs {
        let (alone, sum) = report.time(|| get::<W>(typed, keys));
        black_box(sum?);
        let (both, sums) = report.time(|| {
            std::thread::scope(|scope| {
                let other = scope.spawn(|| get::<W>(typed, second));
                let mine = get::<W>(typed, first);
                let theirs = other
                    .join()
                    .map_err(|_| anyhow::anyhow!("a reader panicked"))?;
                anyhow::Ok((mine?, theirs?))
            })
        });
        black_box(sums?);
        one.push(keys.len() as f64 / alone.as_secs_f64() / 1e6);
        two.push(keys.len() as f64 / both.as_secs_f64() / 1e6);
        ratios.push(alone.as_secs_f64() / both.as_secs_f64());
    }
    report.print("get_1thread", 0, "million/s", one)?;
    report.print("get_2threads", 0, "million/s", two)?;
    report.print("get_2threads_ratio", 0, "ratio", ratios)
}
