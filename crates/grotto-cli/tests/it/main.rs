//! The binary, end to end, on real data.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may panic as the tests themselves do"
)]

mod accepting;
#[cfg(unix)]
mod buckets;
mod collecting;
mod configuration;
mod copying;
mod crash;
#[cfg(unix)]
mod daemon;
mod damage;
mod editions;
#[cfg(unix)]
mod follow;
mod inline;
mod kit;
mod links;
mod looking;
mod manual;
mod newcomer;
mod output;
mod pinning;
#[cfg(unix)]
mod places;
#[cfg(unix)]
mod profiles;
#[cfg(target_os = "linux")]
mod push;
#[cfg(target_os = "linux")]
#[path = "../../../grotto-push/tests/it/servers.rs"]
mod push_servers;
mod readme;
mod refusals;
mod rollouts;
mod rules;
#[cfg(target_os = "linux")]
mod runs;
mod schemas;
#[path = "../../../grotto-store/tests/it/servers.rs"]
mod servers;
#[cfg(unix)]
mod sidecar;
mod state_dir;
mod status;
mod stores;
#[cfg(target_os = "linux")]
mod syscalls;
mod units;
mod verifying;
mod writers;
