//! What operators ask for by HTTP.
//!
//! Owns: the endpoints for status, cycles, snapshots, and changes of settings. Never: takes single records
//! in.

use super::daemon::Daemon;
use super::intake::{Named, name_of, query_of, read, version_told};
use super::lines::{Kind, cycle_lines};
use crate::http::answer::{Answer, Refusal, done};
use crate::http::body::{self, BodyLimits};
use crate::http::encoding::Packing;
use crate::operators::told;
use crate::push::told as told_of;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use grotto::producer::pipeline::PipelineStatus;
use grotto::store::BreakerState;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Longest body of a request that changes settings.
const MAX_SETTINGS: usize = 64 << 10;
/// The description of this interface.
pub(super) const OPENAPI: &str = include_str!("../../../../docs/api/producer.json");

/// `GET /v1/datasets`
pub(crate) async fn datasets(State(daemon): State<Arc<Daemon>>) -> Answer {
    let all: Vec<Value> = daemon
        .views()
        .iter()
        .map(|view| json!({ "dataset": view.dataset, "condition": view.condition.to_string() }))
        .collect();
    done(&json!({ "datasets": all }))
}

/// `GET /v1/datasets/{dataset}/status`
pub(crate) async fn status(State(daemon): State<Arc<Daemon>>, path: Named) -> Answer {
    let name = name_of(path)?;
    let kept = daemon.dataset(&name)?;
    let view = kept.view();
    let mut told = Map::new();
    told.insert("dataset".to_owned(), name.clone().into());
    told.insert("condition".to_owned(), view.condition.to_string().into());
    told.insert("reasons".to_owned(), view.reasons.into());
    if let Some(leader) = kept.leader() {
        told.insert("leader".to_owned(), leader.into());
    }
    told.insert("set_aside_files".to_owned(), kept.set_aside()?.into());
    told.insert("notes".to_owned(), view.notes.into());
    if let Some(pipeline) = kept.pipeline() {
        told.extend(figures(&pipeline.status()));
        let link = kept.announcer().map(|announcer| announcer.link());
        told.insert("push".to_owned(), link.as_ref().map(told_of).into());
        if let Some(letters) = pipeline.dead_letters() {
            told.insert("dead_letters".to_owned(), letters.count().into());
        }
    }
    done(&told.into())
}

fn figures(status: &PipelineStatus) -> Map<String, Value> {
    let figures = json!({
        "since_ms": status.since_ms,
        "version": status.version,
        "published_ms": status.published_ms,
        "waiting_records": status.waiting_records,
        "waiting_bytes": status.waiting_bytes,
        "pending_submissions": status.pending_entries,
        "pending_records": status.pending_records,
        "pending_bytes": status.pending_bytes,
        "spilled": status.spilled,
        "lag_ms": status.lag_ms,
        "wal_bytes": status.wal_bytes,
        "failures": status.failures,
        "breaker": match status.breaker {
            BreakerState::Closed => "closed",
            BreakerState::HalfOpen => "half-open",
            BreakerState::Open => "open",
        },
    });
    match figures {
        Value::Object(figures) => figures,
        _ => Map::new(),
    }
}

/// The parameters of a full-state cycle.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cycle {
    #[serde(rename = "type")]
    type_name: Option<String>,
    /// Whether types may have no records: all there are of them are removed then.
    allow_empty: bool,
}

/// `POST /v1/datasets/{dataset}/cycle`: exactly the records of the body are the next version.
pub(crate) async fn cycle(
    State(daemon): State<Arc<Daemon>>,
    path: Named,
    query: Result<Query<Cycle>, QueryRejection>,
    request: Request,
) -> Answer {
    let (name, parameters) = (name_of(path)?, query_of(query)?);
    let (kept, pipeline) = daemon.pipeline(&name)?;
    let (form, held) = read(&daemon, request).await?;
    if !parameters.allow_empty && held.bytes().trim_ascii().is_empty() {
        return Err(Refusal::invalid(
            "expected records, found none; ?allow_empty=true removes all there are",
        ));
    }
    let type_name = parameters.type_name;
    let type_name = type_name.or_else(|| kept.default_type());
    let allow_empty = parameters.allow_empty;
    let fill = move |full: &mut grotto::producer::FullCycle| {
        let type_name = type_name.as_deref();
        let kind = Kind { form, type_name };
        Ok(cycle_lines(full, held.bytes(), kind, allow_empty)?)
    };
    match pipeline.run_full(fill).await? {
        Some(published) => done(&version_told(&name, &published)),
        None => done(&json!({
            "dataset": name,
            "version": pipeline.status().version,
            "unchanged": true,
        })),
    }
}

/// `POST /v1/datasets/{dataset}/flush`: publishes what is acknowledged.
pub(crate) async fn flush(State(daemon): State<Arc<Daemon>>, path: Named) -> Answer {
    let name = name_of(path)?;
    let (_, pipeline) = daemon.pipeline(&name)?;
    let flushed = daemon
        .env
        .within(super::intake::MOST_PATIENCE, pipeline.flush());
    let version = flushed.await.map_err(|_| {
        let message = "not published in time: it is acknowledged and will be published later";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    })??;
    done(&json!({ "dataset": name, "version": version }))
}

/// `POST /v1/datasets/{dataset}/hand-over`: publishes what is acknowledged, and asks the daemon that stands by to take
/// over.
pub(crate) async fn hand_over(State(daemon): State<Arc<Daemon>>, path: Named) -> Answer {
    let name = name_of(path)?;
    let (kept, pipeline) = daemon.pipeline(&name)?;
    let version = kept.hand_over(&pipeline).await?;
    done(&json!({ "dataset": name, "version": version }))
}

/// `POST /v1/datasets/{dataset}/snapshot`
pub(crate) async fn snapshot(State(daemon): State<Arc<Daemon>>, path: Named) -> Answer {
    let name = name_of(path)?;
    let (_, pipeline) = daemon.pipeline(&name)?;
    let written = pipeline.snapshot().await?;
    done(&json!({ "dataset": name, "version": written.version, "bytes": written.blob.length }))
}

/// `POST /v1/settings`: changes what may change, until the next reload.
pub(crate) async fn change(State(daemon): State<Arc<Daemon>>, request: Request) -> Answer {
    let limits = BodyLimits {
        max_bytes: MAX_SETTINGS,
        ..daemon.body_limits()?
    };
    let body = request.into_body();
    let held = body::read(body, Packing::None, limits, &daemon.memory, &daemon.env).await?;
    let keys: Settings = serde_json::from_slice(held.bytes())
        .map_err(|e| Refusal::invalid(format!("expected an object of settings: {e}")))?;
    let changes = daemon.change(&keys.0)?;
    done(&json!({ "changed": told(changes) }))
}

/// Values by the paths of their keys.
#[derive(Deserialize)]
struct Settings(Map<String, Value>);
