//! The paths of the daemon.
//!
//! Owns: which handler answers where. The description in `docs/api/producer.json` says the same; a test compares
//! them. Never: handles.

use super::daemon::Daemon;
use super::{admin, dead, intake};
use crate::http::answer::Refusal;
use crate::http::guard;
use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::{MethodRouter, get, post};
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;

/// Paths that need no token.
pub(crate) const OPEN: &[&str] = &["/health", "/ready"];

type Route = (
    &'static [&'static str],
    &'static str,
    MethodRouter<Arc<Daemon>>,
);

/// Every path with its methods.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        (&["get"], "/health", get(admin::health)),
        (&["get"], "/ready", get(admin::ready)),
        (&["get"], "/metrics", get(admin::metrics)),
        (&["get"], "/openapi.json", get(admin::openapi)),
        (
            &["get", "post"],
            "/v1/settings",
            get(admin::settings).post(admin::change),
        ),
        (&["post"], "/v1/reload", post(admin::reload)),
        (&["get"], "/v1/datasets", get(admin::datasets)),
        (
            &["post"],
            "/v1/datasets/{dataset}/records",
            post(intake::records),
        ),
        (
            &["post"],
            "/v1/datasets/{dataset}/cycle",
            post(admin::cycle),
        ),
        (
            &["post"],
            "/v1/datasets/{dataset}/flush",
            post(admin::flush),
        ),
        (
            &["post"],
            "/v1/datasets/{dataset}/snapshot",
            post(admin::snapshot),
        ),
        (
            &["get"],
            "/v1/datasets/{dataset}/status",
            get(admin::status),
        ),
        (
            &["get"],
            "/v1/datasets/{dataset}/dead-letters",
            get(dead::list),
        ),
        (
            &["post"],
            "/v1/datasets/{dataset}/dead-letters/replay",
            post(dead::replay),
        ),
        (
            &["post"],
            "/v1/datasets/{dataset}/dead-letters/purge",
            post(dead::purge),
        ),
    ]
}

/// The router of a daemon.
pub(crate) fn router(daemon: &Arc<Daemon>) -> Router {
    let mut router = Router::new();
    for (_, path, handlers) in routes() {
        router = router.route(path, handlers);
    }
    router
        .fallback(|| async {
            Refusal::not_found("no such path; see /openapi.json").into_response()
        })
        .method_not_allowed_fallback(|| async {
            Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "another method is expected here; see /openapi.json",
            )
            .into_response()
        })
        .layer(CatchPanicLayer::custom(guard::panicked))
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&daemon.guard),
            guard::pass,
        ))
        .with_state(Arc::clone(daemon))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Paths with their methods, as the description has them.
    fn described() -> BTreeSet<(String, String)> {
        let document: serde_json::Value = serde_json::from_str(admin::OPENAPI).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let methods = |(path, item): (&String, &serde_json::Value)| {
            let names = item.as_object().unwrap().keys();
            let methods = names.filter(|name| name.as_str() != "parameters");
            let of_path = methods.map(|method| (path.clone(), method.clone()));
            of_path.collect::<Vec<_>>()
        };
        paths.iter().flat_map(methods).collect()
    }

    #[test]
    fn the_description_has_exactly_the_paths_of_the_daemon() {
        let served = routes().into_iter().flat_map(|(methods, path, _)| {
            let of_path = methods.iter();
            of_path.map(|method| (path.to_owned(), (*method).to_owned()))
        });
        assert_eq!(described(), served.collect::<BTreeSet<_>>());
    }
}
