//! The sidecar, as it is run: its HTTP side, its datasets, its signals.

mod hostile;
mod http;
mod kit;
mod life;
mod news;
mod page;
mod profiles;
mod scan;
