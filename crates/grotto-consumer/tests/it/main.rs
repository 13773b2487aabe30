//! Consumers against a store that a small publisher fills.
//!
//! The publisher is made of the write state and the store's writer, so that these tests can also
//! publish what a real producer never would.
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

#[cfg(unix)]
mod afresh;
mod attached;
mod background;
mod behind;
mod blocking;
#[cfg(unix)]
mod cache;
#[cfg(unix)]
mod cost;
mod damage;
#[cfg(unix)]
mod disk;
mod faults;
mod filtered;
mod forked;
mod gapped;
mod gaps;
mod guards;
mod judged;
mod kit;
mod leases;
mod leftovers;
mod limited;
mod limits;
mod listeners;
mod local;
#[cfg(unix)]
mod meanwhile;
mod moves;
mod nothing;
mod polling;
mod push;
mod room;
mod status;
mod subscribe;
mod takeover;
mod told;
mod trouble;
