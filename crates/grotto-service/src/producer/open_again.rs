//! A dataset from its start on.
//!
//! Owns: opening it again until it opens, and starting what goes with one that is open. Never: tries again what another
//! try cannot mend.

use super::daemon::Daemon;
use super::open::{adjustments, open};
use super::telling::{OnPublish, tell_versions};
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
}

impl Company {
    /// Sees to a dataset until its pipeline ends.
    pub(crate) async fn keep(self, daemon: Arc<Daemon>, name: String) {
        let settings = match self.opened(&daemon, &name).await {
            Ok(true) => daemon.dataset_settings(&name),
            Ok(false) => return,
            Err(error) => Err(error),
        };
        let pipeline = daemon.datasets.get(&name).and_then(|kept| kept.pipeline());
        match (settings, pipeline) {
            (Ok(settings), Some(pipeline)) => {
                // Settings may have changed while it was being opened.
                pipeline.adjust(adjustments(&settings));
                let mut tasks = JoinSet::new();
                tasks.spawn(tell_versions(pipeline.clone(), self.on_publish));
                sources::start(&daemon, &settings, &self.stopped, &mut tasks);
                while tasks.join_next().await.is_some() {}
            }
            (Err(error), _) => tracing::error!(dataset = name, %error, "a dataset is left alone"),
            (_, None) => {}
        }
    }

    /// Opens a dataset as often as it takes. False where that is of no use, or the daemon ends.
    async fn opened(&self, daemon: &Daemon, name: &str) -> Result<bool> {
        let mut wait = FIRST_WAIT;
        loop {
            let Some(kept) = daemon.datasets.get(name) else {
                return Ok(false);
            };
            match kept.failure() {
                None => return Ok(true),
                Some(error) if !is_passing(&error) => return Ok(false),
                Some(_) => {}
            }
            let settings = daemon.dataset_settings(name)?;
            let mut stopped = self.stopped.clone();
            let tried = async {
                daemon.env.sleep(wait).await;
                open(&settings, &self.writer).await
            };
            let tried: Result<Pipeline> = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return Ok(false),
                tried = tried => tried,
            };
            match &tried {
                Ok(_) => tracing::info!(dataset = name, "the dataset started after all"),
                Err(error) => tracing::warn!(dataset = name, %error, "the dataset does not start"),
            }
            kept.opened(tried);
            wait = (wait * 2).min(LONGEST_WAIT);
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
