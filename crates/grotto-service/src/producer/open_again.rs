//! A dataset from its start on.
//!
//! Owns: opening it again until it opens, standing by, and starting what goes with one that is open. Never: tries again
//! what another try cannot mend.

use super::daemon::Daemon;
use super::kept::{Kept, Next};
use super::open::{Opened, adjustments, open, stand_by};
use super::telling::{OnPublish, tell_versions};
use crate::config::LeadershipRole;
use crate::sources;
use grotto::producer::pipeline::Pipeline;
use grotto::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// First wait after a failure; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What goes with every dataset of a daemon.
#[derive(Clone)]
pub(crate) struct Company {
    /// Who publishes.
    pub(crate) writer: String,
    /// Is told of every version.
    pub(crate) on_publish: Option<OnPublish>,
    /// Says when the daemon ends.
    pub(crate) stopped: watch::Receiver<bool>,
    /// Is told when every dataset was taken over by somebody else.
    pub(crate) fenced: watch::Sender<Option<Error>>,
}

impl Company {
    /// Sees to a dataset until nothing more is to be done for it.
    pub(crate) async fn keep(self, daemon: Arc<Daemon>, name: String) {
        let Some(kept) = daemon.datasets.get(&name) else {
            return;
        };
        loop {
            match self.opened(&daemon, kept).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(dataset = name, %error, "a dataset is left alone");
                    return;
                }
            }
            let Some(pipeline) = kept.pipeline() else {
                return;
            };
            self.attend(&daemon, kept, &pipeline).await;
            if !self.goes_on(&daemon, kept, &pipeline).await {
                return;
            }
        }
    }

    /// What goes with an open dataset, until its pipeline has ended.
    async fn attend(&self, daemon: &Arc<Daemon>, kept: &Kept, pipeline: &Pipeline) {
        let settings = match daemon.dataset_settings(&kept.name) {
            Ok(settings) => settings,
            Err(error) => {
                tracing::error!(dataset = kept.name, %error, "a dataset has no settings");
                return;
            }
        };
        // Settings may have changed while it was being opened.
        pipeline.adjust(adjustments(&settings));
        let mut tasks = JoinSet::new();
        tasks.spawn(tell_versions(pipeline.clone(), self.on_publish.clone()));
        sources::start(daemon, &settings, &self.stopped, &mut tasks);
        pipeline.closed().await;
        if *self.stopped.borrow() {
            // They end by themselves.
            while tasks.join_next().await.is_some() {}
            return;
        }
        tasks.shutdown().await;
    }

    /// Whether a dataset whose pipeline has ended is opened again, or stands by.
    async fn goes_on(&self, daemon: &Daemon, kept: &Kept, pipeline: &Pipeline) -> bool {
        let next = kept.next().await;
        if *self.stopped.borrow() {
            return false;
        }
        match (next, pipeline.failure()) {
            (Next::StandBy, None) => {
                tracing::info!(dataset = kept.name, "handed over, stands by");
                kept.stands_by();
                true
            }
            (Next::Open, None) => {
                let message = "it is being opened again, as it could not be handed over";
                kept.opened(Err(Error::unavailable(message)));
                true
            }
            (_, Some(error)) if error.kind() == ErrorKind::Fenced => {
                tracing::error!(dataset = kept.name, %error, "another producer took over");
                if kept.role == LeadershipRole::Standby {
                    kept.stands_by();
                    return true;
                }
                if daemon.datasets.values().all(|kept| kept.fenced().is_some()) {
                    // Whoever ends meanwhile is not told.
                    self.fenced.send_replace(Some(error));
                }
                false
            }
            _ => false,
        }
    }

    /// Opens a dataset as often as it takes. False where that is of no use, or the daemon ends.
    async fn opened(&self, daemon: &Daemon, kept: &Kept) -> Result<bool> {
        let mut wait = Duration::ZERO;
        loop {
            let is_standby = kept.leader().is_some();
            match kept.failure() {
                Some(error) if !is_passing(&error) => return Ok(false),
                Some(_) => wait = (wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT),
                None if !is_standby => return Ok(true),
                None => {}
            }
            let settings = daemon.dataset_settings(&kept.name)?;
            let mut stopped = self.stopped.clone();
            let tried = async {
                daemon.env.sleep(wait).await;
                let pushes = &daemon.pushes;
                match is_standby || kept.role == LeadershipRole::Standby {
                    true => {
                        kept.stands_by();
                        let on_look = |standby: &_, turn: &_| kept.looked(standby, turn);
                        stand_by(&settings, &self.writer, pushes, on_look).await
                    }
                    false => open(&settings, &self.writer, pushes).await,
                }
            };
            let tried: Result<Opened> = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return Ok(false),
                tried = tried => tried,
            };
            match &tried {
                Ok(_) if is_standby => tracing::info!(dataset = kept.name, "takes over"),
                Ok(_) => tracing::info!(dataset = kept.name, "the dataset started after all"),
                Err(error) => {
                    tracing::warn!(dataset = kept.name, %error, "the dataset does not start");
                }
            }
            kept.opened(tried);
        }
    }
}

/// Whether another try may go better.
fn is_passing(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::Busy | ErrorKind::Overloaded
    )
}
