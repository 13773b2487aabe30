//! What the parts of a running sidecar share.
//!
//! Owns: the datasets, the configuration in force, limits of requests. Never: starts or ends anything.

use super::admin::description;
use super::changes::Numbers;
use super::followed::Followed;
use super::health::{View, judge};
use super::reader::{Dropped, Drops};
use super::turns::Turns;
use crate::config::{ConsumerSettings, Limits, Settings};
use crate::http::answer::Refusal;
use crate::http::body::{BodyLimits, Memory};
use crate::http::guard::Guard;
use crate::live::Live;
use crate::logs::LogControl;
use crate::metrics::{Format, counter, gauge, merge, of_process};
use crate::operators::{Condition, DatasetCondition, Operated};
use axum::http::StatusCode;
use grotto::engine::env::Env;
use grotto::{Consumer, Error, Result};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Wait that is advised to who is told to come again.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// The limits that every request looks at, so that none reads the configuration.
#[derive(Debug)]
pub(crate) struct InForce {
    limits: Limits,
    body: BodyLimits,
}

impl InForce {
    pub(crate) fn of(settings: &ConsumerSettings) -> Self {
        let listeners = &settings.listeners;
        Self {
            limits: settings.limits.clone(),
            body: BodyLimits {
                max_bytes: usize::try_from(listeners.max_body_size.0).unwrap_or(usize::MAX),
                setting: "consumer.listeners.max_body_size",
                timeout: listeners.body_timeout,
            },
        }
    }
}

/// A running sidecar.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) env: Env,
    /// Who this is, for those who look at a fleet.
    pub(crate) id: String,
    pub(crate) datasets: BTreeMap<String, Arc<Followed>>,
    pub(crate) live: Live,
    /// The limits in force.
    pub(crate) in_force: RwLock<InForce>,
    /// The guard of the port.
    pub(crate) tcp: Arc<Guard>,
    /// The guard of the socket.
    pub(crate) unix: Arc<Guard>,
    /// For bodies.
    pub(crate) memory: Memory,
    /// For answers with records.
    pub(crate) answers: Memory,
    /// Numbers of those who follow changes.
    pub(crate) numbers: Numbers,
    /// Requests that wait for versions.
    pub(crate) waiting: Arc<Semaphore>,
    /// Readers of changes that go on at an older version than the one that is served.
    pub(crate) resuming: Arc<Semaphore>,
    /// Readers of changes that were given up.
    pub(crate) drops: Drops,
    /// Work that is too long for the threads that answer.
    pub(crate) turns: Turns,
    /// Set when the sidecar ends.
    pub(crate) stopped: watch::Receiver<bool>,
    pub(crate) log: LogControl,
    /// Monotonic time of the start.
    pub(crate) begun: Duration,
}

impl Daemon {
    /// A dataset by its name.
    pub(crate) fn dataset(&self, name: &str) -> Result<&Arc<Followed>, Refusal> {
        self.datasets.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.datasets.keys().map(String::as_str).collect();
            let message = format!(
                "no dataset {name:?} here: expected one of {}",
                known.join(", ")
            );
            Refusal::new(StatusCode::NOT_FOUND, "no_dataset", message)
        })
    }

    /// The limits in force.
    pub(crate) fn limits(&self) -> Limits {
        self.in_force.read().limits.clone()
    }

    /// A place among those who wait for versions.
    pub(crate) fn wait(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| {
            let message = "too many requests wait for versions: see consumer.limits.max_waiting";
            Refusal::overloaded(message, SOON)
        })
    }

    /// The datasets that are open.
    pub(crate) fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.datasets.values().filter_map(|one| one.consumer())
    }

    /// The settings of the sidecar.
    pub(crate) fn settings(&self) -> Result<ConsumerSettings> {
        consumer_of(self.live.settings())
    }

    /// Limits of a body.
    pub(crate) fn body_limits(&self) -> BodyLimits {
        self.in_force.read().body
    }

    fn own_metrics(&self) -> String {
        let held: usize = self.datasets.values().map(|one| one.held.count()).sum();
        let open = self.consumers().count();
        let mut text = String::new();
        for (name, help, value) in [
            (
                "datasets",
                "Datasets that are to be followed",
                self.datasets.len(),
            ),
            ("open_datasets", "Datasets that are served", open),
            ("held_versions", "Versions held for scans", held),
        ] {
            let name = format!("grotto_sidecar_{name}");
            gauge(&mut text, &name, "", help, value as f64);
        }
        let name = "grotto_sidecar_dropped_readers";
        counter(
            &mut text,
            name,
            "Readers of changes that were given up, by reason",
        );
        for reason in Dropped::ALL {
            let (count, reason) = (self.drops.count(reason), reason.name());
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name}_total{{reason=\"{reason}\"}} {count}");
        }
        text
    }
}

impl Operated for Daemon {
    fn env(&self) -> &Env {
        &self.env
    }

    fn begun(&self) -> Duration {
        self.begun
    }

    fn live(&self) -> &Live {
        &self.live
    }

    fn guard(&self) -> &Guard {
        &self.tcp
    }

    fn token_file(settings: &Settings) -> Option<&Path> {
        let consumer = settings.consumer.as_ref()?;
        consumer.security.token_file.as_deref()
    }

    fn apply(&self, settings: &Settings) -> Result<()> {
        let consumer = consumer_of(settings.clone())?;
        self.log.set(consumer.monitoring.log_level.as_str())?;
        *self.in_force.write() = InForce::of(&consumer);
        // A name that section `producer` gives.
        let only = self.datasets.keys().next().map(String::as_str);
        for one in consumer.datasets() {
            let name = one.dataset.as_deref().or(only);
            if let Some(followed) = name.and_then(|name| self.datasets.get(name)) {
                followed.set_pace(one.poll_interval, one.max_backoff);
            }
        }
        Ok(())
    }

    fn condition(&self) -> Condition {
        let views: Vec<View> = self.datasets.values().map(|one| one.look().view).collect();
        let readiness = judge(&views);
        let told = |view: View| DatasetCondition {
            dataset: view.dataset,
            condition: view.condition.word().to_owned(),
            reasons: view.reasons,
            notes: view.notes,
        };
        Condition {
            readiness,
            datasets: views.into_iter().map(told).collect(),
        }
    }

    fn metrics(&self, format: Format) -> Result<String> {
        let detailed = self.settings()?.monitoring.enable_detailed_metrics;
        let mut texts: Vec<String> = self.consumers().map(Consumer::metrics_text).collect();
        let uptime = self.env.clock.monotonic() - self.begun;
        let counts = [&**self.tcp.counts(), &**self.unix.counts()];
        texts.push(of_process("grotto_sidecar", uptime, &counts));
        texts.push(self.own_metrics());
        Ok(merge(&texts, detailed, format))
    }

    fn description(&self) -> Result<String> {
        description(&self.limits())
    }
}

/// The section of a sidecar.
pub(crate) fn consumer_of(settings: Settings) -> Result<ConsumerSettings> {
    let missing = || Error::invalid("expected a section `consumer`, found none");
    settings.consumer.ok_or_else(missing)
}
