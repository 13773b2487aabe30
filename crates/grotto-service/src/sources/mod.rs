//! Where records come from beside HTTP.
//!
//! Owns: starting the sources of every dataset, and handing pieces of text to a pipeline together with how far their
//! source was read. Never: loses its place: it is committed with the records.

mod folder;
mod stdin;
#[cfg(test)]
mod tests;
mod text;

use crate::config::{DatasetSettings, Stdin};
use crate::http::encoding::Form;
use crate::producer::{Daemon, Kind, Troubles, take};
use grotto::engine::env::Env;
use grotto::producer::pipeline::Pipeline;
use grotto::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use text::Piece;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Wait between looks at whether the store has answered.
const UNTIL_OPEN: Duration = Duration::from_millis(50);

/// Wait after a failure of the disk or the pipeline.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Starts the sources of a dataset that is open.
pub(crate) fn start(
    daemon: &Arc<Daemon>,
    settings: &DatasetSettings,
    stopped: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) {
    let name = settings.dataset.as_deref().unwrap_or_default();
    let Some(kept) = daemon.datasets.get(name) else {
        return;
    };
    let Some(pipeline) = kept.pipeline() else {
        return;
    };
    let feed = Feed {
        env: daemon.env.clone(),
        pipeline: pipeline.clone(),
        default_type: kept.default_type(),
        stopped: stopped.clone(),
        troubles: Arc::clone(&kept.troubles),
    };
    if let Some(folder) = &settings.sources.folder {
        let (daemon, name) = (Arc::clone(daemon), name.to_owned());
        let interval = move || poll_interval(&daemon, &name);
        let watched = folder::watch(feed.clone(), folder.clone(), interval);
        tasks.spawn(seen(Arc::clone(&kept.troubles), folder::NAME, watched));
    }
    let replay = match settings.sources.stdin {
        Stdin::None => return,
        Stdin::Stream => false,
        Stdin::Replay => true,
    };
    let read = stdin::read(feed, replay);
    tasks.spawn(seen(Arc::clone(&kept.troubles), stdin::NAME, read));
}

/// Runs a source; that it panicked is told by the readiness of its dataset.
async fn seen(
    troubles: Arc<Troubles>,
    source: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) {
    let mut alone = JoinSet::new();
    alone.spawn(work);
    if let Some(Err(error)) = alone.join_next().await {
        tracing::error!(source, %error, "a source stopped");
        troubles.set(source, format!("it stopped until a restart: {error}"));
    }
}

/// How often a folder is looked at, which may change.
fn poll_interval(daemon: &Daemon, name: &str) -> Duration {
    let settings = daemon.dataset_settings(name);
    let found = settings.map(|settings| settings.sources.poll_interval);
    found.unwrap_or(Duration::from_secs(1))
}

/// Hands text to a pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    env: Env,
    pipeline: Pipeline,
    default_type: Option<String>,
    stopped: watch::Receiver<bool>,
    troubles: Arc<Troubles>,
}

/// Where a piece of text comes from.
#[derive(Clone, Debug)]
struct Origin {
    /// For messages.
    source: String,
    /// How far its source was read with it.
    positions: Vec<(&'static str, u64)>,
}

impl Feed {
    /// How far sources were read, once all that was acknowledged before is published.
    async fn positions(&mut self) -> Result<BTreeMap<String, u64>> {
        let producer = loop {
            if let Some(producer) = self.pipeline.producer() {
                break producer;
            }
            self.pause(UNTIL_OPEN).await?;
        };
        let flushed = tokio::select! {
            flushed = self.pipeline.flush() => flushed.map(|_| ()),
            () = stopped(&mut self.stopped) => Err(ending()),
        };
        flushed?;
        Ok(producer.positions())
    }

    /// Waits, unless the daemon ends.
    async fn pause(&mut self, time: Duration) -> Result<()> {
        tokio::select! {
            biased;
            () = stopped(&mut self.stopped) => Err(ending()),
            () = self.env.sleep(time) => Ok(()),
        }
    }

    /// Submits a piece as often as it takes, unless it can never be taken in.
    async fn submit_until_taken(
        &mut self,
        name: &'static str,
        piece: Piece,
        origin: Origin,
    ) -> Result<()> {
        loop {
            let error = match self.submit(piece.clone(), origin.clone()).await {
                Err(error) if !is_final(&error) => error,
                done => {
                    self.troubles.clear(name);
                    return done;
                }
            };
            self.trouble(name, &error).await?;
        }
    }

    /// Tells what is wrong with a source and waits for its next try.
    async fn trouble(&mut self, name: &'static str, error: &Error) -> Result<()> {
        if *self.stopped.borrow() {
            return Err(ending());
        }
        // First: who reads the log may ask at once.
        self.troubles.set(name, error.message());
        tracing::warn!(source = name, %error, "a source does not get on, and tries again");
        self.pause(AFTER_FAILURE).await
    }

    /// Submits a piece and waits until it is durable. What is refused becomes dead letters.
    async fn submit(&mut self, piece: Piece, origin: Origin) -> Result<()> {
        let mut batch = self.pipeline.batch();
        batch.set_source(&origin.source);
        for (name, position) in &origin.positions {
            batch.set_position(name, *position);
        }
        let type_name = self.default_type.clone();
        let decode = move || -> Result<_> {
            let kind = Kind {
                form: Form::Ndjson,
                type_name: type_name.as_deref(),
            };
            take(&mut batch, &piece.bytes, kind, piece.first_line, true)?;
            Ok(batch)
        };
        let decoded = self.env.blocking(decode).await;
        let batch = decoded.map_err(|e| Error::internal(format!("decoding stopped: {e}")))??;
        if batch.is_empty() && batch.refused().is_empty() && origin.positions.is_empty() {
            return Ok(());
        }
        let mut ack = tokio::select! {
            biased;
            () = stopped(&mut self.stopped) => return Err(ending()),
            ack = self.pipeline.submit(batch) => ack?,
        };
        ack.durable().await.map(|_| ())
    }
}

/// Whether trying again is of no use.
fn is_final(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::UserError)
}

/// Waits until the daemon ends.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn ending() -> Error {
    Error::unavailable("the daemon ends")
}
