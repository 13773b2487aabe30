//! Integration tests of the formats: published vectors, the numbers of the specification, and
//! bytes that mean harm. Owns nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, also in their helpers"
)]

mod reader;
mod robust;
mod spec;
mod vectors;
