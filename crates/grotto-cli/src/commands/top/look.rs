//! One look at a daemon, and what happened between two.
//!
//! Owns: which endpoints are asked, and reading their answers. Never: prints.

use crate::daemon;
use crate::failure::{Failure, Outcome};
use grotto::engine::env::Clock;
use grotto_service::client::Client;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Records that became durable since the start of the daemon.
const TAKEN_IN: &str = "grotto_producer_acknowledged_records_total";
/// Records of batches that were published since then.
const PUBLISHED: &str = "grotto_producer_batched_records_total";
const UPTIME: &str = "grotto_producer_uptime_seconds";
const MEMORY: &str = "grotto_producer_process_memory_bytes";

/// A daemon as it was at one time.
#[derive(Debug)]
pub(super) struct Look {
    /// When, by a clock that is never set.
    pub(super) at: Duration,
    pub(super) wall_ms: u64,
    pub(super) uptime: Option<f64>,
    pub(super) memory_bytes: Option<f64>,
    pub(super) datasets: Vec<Dataset>,
}

/// A dataset as the daemon tells of it; figures are missing where its pipeline could not be opened.
#[derive(Debug, Deserialize)]
pub(super) struct Dataset {
    pub(super) dataset: String,
    pub(super) condition: String,
    pub(super) reasons: Vec<String>,
    pub(super) version: Option<u64>,
    pub(super) published_ms: Option<u64>,
    #[serde(default)]
    pub(super) waiting_records: u64,
    #[serde(default)]
    pub(super) pending_records: u64,
    #[serde(default)]
    pub(super) pending_submissions: u64,
    #[serde(default)]
    pub(super) spilled: bool,
    #[serde(default)]
    pub(super) lag_ms: u64,
    pub(super) wal_bytes: Option<u64>,
    #[serde(default)]
    pub(super) failures: u64,
    pub(super) breaker: Option<String>,
    pub(super) dead_letters: Option<u64>,
    /// Counted since the start of the daemon.
    #[serde(skip)]
    pub(super) taken_in: Option<f64>,
    #[serde(skip)]
    pub(super) published: Option<f64>,
}

#[derive(Deserialize)]
struct Listed {
    datasets: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    dataset: String,
}

/// Looks at a daemon.
pub(super) fn look(client: &Client, clock: &dyn Clock) -> Outcome<Look> {
    let listed: Listed = read("/v1/datasets", client)?;
    let mut datasets = Vec::with_capacity(listed.datasets.len());
    for Named { dataset } in listed.datasets {
        let status: Dataset = read(&format!("/v1/datasets/{dataset}/status"), client)?;
        datasets.push(status);
    }
    // The counters are what rates are made of: the time belongs beside them.
    let metrics = client.get_text("/metrics").map_err(daemon::failed)?;
    let (at, wall_ms) = (clock.monotonic(), clock.wall_ms());
    let samples = Samples::of(&metrics);
    for one in &mut datasets {
        one.taken_in = samples.of_dataset(TAKEN_IN, &one.dataset);
        one.published = samples.of_dataset(PUBLISHED, &one.dataset);
    }
    Ok(Look {
        at,
        wall_ms,
        uptime: samples.value(UPTIME),
        memory_bytes: samples.value(MEMORY),
        datasets,
    })
}

fn read<T: for<'de> Deserialize<'de>>(path: &str, client: &Client) -> Outcome<T> {
    let told = client.get(path).map_err(daemon::failed)?;
    serde_json::from_value(told)
        .map_err(|e| Failure::internal(format!("{path} of the daemon: {e}")))
}

/// Values by their names with labels, as they are written.
struct Samples<'a>(BTreeMap<&'a str, f64>);

impl<'a> Samples<'a> {
    fn of(metrics: &'a str) -> Self {
        let samples = metrics.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.filter_map(|line| line.rsplit_once(' '));
        let known = samples.filter_map(|(name, value)| Some((name, value.parse().ok()?)));
        Self(known.collect())
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    fn of_dataset(&self, name: &str, dataset: &str) -> Option<f64> {
        self.value(&format!("{name}{{dataset=\"{dataset}\"}}"))
    }
}

/// Records a second of a dataset between two looks; `None` without a look before, and where the daemon was
/// started again meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) taken_in: Option<f64>,
    pub(super) published: Option<f64>,
}

/// The rates of each dataset of a look.
pub(super) fn between(now: &Look, last: Option<&Look>) -> Vec<Rates> {
    let of = |one: &Dataset| {
        let last = last?;
        let before = last.datasets.iter().find(|d| d.dataset == one.dataset)?;
        let seconds = now.at.checked_sub(last.at)?.as_secs_f64();
        Some(Rates {
            taken_in: rate(before.taken_in, one.taken_in, seconds),
            published: rate(before.published, one.published, seconds),
        })
    };
    let of = |one| of(one).unwrap_or_default();
    now.datasets.iter().map(of).collect()
}

fn rate(before: Option<f64>, now: Option<f64>, seconds: f64) -> Option<f64> {
    let more = now? - before?;
    (more >= 0.0 && seconds > 0.0).then(|| more / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_at(seconds: u64, taken_in: f64) -> Look {
        let status = serde_json::json!({ "dataset": "d", "condition": "running", "reasons": [] });
        let mut dataset: Dataset = serde_json::from_value(status).unwrap();
        dataset.taken_in = Some(taken_in);
        Look {
            at: Duration::from_secs(seconds),
            wall_ms: 0,
            uptime: None,
            memory_bytes: None,
            datasets: vec![dataset],
        }
    }

    #[test]
    fn rates_are_records_a_second_between_two_looks() {
        let (first, second) = (look_at(10, 100.0), look_at(14, 300.0));
        assert_eq!(between(&second, Some(&first))[0].taken_in, Some(50.0));
        assert_eq!(between(&first, None), [Rates::default()]);
        // A counter that begins anew, and no time between two looks.
        assert_eq!(between(&look_at(20, 5.0), Some(&second))[0].taken_in, None);
        assert_eq!(between(&first, Some(&first))[0].taken_in, None);
    }

    #[test]
    fn samples_are_found_by_name_and_dataset() {
        let text = "# HELP a_total A.\n# TYPE a_total counter\na_total{dataset=\"x\"} 7\na_total{dataset=\"y\"} 8\nb 1.5\n";
        let samples = Samples::of(text);
        assert_eq!(samples.of_dataset("a_total", "y"), Some(8.0));
        assert_eq!(samples.of_dataset("a_total", "z"), None);
        assert_eq!(samples.value("b"), Some(1.5));
    }
}
