//! Integration tests of the state. Owns nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, also in their helpers"
)]

mod aging;
mod churn;
mod emptied;
mod engine;
mod fields;
mod filtered;
mod hostile;
mod json;
mod limits;
mod linked;
mod model;
mod rare;
mod references;
mod refused;
mod sizes;
mod sources;
mod threads;
mod vectors;
mod webs;
