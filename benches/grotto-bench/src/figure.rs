//! Figures: what one measurement printed.
//!
//! Owns: medians, the JSON line, which metrics were asked for. Never measures.

use grotto::engine::env::{Clock, SystemClock};
use serde::Serialize;
use std::io::Write;
use std::time::Duration;

/// One printed line.
#[derive(Clone, Debug, Serialize)]
pub struct Figure<'a> {
    /// Who was measured.
    pub engine: &'a str,
    /// Name of the workload.
    pub workload: &'static str,
    /// Records of the dataset.
    pub n: u64,
    /// Changed records; 0 where nothing changes.
    pub k: u64,
    /// What was measured.
    pub metric: String,
    /// Unit of the three values.
    pub unit: &'static str,
    /// The middle value.
    pub median: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// Number of values.
    pub runs: usize,
}

/// Where figures go, and how long things take.
#[derive(Debug)]
pub struct Report {
    /// Who is measured.
    pub engine: String,
    /// Name of the workload.
    pub workload: &'static str,
    /// Records of the dataset.
    pub n: u64,
    /// Metrics that were asked for; empty means all.
    pub only: Vec<String>,
    /// Time.
    pub clock: SystemClock,
}

impl Report {
    /// Whether a metric was asked for.
    #[must_use]
    pub fn wants(&self, metric: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == metric)
    }

    /// Whether any of several metrics was asked for.
    #[must_use]
    pub fn wants_any(&self, metrics: &[&str]) -> bool {
        metrics.iter().any(|metric| self.wants(metric))
    }

    /// How long `work` took, and what it gave.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> (Duration, T) {
        let start = self.clock.monotonic();
        let done = work();
        (self.clock.monotonic() - start, done)
    }

    /// Prints a figure if it was asked for.
    ///
    /// # Errors
    /// When nobody reads the output any more.
    pub fn print(
        &self,
        metric: &str,
        k: u64,
        unit: &'static str,
        mut values: Vec<f64>,
    ) -> anyhow::Result<()> {
        if values.is_empty() || !self.wants(metric) {
            return Ok(());
        }
        values.sort_by(f64::total_cmp);
        let figure = Figure {
            engine: &self.engine,
            workload: self.workload,
            n: self.n,
            k,
            metric: metric.to_owned(),
            unit,
            median: rounded(median(&values)),
            min: rounded(values[0]),
            max: rounded(values[values.len() - 1]),
            runs: values.len(),
        };
        let mut out = std::io::stdout().lock();
        serde_json::to_writer(&mut out, &figure)?;
        writeln!(out)?;
        out.flush()?;
        Ok(())
    }
}

/// The middle of sorted values.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// The middle of values; not a number if there are none.
pub(crate) fn median_of(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    if values.is_empty() {
        return f64::NAN;
    }
    median(&values)
}

/// Four digits behind the point: more is noise.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Milliseconds.
#[must_use]
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Nanoseconds for each of `count`.
#[must_use]
pub fn ns_each(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_values_is_between_the_middle_two() {
        assert!((median(&[1.0, 2.0, 4.0, 100.0]) - 3.0).abs() < f64::EPSILON);
        assert!((median(&[1.0, 2.0, 100.0]) - 2.0).abs() < f64::EPSILON);
    }
}
