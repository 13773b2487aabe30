//! A dataset that the daemon keeps.
//!
//! Owns: its pipeline, or why there is none: one that does not start leaves the others alone. Never: knows HTTP.

use super::health::View;
use super::lines::only_type;
use super::trouble::Troubles;
use crate::config::{DatasetSettings, Durability};
use grotto::Error;
use grotto::producer::pipeline::{Condition, Pipeline};
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// A dataset.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) name: String,
    /// Once it has started.
    opened: OnceLock<Opened>,
    /// Why it has not.
    failure: Mutex<Option<Error>>,
    /// Texts that are decoded at once.
    pub(crate) decoders: Arc<Semaphore>,
    /// Type of lines that name none, as it is configured.
    default_type: Option<String>,
    /// Where a record must be before it is acknowledged.
    pub(crate) durability: Durability,
    /// What is wrong with its sources.
    pub(crate) troubles: Arc<Troubles>,
}

#[derive(Debug)]
struct Opened {
    pipeline: Pipeline,
    /// The only type that lines may be of.
    only_type: Option<String>,
}

impl Kept {
    pub(crate) fn new(
        name: &str,
        settings: &DatasetSettings,
        pipeline: Result<Pipeline, Error>,
    ) -> Self {
        let threads = usize::try_from(settings.performance.worker_pool_size).unwrap_or(1);
        let kept = Self {
            name: name.to_owned(),
            opened: OnceLock::new(),
            failure: Mutex::new(None),
            decoders: Arc::new(Semaphore::new(threads)),
            default_type: settings.sources.default_type.clone(),
            durability: settings.wal.durability,
            troubles: Arc::default(),
        };
        kept.opened(pipeline);
        kept
    }

    /// Notes how opening it went; one that is open stays so.
    pub(crate) fn opened(&self, pipeline: Result<Pipeline, Error>) {
        let mut failure = self.failure.lock();
        match pipeline {
            Ok(pipeline) => {
                let only_type = only_type(pipeline.schema());
                self.opened.get_or_init(|| Opened {
                    pipeline,
                    only_type,
                });
                *failure = None;
            }
            Err(error) => *failure = Some(error),
        }
    }

    /// The pipeline, once it has started.
    pub(crate) fn pipeline(&self) -> Option<&Pipeline> {
        self.opened.get().map(|opened| &opened.pipeline)
    }

    /// Why there is no pipeline.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.lock().clone()
    }

    /// Type of lines that name none.
    pub(crate) fn default_type(&self) -> Option<&str> {
        let only = || self.opened.get()?.only_type.as_deref();
        self.default_type.as_deref().or_else(only)
    }

    pub(crate) fn view(&self) -> View {
        let (condition, takes_in, mut reasons) = match self.pipeline() {
            Some(pipeline) => {
                let status = pipeline.status();
                (status.condition, status.takes_in, status.reasons)
            }
            None => {
                let reasons = self.failure().map(|error| error.message().to_owned());
                (Condition::Failed, false, reasons.into_iter().collect())
            }
        };
        reasons.extend(self.troubles.reasons());
        View {
            dataset: self.name.clone(),
            condition,
            takes_in,
            reasons,
        }
    }
}
