//! The paths of the daemon.
//!
//! Owns: which handler answers where. The description in `docs/api/producer.json` says the same; a test compares
//! them. Never: handles.

use super::daemon::Daemon;
use super::{admin, dead, intake};
use crate::http::paths::Route;
use crate::operators;
use axum::routing::{get, post};

/// Paths that need no token.
pub(crate) const OPEN: &[&str] = &["/health", "/ready"];

const GET: &[&str] = &["get"];
const POST: &[&str] = &["post"];

/// Every path with its methods.
pub(crate) fn routes() -> Vec<Route<Daemon>> {
    vec![
        (GET, "/health", get(operators::health::<Daemon>)),
        (GET, "/ready", get(operators::ready::<Daemon>)),
        (GET, "/metrics", get(operators::metrics::<Daemon>)),
        (GET, "/openapi.json", get(operators::openapi::<Daemon>)),
        (
            &["get", "post"],
            "/v1/settings",
            get(operators::settings::<Daemon>).post(admin::change),
        ),
        (POST, "/v1/reload", post(operators::reload::<Daemon>)),
        (GET, "/v1/datasets", get(admin::datasets)),
        (
            POST,
            "/v1/datasets/{dataset}/records",
            post(intake::records),
        ),
        (POST, "/v1/datasets/{dataset}/cycle", post(admin::cycle)),
        (POST, "/v1/datasets/{dataset}/flush", post(admin::flush)),
        (
            POST,
            "/v1/datasets/{dataset}/hand-over",
            post(admin::hand_over),
        ),
        (
            POST,
            "/v1/datasets/{dataset}/snapshot",
            post(admin::snapshot),
        ),
        (GET, "/v1/datasets/{dataset}/status", get(admin::status)),
        (GET, "/v1/datasets/{dataset}/dead-letters", get(dead::list)),
        (
            POST,
            "/v1/datasets/{dataset}/dead-letters/replay",
            post(dead::replay),
        ),
        (
            POST,
            "/v1/datasets/{dataset}/dead-letters/purge",
            post(dead::purge),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::paths::check_described;

    #[test]
    fn the_description_has_exactly_the_paths_of_the_daemon() {
        check_described(admin::OPENAPI, routes());
    }
}
