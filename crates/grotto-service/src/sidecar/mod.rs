//! The sidecar: datasets of stores, for everybody on this host.
//!
//! Owns: its life: start, reload, end. Never: reads a record itself; [`grotto`] does.

mod admin;
mod asked;
mod changes;
mod daemon;
mod followed;
mod health;
mod held;
mod life;
mod look;
mod news;
mod page;
mod reader;
mod records;
mod routes;
mod scan;
mod seen;
mod telling;
#[cfg(test)]
mod tests;
mod turns;

pub use crate::operators::OnListen;
pub use followed::OnVersion;
pub use life::{Start, run};
pub use look::{Look, LookedDataset, LookedVersion, OnLook};
