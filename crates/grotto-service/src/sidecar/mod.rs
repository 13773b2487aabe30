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
mod records;
mod routes;
mod scan;
mod seen;
mod telling;

pub use followed::OnVersion;
pub use life::{OnListen, Start, run};
pub use look::{Look, LookedDataset, LookedVersion, OnLook};
