//! A sidecar at a moment, for somebody who looks at it.
//!
//! Owns: what there is to see. Never: shows it.

use super::daemon::Daemon;
use super::followed::{Followed, Moment};
use crate::operators::aside;
use crate::process::resources;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Is told how the sidecar is, again and again.
pub type OnLook = Arc<dyn Fn(Look) + Send + Sync>;

/// A sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Time since its start.
    pub uptime: Duration,
    /// Bytes of memory that it takes.
    pub memory_bytes: u64,
    /// What it follows, by name.
    pub datasets: Vec<LookedDataset>,
}

/// A dataset of a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedDataset {
    /// Its name.
    pub dataset: String,
    /// `opening`, `serving` or `degraded`.
    pub condition: &'static str,
    /// Why it is not simply serving, one sentence each.
    pub reasons: Vec<String>,
    /// What is served of it; `None` while nothing is.
    pub served: Option<LookedVersion>,
}

/// What is served of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedVersion {
    /// The version.
    pub version: u64,
    /// Its records.
    pub records: u64,
    /// The newest version of the log as of the last look at it; `None` while the dataset is not followed.
    pub newest: Option<u64>,
    /// Time since what is served was known to be the newest version.
    pub staleness: Option<Duration>,
    /// Refreshes since the start that led to another state.
    pub refreshes: u64,
    /// Bytes of all states that are held.
    pub state_bytes: u64,
    /// Readers of the state directory; `None` where nobody can tell.
    pub attached_readers: Option<u64>,
}

/// Looks now and then.
pub(super) async fn look(daemon: Arc<Daemon>, tell: OnLook) {
    loop {
        // Asking waits for the system, and so does whoever is told.
        let tell = Arc::clone(&tell);
        if let Err(error) = aside(&daemon, move |daemon| tell(now(daemon))).await {
            tracing::error!(%error, "the datasets do not say how they are");
        }
        daemon.env.sleep(INTERVAL).await;
    }
}

fn now(daemon: &Daemon) -> Look {
    Look {
        uptime: daemon.env.clock.monotonic() - daemon.begun,
        memory_bytes: resources().memory_bytes,
        datasets: daemon.datasets.values().map(|one| of(one)).collect(),
    }
}

fn of(followed: &Followed) -> LookedDataset {
    let Moment {
        view,
        state,
        status,
    } = followed.look();
    let served = state.map(|state| LookedVersion {
        version: state.version(),
        records: state.total(),
        newest: status.as_ref().map(|status| status.newest),
        staleness: status.as_ref().map(|status| status.staleness),
        refreshes: status.as_ref().map_or(0, |status| status.refreshes),
        state_bytes: status.as_ref().map_or(0, |status| status.mapped_bytes),
        attached_readers: status.as_ref().and_then(|status| status.attached_readers),
    });
    LookedDataset {
        dataset: view.dataset,
        condition: view.condition.word(),
        reasons: view.reasons,
        served,
    }
}
