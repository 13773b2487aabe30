//! A simulator: one seed drives writers, readers and everything that can go wrong between them, in
//! virtual time, on one thread, and repeatably.
//!
//! Owns: the world that producers and consumers are put into (store, disk, clock, chance) and the model
//! that says what is right. Never: ships, nor knows more of the engine than its public face; what a
//! version must hold is known from what producers were told, not from what the engine made of it.
//!
//! A run has three acts. In the first, faults rain on all that happens: see [`Fault`]. In the second they
//! end, and progress is demanded: writers publish again, every reader reaches the newest version within
//! [`PATIENCE`]. In the third everything that is left is verified. What must be true at any time is
//! checked at any time, by `check`.
//!
//! **Invariant:** nothing here asks the host for time, chance or a thread. The same seed gives the same
//! trace; `cargo xtask sim` runs each one twice and compares.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "the simulation owns the time of its runtime, which is paused"
)]

mod check;
mod clock;
mod dice;
mod disk;
mod fault;
mod sim;
mod store;
mod trace;
mod world;

pub use fault::{Fault, Tally};
pub use world::{PATIENCE, Run, run};
