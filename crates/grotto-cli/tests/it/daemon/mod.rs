//! The producer daemon, as it is run: its HTTP side, its sources, its signals.

mod backups;
mod chaos;
mod containers;
mod health;
mod hostile;
mod http;
pub(crate) mod kit;
mod leadership;
mod life;
mod lines;
mod metrics;
mod profiles;
mod sources;
mod storm;
mod top;
mod traces;
pub(crate) mod walk;
