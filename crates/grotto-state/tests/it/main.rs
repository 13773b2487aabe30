//! Integration tests of the state. Owns nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, also in their helpers"
)]

mod model;
mod rare;
mod churn;
mod engine;
mod hostile;
mod vectors;
mod webs;
mod emptied;
