//! The project's own measurements: standard workloads, and what the engine does with them.
//!
//! Owns: generating the workloads exactly as other engines get them, timing, and the shape of a
//! figure. Never ships, and never decides whether a figure is good enough: it reports.
#![forbid(unsafe_code)]

pub mod deploy;
pub mod engine;
pub mod figure;
pub mod ingest;
pub mod metric;
pub mod soak;
pub mod workload;
