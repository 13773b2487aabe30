//! What every request goes through.
//!
//! Owns: its identifier, whether it may come in, its line in the log, and that a panic ends it alone. Never: what
//! the request is about.

use super::answer::Refusal;
use super::server::OneTooMany;
use crate::config::Token;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use axum::middleware::Next;
use grotto::engine::env::Env;
use parking_lot::RwLock;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tracing::Instrument as _;

/// The header of identifiers.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest identifier that a sender may choose.
const LONGEST_ID: usize = 64;
/// Wait that is advised when all connections are taken.
const SOON: Duration = Duration::from_secs(1);

/// Under which names requests may ask for the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hosts {
    /// Under any.
    Any,
    /// By address, or as `localhost`. Any other name may be one that somebody made lead to this host, so that a page of
    /// theirs passes for one of this daemon and reads its answers.
    Local,
}

/// Whether who asks on a path that needs no token may be told what names folders and stores: by the token, or where the
/// listener asks for none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trusted(pub(crate) bool);

/// What the guard needs to know.
#[derive(Debug)]
pub(crate) struct Guard {
    env: Env,
    /// What requests must bear, unless they may come without.
    token: RwLock<Option<Token>>,
    /// Paths that need no token: they tell whether the process is well, and nothing else.
    open: &'static [&'static str],
    hosts: Hosts,
    quiet: bool,
    /// The setting that says how many connections there may be.
    setting: &'static str,
    /// The beginning of the identifiers of this process.
    prefix: u64,
    count: AtomicU64,
    counts: Arc<Counts>,
}

/// How many requests there were, by how they ended.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    classes: [AtomicU64; 6],
    unauthorized: AtomicU64,
    unread: AtomicU64,
}

impl Counts {
    /// Requests whose status began with this digit.
    pub(crate) fn of_class(&self, digit: usize) -> u64 {
        let class = self.classes.get(digit);
        class.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Answers that were given up because nobody read them, or too slowly.
    pub(crate) fn unread(&self) -> u64 {
        self.unread.load(Ordering::Relaxed)
    }

    pub(crate) fn note_unread(&self) {
        self.unread.fetch_add(1, Ordering::Relaxed);
    }

    fn note(&self, status: StatusCode) {
        if let Some(count) = self.classes.get(usize::from(status.as_u16() / 100)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if status == StatusCode::UNAUTHORIZED {
            self.unauthorized.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Guard {
    pub(crate) fn new(
        env: Env,
        token: Option<Token>,
        open: &'static [&'static str],
        hosts: Hosts,
        setting: &'static str,
    ) -> Self {
        let prefix = env.random.next_u64();
        Self {
            env,
            token: RwLock::new(token),
            open,
            hosts,
            quiet: false,
            setting,
            prefix,
            count: AtomicU64::new(0),
            counts: Arc::default(),
        }
    }

    pub(crate) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// The identifier of a request: the sender's, if it is one.
    fn identifier(&self, headers: &HeaderMap) -> String {
        let given = headers
            .get(REQUEST_ID)
            .and_then(|value| value.to_str().ok());
        if let Some(given) = given.filter(|text| is_identifier(text)) {
            return given.to_owned();
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        format!("{:08x}-{number}", self.prefix & 0xffff_ffff)
    }

    fn admits(&self, path: &str, host: Option<&str>, headers: &HeaderMap) -> Result<(), Refusal> {
        // Browsers name the page behind a request that changes something, and send it whatever page that is: anybody's
        // page could empty a dataset of the host that it is looked at on.
        if headers.contains_key(ORIGIN) {
            return Err(forbidden(
                "a page in a browser asks for this, by its header `Origin`: pages are not answered",
            ));
        }
        if is_of_another_site(headers) {
            return Err(forbidden(
                "a page of another site asks for this, by its header `Sec-Fetch-Site`: it is not answered",
            ));
        }
        if self.hosts == Hosts::Local && !host.is_none_or(is_local) {
            return Err(forbidden(
                "expected a header `Host` with an address or localhost: other names may be anybody's",
            ));
        }
        if self.open.contains(&path) {
            return Ok(());
        }
        self.knows(headers)
    }

    /// Whether a request bears the token, if one is asked for.
    pub(crate) fn knows(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = self.token.read();
        let Some(token) = token.as_ref() else {
            return Ok(());
        };
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(bearer);
        match given {
            Some(given) if token.is(given) => Ok(()),
            Some(_) => Err(unauthorized("the token is another one")),
            None => Err(unauthorized(
                "expected a header `Authorization: Bearer TOKEN`",
            )),
        }
    }

    /// For many small requests: their spans are for those who look for them at level debug, and one that has to come again
    /// is not worth a line, as there may be as many of them.
    pub(crate) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    fn is_worth_a_line(&self, status: StatusCode) -> bool {
        let passes = self.quiet && status == StatusCode::SERVICE_UNAVAILABLE;
        status.is_server_error() && !passes
    }

    /// Writes what was refused, and names the request.
    fn finish(&self, mut answer: Response<Body>, id: &str) -> Response<Body> {
        if let Some(refusal) = answer.extensions_mut().remove::<Refusal>() {
            if self.is_worth_a_line(refusal.status) {
                tracing::warn!(
                    request_id = id,
                    code = refusal.code,
                    reason = refusal.message,
                    "request refused"
                );
            }
            answer = refusal.answer(id);
        }
        let headers = answer.headers_mut();
        // No page of another site makes a script, a style or a picture of an answer.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let policy = HeaderName::from_static("cross-origin-resource-policy");
        headers.insert(policy, HeaderValue::from_static("same-origin"));
        if let Ok(id) = HeaderValue::from_str(id) {
            headers.insert(REQUEST_ID, id);
        }
        if answer.status() == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(WWW_AUTHENTICATE, bearer);
        }
        answer
    }

    /// Asks for another token from now on; whether it is another one.
    pub(crate) fn renew(&self, token: Token) -> bool {
        let mut present = self.token.write();
        let is_new = present.as_ref() != Some(&token);
        *present = Some(token);
        is_new
    }
}

/// Whether a browser says that a page of another site, or of another port, is behind a request. A link that somebody
/// follows is none: that page does not get to see where it leads.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let told = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let is_another = matches!(told("sec-fetch-site"), Some(b"cross-site" | b"same-site"));
    is_another && told("sec-fetch-dest") != Some(b"document")
}

/// The host that a request asks for, without its port.
fn host_of(request: &Request) -> Option<&str> {
    let header = request
        .headers()
        .get(HOST)
        .map(|value| value.to_str().unwrap_or("?"));
    // Of two that differ the one that is not ours counts.
    let named = request.uri().host();
    let mut hosts = header.map(without_port).into_iter().chain(named);
    let first = hosts.next()?;
    Some(hosts.find(|host| !is_local(host)).unwrap_or(first))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            name
        }
        _ => host,
    }
}

fn is_local(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || bare.unwrap_or(host).parse::<std::net::IpAddr>().is_ok()
}

fn forbidden(message: &str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, "forbidden", message)
}

/// The token of an authorization header.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| token.trim())
}

fn is_identifier(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(plain)
}

fn unauthorized(message: &str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
}

fn too_many(setting: &str) -> Refusal {
    let message = format!("all connections are taken: as many as {setting} says");
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message).after(SOON)
}

/// Takes a request through.
pub(crate) async fn pass(
    State(guard): State<Arc<Guard>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let id = guard.identifier(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = match guard.quiet {
        true => tracing::debug_span!("request", request_id = id, %method, path),
        false => tracing::info_span!("request", request_id = id, %method, path),
    };
    let begun = guard.env.clock.monotonic();
    let answer = async {
        let admitted = match request.extensions().get::<OneTooMany>() {
            Some(_) if !guard.open.contains(&path.as_str()) => Err(too_many(guard.setting)),
            _ => guard.admits(&path, host_of(&request), request.headers()),
        };
        if guard.open.contains(&path.as_str()) {
            let trusted = Trusted(guard.knows(request.headers()).is_ok());
            request.extensions_mut().insert(trusted);
        }
        let answer = match admitted {
            Ok(()) => next.run(request).await,
            Err(refusal) => axum::response::IntoResponse::into_response(refusal),
        };
        let answer = guard.finish(answer, &id);
        let status = answer.status();
        guard.counts.note(status);
        let ms = crate::logs::whole_ms(guard.env.clock.monotonic() - begun);
        match guard.is_worth_a_line(status) {
            true => tracing::warn!(
                request_id = id,
                status = status.as_u16(),
                ms,
                "request failed"
            ),
            false => tracing::debug!(status = status.as_u16(), ms, "request"),
        }
        answer
    };
    answer.instrument(span).await
}

/// The answer to a request whose handler panicked; the panic itself is in the log.
pub(crate) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    axum::response::IntoResponse::into_response(Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "this is a defect of grotto; please report it with the log of the daemon",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(target: &str, host: &str) -> bool {
        let request = Request::builder().uri(target).header(HOST, host);
        host_of(&request.body(Body::empty()).unwrap()).is_none_or(is_local)
    }

    #[test]
    fn addresses_and_localhost_are_names_of_this_host_and_others_may_be_anybodys() {
        for host in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:8080",
            "10.0.0.7:80",
        ] {
            assert!(asked("/v1/datasets", host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "[::1].evil.example",
            "127.0.0.1@evil.example",
        ] {
            assert!(!asked("/v1/datasets", host), "{host}");
        }
        assert!(asked("http://127.0.0.1:8080/v1/datasets", "127.0.0.1:8080"));
        assert!(!asked("http://evil.example/v1/datasets", "127.0.0.1:8080"));
        assert!(!asked("http://127.0.0.1/v1/datasets", "evil.example"));
    }
}
