//! The sidecar, as it is run: its HTTP side, its datasets, its signals.

mod cache;
mod changes;
mod clients;
mod hostile;
mod http;
pub(crate) mod kit;
mod leases;
mod life;
mod news;
mod page;
mod profiles;
mod scan;
mod shown;

pub(crate) use kit::served;
