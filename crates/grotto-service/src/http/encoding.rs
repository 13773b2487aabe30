//! What the headers of a request say about its body.
//!
//! Owns: which content types and encodings there are. Never: reads the body.

use super::answer::Refusal;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};

/// What records look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One JSON value per line.
    Ndjson,
    /// Comma-separated values with a header.
    Csv,
}

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Zstd,
}

/// The form of records; NDJSON unless the sender says otherwise.
pub(crate) fn form(headers: &HeaderMap) -> Result<Form, Refusal> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(Form::Ndjson);
    };
    let text = value.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    match essence.to_ascii_lowercase().as_str() {
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonlines"
        | "application/json" => Ok(Form::Ndjson),
        "text/csv" | "text/tab-separated-values" => Ok(Form::Csv),
        _ => Err(unsupported(format!(
            "content type {text:?}: expected application/x-ndjson or text/csv; with curl: -H 'content-type: application/x-ndjson'"
        ))),
    }
}

/// How the body is packed.
pub(crate) fn packing(headers: &HeaderMap) -> Result<Packing, Refusal> {
    let Some(value) = headers.get(CONTENT_ENCODING) else {
        return Ok(Packing::None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    match text.trim().to_ascii_lowercase().as_str() {
        "identity" => Ok(Packing::None),
        "gzip" | "x-gzip" => Ok(Packing::Gzip),
        "zstd" => Ok(Packing::Zstd),
        _ => Err(unsupported(format!(
            "content encoding {text:?}: expected gzip, zstd or identity; without the header a body is read as it is"
        ))),
    }
}

fn unsupported(message: String) -> Refusal {
    Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", message)
}
