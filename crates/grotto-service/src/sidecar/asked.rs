//! Which version a request is about.
//!
//! Owns: finding the state of it, and the headers by which who asks knows it: its tag, and `grotto-version`. Never:
//! reads a record.

use super::daemon::{Daemon, SOON};
use super::followed::Followed;
use crate::config::{Limits, duration_text, parse_duration};
use crate::http::answer::{Answer, Refusal};
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use grotto::State;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// The header of versions, in requests and in answers.
pub(crate) const VERSION: HeaderName = HeaderName::from_static("grotto-version");

/// What a request says of the version it wants: none for the one that is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Asked {
    pub(crate) version: Option<u64>,
    /// Longest wait for it.
    pub(crate) wait: Option<String>,
}

impl Asked {
    /// With what the headers say.
    pub(crate) fn or_of(mut self, headers: &HeaderMap) -> Result<Self, Refusal> {
        if let (None, Some(value)) = (self.version, headers.get(VERSION)) {
            let number = value.to_str().ok().and_then(|text| text.parse().ok());
            let expected = "header grotto-version: expected the number of a version";
            self.version = Some(number.ok_or_else(|| Refusal::invalid(expected))?);
        }
        Ok(self)
    }
}

/// A wait such as `30s`, no longer than the limit; none unless asked for.
pub(crate) fn wait_of(text: Option<&str>, most: Duration) -> Result<Duration, Refusal> {
    match text {
        None | Some("0s") => Ok(Duration::ZERO),
        Some(text) => {
            let wait = parse_duration(text);
            Ok(wait
                .map_err(|why| Refusal::invalid(format!("wait: {why}")))?
                .min(most))
        }
    }
}

/// The state that a request is about.
pub(crate) async fn state(
    daemon: &Daemon,
    dataset: &str,
    asked: &Asked,
) -> Result<Arc<State>, Refusal> {
    let followed = daemon.dataset(dataset)?;
    let wait = wait_of(asked.wait.as_deref(), daemon.limits().max_wait)?;
    let served = || followed.state().ok_or_else(|| not_loaded(followed));
    let Some(version) = asked.version else {
        return served();
    };
    let is_early = followed
        .state()
        .is_none_or(|state| state.version() < version);
    if is_early && !wait.is_zero() {
        let _place = daemon.wait()?;
        let (mut versions, mut stopped) = (followed.versions(), daemon.stopped.clone());
        tokio::select! {
            // Whether it came is seen below.
            _ = daemon.env.within(wait, versions.wait_for(|served| *served >= version)) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }
    let state = served()?;
    if state.version() == version {
        return Ok(state);
    }
    let held = followed.held.find(version);
    held.ok_or_else(|| another(version, &state, &daemon.limits()))
}

/// Why there is nothing to tell of a dataset.
pub(super) fn not_loaded(followed: &Followed) -> Refusal {
    let why = followed.trouble();
    let message = format!("nothing of the dataset is served yet: {why}");
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "not_loaded", message).after(SOON)
}

fn another(version: u64, served: &State, limits: &Limits) -> Refusal {
    let found = served.version();
    let message = format!("expected version {version}, found version {found}");
    let refusal = match version > found {
        true => {
            let message = format!("{message}: it is not here yet");
            Refusal::new(StatusCode::CONFLICT, "version_not_yet", message).after(SOON)
        }
        false => {
            let message = format!("{message}: it is not held any more; {}", held_how(limits));
            Refusal::new(StatusCode::GONE, "version_gone", message)
        }
    };
    of_version(refusal.with("version", found), served)
}

/// For how long versions are held, for whoever comes too late.
fn held_how(limits: &Limits) -> String {
    let [idle, whole] = [limits.held_for, limits.held_at_most].map(duration_text);
    format!(
        "scans hold {} versions at most (limits.held_versions), for {} after each page (limits.held_for) and {} in all \
         (limits.held_at_most), and none whose memory a newer version lacks (memory_limit, without a state directory)",
        limits.held_versions, idle, whole
    )
}

/// The tag of what is served: the same for the same version of the same dataset, and for nothing else.
fn tag(state: &State) -> String {
    format!("\"{}-{:016x}\"", state.version(), state.content_checksum())
}

/// An answer that is about a version, and the same for as long as that is served.
pub(crate) fn stamped(answer: Response<Body>, state: &State) -> Response<Body> {
    let mut answer = versioned(answer, state);
    // Of digits and quotes.
    if let Ok(tag) = HeaderValue::from_str(&tag(state)) {
        answer.headers_mut().insert(ETAG, tag);
    }
    answer
}

/// An answer that is about a version, and tells more than that.
pub(crate) fn versioned(mut answer: Response<Body>, state: &State) -> Response<Body> {
    answer.headers_mut().extend(about(state));
    answer
}

/// A refusal that is about a version.
pub(crate) fn of_version(mut refusal: Refusal, state: &State) -> Refusal {
    refusal.headers.extend(about(state));
    refusal
}

fn about(state: &State) -> [(HeaderName, HeaderValue); 2] {
    [
        (VERSION, HeaderValue::from(state.version())),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ]
}

/// The answer to who has what is served already.
pub(crate) fn unchanged(request: &HeaderMap, state: &State) -> Option<Answer> {
    let known = request.get(IF_NONE_MATCH)?.to_str().ok()?;
    let tag = tag(state);
    let is_known = |one: &str| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag;
    known.split(',').map(str::trim).any(is_known).then(|| {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        Ok(stamped(answer, state))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use grotto::engine::state::HashSeed;

    #[test]
    fn who_has_the_version_already_is_told_so_and_nobody_else() {
        let state = State::empty(HashSeed::new([1, 2])).at_version(7);
        let tag = tag(&state);
        let told = |known: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_str(known).unwrap());
            unchanged(&headers, &state).is_some()
        };
        for known in [&tag, "*", &format!("W/{tag}"), &format!("\"1\", {tag}")] {
            assert!(told(known), "{known}");
        }
        for known in [
            "",
            "\"7\"",
            &tag.replace("\"7-", "\"8-"),
            tag.trim_matches('"'),
        ] {
            assert!(!told(known), "{known}");
        }
        assert!(unchanged(&HeaderMap::new(), &state).is_none());
    }

    #[test]
    fn waits_have_a_unit_and_a_limit() {
        let most = Duration::from_secs(10);
        let wait = |text| wait_of(text, most);
        assert_eq!(wait(None).unwrap(), Duration::ZERO);
        assert_eq!(wait(Some("0s")).unwrap(), Duration::ZERO);
        assert_eq!(wait(Some("250ms")).unwrap(), Duration::from_millis(250));
        assert_eq!(wait(Some("2m")).unwrap(), most);
        assert_eq!(wait(Some("5")).unwrap_err().code, "invalid");
    }
}
