//! What the parts of a running daemon share.
//!
//! Owns: the datasets, the configuration in force, limits of bodies. Never: starts or ends anything.

use super::admin::OPENAPI;
use super::health::{View, judge};
use super::kept::Kept;
use super::open::adjustments;
use crate::config::{Change, DatasetSettings, ProducerSettings, Settings};
use crate::http::answer::Refusal;
use crate::http::body::{BodyLimits, Memory};
use crate::http::guard::Guard;
use crate::live::{Live, tell_changes};
use crate::logs::LogControl;
use crate::metrics::{Format, family, merge, of_process};
use crate::operators::{Condition, DatasetCondition, Operated};
use crate::push::Pushes;
use axum::http::StatusCode;
use grotto::engine::env::Env;
use grotto::producer::pipeline::Pipeline;
use grotto::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Wait that is advised to who finds a daemon that stands by: it may take over at any time.
const SOON: Duration = Duration::from_secs(1);

/// A running daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) env: Env,
    pub(crate) datasets: BTreeMap<String, Kept>,
    pub(crate) live: Live,
    pub(crate) guard: Arc<Guard>,
    pub(crate) memory: Memory,
    pub(crate) log: LogControl,
    /// Where versions are announced.
    pub(crate) pushes: Arc<Pushes>,
    /// Monotonic time of the start.
    pub(crate) begun: Duration,
}

impl Daemon {
    /// A dataset by its name.
    pub(crate) fn dataset(&self, name: &str) -> Result<&Kept, Refusal> {
        self.datasets.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.datasets.keys().map(String::as_str).collect();
            Refusal::not_found(format!(
                "no dataset {name:?} here: expected one of {}",
                known.join(", ")
            ))
        })
    }

    /// The pipeline of a dataset.
    pub(crate) fn pipeline(&self, name: &str) -> Result<(&Kept, Pipeline), Refusal> {
        let kept = self.dataset(name)?;
        if let Some(leader) = kept.leader() {
            return Err(stands_by(name, leader));
        }
        match kept.pipeline() {
            Some(pipeline) => Ok((kept, pipeline)),
            None => {
                let why = kept.failure().map(|error| error.message().to_owned());
                let why = why.unwrap_or_else(|| "it is being opened".to_owned());
                Err(Error::unavailable(format!("dataset {name} did not start: {why}")).into())
            }
        }
    }

    /// The pipelines that run.
    pub(crate) fn pipelines(&self) -> impl Iterator<Item = Pipeline> {
        let kept = self.datasets.values();
        kept.filter_map(Kept::pipeline)
    }

    /// How all datasets are.
    pub(crate) fn views(&self) -> Vec<View> {
        self.datasets.values().map(Kept::view).collect()
    }

    /// Which datasets this daemon publishes, in the OpenMetrics format.
    fn leadership_text(&self) -> String {
        let mut text = String::new();
        let name = "grotto_producer_leading";
        let help = "1 while this daemon publishes the dataset, 0 while it stands by or cannot";
        family(&mut text, name, help);
        for (dataset, kept) in &self.datasets {
            let leads = kept.pipeline().is_some_and(|one| one.failure().is_none());
            let _ = writeln!(text, "{name}{{dataset=\"{dataset}\"}} {}", u8::from(leads));
        }
        let name = "grotto_producer_set_aside_files";
        let help = "Files of records that were acknowledged here, overtaken by another producer, and set aside";
        family(&mut text, name, help);
        for (dataset, kept) in &self.datasets {
            // What cannot be listed is a reason of its condition.
            let files = kept.set_aside().unwrap_or(0);
            let _ = writeln!(text, "{name}{{dataset=\"{dataset}\"}} {files}");
        }
        text
    }

    /// The settings of the daemon.
    pub(crate) fn settings(&self) -> Result<ProducerSettings> {
        let settings = self.live.settings().producer;
        settings.ok_or_else(|| Error::internal("the configuration lost its section `producer`"))
    }

    /// The settings of one of its datasets.
    pub(crate) fn dataset_settings(&self, name: &str) -> Result<DatasetSettings> {
        let settings = self.settings()?;
        let mut all = settings.datasets().iter();
        let own = all.find(|one| one.dataset.as_deref() == Some(name));
        let gone = || Error::internal(format!("the configuration lost its dataset {name}"));
        own.cloned().ok_or_else(gone)
    }

    /// Limits of a body.
    pub(crate) fn body_limits(&self) -> Result<BodyLimits> {
        let listeners = self.settings()?.listeners;
        Ok(BodyLimits {
            max_bytes: usize::try_from(listeners.max_body_size.0).unwrap_or(usize::MAX),
            setting: "producer.listeners.max_body_size",
            timeout: listeners.body_timeout,
        })
    }

    /// Changes settings until the next reload.
    pub(crate) fn change(&self, keys: &Map<String, Value>) -> Result<Vec<Change>> {
        let changes = self.live.change(keys, |settings| self.apply(settings))?;
        tell_changes(&changes);
        Ok(changes)
    }
}

/// What is told to those who send records to a daemon that stands by.
fn stands_by(dataset: &str, leader: Option<String>) -> Refusal {
    let by = match &leader {
        Some(leader) => format!("writer {leader} publishes it"),
        None => "nobody publishes it yet".to_owned(),
    };
    let message = format!("this daemon stands by for dataset {dataset}: {by}");
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "standby", message)
        .with("leader", leader)
        .after(SOON)
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
        &self.guard
    }

    fn token_file(settings: &Settings) -> Option<&Path> {
        let producer = settings.producer.as_ref()?;
        producer.security.token_file.as_deref()
    }

    fn apply(&self, settings: &Settings) -> Result<()> {
        let producer = settings.producer.as_ref();
        let producer =
            producer.ok_or_else(|| Error::invalid("expected a section `producer`, found none"))?;
        self.log.set(producer.monitoring.log_level.as_str())?;
        for dataset in producer.datasets() {
            let name = dataset.dataset.as_deref().unwrap_or_default();
            let kept = self.datasets.get(name);
            if let Some(pipeline) = kept.and_then(Kept::pipeline) {
                pipeline.adjust(adjustments(dataset));
            }
        }
        Ok(())
    }

    fn condition(&self) -> Condition {
        let views = self.views();
        let readiness = judge(&views);
        let told = |view: View| DatasetCondition {
            dataset: view.dataset,
            condition: view.condition.to_string(),
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
        let metrics_text = |pipeline: Pipeline| pipeline.metrics_text();
        let mut texts: Vec<String> = self.pipelines().map(metrics_text).collect();
        let announcers = self.datasets.values().filter_map(Kept::announcer);
        texts.extend(announcers.map(|announcer| announcer.metrics_text()));
        texts.push(self.leadership_text());
        let uptime = self.env.clock.monotonic() - self.begun;
        texts.push(of_process(
            "grotto_producer",
            uptime,
            &[&**self.guard.counts()],
        ));
        Ok(merge(&texts, detailed, format))
    }

    fn description(&self) -> Result<String> {
        Ok(OPENAPI.to_owned())
    }
}
