//! The binary, end to end, on real data.

mod configuration;
mod crash;
mod damage;
mod editions;
mod kit;
mod output;
mod readme;
mod refusals;
mod state_dir;
mod writers;
