//! Records by primary key, one or many.
//!
//! Owns: what a request for records may say, and the text of the answer. Never: walks a dataset.

use super::asked::{Asked, of_version, stamped, state, unchanged};
use super::daemon::{Daemon, SOON};
use crate::http::answer::{Answer, Refusal, text_answer};
use crate::http::body;
use crate::http::encoding::packing;
use crate::http::outgoing::{Pieces, counted};
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State as Shared};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use grotto::engine::format::json::{Keys, decode_key, decode_keys};
use grotto::schema::TypeId;
use grotto::{Error, ErrorKind, KeyValue, State};
use std::fmt::Write as _;
use std::sync::Arc;

/// Most keys whose records are found and written by a thread that answers.
const AT_ONCE: usize = 256;
/// Longest text of an answer whose memory is not counted.
const SMALL: usize = 16 << 10;

/// Dataset, type and key.
type OfKey = Result<Path<(String, String, String)>, PathRejection>;
/// Dataset and type.
pub(crate) type OfType = Result<Path<(String, String)>, PathRejection>;

/// `GET /v1/datasets/{dataset}/types/{type}/records/{key}`
pub(crate) async fn one(
    Shared(daemon): Shared<Arc<Daemon>>,
    path: OfKey,
    query: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Answer {
    let Path((dataset, type_name, key)) = path.map_err(|e| Refusal::invalid(e.body_text()))?;
    let Query(asked) = query.map_err(|e| Refusal::invalid(e.body_text()))?;
    let state = state(&daemon, &dataset, &asked.or_of(&headers)?).await?;
    if let Some(answer) = unchanged(&headers, &state) {
        return answer;
    }
    let limit = daemon.max_answer();
    let text = find_one(&state, &type_name, &key, limit);
    let text = text.map_err(|refusal| of_version(refusal, &state))?;
    daemon.answer(&state, text)
}

fn find_one(state: &State, type_name: &str, key: &str, limit: usize) -> Result<String, Refusal> {
    let type_id = type_of(state, type_name)?;
    let parts = decode_key(state.schema(), type_id, key);
    let parts = parts.map_err(|e| Refusal::invalid(e.to_string()))?;
    let parts: Vec<KeyValue<'_>> = parts.iter().map(KeyValue::from).collect();
    let Some(record) = state.find(type_id, parts.as_slice())? else {
        let message = format!("no record {type_name} {key} at version {}", state.version());
        return Err(Refusal::new(StatusCode::NOT_FOUND, "no_record", message));
    };
    let mut text = String::with_capacity(512);
    let written = record.to_json(&mut text, limit);
    written.map_err(|error| unwritten(error, limit))?;
    text.push('\n');
    Ok(text)
}

/// `POST /v1/datasets/{dataset}/types/{type}/records:batch`
pub(crate) async fn batch(
    Shared(daemon): Shared<Arc<Daemon>>,
    path: OfType,
    query: Result<Query<Asked>, QueryRejection>,
    request: Request,
) -> Answer {
    let Path((dataset, type_name)) = path.map_err(|e| Refusal::invalid(e.body_text()))?;
    let Query(asked) = query.map_err(|e| Refusal::invalid(e.body_text()))?;
    let asked = asked.or_of(request.headers())?;
    let packing = packing(request.headers())?;
    // Before the body is read: it would take memory while a version is waited for, and who asks for what is not here need
    // not send it.
    let first = state(&daemon, &dataset, &asked).await?;
    let limits = daemon.body_limits();
    let body = request.into_body();
    let held = body::read(body, packing, limits, &daemon.memory, &daemon.env).await?;
    let state = match asked.version {
        Some(_) => first,
        // A newer one may have come meanwhile.
        None => state(&daemon, &dataset, &asked).await?,
    };
    let most = usize::try_from(daemon.limits().max_batch).unwrap_or(usize::MAX);
    let (of, limit) = (Arc::clone(&state), daemon.max_answer());
    let keys = keys_of(&state, &type_name, held.bytes(), most);
    let (type_id, keys) = keys.map_err(|refusal| of_version(refusal, &state))?;
    drop(held);
    let text = match keys.parts.len() <= AT_ONCE * keys.arity {
        true => find_all(&state, type_id, &keys, limit),
        false => {
            let work = move || find_all(&of, type_id, &keys, limit);
            daemon.turns.work(work).await?
        }
    };
    daemon.answer(&state, text.map_err(|refusal| of_version(refusal, &state))?)
}

fn keys_of(
    state: &State,
    type_name: &str,
    body: &[u8],
    most: usize,
) -> Result<(TypeId, Keys), Refusal> {
    let type_id = type_of(state, type_name)?;
    let keys = decode_keys(state.schema(), type_id, body, most);
    Ok((type_id, keys.map_err(Refusal::invalid)?))
}

/// The answer with the records of keys, in their order.
fn find_all(state: &State, type_id: TypeId, keys: &Keys, limit: usize) -> Result<String, Refusal> {
    let parts: Vec<KeyValue<'_>> = keys.parts.iter().map(KeyValue::from).collect();
    let keys: Vec<&[KeyValue<'_>]> = parts.chunks_exact(keys.arity.max(1)).collect();
    let records = state.find_many(type_id, &keys)?;
    let mut text = String::with_capacity(64 + records.len() * 256);
    begin(&mut text, state);
    for (at, record) in records.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        match record {
            None => text.push_str("null"),
            Some(record) => record
                .to_json(&mut text, limit)
                .map_err(|error| unwritten(error, limit))?,
        }
    }
    text.push_str("]}\n");
    Ok(text)
}

/// The beginning of an answer with several records.
pub(crate) fn begin(text: &mut String, state: &State) {
    // Writing to a string does not fail.
    let _ = write!(text, "{{\"version\":{},\"records\":[", state.version());
}

/// The type of a name, unless its records are left out here.
pub(crate) fn type_of(state: &State, name: &str) -> Result<TypeId, Refusal> {
    let found = state.type_id(name);
    found.map_err(|e| Refusal::new(StatusCode::NOT_FOUND, "no_type", e.message()))
}

/// Why a record is not in the answer.
pub(crate) fn unwritten(error: Error, limit: usize) -> Refusal {
    match error.kind() {
        ErrorKind::Invalid => {
            let message = format!(
                "expected records of at most {limit} bytes, found more: ask for fewer, or raise \
                 consumer.limits.max_answer_size"
            );
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Refusal::new(status, "answer_too_large", message).with("limit", limit)
        }
        _ => error.into(),
    }
}

impl Daemon {
    /// Longest text of the records of an answer.
    pub(crate) fn max_answer(&self) -> usize {
        usize::try_from(self.limits().max_answer_size.0).unwrap_or(usize::MAX)
    }

    /// An answer with records, which takes memory until it is sent.
    pub(crate) fn answer(&self, state: &State, text: String) -> Answer {
        if text.len() <= SMALL {
            let answer = text_answer(StatusCode::OK, "application/json", text);
            return Ok(stamped(answer, state));
        }
        let memory = self.answers.take(text.len()).ok_or_else(|| {
            let message = "too many answers are on their way: no memory for more";
            of_version(Refusal::overloaded(message, SOON), state)
        })?;
        let mut answer = Response::new(Body::new(Pieces(counted(text, memory))));
        let content_type = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(CONTENT_TYPE, content_type);
        Ok(stamped(answer, state))
    }
}
