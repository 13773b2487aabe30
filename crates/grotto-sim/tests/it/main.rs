//! Producer and consumers together, in one process and in several.
#![allow(
    clippy::disallowed_methods,
    reason = "a test is whoever owns the time of what it tests"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on says so by panicking"
)]

mod corruption;
mod kit;
mod linked;
mod model;
mod processes;
mod seeds;
mod swap;
mod ways;
