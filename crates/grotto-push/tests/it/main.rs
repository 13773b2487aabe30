//! Clients of servers of announcements: against real ones, and against some that behave as no server should.
#![allow(
    clippy::disallowed_methods,
    reason = "a test is whoever owns the time of what it tests"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

mod fake;
mod hostile;
mod kit;
mod lasting;
mod servers;
