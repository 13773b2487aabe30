//! The paths of the sidecar.
//!
//! Owns: which handler answers where. The description in `docs/api/sidecar.json` says the same; a test compares
//! them. Never: handles.

use super::daemon::Daemon;
use super::{admin, changes, news, page, records, scan};
use crate::http::answer::Refusal;
use crate::http::guard::{self, Guard};
use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::{MethodRouter, get, post};
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;

/// Paths that need no token.
pub(crate) const OPEN: &[&str] = &[
    "/health",
    "/ready",
    page::PATHS[0],
    page::PATHS[1],
    page::PATHS[2],
];

type Route = (&'static str, &'static str, MethodRouter<Arc<Daemon>>);

/// Every path with its method.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        ("get", "/", get(page::page)),
        ("get", "/status.css", get(page::style)),
        ("get", "/status.js", get(page::script)),
        ("get", "/health", get(admin::health)),
        ("get", "/ready", get(admin::ready)),
        ("get", "/metrics", get(admin::metrics)),
        ("get", "/openapi.json", get(admin::openapi)),
        ("get", "/v1/settings", get(admin::settings)),
        ("post", "/v1/reload", post(admin::reload)),
        ("get", "/v1/datasets", get(admin::datasets)),
        ("get", "/v1/datasets/{dataset}", get(admin::dataset)),
        (
            "get",
            "/v1/datasets/{dataset}/versions",
            get(news::versions),
        ),
        ("get", "/v1/datasets/{dataset}/events", get(news::events)),
        (
            "get",
            "/v1/datasets/{dataset}/changes",
            get(changes::changes),
        ),
        (
            "get",
            "/v1/datasets/{dataset}/types/{type}/records",
            get(scan::scan),
        ),
        (
            "post",
            "/v1/datasets/{dataset}/types/{type}/records:batch",
            post(records::batch),
        ),
        (
            "get",
            "/v1/datasets/{dataset}/types/{type}/records/{key}",
            get(records::one),
        ),
    ]
}

/// The router behind a guard.
pub(crate) fn router(daemon: &Arc<Daemon>, guard: &Arc<Guard>) -> Router {
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
            Arc::clone(guard),
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
    fn the_description_has_exactly_the_paths_of_the_sidecar() {
        let served = routes().into_iter();
        let served = served.map(|(method, path, _)| (path.to_owned(), method.to_owned()));
        assert_eq!(described(), served.collect::<BTreeSet<_>>());
    }
}
