//! Integration tests of the store: one suite on every backend, and the faults stores are known for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, also in their helpers"
)]

mod blobs;
mod conformance;
mod faults;
mod fencing;
mod kit;
mod local;
mod reading;
mod syncs;
