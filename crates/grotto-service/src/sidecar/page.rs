//! The status page.
//!
//! Owns: its three files, which are part of the binary. What it shows it reads from `/v1/datasets`. Never: loads anything
//! from elsewhere.

use crate::http::answer::{Answer, text_answer};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::http::{HeaderValue, StatusCode};

/// Paths of the page, which tell nothing of a dataset.
pub(super) const PATHS: [&str; 3] = ["/", "/status.css", "/status.js"];

/// The page may load its own two files and ask this sidecar, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`
pub(crate) async fn page() -> Answer {
    file("text/html; charset=utf-8", include_str!("page/index.html"))
}

/// `GET /status.css`
pub(crate) async fn style() -> Answer {
    file("text/css; charset=utf-8", include_str!("page/status.css"))
}

/// `GET /status.js`
pub(crate) async fn script() -> Answer {
    file(
        "text/javascript; charset=utf-8",
        include_str!("page/status.js"),
    )
}

fn file(content_type: &'static str, text: &str) -> Answer {
    let mut answer = text_answer(StatusCode::OK, content_type, text.to_owned());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(answer)
}
