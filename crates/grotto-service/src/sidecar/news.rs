//! New versions, told as they come.
//!
//! Owns: requests that wait: for one version, or for all of them as a stream of events. Never: has more of them wait than
//! the limits say.

use super::asked::{not_loaded, versioned, wait_of};
use super::daemon::Daemon;
use super::followed::Followed;
use crate::http::answer::{Answer, Refusal, json_answer};
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use grotto::engine::env::Env;
use serde::Deserialize;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// How often a stream without news shows that it lives.
pub(super) const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// The name of the dataset in a path.
pub(crate) type Named = Result<Path<String>, PathRejection>;

/// What a request for a version says.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Since {
    /// The version that who asks has.
    after: Option<u64>,
    wait: Option<String>,
}

/// `GET /v1/datasets/{dataset}/versions`: the version served, once it is another one than `after`, or the wait is over.
pub(crate) async fn versions(
    Shared(daemon): Shared<Arc<Daemon>>,
    path: Named,
    query: Result<Query<Since>, QueryRejection>,
) -> Answer {
    let Path(dataset) = path.map_err(|e| Refusal::invalid(e.body_text()))?;
    let Query(since) = query.map_err(|e| Refusal::invalid(e.body_text()))?;
    let followed = daemon.dataset(&dataset)?;
    let wait = wait_of(since.wait.as_deref(), daemon.limits().max_wait)?;
    let after = since.after.unwrap_or(0);
    let served = || followed.state().map_or(0, |state| state.version());
    if served() == after && !wait.is_zero() {
        let _place = daemon.wait()?;
        let mut stopped = daemon.stopped.clone();
        let another = another(served, followed.versions(), after);
        tokio::select! {
            // Whether another one came is seen below.
            _ = daemon.env.within(wait, another) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }
    let state = followed.state().ok_or_else(|| not_loaded(followed))?;
    let told = json!({
        "dataset": dataset,
        "version": state.version(),
        "changed": state.version() != after,
    });
    Ok(versioned(json_answer(StatusCode::OK, &told), &state))
}

/// Waits until another version than `after` is served. Each is told of after it is served, which is too late to know by it
/// what is served now: who asks has most likely just been answered with a version that is yet to be told of.
async fn another(served: impl Fn() -> u64, mut told: watch::Receiver<u64>, after: u64) {
    while served() == after && told.changed().await.is_ok() {}
}

/// `GET /v1/datasets/{dataset}/events`: server-sent events, one for each version that is served from now on, and one at
/// once unless `Last-Event-ID` is the version that is served.
pub(crate) async fn events(
    Shared(daemon): Shared<Arc<Daemon>>,
    path: Named,
    headers: HeaderMap,
) -> Answer {
    let Path(dataset) = path.map_err(|e| Refusal::invalid(e.body_text()))?;
    let followed = daemon.dataset(&dataset)?;
    let last = headers.get("last-event-id").map(HeaderValue::to_str);
    let last = match last.transpose() {
        Ok(None | Some("")) => None,
        Ok(Some(text)) if text.parse::<u64>().is_ok() => text.parse().ok(),
        _ => {
            return Err(Refusal::invalid(
                "last-event-id: expected the number of a version",
            ));
        }
    };
    let stream = Stream {
        versions: followed.versions(),
        followed: Arc::clone(followed),
        stopped: daemon.stopped.clone(),
        env: daemon.env.clone(),
        last,
        _place: daemon.wait()?,
    };
    let events = futures::stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    Ok(event_stream(events))
}

/// An answer of events, without end.
pub(super) fn event_stream(
    events: impl futures::Stream<Item = Result<Bytes, Infallible>> + Send + 'static,
) -> Response<Body> {
    let mut answer = Response::new(Body::from_stream(events));
    let headers = answer.headers_mut();
    let content_type = HeaderValue::from_static("text/event-stream");
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Who follows the versions of a dataset.
struct Stream {
    followed: Arc<Followed>,
    versions: watch::Receiver<u64>,
    stopped: watch::Receiver<bool>,
    env: Env,
    /// The last version that was told.
    last: Option<u64>,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    /// The next event: of many versions that came meanwhile only the newest.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.versions.mark_unchanged();
            let version = self.followed.state().map_or(0, |state| state.version());
            if version != 0 && self.last != Some(version) {
                self.last = Some(version);
                return Some(self.event(version));
            }
            tokio::select! {
                changed = self.versions.changed() => changed.ok()?,
                _ = self.stopped.wait_for(|stopped| *stopped) => return None,
                () = self.env.sleep(SIGN_OF_LIFE) => return Some(Bytes::from_static(b":\n\n")),
            }
        }
    }

    fn event(&self, version: u64) -> Bytes {
        let data = json!({ "dataset": self.followed.name, "version": version });
        format!("id: {version}\nevent: version\ndata: {data}\n\n").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn who_has_a_version_that_is_yet_to_be_told_of_waits_for_the_next_one() {
        let (tell, told) = watch::channel(6);
        let served = AtomicU64::new(7);
        let mut waits = Box::pin(another(|| served.load(Ordering::Relaxed), told, 7));
        assert!(waits.as_mut().now_or_never().is_none());
        tell.send_replace(7);
        assert!(waits.as_mut().now_or_never().is_none());
        served.store(8, Ordering::Relaxed);
        tell.send_replace(8);
        assert!(waits.now_or_never().is_some());
    }
}
