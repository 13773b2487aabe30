//! A dataset that the daemon keeps.
//!
//! Owns: its pipeline, or why there is none: one that does not start, or stands by, leaves the others alone. Never: knows
//! HTTP.

use super::health::View;
use super::lines::only_type;
use super::open;
use super::trouble::Troubles;
use crate::config::{DatasetSettings, Durability, LeadershipRole};
use crate::push::note;
use grotto::engine::env::SystemFiles;
use grotto::producer::aside;
use grotto::producer::pipeline::{Condition, Pipeline};
use grotto::push::PushAnnouncer;
use grotto::store::{Standby, Turn};
use grotto::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A dataset.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) name: String,
    stage: Mutex<Stage>,
    /// Held while it is handed over, so that what comes next waits for the outcome.
    handing: tokio::sync::Mutex<Next>,
    /// Texts that are decoded at once.
    pub(crate) decoders: Arc<Semaphore>,
    /// Type of lines that name none, as it is configured.
    default_type: Option<String>,
    /// Where a record must be before it is acknowledged.
    pub(crate) durability: Durability,
    /// Where what was set aside lies; `None` without a write-ahead log on this host.
    set_aside: Option<PathBuf>,
    pub(crate) role: LeadershipRole,
    /// What is wrong with its sources.
    pub(crate) troubles: Arc<Troubles>,
}

#[derive(Debug)]
enum Stage {
    /// Another daemon publishes it.
    Standby {
        /// Which one, as far as is known.
        leader: Option<String>,
        /// Why the store could not be looked at.
        trouble: Option<Error>,
    },
    /// It has started.
    Opened(Arc<Opened>),
    /// It has not, and why.
    Failed(Error),
}

#[derive(Debug)]
struct Opened {
    pipeline: Pipeline,
    announcer: Option<PushAnnouncer>,
    /// The only type that lines may be of.
    only_type: Option<String>,
}

/// What follows the end of a pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing, unless it was fenced.
    #[default]
    Nothing,
    /// It was handed over.
    StandBy,
    /// Handing it over failed: it is opened again.
    Open,
}

impl Kept {
    /// A dataset that stands by.
    pub(crate) fn standby(name: &str, settings: &DatasetSettings) -> Self {
        let threads = usize::try_from(settings.performance.worker_pool_size).unwrap_or(1);
        let wal = &settings.wal;
        let is_logged = wal.durability == Durability::Host;
        Self {
            name: name.to_owned(),
            stage: Mutex::new(Stage::Standby {
                leader: None,
                trouble: None,
            }),
            handing: tokio::sync::Mutex::default(),
            decoders: Arc::new(Semaphore::new(threads)),
            default_type: settings.sources.default_type.clone(),
            durability: settings.wal.durability,
            set_aside: is_logged.then(|| aside::folder_of(&wal.dir.join(name))),
            role: settings.leadership.role,
            troubles: Arc::default(),
        }
    }

    pub(crate) fn new(
        name: &str,
        settings: &DatasetSettings,
        opened: Result<open::Opened>,
    ) -> Self {
        let kept = Self::standby(name, settings);
        kept.opened(opened);
        kept
    }

    /// Notes how opening it went.
    pub(crate) fn opened(&self, opened: Result<open::Opened>) {
        *self.stage.lock() = match opened {
            Ok(open::Opened {
                pipeline,
                announcer,
            }) => {
                let only_type = only_type(pipeline.schema());
                Stage::Opened(Arc::new(Opened {
                    pipeline,
                    announcer,
                    only_type,
                }))
            }
            Err(error) => Stage::Failed(error),
        };
    }

    /// It stands by from now on.
    pub(crate) fn stands_by(&self) {
        let (leader, trouble) = (None, None);
        *self.stage.lock() = Stage::Standby { leader, trouble };
    }

    /// Notes what a look at the store came to.
    pub(crate) fn looked(&self, standby: &Standby, turn: &Result<Turn>) {
        if let Stage::Standby { leader, trouble } = &mut *self.stage.lock() {
            *leader = standby.leader().map(str::to_owned);
            *trouble = turn.as_ref().err().cloned();
        }
    }

    /// Who publishes instead, where it stands by: `None` in it where nobody knows.
    pub(crate) fn leader(&self) -> Option<Option<String>> {
        match &*self.stage.lock() {
            Stage::Standby { leader, .. } => Some(leader.clone()),
            _ => None,
        }
    }

    fn open(&self) -> Option<Arc<Opened>> {
        match &*self.stage.lock() {
            Stage::Opened(opened) => Some(Arc::clone(opened)),
            _ => None,
        }
    }

    /// The pipeline, once it has started.
    pub(crate) fn pipeline(&self) -> Option<Pipeline> {
        self.open().map(|opened| opened.pipeline.clone())
    }

    /// What tells of its versions, where anything does.
    pub(crate) fn announcer(&self) -> Option<PushAnnouncer> {
        self.open()?.announcer.clone()
    }

    /// Why there is no pipeline.
    pub(crate) fn failure(&self) -> Option<Error> {
        match &*self.stage.lock() {
            Stage::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// That another producer took over, where that is how it ended.
    pub(crate) fn fenced(&self) -> Option<Error> {
        let failure = self.open()?.pipeline.failure();
        failure.filter(|error| error.kind() == ErrorKind::Fenced)
    }

    /// Publishes what is acknowledged and asks whoever stands by to take over: the last version. It stands by itself then.
    pub(crate) async fn hand_over(&self, pipeline: &Pipeline) -> Result<u64> {
        let mut next = self.handing.lock().await;
        let handed = pipeline.hand_over().await;
        *next = match &handed {
            Ok(_) => Next::StandBy,
            Err(_) => Next::Open,
        };
        handed
    }

    /// What follows the end of its pipeline.
    pub(crate) async fn next(&self) -> Next {
        std::mem::take(&mut *self.handing.lock().await)
    }

    /// Type of lines that name none.
    pub(crate) fn default_type(&self) -> Option<String> {
        let only = || self.open()?.only_type.clone();
        self.default_type.clone().or_else(only)
    }

    /// Files of records that were set aside.
    pub(crate) fn set_aside(&self) -> Result<usize> {
        let folder = self.set_aside.as_deref();
        folder.map_or(Ok(0), |folder| Ok(aside::list(&SystemFiles, folder)?.len()))
    }

    pub(crate) fn view(&self) -> View {
        let (condition, takes_in, mut reasons) = self.look();
        reasons.extend(self.troubles.reasons());
        reasons.extend(match self.set_aside() {
            Ok(0) => None,
            Ok(files) => Some(format!(
                "{files} files of records that were acknowledged here and overtaken by another producer are set aside: \
                 see grotto set-aside"
            )),
            Err(error) => Some(error.message().to_owned()),
        });
        let link = self.announcer().map(|announcer| announcer.link());
        View {
            dataset: self.name.clone(),
            condition,
            takes_in,
            reasons,
            notes: link.as_ref().and_then(note).into_iter().collect(),
        }
    }

    fn look(&self) -> (Condition, bool, Vec<String>) {
        if let Some(opened) = self.open() {
            let status = opened.pipeline.status();
            return (status.condition, status.takes_in, status.reasons);
        }
        let message = |error: &Error| error.message().to_owned();
        match &*self.stage.lock() {
            Stage::Standby { trouble, .. } => {
                let reasons = trouble.iter().map(message).collect();
                (Condition::Standby, false, reasons)
            }
            Stage::Failed(error) => (Condition::Failed, false, vec![message(error)]),
            Stage::Opened(_) => (Condition::Opening, false, Vec::new()),
        }
    }
}
