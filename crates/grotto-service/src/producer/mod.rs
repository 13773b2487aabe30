//! The producer daemon.
//!
//! Owns: its life: start, reload, drain, end. Never: takes records in itself; its sources and its HTTP side do.

mod admin;
mod collecting;
mod daemon;
mod dead;
mod health;
mod intake;
mod kept;
mod life;
mod lines;
mod open;
mod open_again;
mod routes;
mod telling;
mod trouble;

pub use crate::operators::OnListen;
pub(crate) use daemon::Daemon;
pub use life::{Start, run};
pub(crate) use lines::{Kind, take};
pub use telling::OnPublish;
pub(crate) use trouble::Troubles;
