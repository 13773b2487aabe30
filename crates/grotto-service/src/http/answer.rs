//! The form of answers.
//!
//! Owns: which status and code an error has, and its JSON: `{"error":{"code","message",…}}`. Never: decides
//! whether something is an error.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use grotto::{Error, ErrorKind};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// What an HTTP handler ends with.
pub(crate) type Answer = Result<Response<Body>, Refusal>;

/// A request that is not done, and why.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// Stable, for programs.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: String,
    /// When to come again.
    pub(crate) retry_after: Option<Duration>,
    /// More fields of the error.
    pub(crate) details: Vec<(&'static str, Value)>,
    /// More headers of the answer.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
            details: Vec::new(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// More than is taken, now.
    pub(crate) fn overloaded(message: impl Into<String>, after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", message).after(after)
    }

    pub(crate) fn after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The same refusal with one more field.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    /// The answer, which names the request.
    pub(crate) fn answer(&self, request_id: &str) -> Response<Body> {
        let mut error = Map::new();
        error.insert("code".to_owned(), self.code.into());
        error.insert("message".to_owned(), self.message.clone().into());
        for (name, value) in &self.details {
            error.insert((*name).to_owned(), value.clone());
        }
        error.insert("request_id".to_owned(), request_id.into());
        let mut answer = json_answer(self.status, &json!({ "error": error }));
        answer.headers_mut().extend(self.headers.iter().cloned());
        if let Some(after) = self.retry_after {
            // In whole seconds, and never too early.
            let seconds = after.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                answer.headers_mut().insert(RETRY_AFTER, value);
            }
        }
        answer
    }
}

/// Wait that is advised where nothing says how long it takes.
const SOON: Duration = Duration::from_secs(1);

/// Errors of the library: the kind says what the sender can do.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        use ErrorKind as K;
        let (status, code) = match error.kind() {
            K::Invalid | K::UserError => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            K::Overloaded => (StatusCode::TOO_MANY_REQUESTS, "overloaded"),
            K::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            K::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            K::Fenced => (StatusCode::SERVICE_UNAVAILABLE, "fenced"),
            K::NoDataset => (StatusCode::NOT_FOUND, "no_dataset"),
            K::NoSchema => (StatusCode::CONFLICT, "no_schema"),
            K::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "corrupt"),
            K::Missing => (StatusCode::INTERNAL_SERVER_ERROR, "missing"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        let refusal = Self::new(status, code, error.message());
        let told = grotto::producer::pipeline::retry_after(&error);
        match error.kind() {
            K::Overloaded | K::Unavailable | K::Busy => refusal.after(told.unwrap_or(SOON)),
            _ => refusal,
        }
    }
}

/// The guard writes the body: only it knows the request's number.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

/// An answer in JSON.
pub(crate) fn json_answer(status: StatusCode, value: &Value) -> Response<Body> {
    text_answer(status, "application/json", format!("{value}\n"))
}

/// An answer of text.
pub(crate) fn text_answer(
    status: StatusCode,
    content_type: &'static str,
    text: String,
) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// An answer that all went well.
pub(crate) fn done(value: &Value) -> Answer {
    Ok(json_answer(StatusCode::OK, value))
}
