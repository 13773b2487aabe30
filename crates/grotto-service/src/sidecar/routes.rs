//! The paths of the sidecar.
//!
//! Owns: which handler answers where. The description in `docs/api/sidecar.json` says the same; a test compares
//! them. Never: handles.

use super::daemon::Daemon;
use super::{admin, changes, news, page, records, scan};
use crate::http::paths::Route;
use crate::operators;
use axum::routing::{get, post};

/// Paths that need no token.
pub(crate) const OPEN: &[&str] = &[
    "/health",
    "/ready",
    page::PATHS[0],
    page::PATHS[1],
    page::PATHS[2],
];

const GET: &[&str] = &["get"];
const POST: &[&str] = &["post"];

/// Every path with its methods.
pub(crate) fn routes() -> Vec<Route<Daemon>> {
    vec![
        (GET, "/", get(page::page)),
        (GET, "/status.css", get(page::style)),
        (GET, "/status.js", get(page::script)),
        (GET, "/health", get(operators::health::<Daemon>)),
        (GET, "/ready", get(operators::ready::<Daemon>)),
        (GET, "/metrics", get(operators::metrics::<Daemon>)),
        (GET, "/openapi.json", get(operators::openapi::<Daemon>)),
        (GET, "/v1/settings", get(operators::settings::<Daemon>)),
        (POST, "/v1/reload", post(operators::reload::<Daemon>)),
        (GET, "/v1/datasets", get(admin::datasets)),
        (GET, "/v1/datasets/{dataset}", get(admin::dataset)),
        (GET, "/v1/datasets/{dataset}/versions", get(news::versions)),
        (GET, "/v1/datasets/{dataset}/events", get(news::events)),
        (GET, "/v1/datasets/{dataset}/changes", get(changes::changes)),
        (
            GET,
            "/v1/datasets/{dataset}/types/{type}/records",
            get(scan::scan),
        ),
        (
            POST,
            "/v1/datasets/{dataset}/types/{type}/records:batch",
            post(records::batch),
        ),
        (
            GET,
            "/v1/datasets/{dataset}/types/{type}/records/{key}",
            get(records::one),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::paths::check_described;

    #[test]
    fn the_description_has_exactly_the_paths_of_the_sidecar() {
        check_described(admin::OPENAPI, routes());
    }
}
