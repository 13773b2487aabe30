//! Dead letters by HTTP.
//!
//! Owns: listing them, sending them again, and removing them. Never: decides what becomes one.

use super::daemon::Daemon;
use super::intake::{Named, name_of, query_of};
use crate::http::answer::{Answer, Refusal, done};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use grotto::producer::dead_letter::{DeadLetter, DeadLetters};
use grotto::producer::pipeline::{Ack, Pipeline};
use grotto::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Most letters of one answer, and that are sent again at once.
const MOST: usize = 1_000;

/// Which letters.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Which {
    /// Only those behind this one.
    after: i64,
    limit: usize,
}

impl Default for Which {
    fn default() -> Self {
        Self {
            after: 0,
            limit: 100,
        }
    }
}

/// Up to which letter.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Through {
    through: Option<i64>,
}

/// A number of a letter: one that is described as a 64-bit number with a sign.
fn number(name: &str, value: i64) -> Result<u64, Refusal> {
    u64::try_from(value)
        .map_err(|_| Refusal::invalid(format!("{name}: expected at least 0, found {value}")))
}

fn letters(pipeline: &Pipeline) -> Result<Arc<DeadLetters>, Refusal> {
    let letters = pipeline.dead_letters().cloned();
    letters.ok_or_else(|| Refusal::not_found("the dataset keeps no dead letters"))
}

/// `GET /v1/datasets/{dataset}/dead-letters`
pub(crate) async fn list(
    State(daemon): State<Arc<Daemon>>,
    path: Named,
    query: Result<Query<Which>, QueryRejection>,
) -> Answer {
    let (name, which) = (name_of(path)?, query_of(query)?);
    let (_, pipeline) = daemon.pipeline(&name)?;
    let letters = letters(&pipeline)?;
    let (after, limit) = (number("after", which.after)?, which.limit);
    if !(1..=MOST).contains(&limit) {
        let message = format!("limit: expected 1 to {MOST}, found {limit}");
        return Err(Refusal::invalid(message));
    }
    let (count, dropped) = (letters.count(), letters.dropped());
    let read = move || letters.list(after, limit);
    let found = finished(daemon.env.blocking(read).await)?;
    let found: Vec<Value> = found.iter().map(DeadLetter::to_json).collect();
    done(&json!({ "dataset": name, "count": count, "dropped": dropped, "dead_letters": found }))
}

/// Work on a thread that may block.
fn finished<T>(work: std::result::Result<Result<T>, grotto::engine::env::Stopped>) -> Result<T> {
    work.map_err(|e| Error::internal(format!("the work stopped: {e}")))?
}

/// `POST /v1/datasets/{dataset}/dead-letters/purge`
pub(crate) async fn purge(
    State(daemon): State<Arc<Daemon>>,
    path: Named,
    query: Result<Query<Through>, QueryRejection>,
) -> Answer {
    let (name, Through { through }) = (name_of(path)?, query_of(query)?);
    let (_, pipeline) = daemon.pipeline(&name)?;
    let letters = letters(&pipeline)?;
    let through = through
        .map(|through| number("through", through))
        .transpose()?;
    let removed = finished(daemon.env.blocking(move || letters.purge(through)).await)?;
    done(&json!({ "dataset": name, "removed": removed }))
}

/// `POST /v1/datasets/{dataset}/dead-letters/replay`: sends letters again, oldest first. What is taken in is removed
/// from the letters once it is durable; what is refused again stays.
pub(crate) async fn replay(
    State(daemon): State<Arc<Daemon>>,
    path: Named,
    query: Result<Query<Through>, QueryRejection>,
) -> Answer {
    let (name, Through { through }) = (name_of(path)?, query_of(query)?);
    let (kept, pipeline) = daemon.pipeline(&name)?;
    let letters = letters(&pipeline)?;
    let (mut replayed, mut refused, mut after) = (0, Vec::new(), 0);
    let last = through
        .map(|through| number("through", through))
        .transpose()?;
    // What becomes a letter meanwhile, even of what is sent here, is for another replay.
    let newest = letters.newest();
    let last = last.map_or(newest, |last| last.min(newest));
    loop {
        let reader = Arc::clone(&letters);
        let found = finished(daemon.env.blocking(move || reader.list(after, MOST)).await)?;
        let found: Vec<DeadLetter> = found.into_iter().filter(|one| one.id <= last).collect();
        let Some(newest) = found.last() else { break };
        after = newest.id;
        let default_type = kept.default_type();
        let (sent, again) = send(&pipeline, &found, default_type.as_deref()).await?;
        refused.extend(again);
        let mut ids = Vec::with_capacity(sent.len());
        for (id, mut ack) in sent {
            ack.durable().await?;
            ids.push(id);
        }
        replayed += ids.len();
        let taker = Arc::clone(&letters);
        finished(daemon.env.blocking(move || taker.take(&ids)).await)?;
    }
    let still = refused.len();
    refused.truncate(100);
    done(
        &json!({ "dataset": name, "replayed": replayed, "refused_letters": still, "refused": refused }),
    )
}

/// Submits letters one by one, so that a refused one refuses nothing else. Their numbers are the keys under which
/// they are known: a replay that breaks off and is asked for again applies none of them twice.
async fn send(
    pipeline: &Pipeline,
    found: &[DeadLetter],
    default_type: Option<&str>,
) -> Result<(Vec<(u64, Ack)>, Vec<Value>)> {
    let (mut sent, mut refused) = (Vec::new(), Vec::new());
    for letter in found {
        if letter.is_cut {
            let message = "not all of its text was kept as it came: send the record itself";
            refused.push(json!({ "id": letter.id, "message": message }));
            continue;
        }
        let mut batch = pipeline.batch();
        batch.set_source(&format!("dead letter {}", letter.id));
        batch.set_key(&format!("dead-letter:{}:{}", letter.id, letter.time_ms))?;
        let type_name = letter.type_name.as_deref().or(default_type);
        let position = letter.position.unwrap_or(1);
        let taken = batch.add_line(letter.text.as_bytes(), type_name, position);
        match taken {
            Ok(()) if !batch.is_empty() => sent.push((letter.id, pipeline.submit(batch).await?)),
            Ok(()) => refused.push(json!({ "id": letter.id, "message": "an empty line" })),
            Err(error) => refused.push(json!({ "id": letter.id, "message": error.message() })),
        }
    }
    Ok((sent, refused))
}
