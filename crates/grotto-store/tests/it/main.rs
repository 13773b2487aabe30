//! Integration tests of the store: one suite on every backend, and the faults stores are known for.
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

mod accepted;
mod blobs;
mod breaker;
mod buckets;
mod claims;
mod collecting;
mod collection;
mod conformance;
mod copies;
mod cost;
mod excerpts;
mod fake;
mod fallbacks;
mod faults;
mod fencing;
mod gaps;
mod heads;
mod kept;
mod kit;
mod last;
mod leases;
mod links;
mod local;
mod outages;
mod parts;
mod past_damage;
mod place;
mod pointers;
mod races;
mod reading;
mod routes;
mod scripted;
mod servers;
mod standbys;
mod syncs;
mod takeover;
mod tap;
mod throttled;
mod uploads;
