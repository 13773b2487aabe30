//! The daemons of Grotto as libraries.
//!
//! Owns: configuration files, and what makes a process of a pipeline: listener, health, reload, signals. Never:
//! knows what a record or a blob is; that is behind [`grotto`].
#![forbid(unsafe_code)]

pub mod client;
pub mod config;
mod http;
mod live;
mod logs;
mod metrics;
mod operators;
mod process;
pub mod producer;
mod push;
mod readiness;
pub mod sidecar;
mod sources;
mod supervise;
mod traces;

pub use logs::{LogControl, start_log};
