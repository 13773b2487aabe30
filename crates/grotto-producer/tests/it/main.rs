//! Integration tests of the producer. Owns nothing.
#![allow(
    clippy::disallowed_methods,
    reason = "a test is whoever owns the time of what it tests"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, also in their helpers"
)]

mod announcing;
mod broken;
mod chores;
mod handles;
mod interrupted;
mod kit;
mod large;
mod lines;
mod pipeline;
mod positions;
mod restore;
mod schemas;
mod seeds;
mod snapshots;
mod store_log;
