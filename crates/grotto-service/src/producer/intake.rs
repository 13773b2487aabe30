//! Records that come by HTTP.
//!
//! Owns: what a request for records may say, and what it is told. Never: decodes a record.

use super::daemon::Daemon;
use super::kept::Kept;
use super::lines::{Kind, Lines, take};
use crate::config::Durability;
use crate::http::answer::{Answer, Refusal, done, json_answer};
use crate::http::body::{self, Held};
use crate::http::encoding::{Form, form, packing};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use grotto::producer::Published;
use grotto::producer::pipeline::{Ack, Batch, Pipeline};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for an acknowledgement or a version before the answer is that it is not known yet.
pub(crate) const MOST_PATIENCE: Duration = Duration::from_secs(60);

/// The parameters of a request for records.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Parameters {
    wait: Option<Wait>,
    /// Whether one refused line refuses all.
    atomic: bool,
    /// Type of lines that name none.
    #[serde(rename = "type")]
    type_name: Option<String>,
    /// Who waits longer when too much comes.
    priority: u8,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wait {
    Durable,
    Published,
}

/// The name of the dataset in a path.
pub(crate) type Named = Result<Path<String>, PathRejection>;

pub(crate) fn name_of(path: Named) -> Result<String, Refusal> {
    let Path(name) = path.map_err(|e| Refusal::invalid(e.body_text()))?;
    Ok(name)
}

pub(crate) fn query_of<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Refusal> {
    let Query(parameters) = query.map_err(|e| Refusal::invalid(e.body_text()))?;
    Ok(parameters)
}

/// `POST /v1/datasets/{dataset}/records`
pub(crate) async fn records(
    State(daemon): State<Arc<Daemon>>,
    path: Named,
    query: Result<Query<Parameters>, QueryRejection>,
    request: Request,
) -> Answer {
    let (name, parameters) = (name_of(path)?, query_of(query)?);
    let (kept, pipeline) = daemon.pipeline(&name)?;
    let key = idempotency_key(request.headers())?;
    let (form, held) = read(&daemon, request).await?;
    let (batch, lines) = decode(&daemon, kept, &pipeline, &parameters, key, form, held).await?;
    if lines.accepted == 0 || (parameters.atomic && lines.refused > 0) {
        return nothing_taken(&daemon, &name, batch, lines, &pipeline, &parameters).await;
    }
    let ack = pipeline.try_submit(batch)?;
    let wait = match kept.durability {
        Durability::Published => Wait::Published,
        Durability::Host | Durability::Store => parameters.wait.unwrap_or(Wait::Durable),
    };
    told(&daemon, kept, ack, wait, &lines).await
}

/// The key under which the same batch sent again is known.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let text = value.to_str();
    let text =
        text.map_err(|_| Refusal::invalid("idempotency-key: expected visible ascii text"))?;
    Ok(Some(text.to_owned()))
}

/// The body of a request with records.
pub(crate) async fn read(daemon: &Daemon, request: Request) -> Result<(Form, Held), Refusal> {
    let (form, packing) = (form(request.headers())?, packing(request.headers())?);
    let limits = daemon.body_limits()?;
    let body = request.into_body();
    let held = body::read(body, packing, limits, &daemon.memory, &daemon.env).await?;
    Ok((form, held))
}

/// Decodes on a thread of its own, of which there are only so many.
async fn decode(
    daemon: &Daemon,
    kept: &Kept,
    pipeline: &Pipeline,
    parameters: &Parameters,
    key: Option<String>,
    form: Form,
    held: Held,
) -> Result<(Batch, Lines), Refusal> {
    let mut batch = pipeline.batch();
    batch.set_source("http");
    batch.set_atomic(parameters.atomic);
    batch.set_priority(parameters.priority);
    if let Some(key) = &key {
        batch.set_key(key)?;
    }
    let type_name = parameters.type_name.clone();
    let type_name = type_name.or_else(|| kept.default_type());
    let partial = !parameters.atomic;
    let turn = Arc::clone(&kept.decoders).acquire_owned().await;
    let work = move || -> grotto::Result<(Batch, Lines)> {
        let type_name = type_name.as_deref();
        let kind = Kind { form, type_name };
        let lines = take(&mut batch, held.bytes(), kind, 1, partial)?;
        drop(turn);
        Ok((batch, lines))
    };
    let decoded = daemon.env.blocking(work).await;
    let decoded = decoded.map_err(|e| {
        let message = format!("decoding stopped: {e}");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    })?;
    Ok(decoded?)
}

/// The answer to a request of which nothing is taken in. What was refused line by line becomes dead letters.
async fn nothing_taken(
    daemon: &Daemon,
    name: &str,
    batch: Batch,
    lines: Lines,
    pipeline: &Pipeline,
    parameters: &Parameters,
) -> Answer {
    let Some(first) = lines.first.first() else {
        return Err(Refusal::invalid("expected records, found none"));
    };
    let message = match parameters.atomic {
        true => format!(
            "line {}: {}; nothing was taken in",
            first.line, first.message
        ),
        false => format!(
            "line {}: {}; no line was taken in",
            first.line, first.message
        ),
    };
    let refusal = Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
        .with("dataset", name)
        .with("line", first.line)
        .with("refused_lines", lines.refused)
        .with("refused", lines.told());
    if !parameters.atomic {
        durable(daemon, &mut pipeline.try_submit(batch)?).await?;
    }
    Err(refusal)
}

/// Waits until a batch is in the log.
async fn durable(daemon: &Daemon, ack: &mut Ack) -> Result<u64, Refusal> {
    let Ok(entry) = daemon.env.within(MOST_PATIENCE, ack.durable()).await else {
        let message = "not acknowledged in time: it may be taken in or not; send it again with the same \
                       idempotency-key";
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message);
        return Err(refusal.after(Duration::from_secs(1)));
    };
    Ok(entry?)
}

/// Waits as the sender wants, and says what became of it.
async fn told(daemon: &Daemon, kept: &Kept, mut ack: Ack, wait: Wait, lines: &Lines) -> Answer {
    let entry = durable(daemon, &mut ack).await?;
    let mut answer = Map::new();
    answer.insert("dataset".to_owned(), kept.name.clone().into());
    answer.insert("accepted".to_owned(), lines.accepted.into());
    answer.insert("refused_lines".to_owned(), lines.refused.into());
    answer.insert("refused".to_owned(), lines.told());
    answer.insert("entry".to_owned(), entry.into());
    // The counts are those of this request, the entry that of the first one with its key.
    answer.insert("repeated".to_owned(), ack.is_repeated().into());
    if wait == Wait::Durable {
        return done(&answer.into());
    }
    match daemon.env.within(MOST_PATIENCE, ack.published()).await {
        Ok(version) => {
            answer.insert("version".to_owned(), version?.into());
            done(&answer.into())
        }
        // It is acknowledged, or it was never promised to be.
        Err(_) if kept.durability != Durability::Published => {
            answer.insert("version".to_owned(), Value::Null);
            Ok(json_answer(StatusCode::ACCEPTED, &answer.into()))
        }
        Err(_) => Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "not published in time: it may be published later; send it again with the same idempotency-key",
        )
        .after(Duration::from_secs(1))),
    }
}

/// What is told of a version.
pub(crate) fn version_told(dataset: &str, published: &Published) -> Value {
    json!({
        "dataset": dataset,
        "version": published.version,
        "records": published.records,
        "delta_bytes": published.delta_bytes,
    })
}
