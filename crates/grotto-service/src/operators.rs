//! What those who operate a daemon ask of it, whichever it is.
//!
//! Owns: the endpoints for health, readiness, metrics, settings, a reload and the description of the interface, and
//! obeying signals. Never: knows what a daemon does.

use crate::config::{Change, Key, Settings, Token, read_token};
use crate::http::answer::{Answer, done, json_answer, text_answer};
use crate::http::guard::{Guard, Trusted};
use crate::live::{Live, tell_changes};
use crate::metrics::{Format, OPENMETRICS};
use crate::readiness::Readiness;
use crate::supervise::{self, Request, Signals};
use axum::Extension;
use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use grotto::engine::env::Env;
use grotto::{Error, Result};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest time that requests under way may take once nothing is left to be done that they wait for.
pub(crate) const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Is told of an address.
pub type OnListen = Box<dyn FnOnce(SocketAddr) + Send>;

/// A daemon, as those who operate it see it.
pub(crate) trait Operated: Send + Sync + 'static {
    fn env(&self) -> &Env;

    /// Monotonic time of the start.
    fn begun(&self) -> Duration;

    fn live(&self) -> &Live;

    /// The guard that asks for the token.
    fn guard(&self) -> &Guard;

    /// The file of the token, by settings.
    fn token_file(settings: &Settings) -> Option<&Path>;

    /// Does as settings say from now on. Waits for nothing.
    fn apply(&self, settings: &Settings) -> Result<()>;

    /// How it is. May ask the system, which takes its time.
    fn condition(&self) -> Condition;

    /// Its metrics. May ask the system too.
    fn metrics(&self, format: Format) -> Result<String>;

    /// The description of its interface.
    fn description(&self) -> Result<String>;
}

/// How a daemon is, and each of its datasets.
pub(crate) struct Condition {
    pub(crate) readiness: Readiness,
    pub(crate) datasets: Vec<DatasetCondition>,
}

/// How a dataset is.
pub(crate) struct DatasetCondition {
    pub(crate) dataset: String,
    pub(crate) condition: String,
    pub(crate) reasons: Vec<String>,
    /// What is good to know, and no reason to worry.
    pub(crate) notes: Vec<String>,
}

/// Does work that waits for the system or a file, beside the threads that answer.
pub(crate) async fn aside<D: Operated, T: Send + 'static>(
    daemon: &Arc<D>,
    work: impl FnOnce(&D) -> T + Send + 'static,
) -> Result<T> {
    let of = Arc::clone(daemon);
    let done = daemon.env().blocking(move || work(&of)).await;
    done.map_err(|e| Error::internal("the work for a request ended early").with_source(e))
}

/// `GET /health`: whether the process answers, which this does.
pub(crate) async fn health<D: Operated>(State(daemon): State<Arc<D>>) -> Answer {
    let uptime = daemon.env().clock.monotonic() - daemon.begun();
    done(&json!({ "status": "ok", "uptime_seconds": uptime.as_secs() }))
}

/// `GET /ready`: whether the daemon does what it is there for, and what is wrong. Reasons name folders and stores: where
/// there is a token, they are told by it only.
pub(crate) async fn ready<D: Operated>(
    State(daemon): State<Arc<D>>,
    Extension(Trusted(is_trusted)): Extension<Trusted>,
) -> Answer {
    let found = aside(&daemon, D::condition).await?;
    let status = match found.readiness {
        Readiness::NotReady => StatusCode::SERVICE_UNAVAILABLE,
        Readiness::Ready | Readiness::Degraded => StatusCode::OK,
    };
    let mut told = json!({ "status": found.readiness.word() });
    if is_trusted {
        let one = |one: DatasetCondition| {
            json!({
                "dataset": one.dataset, "condition": one.condition, "reasons": one.reasons, "notes": one.notes,
            })
        };
        let datasets: Vec<Value> = found.datasets.into_iter().map(one).collect();
        told["datasets"] = datasets.into();
    }
    Ok(json_answer(status, &told))
}

/// `GET /metrics`: in the OpenMetrics text format for those who ask for it, otherwise in the older one.
pub(crate) async fn metrics<D: Operated>(
    State(daemon): State<Arc<D>>,
    headers: HeaderMap,
) -> Answer {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let open = accepted.is_some_and(|accepted| accepted.contains("application/openmetrics-text"));
    let (format, content_type) = match open {
        true => (Format::OpenMetrics, OPENMETRICS),
        false => (Format::Classic, "text/plain; version=0.0.4; charset=utf-8"),
    };
    let text = aside(&daemon, move |daemon| daemon.metrics(format)).await??;
    Ok(text_answer(StatusCode::OK, content_type, text))
}

/// `GET /openapi.json`
pub(crate) async fn openapi<D: Operated>(State(daemon): State<Arc<D>>) -> Answer {
    let text = daemon.description()?;
    Ok(text_answer(StatusCode::OK, "application/json", text))
}

/// `GET /v1/settings`: what is in force, and what may change while the daemon runs.
pub(crate) async fn settings<D: Operated>(State(daemon): State<Arc<D>>) -> Answer {
    let keys = daemon.live().keys();
    let live = keys.iter().filter(|key| key.live);
    let live: Vec<String> = live.map(|key| key.path.clone()).collect();
    let shown = |Key { path, value, .. }: Key| (path, value);
    let values: Map<String, Value> = keys.into_iter().map(shown).collect();
    done(&json!({ "settings": values, "may_change": live }))
}

/// `POST /v1/reload`: reads the configuration again, as SIGHUP does.
pub(crate) async fn reload<D: Operated>(State(daemon): State<Arc<D>>) -> Answer {
    let changes = read_again(&daemon).await?;
    done(&json!({ "changed": told(changes) }))
}

/// Changes, as an answer tells them.
pub(crate) fn told(changes: Vec<Change>) -> Vec<Value> {
    let shown = |Change { path, from, to }: Change| json!({ "key": path, "from": from, "to": to });
    changes.into_iter().map(shown).collect()
}

/// Reads the configuration again, and the token, which is renewed like that.
async fn read_again<D: Operated>(daemon: &Arc<D>) -> Result<Vec<Change>> {
    aside(daemon, |daemon| {
        let token = |settings: &Settings| -> Result<Option<Token>> {
            D::token_file(settings).map(read_token).transpose()
        };
        let changes = daemon.live().reload(token, |settings, token| {
            daemon.apply(settings)?;
            if token.is_some_and(|token| daemon.guard().renew(token)) {
                tracing::info!("the token is another one now");
            }
            Ok(())
        })?;
        tell_changes(&changes);
        Ok(changes)
    })
    .await?
}

/// Obeys signals until one asks for the end.
pub(crate) async fn obey<D: Operated>(daemon: &Arc<D>, signals: &mut Signals) {
    while let Request::Reload = signals.next().await {
        supervise::tell_reloading();
        match read_again(daemon).await {
            Ok(changes) => tracing::info!(changes = changes.len(), "configuration read again"),
            Err(error) => tracing::error!(%error, "configuration not taken over"),
        }
        tell_ready(daemon).await;
    }
}

/// Tells the service manager that all is open, and how it is.
pub(crate) async fn tell_ready<D: Operated>(daemon: &Arc<D>) {
    match aside(daemon, D::condition).await {
        Ok(found) => supervise::tell_ready(found.readiness.word()),
        Err(error) => tracing::error!(%error, "the datasets do not say how they are"),
    }
}
