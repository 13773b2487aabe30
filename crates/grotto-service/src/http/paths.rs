//! The paths of a daemon.
//!
//! Owns: the router of a table of paths, and what goes before all of them: the guard, and answers where nothing is.
//! Never: handles.

use super::answer::Refusal;
use super::guard::{self, Guard};
use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::MethodRouter;
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;

/// The methods of a path, as the description of the interface names them, and who answers.
pub(crate) type Route<D> = (&'static [&'static str], &'static str, MethodRouter<Arc<D>>);

/// The router of these paths behind a guard.
pub(crate) fn router<D: Send + Sync + 'static>(
    routes: Vec<Route<D>>,
    daemon: &Arc<D>,
    guard: &Arc<Guard>,
) -> Router {
    let mut router = Router::new();
    for (_, path, handlers) in routes {
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

/// Fails unless a description has exactly these paths with their methods.
#[cfg(test)]
#[track_caller]
pub(crate) fn check_described<D>(description: &str, routes: Vec<Route<D>>) {
    use std::collections::BTreeSet;
    let document: serde_json::Value = serde_json::from_str(description).unwrap();
    let methods = |(path, item): (&String, &serde_json::Value)| {
        let names = item.as_object().unwrap().keys();
        let methods = names.filter(|name| name.as_str() != "parameters");
        let of_path = methods.map(|method| (path.clone(), method.clone()));
        of_path.collect::<Vec<_>>()
    };
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<_> = paths.iter().flat_map(methods).collect();
    let served = routes.into_iter().flat_map(|(methods, path, _)| {
        let of_path = methods.iter();
        of_path.map(|method| (path.to_owned(), (*method).to_owned()))
    });
    assert_eq!(described, served.collect::<BTreeSet<_>>());
}
