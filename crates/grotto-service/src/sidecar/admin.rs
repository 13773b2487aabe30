//! What operators ask for by HTTP.
//!
//! Owns: the endpoints for datasets, health, metrics and settings. Never: tells a record.

use super::asked::stamped;
use super::daemon::Daemon;
use super::followed::Followed;
use super::health::{Readiness, judge};
use super::news::Named;
use crate::config::{Change, Key};
use crate::http::answer::{Answer, Refusal, done, json_answer, text_answer};
use crate::logs::whole_ms;
use crate::metrics::{Format, OPENMETRICS};
use crate::process::resources;
use axum::extract::{Path, State as Shared};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use grotto::State;
use grotto::consumer::BreakerState;
use grotto::schema::TypeId;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The description of this interface.
pub(super) const OPENAPI: &str = include_str!("../../../../docs/api/sidecar.json");

/// `GET /health`: whether the process answers, which this does.
pub(crate) async fn health(Shared(daemon): Shared<Arc<Daemon>>) -> Answer {
    let uptime = daemon.env.clock.monotonic() - daemon.begun;
    done(&json!({ "status": "ok", "uptime_seconds": uptime.as_secs() }))
}

/// `GET /ready`: whether datasets are served, and what is wrong. Reasons name folders and stores: other hosts are told
/// them by the token only.
pub(crate) async fn ready(Shared(daemon): Shared<Arc<Daemon>>, headers: HeaderMap) -> Answer {
    let views = daemon.views().await?;
    let readiness = judge(&views);
    let status = match readiness {
        Readiness::NotReady => StatusCode::SERVICE_UNAVAILABLE,
        Readiness::Ready | Readiness::Degraded => StatusCode::OK,
    };
    if !daemon.tells_reasons(&headers) {
        return Ok(json_answer(status, &json!({ "status": readiness.word() })));
    }
    let datasets: Vec<Value> = views
        .iter()
        .map(|view| {
            json!({
                "dataset": view.dataset,
                "condition": view.condition.word(),
                "reasons": view.reasons,
            })
        })
        .collect();
    Ok(json_answer(
        status,
        &json!({ "status": readiness.word(), "datasets": datasets }),
    ))
}

/// `GET /metrics`: in the OpenMetrics text format for those who ask for it, otherwise in the older one.
pub(crate) async fn metrics(Shared(daemon): Shared<Arc<Daemon>>, headers: HeaderMap) -> Answer {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let open = accepted.is_some_and(|accepted| accepted.contains("application/openmetrics-text"));
    let (format, content_type) = match open {
        true => (Format::OpenMetrics, OPENMETRICS),
        false => (Format::Classic, "text/plain; version=0.0.4; charset=utf-8"),
    };
    Ok(text_answer(
        StatusCode::OK,
        content_type,
        daemon.metrics(format)?,
    ))
}

/// `GET /openapi.json`
pub(crate) async fn openapi() -> Answer {
    let text = OPENAPI.to_owned();
    Ok(text_answer(StatusCode::OK, "application/json", text))
}

/// `GET /v1/settings`: what is in force, and what may change while the sidecar runs.
pub(crate) async fn settings(Shared(daemon): Shared<Arc<Daemon>>) -> Answer {
    let mut keys = daemon.live.settings().keys();
    keys.retain(|key| key.path.starts_with("consumer."));
    let live: Vec<String> = keys
        .iter()
        .filter(|k| k.live)
        .map(|k| k.path.clone())
        .collect();
    let shown = |Key { path, value, .. }: Key| (path, value);
    let values: Map<String, Value> = keys.into_iter().map(shown).collect();
    done(&json!({ "settings": values, "may_change": live }))
}

/// `POST /v1/reload`: reads the configuration again, as SIGHUP does.
pub(crate) async fn reload(Shared(daemon): Shared<Arc<Daemon>>) -> Answer {
    let changes = daemon.reload()?;
    let shown = |Change { path, from, to }: Change| json!({ "key": path, "from": from, "to": to });
    let changed: Vec<Value> = changes.into_iter().map(shown).collect();
    done(&json!({ "changed": changed }))
}

/// `GET /v1/datasets`
pub(crate) async fn datasets(Shared(daemon): Shared<Arc<Daemon>>) -> Answer {
    let all: Vec<Value> = daemon
        .aside(|daemon| {
            let all = daemon.datasets.values();
            all.map(|one| figures(one, one.state().as_deref()).into())
                .collect()
        })
        .await?;
    let found = resources();
    done(&json!({
        "id": daemon.id,
        "uptime_seconds": (daemon.env.clock.monotonic() - daemon.begun).as_secs(),
        "memory_bytes": found.memory_bytes,
        "datasets": all,
    }))
}

/// `GET /v1/datasets/{dataset}`
pub(crate) async fn dataset(Shared(daemon): Shared<Arc<Daemon>>, path: Named) -> Answer {
    let Path(name) = path.map_err(|e| Refusal::invalid(e.body_text()))?;
    let followed = Arc::clone(daemon.dataset(&name)?);
    let state = followed.state();
    let of = state.clone();
    let mut told = daemon
        .aside(move |_| figures(&followed, of.as_deref()))
        .await?;
    let Some(state) = state else {
        return done(&told.into());
    };
    told.insert("types".to_owned(), types(&state).into());
    let answer = json_answer(StatusCode::OK, &told.into());
    Ok(stamped(answer, &state))
}

/// What is known of a dataset.
fn figures(followed: &Followed, state: Option<&State>) -> Map<String, Value> {
    let view = followed.view();
    let mut told = Map::new();
    let mut tell = |name: &str, value: Value| told.insert(name.to_owned(), value);
    tell("dataset", view.dataset.into());
    tell("condition", view.condition.word().into());
    tell("reasons", view.reasons.into());
    let Some(state) = state else {
        return told;
    };
    let mut tell = |name: &str, value: Value| told.insert(name.to_owned(), value);
    tell("version", state.version().into());
    tell("records", state.total().into());
    tell("held_versions", followed.held.count().into());
    let Some(status) = followed.status() else {
        return told;
    };
    tell("newest", status.newest.into());
    let held = status
        .held
        .map(|held| json!({ "version": held.version, "reason": held.reason }));
    tell("held", held.into());
    tell("staleness_ms", whole_ms(status.staleness).into());
    tell("committed_ms", status.committed_ms.into());
    tell("poll_wait_ms", whole_ms(status.poll_wait).into());
    tell("refreshes", status.refreshes.into());
    tell("errors_per_minute", status.errors_per_minute.into());
    tell("breaker", breaker(status.breaker).into());
    tell("state_bytes", status.mapped_bytes.into());
    tell("resident_bytes", status.resident_bytes.into());
    tell("attached_readers", status.attached_readers.into());
    told
}

fn breaker(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::HalfOpen => "half-open",
        BreakerState::Open => "open",
    }
}

/// The types that are kept in a state, with how many records there are of each.
fn types(state: &State) -> Vec<Value> {
    let schema = state.schema();
    let of_type = |id| {
        let ty = schema.get(id);
        let key = ty.key().map(|key| {
            let paths = key.paths.iter().map(|path| path.text.as_str());
            paths.collect::<Vec<_>>()
        });
        json!({ "type": ty.name, "records": state.count(id), "key": key })
    };
    let is_kept = |id: &TypeId| state.type_id(&schema.get(*id).name).is_ok();
    schema.ids().filter(is_kept).map(of_type).collect()
}
