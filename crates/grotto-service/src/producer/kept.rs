//! A dataset that the daemon keeps.
//!
//! Owns: its pipeline, or why there is none: one that does not start leaves the others alone. Never: knows HTTP.

use super::health::View;
use super::lines::only_type;
use super::trouble::Troubles;
use crate::config::{DatasetSettings, Durability};
use grotto::Error;
use grotto::producer::pipeline::{Condition, Pipeline};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A dataset.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) name: String,
    /// The pipeline, or why it did not start.
    pub(crate) pipeline: Result<Pipeline, Error>,
    /// Texts that are decoded at once.
    pub(crate) decoders: Arc<Semaphore>,
    /// Type of lines that name none.
    pub(crate) default_type: Option<String>,
    /// Where a record must be before it is acknowledged.
    pub(crate) durability: Durability,
    /// What is wrong with its sources.
    pub(crate) troubles: Arc<Troubles>,
}

impl Kept {
    pub(crate) fn new(
        name: &str,
        settings: &DatasetSettings,
        pipeline: Result<Pipeline, Error>,
    ) -> Self {
        let threads = usize::try_from(settings.performance.worker_pool_size).unwrap_or(1);
        let schema = pipeline.as_ref().ok().map(|pipeline| pipeline.schema());
        let only = schema.and_then(|schema| only_type(schema));
        Self {
            name: name.to_owned(),
            decoders: Arc::new(Semaphore::new(threads)),
            default_type: settings.sources.default_type.clone().or(only),
            durability: settings.wal.durability,
            troubles: Arc::default(),
            pipeline,
        }
    }

    pub(crate) fn view(&self) -> View {
        let (condition, takes_in, mut reasons) = match &self.pipeline {
            Ok(pipeline) => {
                let status = pipeline.status();
                (status.condition, status.takes_in, status.reasons)
            }
            Err(error) => {
                let reason = error.message().to_owned();
                (Condition::Failed, false, vec![reason])
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
