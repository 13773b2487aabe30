//! What operators ask for by HTTP.
//!
//! Owns: how datasets are, and the description of the interface. Never: tells a record.

use super::asked::versioned;
use super::daemon::Daemon;
use super::followed::{Followed, Moment};
use super::news::Named;
use crate::config::Limits;
use crate::http::answer::{Answer, Refusal, done, json_answer};
use crate::logs::whole_ms;
use crate::operators::aside;
use crate::process::resources;
use crate::push::told as told_of;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use grotto::consumer::BreakerState;
use grotto::schema::TypeId;
use grotto::store::PointerName;
use grotto::{Error, Result, State};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The description of this interface.
pub(super) const OPENAPI: &str = include_str!("../../../../docs/api/sidecar.json");

/// The same with the limits in force.
pub(super) fn description(limits: &Limits) -> Result<String> {
    let broken = |why: String| Error::internal(format!("the description of the interface: {why}"));
    let mut all: Value = serde_json::from_str(OPENAPI).map_err(|e| broken(e.to_string()))?;
    let paths = "/paths/~1v1~1datasets~1{dataset}~1types~1{type}~1records";
    for (at, limit) in [
        (
            format!("{paths}/get/parameters/1/schema/maximum"),
            limits.max_page,
        ),
        (
            format!("{paths}:batch/post/requestBody/content/application~1json/schema/maxItems"),
            limits.max_batch,
        ),
    ] {
        let place = all.pointer_mut(&at);
        *place.ok_or_else(|| broken(format!("expected {at}, found none")))? = limit.into();
    }
    Ok(format!("{all}\n"))
}

/// `GET /v1/datasets`
pub(crate) async fn datasets(Shared(daemon): Shared<Arc<Daemon>>) -> Answer {
    let all = aside(&daemon, |daemon| {
        let all = daemon.datasets.values();
        let all = all.map(|one| Value::from(figures(one, &one.look())));
        all.collect::<Vec<_>>()
    });
    let all = all.await?;
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
    let (mut told, state) = aside(&daemon, move |_| {
        let look = followed.look();
        (figures(&followed, &look), look.state)
    })
    .await?;
    let Some(state) = state else {
        return done(&told.into());
    };
    told.insert("types".to_owned(), types(&state).into());
    let answer = json_answer(StatusCode::OK, &told.into());
    Ok(versioned(answer, &state))
}

/// What is known of a dataset.
fn figures(followed: &Followed, look: &Moment) -> Map<String, Value> {
    let mut told = Map::new();
    let mut tell = |name: &str, value: Value| told.insert(name.to_owned(), value);
    tell("dataset", look.view.dataset.clone().into());
    tell("condition", look.view.condition.word().into());
    tell("reasons", look.view.reasons.clone().into());
    tell("notes", look.view.notes.clone().into());
    let Some(state) = &look.state else {
        return told;
    };
    let mut tell = |name: &str, value: Value| told.insert(name.to_owned(), value);
    tell("version", state.version().into());
    tell("records", state.total().into());
    tell("held_versions", followed.held.count().into());
    let Some(status) = &look.status else {
        return told;
    };
    tell("newest", status.newest.into());
    let held = status
        .held
        .as_ref()
        .map(|held| json!({ "version": held.version, "reason": held.reason }));
    tell("held", held.into());
    tell("channel", status.channel.clone().into());
    let pointer = status.told.as_ref().map(|one| {
        let by = match one.by {
            PointerName::Pin => "pin",
            PointerName::Channel(_) => "channel",
        };
        json!({ "by": by, "version": one.version, "set_by": one.set_by, "reason": one.reason })
    });
    tell("told", pointer.into());
    tell("staleness_ms", whole_ms(status.staleness).into());
    tell("committed_ms", status.committed_ms.into());
    tell("poll_wait_ms", whole_ms(status.poll_wait).into());
    let push = status.push.as_ref().map(|push| {
        let mut told = told_of(&push.link);
        told["relied_on"] = push.is_relied_on.into();
        told
    });
    tell("push", push.into());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(all: &'a Value, method: &str, rest: &str) -> &'a Value {
        let paths = "/paths/~1v1~1datasets~1{dataset}~1types~1{type}~1records";
        all.pointer(&format!("{paths}{method}{rest}")).unwrap()
    }

    #[test]
    fn the_description_tells_the_limits_in_force() {
        let keys = "/requestBody/content/application~1json/schema/maxItems";
        let limits = Limits {
            max_page: 7,
            max_batch: 11,
            ..Limits::default()
        };
        for (limits, page, batch) in [(limits, 7, 11), (Limits::default(), 1000, 1000)] {
            let all = serde_json::from_str(&description(&limits).unwrap()).unwrap();
            let page_of = at(&all, "/get", "/parameters/1");
            assert_eq!(page_of["name"], "limit");
            assert_eq!(page_of["schema"]["maximum"], page);
            assert_eq!(at(&all, ":batch/post", keys), batch);
        }
        // What is not served is of the defaults.
        let file: Value = serde_json::from_str(OPENAPI).unwrap();
        assert_eq!(at(&file, "/get", "/parameters/1/schema/maximum"), 1000);
        assert_eq!(at(&file, ":batch/post", keys), 1000);
    }

    /// The codes of errors are listed for people, and for programs.
    #[test]
    fn the_codes_of_errors_are_the_same_in_the_documents() {
        let file: Value = serde_json::from_str(OPENAPI).unwrap();
        let codes = file.pointer("/components/schemas/Error/properties/error/properties/code/enum");
        let mut codes: Vec<&str> = codes
            .unwrap()
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c.as_str().unwrap())
            .collect();
        codes.sort_unstable();
        let page = include_str!("../../../../docs/operating/sidecar.md");
        let (_, table) = page.split_once("| status | code |").unwrap();
        let (table, _) = table.split_once("\n\n").unwrap();
        let cells = table.lines().filter_map(|line| line.split('|').nth(2));
        let mut told: Vec<&str> = cells
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told, codes);
    }
}
