//! Typed and untyped access through the facade, as users see it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of a test may fail the test"
)]

mod bindings;
mod build;
mod built;
mod custom;
mod deletes;
mod evolved;
mod examples;
mod inline;
mod keys;
mod kinds;
mod market;
mod nulls;
mod parallel;
mod refused;
mod require;
mod schemas;
mod shop;
mod shown;
mod travel;
mod untyped;
